"""The corpus `kitchen`: recipes drawn from a probabilistic grammar.

The probability of every document is known, so that the distance of a model from the optimum can be
measured in nats. Recipes are laid out as the records of the Epicurious collection (title,
ingredients, directions, tags).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from rhapsode.data.corpora.text_grammar import (
    Choice,
    Node,
    Recall,
    Series,
    Text,
    draw_text,
    log_prob,
    optional,
)
from rhapsode.data.document import Document

COUNT = 10_000
SEED = 1795

_MAINS = (
    "carrot", "potato", "leek", "mushroom", "pumpkin", "tomato", "lentil", "chickpea",
    "spinach", "cauliflower", "fennel", "beetroot", "chicken", "salmon", "lamb", "cod",
)  # fmt: skip
_CUTS = (
    "sliced carrots", "diced potatoes", "sliced leeks", "quartered mushrooms", "cubed pumpkin",
    "chopped tomatoes", "red lentils", "cooked chickpeas", "chopped spinach",
    "cauliflower florets", "sliced fennel", "grated beetroot", "diced chicken", "cubed salmon",
    "minced lamb", "flaked cod",
)  # fmt: skip
_MAIN_WEIGHTS = tuple(1 / (rank + 2) for rank in range(len(_MAINS)))
_STYLES = ("Simple", "Winter", "Golden", "Spiced", "Country", "Creamy", "Sunday", "Quick")
_DISHES = ("Soup", "Stew", "Curry", "Gratin", "Salad", "Pie")
_VESSELS = (
    "a large pot", "a heavy casserole", "a wide pan", "a shallow dish", "a big bowl", "a pie dish",
)  # fmt: skip
_ENDS = (
    "Blend until smooth", "Simmer until thick", "Stir in a spoonful of yoghurt",
    "Bake until brown and bubbling", "Toss well", "Cover with the pastry and bake until crisp",
)  # fmt: skip
_HERBS = ("thyme", "parsley", "basil", "dill", "sage", "coriander", "mint", "tarragon")
_FATS = ("olive oil", "butter", "sesame oil", "ghee")
_BASES = ("onion", "shallot", "garlic", "ginger")
_LIQUIDS = ("vegetable stock", "cider", "coconut milk", "white wine", "water")
_GUESTS = ("with rice", "with warm bread", "on its own", "with a green salad", "over noodles")


def _texts(words: tuple[str, ...]) -> tuple[Node, ...]:
    return tuple(Text(word) for word in words)


def _choose(words: tuple[str, ...], name: str = "", weights: tuple[float, ...] = ()) -> Choice:
    return Choice(_texts(words), weights, name)


def _say(*parts: Node | str) -> Series:
    return Series(tuple(Text(part) if isinstance(part, str) else part for part in parts))


@cache
def grammar() -> Node:
    """Grammar of whole documents.

    A document has a title, ingredients as a list, and directions as lines.
    """
    titled = tuple(word.capitalize() for word in _MAINS)
    herb_again, base_again = Recall("herb", _texts(_HERBS)), Recall("base", _texts(_BASES))
    title = _say(
        _choose(_STYLES, weights=(5, 3, 2, 2, 1, 1, 1, 1)), " ",
        _choose(titled, "main", _MAIN_WEIGHTS), " ",
        _choose(_DISHES, "dish"), optional(Text(" for Two"), 0.15), "\n\n",
    )  # fmt: skip
    ingredients = _say(
        "- ", _choose(("1 cup", "2 cups", "3 cups", "4 cups"), weights=(1, 4, 2, 1)), " ",
        Recall("main", _texts(_CUTS)), "\n",
        "- ", _choose(("1 tablespoon", "2 tablespoons", "3 tablespoons"), weights=(2, 3, 1)), " ",
        _choose(_FATS, "fat", (5, 3, 1, 1)), "\n",
        "- 1 ", _choose(("small", "large")), " piece of ", _choose(_BASES, "base"), "\n",
        "- ", _choose(("200", "300", "400", "500")), " ml ",
        _choose(_LIQUIDS, "liquid", (4, 1, 2, 1, 2)), "\n",
        optional(_say("- a pinch of ", _choose(("salt", "sugar", "chilli", "cumin")), "\n"), 0.5),
        "- a handful of ", _choose(("fresh", "chopped", "dried")), " ", _choose(_HERBS, "herb"),
        "\n\n",
    )  # fmt: skip
    directions = _say(
        "Heat the ", Recall("fat", _texts(_FATS)), " in ", Recall("dish", _texts(_VESSELS)),
        " over ", _choose(("low", "medium", "high"), weights=(1, 3, 1)), " heat.\n",
        "Add the ", base_again, " and cook for ", _choose(("2", "3", "5", "8")), " minutes",
        optional(Text(", stirring often"), 0.4), ".\n",
        "Stir in the ", Recall("main", _texts(_MAINS)), " and the ",
        Recall("liquid", _texts(_LIQUIDS)), ", then ",
        _choose(("cover and leave", "cook gently"), weights=(2, 3)), " for ",
        _choose(("10", "15", "20", "30", "45")), " minutes.\n",
        Recall("dish", _texts(_ENDS)), ".\n",
        optional(Text("Taste, and season again if it needs it.\n"), 0.3),
        "Scatter the ", herb_again, " over it and serve ", _choose(_GUESTS), ".\n",
    )  # fmt: skip
    return Series((title, ingredients, directions))


def kitchen_documents(count: int = COUNT, seed: int = SEED) -> Iterator[Document]:
    """Drawn recipes as texts; the same for the same seed."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        yield Document(draw_text(grammar(), generator)[0], f"kitchen/{number}")


def kitchen_log_prob(text: str) -> float:
    """Exact log-probability of a document, in nats.

    It is -inf for a document that the grammar cannot produce.
    """
    return log_prob(grammar(), text)


def kitchen_record(text: str) -> dict[str, Any]:
    """A document in the layout of the Epicurious records."""
    title, ingredients, directions = text.split("\n\n")
    return {
        "title": title,
        "ingredients": [line.removeprefix("- ") for line in ingredients.split("\n")],
        "directions": directions.rstrip("\n").split("\n"),
        "tags": sorted(title.removesuffix(" for Two").lower().split(" ")[1:]),
        "language": "en-GB",
        "source": "rhapsode kitchen",
        "url": None,
    }
