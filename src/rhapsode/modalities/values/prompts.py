"""Prompts of values: given steps, and text of the following ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import ValueCondition
from rhapsode.config import GenerateSettings
from rhapsode.data import Condition
from rhapsode.errors import DataError, EncodingError
from rhapsode.files import write_atomically
from rhapsode.generation.loop import DrawKey
from rhapsode.generation.paths import path_keys, path_seed
from rhapsode.modalities.opened import Document, Fragments, Given, Prompt

if TYPE_CHECKING:
    from rhapsode.modalities.values.model import ValueModel


Step = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ValueDocument:
    """Steps as a document.

    Arguments:
        value: (T, K).
        seed: of the draw; None if nothing was drawn.
        finish_reason: "length"; None if it is not known.
    """

    value: NDArray[np.float64]
    seed: int | None = None
    finish_reason: str | None = None

    @property
    def elements(self) -> tuple[Step, ...]:
        return tuple(map(tuple, self.value.tolist()))

    def text(self) -> str:
        return "".join(map(_line_of, self.value.tolist()))

    def save(self, path: str | Path) -> None:
        write_atomically(Path(path), self.text().encode())


class _Lines(Fragments):
    """A line for every step.

    Arguments:
        prompt: gives the text of each line.
        first: number of steps before.
    """

    def __init__(self, prompt: ValuePrompt, first: int) -> None:
        self._prompt = prompt
        self._places = count(first)

    def feed(self, element: Step) -> str:
        return self._prompt.line(next(self._places), element)


class ValuePrompt(Prompt):
    """The beginning of a sequence of values.

    Arguments:
        model: that continues it.
        steps: of the sequence.
        condition: sources of the sequence, one row; None where it depends on nothing.
    """

    def __init__(
        self,
        model: ValueModel[Any],
        steps: Sequence[Step] = (),
        condition: Condition | None = None,
    ) -> None:
        self._model = model
        self._width = len(model.bundle.facts.names)
        self._steps = tuple(steps)
        self._condition = condition
        self.text = "".join(self.line(place, step) for place, step in enumerate(self._steps))

    @property
    def name(self) -> str:
        """Name that decides the draws, with the seed."""
        return "0"

    @property
    def condition(self) -> Condition | None:
        """Sources of the sequence, one row; None where it depends on nothing."""
        return self._condition

    @property
    def title(self) -> str:
        """Name of the sequence, for tables."""
        return str(self._model.bundle.facts.goes_on_with)

    @property
    def stats(self) -> Any:
        """The scale of the sequence; None where the encoder needs none."""
        return None

    @property
    def opening(self) -> Given:
        return Given(self._steps, self.text)

    def start(self, predictor: Any) -> tuple[Any, tuple[Step, ...]]:
        return predictor.start(1, ValueCondition(self.stats, self.condition)), ()

    def stack(self, elements: Sequence[Step]) -> NDArray[np.float64]:
        return np.array(elements, dtype=np.float64).reshape(1, len(elements), self._width)

    def restored(self, plain: Any) -> Step:
        numbers = isinstance(plain, list | tuple) and len(plain) == self._width
        if not numbers or not all(isinstance(value, int | float) for value in plain):
            raise DataError("a step that is not made of the numbers of this model")
        return tuple(float(value) for value in plain)

    def keys(self, seed: int, sequence: int) -> tuple[DrawKey, DrawKey]:
        return path_keys(
            np.array([path_seed(seed, self.name)], dtype=np.uint64), np.array([sequence]), seed
        )

    def times(self, first: int, count: int) -> list[str]:
        """The times of some steps, in words: their numbers, from 1."""
        return [str(number + 1) for number in range(first, first + count)]

    def line(self, place: int, step: Step) -> str:
        """The text of a step.

        Arguments:
            place: steps before it.
            step: its numbers.
        """
        return _line_of(step)

    def fragments(self, before: Sequence[Step], settings: GenerateSettings) -> Fragments:
        return _Lines(self, len(before))

    def given(self, text: str, settings: GenerateSettings) -> Given:
        steps = read_steps(text, self._width)
        if steps:
            self._model.bundle.encoder.encode(self.stack(steps)[0], self.stats)
        return Given(steps, "")

    def document(self, elements: Sequence[Step], text: str = "", **made: Any) -> Document:
        return ValueDocument(self.stack(elements)[0], **made)


def read_steps(text: str, width: int) -> tuple[Step, ...]:
    """Read typed steps: commas between numbers, semicolons or line ends between steps.

    A series of single numbers also takes commas between steps. An empty entry or nan is missing.

    Arguments:
        text: the typed text.
        width: numbers of a step.

    Raises:
        EncodingError: an entry is not a number, or a step has a different number of them.
    """
    lines = [line for part in text.splitlines() for line in part.split(";") if line.strip()]
    steps: list[Step] = []
    for line in lines:
        numbers = tuple(_number(word) for word in line.split(","))
        if width == 1:
            steps += [(number,) for number in numbers]
        elif len(numbers) != width:
            raise EncodingError(
                f"a step of this model has {width} numbers, not {len(numbers)}",
                where=line.strip(),
                hint="separate numbers with commas, and steps with semicolons",
            )
        else:
            steps.append(numbers)
    return tuple(steps)


def _number(word: str) -> float:
    if word.strip().lower() in ("", "nan"):
        return math.nan
    try:
        return float(word)
    except ValueError:
        raise EncodingError(
            f"{word.strip()!r} is not a number",
            hint="write for example 112, 118.5, with commas between steps",
        ) from None


def number_text(value: float) -> str:
    """A number as tables hold it."""
    return f"{value:.10g}" if math.isfinite(value) else ""


def _line_of(step: Sequence[float]) -> str:
    """The numbers of a step in a line."""
    return ",".join(map(number_text, step)) + "\n"
