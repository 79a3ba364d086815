"""Passages of texts: units of a comparison, and prompts."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import from_mapping
from rhapsode.data import PIECE, Document, ElementStore, Parts, TextStore, encode_piece
from rhapsode.encoding import Encoder
from rhapsode.errors import DataError, RhapsodeError, SettingsError
from rhapsode.log import log
from rhapsode.modalities.ids.metrics import score_part
from rhapsode.modalities.ids.modality import described
from rhapsode.modalities.run_sources import RunSources
from rhapsode.modalities.scoring import Compared, Measure, Scored
from rhapsode.modalities.text.corpus import encode_parts, split_texts
from rhapsode.modalities.text.metrics import TextPart, text_facts
from rhapsode.modalities.text.reading import piece_size, prepare_texts
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.modalities.text.spelling import Speller

if TYPE_CHECKING:
    from rhapsode.modalities.text.model import TextModel


PASSAGES = 100
LEAST_PASSAGE = 500
FEWEST_DOCUMENTS = 30
BITS = Measure("bits_per_character", "bits per character", math.log(2))
# Most characters of a passage that is drawn as a prompt.
CHARACTERS = 80
# Draws before a passage is given up that the model can read.
TRIES = 200
# Keeps these draws apart from all others of the same seed.
DRAWN = 0x9D0


def compare_on(models: Mapping[str, TextModel], part: TextPart, *, adapt: bool = False) -> Compared:
    """Score the same text with several models, in bits per character.

    Bits per character are comparable across encodings.

    Arguments:
        models: by name.
        part: whole documents.
        adapt: whether the counts of every model adapt to what is read.

    Raises:
        DataError: there is nothing to score.
        SettingsError: a model has no counts that could adapt.
    """
    texts = part.texts
    passages = _Passages.of(texts)
    characters_U = np.zeros(len(passages.ends_U), dtype=np.int64)
    for passage, piece in passages.pieces(PIECE):
        characters_U[passage] += len(piece.text) - piece.prompt
    if not characters_U.sum():
        raise DataError("there is nothing to score", where=part.split)
    scored: dict[str, Scored] = {}
    normalisations: dict[str, str] = {}
    for name, model in models.items():
        log.info(f"scoring with {name}")
        encoder = model.bundle.encoder
        store = encode_parts(texts, part.parts, encoder)
        own = TextPart.of(store, texts, part.parts, part.split)
        text = text_facts(texts, part.parts, encoder, unknown=store.unknown)
        with naming_model(name):
            figures, nats_N = score_part(model, own, text, adapt=adapt)
        nats_U = _passage_nats(passages, encoder, store, nats_N)
        row = {**described(model, figures), "adapting": adapt}
        scored[name] = Scored(row, {BITS.key: nats_U})
        normalisations[name] = figures.protocol.normalisation
    caution = None
    if len(set(normalisations.values())) > 1:
        told = "; ".join(": ".join(entry) for entry in normalisations.items())
        caution = (
            "not the same text: each model was scored on the text after its own normalisation "
            f"({told})"
        )
    sizes = {BITS.key: characters_U}
    return Compared(scored, (BITS,), sizes, "passages", passages.words, caution)


@contextlib.contextmanager
def naming_model(name: str) -> Iterator[None]:
    """Name a model of several in errors about its settings.

    Raises:
        SettingsError: where one was raised.
    """
    try:
        yield
    except SettingsError as problem:
        raise SettingsError(
            problem.what, where=f"{name}: {problem.where}", hint=problem.hint
        ) from None


@dataclass(frozen=True)
class _Passages:
    """Units of a paired test: whole documents, or groups of lines.

    Arguments:
        texts: the documents.
        words: description of the units.
        ends_U: where each ends, characters from the beginning of the first document.
    """

    texts: TextStore
    words: str
    ends_U: NDArray[np.int64]

    @classmethod
    def of(cls, texts: TextStore) -> _Passages:
        if len(texts) >= FEWEST_DOCUMENTS:
            return cls(texts, "documents", texts.character_ends_D)
        least = max(LEAST_PASSAGE, texts.characters // PASSAGES)
        ends = texts.character_ends_D.tolist()
        at = last = 0
        for piece in texts.pieces(texts.whole):
            if piece.opening:
                last = at
            while (line := piece.text.find("\n", max(0, last + least - 1 - at))) >= 0:
                last = at + line + 1
                ends.append(last)
            at += len(piece.text)
        words = f"passages of about {least:,} characters, cut after line ends"
        return cls(texts, words, np.unique(ends))

    def pieces(self, most: int) -> Iterator[tuple[int, Document]]:
        """Passage numbers and pieces of the text, cut at passage ends."""
        at = 0
        for piece in self.texts.pieces(self.texts.whole, most):
            begin = 0
            while begin < len(piece.text):
                passage = int(np.searchsorted(self.ends_U, at, side="right"))
                size = min(int(self.ends_U[passage]) - at, len(piece.text) - begin)
                stop = begin + size
                yield (
                    passage,
                    Document(
                        piece.text[begin:stop],
                        piece.name,
                        complete=piece.complete and stop == len(piece.text),
                        opening=piece.opening and begin == 0,
                        prompt=min(size, max(0, piece.prompt - begin)),
                    ),
                )
                begin, at = stop, at + size


def passages_of(texts: TextStore, *, count: int, length: int, seed: int) -> list[str]:
    """Prompts from random places of documents, at the beginning of nearby lines.

    Arguments:
        texts: the documents.
        count: how many.
        length: characters of each, at most.
        seed: of the places.
    """
    generator = np.random.default_rng(seed)
    weights = texts.lengths_D / max(1, texts.characters)
    found: list[str] = []
    for document in generator.choice(len(texts), size=count, p=weights).tolist():
        size = int(texts.lengths_D[document])
        begin = int(generator.integers(0, max(1, size - length)))
        text = _text_of(texts, document, begin, min(size, begin + 2 * length))
        line = text.find("\n", 0, length) + 1
        found.append(text[line : line + length])
    return [text for text in found if text.strip()]


def _passage_nats(
    passages: _Passages, encoder: Encoder, store: ElementStore, nats_N: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Nats of every passage, (U,), the spelling of unknown pieces included.

    Each piece is encoded by itself to count its elements. A piece that ends after a line end, or
    with its document, has the same ids as in the store.
    """
    elements_U = np.zeros(len(passages.ends_U), dtype=np.int64)
    spelled_U = np.zeros(len(elements_U))
    speller = Speller(encoder.vocabulary) if store.unknown else None
    by_document = len(elements_U) == len(passages.texts)
    if by_document:
        elements_U = np.diff(store.starts, append=len(store))
    if speller is not None or not by_document:
        for passage, piece in passages.pieces(piece_size(type(encoder))):
            if not by_document:
                ids_N = encode_piece(piece, encoder.encode).ids_N
                elements_U[passage] += len(ids_N) + int(piece.complete)
            if speller is not None:
                missing = encoder.unknown_pieces(piece.text[piece.prompt :])
                spelled_U[passage] += speller.nats(missing)
    ends_U = np.cumsum(elements_U)
    if ends_U[-1] != len(store):
        raise DataError(
            f"the {encoder.name} encoding gives {ends_U[-1]:,} elements in passages, "
            f"{len(store):,} in one piece"
        )
    whole = np.concatenate(([0.0], np.cumsum(np.nan_to_num(nats_N), dtype=np.float64)))
    return np.diff(whole[np.concatenate(([0], ends_U))]) + spelled_U


def prompts_from_data(model: Path, encoder: Encoder, number: int, seed: int) -> list[str]:
    """Passages of the held-out data of a run, drawn by a seed.

    For pairs, the part that is given; for other documents, up to 80 characters from the beginning
    of a line, cut after a word. Without a test split they come from the validation slice, and
    without that from the training split.

    Arguments:
        model: a model file in its run folder.
        encoder: passages that it cannot read are passed over.
        number: how many.
        seed: decides which.

    Raises:
        RunError: the file lies in no run folder.
        DataError: the sources are gone, or hold no passage that the model can read.
    """
    store, parts, sources = _held_out(model)
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


def _held_out(model: Path) -> tuple[TextStore, Parts, str]:
    """Documents of a run, parts to draw from, and source names."""
    run = RunSources.beside(model)
    sources = run.sources
    settings = from_mapping(TrainSettings, run.settings, where=str(run.file))
    named, hint = ", ".join(sources), "restore them, or give the prompts with --prompts FILE"
    if "-" in sources:
        raise DataError(
            "this run was trained on standard input, which cannot be read again", hint=hint
        )
    try:
        store = prepare_texts(sources, settings.source).store
    except RhapsodeError as problem:
        raise DataError(
            f"the sources of this run cannot be read ({problem.what})",
            where=problem.where or named,
            hint=hint,
        ) from None
    if store.sha256 != run.sha256:
        log.info(
            "the sources have changed since the run: some passages may be from the training data"
        )
    splits = split_texts(store, settings)
    share = next(filter(len, (splits.test, splits.validation, splits.train)), None)
    if share is None:
        raise DataError("the sources contain no passage to draw", where=named)
    if share is not splits.test:
        log.info("this run has no test split: the passages are from data that training used")
    return store, share, named


def _passage(store: TextStore, part_3: NDArray[np.int64], point: float) -> str:
    """The given part of a document, or a passage from a line."""
    document, begin, end = part_3.tolist()
    if store.pairs:
        return _text_of(store, document, 0, int(store.prompts_D[document]))
    # From some way before the point, so that its line begins inside.
    start = begin + int(point * max(1, end - begin))
    first, last = max(begin, start - 4 * CHARACTERS), min(end, start + 4 * CHARACTERS)
    text = _text_of(store, document, first, last)
    line = text.rfind("\n", 0, start - first) + 1
    if not line and first > begin:
        line = text.find(" ", start - first) + 1
    passage = text[line:].lstrip()[:CHARACTERS]
    if len(passage) < CHARACTERS:
        return passage.rstrip()
    cut = max(passage.rfind(" "), passage.rfind("\n"))
    return passage[:cut].rstrip() if cut > CHARACTERS // 2 else passage


def _text_of(store: TextStore, document: int, begin: int, end: int) -> str:
    parts = np.array([[document, begin, end]], dtype=np.int64)
    return "".join(piece.text for piece in store.pieces(parts))
