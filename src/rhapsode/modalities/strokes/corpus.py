"""Corpora of drawings, and their splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhapsode.data.corpora.catalogue import catalogue_documents
from rhapsode.encoding import Encoder
from rhapsode.encoding.vectors import Floats
from rhapsode.errors import DataError
from rhapsode.files import source_name
from rhapsode.log import log
from rhapsode.modalities.scoring import SplitName
from rhapsode.modalities.strokes.claims import drawings_in, is_named
from rhapsode.modalities.strokes.facts import StrokeBundle
from rhapsode.modalities.strokes.files import Specimen, read_ink
from rhapsode.modalities.strokes.files.json_ink import read_json
from rhapsode.modalities.strokes.files.preparing import Prepared, prepare_ink, said
from rhapsode.modalities.strokes.labels import learn_characters, own_texts, text_of
from rhapsode.modalities.strokes.settings import StrokeDataSettings, StrokeTrainSettings

NAMES: tuple[SplitName, ...] = ("train", "validation", "test")
_ALIASES = {"valid": "validation", "val": "validation", "dev": "validation", "training": "train"}


@dataclass(frozen=True, eq=False)
class StrokePart:
    """Drawings to score.

    Arguments:
        moves: (T, 3) of each.
        split: description, for a protocol.
        train: the training split, for baselines; empty where it is not known.
        texts: what each shows; None where one has no text, or texts are not used.
    """

    moves: list[Floats]
    split: str
    train: list[Floats]
    texts: list[str] | None = None


@dataclass(frozen=True, eq=False)
class StrokeCorpus:
    """Drawings, divided into splits.

    Arguments:
        moves: (T, 3) of each drawing of each split.
        grid: step of the grid that points lie on; 0 without one.
        up: True if y grows upwards.
        sha256: over all moves and their boundaries.
        split_reason: how the splits were made.
        texts: what each drawing of each split shows; None where the model is not to know.
        source: encoder of the texts; None without texts.
    """

    moves: Mapping[SplitName, list[Floats]]
    grid: float
    up: bool
    sha256: str
    split_reason: str
    texts: Mapping[SplitName, list[str]] | None = None
    source: Encoder | None = None

    @property
    def documents(self) -> int:
        """Number of drawings."""
        return sum(map(len, self.moves.values()))

    @property
    def characters(self) -> int:
        """Number of moves."""
        return sum(len(each) for part in self.moves.values() for each in part)

    def part(self, name: SplitName) -> StrokePart:
        """A split, to score.

        Raises:
            DataError: it is empty.
        """
        moves = self.moves[name]
        if not moves:
            raise DataError(f"there are no drawings in the {name} split")
        share = sum(map(len, moves)) / self.characters
        words = f"{name}: {len(moves):,} drawings, {share:.1%} of the moves ({self.split_reason})"
        texts = None if self.texts is None else self.texts[name]
        return StrokePart(moves, words, self.moves["train"], texts)


def read_sources(sources: Sequence[Any]) -> list[Specimen]:
    """Drawings of files, folders, named corpora, and drawings in memory."""
    specimens = []
    for source in sources:
        memory = drawings_in(source)
        if memory is not None:
            specimens += memory
        elif is_named(str(source)):
            texts = (document.text for document in catalogue_documents(str(source)))
            specimens += read_json("".join(texts), str(source))
        else:
            specimens += read_ink(source)
    return specimens


def prepare_corpus(
    sources: Sequence[Any],
    settings: StrokeTrainSettings,
    *,
    base: StrokeBundle | None = None,
) -> StrokeCorpus:
    """Read, prepare and split drawings.

    Arguments:
        sources: files, folders, drawings in memory.
        settings: `strokes` and `data` are used.
        base: a model whose grid is used.

    Raises:
        DataError: nothing to read, or too little.
    """
    grid = None if base is None else base.encoder.settings.grid
    prepared = prepare_ink(read_sources(sources), settings.strokes, grid=grid)
    if base is not None:
        prepared.turn(up=base.facts.up)
    for line in said(prepared):
        log.info(line)
    places, reason = _divide(prepared, settings.data)
    named = ", ".join(map(source_name, sources))
    if not places["train"]:
        raise DataError("there are no drawings in the training split", where=named)
    texts, source = _texts_of(prepared, settings, base, named)
    moves = {name: [prepared.moves[place] for place in own] for name, own in places.items()}
    sha256 = _digest(prepared.moves)
    if texts is None:
        return StrokeCorpus(moves, prepared.grid, prepared.up, sha256, reason)
    divided = {name: [texts[place] for place in own] for name, own in places.items()}
    source = source or learn_characters(divided["train"])
    strange = source.unknown("".join(divided["train"]))
    if strange:
        log.warning(
            f"the model does not know {', '.join(map(repr, strange))}: read as unknown, and not "
            "learnt"
        )
    sha256 = hashlib.sha256(
        "\n".join([sha256, *texts]).encode("utf-8", "surrogatepass")
    ).hexdigest()
    return StrokeCorpus(moves, prepared.grid, prepared.up, sha256, reason, divided, source)


def _texts_of(
    prepared: Prepared, settings: StrokeTrainSettings, base: StrokeBundle | None, named: str
) -> tuple[list[str] | None, Encoder | None]:
    """Texts that the model writes from, None without, and the encoder of a base.

    Raises:
        DataError: texts are missing that are needed.
    """
    own = prepared.specimens
    if base is None:
        texts = own_texts(own, settings.text.use)
        if texts is not None:
            log.info(
                f"every drawing has a text: the model learns to write texts of "
                f"{len(set(''.join(texts)))} characters; --set text.use=never to draw without them"
            )
        elif settings.text.use == "auto" and any(text_of(each, names=False) for each in own):
            missing = sum(not text_of(each, names=False) for each in own)
            log.info(f"{missing:,} of {len(own):,} drawings have no text: texts are not used")
        return texts, None
    if base.facts.source is None:
        return None, None
    if not all(map(text_of, own)):
        raise DataError(
            "the model writes texts, and a drawing has none",
            where=named,
            hint='give every drawing a "text"',
        )
    return own_texts(own, "always"), base.facts.source


def _divide(
    prepared: Prepared, settings: StrokeDataSettings
) -> tuple[dict[SplitName, list[int]], str]:
    """Numbers of the drawings of each split, and how they were divided.

    Raises:
        DataError: the sources name no splits, and these were requested.
    """
    divided: dict[SplitName, list[int]] = {name: [] for name in NAMES}
    # Sources that name a single split say nothing of what is to be held out.
    named = len({specimen.split for specimen in prepared.specimens}) > 1
    if settings.split == "source" and not named:
        raise DataError("the sources name no splits", hint="leave data.split out")
    if named and settings.split != "drawings":
        for place, specimen in enumerate(prepared.specimens):
            name = str(specimen.split or "train").lower()
            name = _ALIASES.get(name, name)
            divided[name if name in divided else "train"].append(place)
        return divided, "splits named by the source"
    # A drawing keeps its place in this order when others are added, and equal ones are neighbours.
    order = sorted(range(len(prepared.moves)), key=lambda place: _digest([prepared.moves[place]]))
    total = sum(map(len, prepared.moves))
    test = settings.test_share * total
    ends = (test, test + settings.validation_share * (total - test))
    filled = 0
    for place in order:
        part: SplitName = "test" if filled < ends[0] else "validation"
        divided[part if filled < ends[1] else "train"].append(place)
        filled += len(prepared.moves[place])
    return divided, "drawings chosen by their hash"


def _digest(moves: Sequence[Floats]) -> str:
    digest = hashlib.sha256()
    for each in moves:
        digest.update(np.int64(len(each)).tobytes())
        digest.update(np.ascontiguousarray(each).tobytes())
    return digest.hexdigest()
