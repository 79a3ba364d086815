"""Prompts from what a run held out of its sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import from_mapping, read_toml
from rhapsode.data import Parts, TextStore
from rhapsode.encoding import Encoder
from rhapsode.errors import DataError, RhapsodeError, RunError
from rhapsode.modalities.text.corpus import split_texts
from rhapsode.modalities.text.reading.read_texts import prepare_texts
from rhapsode.modalities.text.settings import TrainSettings

__all__ = ["prompts_from_data"]

CHARACTERS = 80
"""Most characters of a passage that is drawn as a prompt."""
TRIES = 200
"""Draws before a passage is given up that the model can read."""
DRAWN = 0x9D0
"""Keeps these draws apart from all others of the same seed."""


def prompts_from_data(
    model: Path, encoder: Encoder, number: int, seed: int, tell: Callable[[str], None]
) -> list[str]:
    """Passages of what a run held out of its sources, drawn by a seed.

    Of pairs, the part that is given; of other documents, up to 80 characters from the beginning of a line, cut behind
    a word. Without a test share they come from the validation slice, and without that from the training share.

    Arguments:
        model: a model file in its run folder.
        encoder: passages that it cannot read are passed over.
        number: how many.
        seed: decides which.
        tell: takes lines of what was noticed.

    Raises:
        RunError: the file lies in no run folder.
        DataError: the sources are gone, or hold no passage that the model can read.
    """
    store, parts, sources = _held_out(model, tell)
    chosen = np.random.default_rng([seed, DRAWN])
    # By length, so that every place is as likely; pairs as documents.
    sizes_P = np.ones(len(parts)) if store.pairs else (parts[:, 2] - parts[:, 1]).astype(np.float64)
    weights_P = sizes_P / sizes_P.sum()
    prompts: list[str] = []
    for _ in range(number):
        for _ in range(TRIES):
            part_3 = parts[int(chosen.choice(len(parts), p=weights_P))]
            prompt = _passage(store, part_3, chosen.random())
            if prompt and (encoder.unknown_prompt == "element" or not encoder.unknown(prompt)):
                prompts.append(prompt)
                break
        else:
            raise DataError("no held-out passage that this model can read was found", where=sources)
    return prompts


def _held_out(model: Path, tell: Callable[[str], None]) -> tuple[TextStore, Parts, str]:
    """The documents of a run, the parts of them to draw from, and the names of the sources."""
    config = model.parent / "config.toml"
    if not config.exists():
        raise RunError(
            "there is no config.toml beside the model to name its sources",
            where=str(model),
            hint="prompts from data need the run folder",
        )
    kept = read_toml(config)
    try:
        run = kept.pop("run")
        sources, sha256 = [str(source) for source in run["sources"]], str(run["sha256"])
    except (KeyError, TypeError):
        raise RunError("the section [run] is missing or damaged", where=str(config)) from None
    settings = from_mapping(TrainSettings, kept, where=str(config))
    named = ", ".join(sources)
    hint = "restore them, or give the prompts by --prompts FILE"
    if "-" in sources:
        raise DataError("this run learnt from standard input, which is gone", hint=hint)
    try:
        store = prepare_texts(sources, settings.source, tell).store
    except RhapsodeError as problem:
        raise DataError(
            f"the sources of this run are gone ({problem.what})",
            where=problem.where or named,
            hint=hint,
        ) from None
    if store.sha256 != sha256:
        tell("the sources have changed since the run: some passages may have been learnt")
    split = split_texts(store, settings)
    share = next((s for s in (split.test, split.validation, split.train) if len(s)), split.train)
    if not len(share):
        raise DataError("the sources hold nothing to draw from", where=named)
    if share is not split.test:
        tell("this run held no test share out: the passages are from what it knows")
    return store, share, named


def _passage(store: TextStore, part_3: NDArray[np.int64], point: float) -> str:
    """What is given of a document, or a beginning of a line in a part of it."""
    document, begin, end = part_3.tolist()
    if store.pairs:
        given_13 = np.array([[document, 0, store.prompts_D[document]]])
        return "".join(piece.text for piece in store.pieces(given_13))
    # From some way before the point, so that its line begins inside.
    start = begin + int(point * max(1, end - begin))
    first = max(begin, start - 4 * CHARACTERS)
    last = min(end, start + 4 * CHARACTERS)
    text = "".join(piece.text for piece in store.pieces(np.array([[document, first, last]])))
    line = text.rfind("\n", 0, start - first) + 1
    if not line and first > begin:
        line = text.find(" ", start - first) + 1
    passage = text[line:].lstrip()[:CHARACTERS]
    if len(passage) < CHARACTERS:
        return passage.rstrip()
    cut = max(passage.rfind(" "), passage.rfind("\n"))
    return passage[:cut].rstrip() if cut > CHARACTERS // 2 else passage
