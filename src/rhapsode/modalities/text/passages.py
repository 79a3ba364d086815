"""Passages of a text, and what models of text lose on each of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.data import PIECE, Document, ElementStore, TextStore, encode_piece
from rhapsode.encoding import Encoder
from rhapsode.errors import DataError
from rhapsode.modalities.ids.metrics import score_part
from rhapsode.modalities.ids.modality import described
from rhapsode.modalities.scoring import Compared, Measure, Scored
from rhapsode.modalities.text.corpus import encode_parts
from rhapsode.modalities.text.metrics import TextPart, text_facts
from rhapsode.modalities.text.reading.processes import piece_size
from rhapsode.modalities.text.reading.read_texts import Tell

if TYPE_CHECKING:
    from rhapsode.modalities.text.model import TextModel
    from rhapsode.modalities.text.spelling import Speller  # loads the compiler

__all__ = ["compare_on", "passages_of"]

PASSAGES = 100
LEAST_PASSAGE = 500
FEWEST_DOCUMENTS = 30
BITS = Measure("bits_per_character", "bits per character", math.log(2))


def compare_on(models: Mapping[str, TextModel], part: TextPart, tell: Tell) -> Compared:
    """Score the same text with several models; bits per character compare across encodings.

    Arguments:
        models: by name.
        part: whole documents.
        tell: takes lines of progress.

    Raises:
        DataError: there is nothing to score.
    """
    texts = part.texts
    passages = _Passages.of(texts)
    characters_U = np.zeros(sum(map(len, passages.ends)), dtype=np.int64)
    for passage, piece in passages.pieces(PIECE):
        characters_U[passage] += len(piece.text) - piece.prompt
    if not characters_U.sum():
        raise DataError("there is nothing to score", where=part.split)
    scored: dict[str, Scored] = {}
    normalisations: dict[str, str] = {}
    for name, model in models.items():
        tell(f"scoring with {name}")
        encoder = model.bundle.encoder
        store = encode_parts(texts, part.parts, encoder, tell)
        own = TextPart.of(store, texts, part.parts, part.split)
        text = text_facts(texts, part.parts, encoder, unknown=store.unknown)
        figures, nats_N = score_part(model, own, text, tell)
        nats_U = _passage_nats(passages, encoder, store, nats_N)
        scored[name] = Scored(described(model, figures), {BITS.key: nats_U})
        normalisations[name] = figures.protocol.normalisation
    sizes = {BITS.key: characters_U}
    return Compared(scored, (BITS,), sizes, "passages", passages.words, _caution(normalisations))


def _caution(normalisations: Mapping[str, str]) -> str | None:
    if len(set(normalisations.values())) < 2:
        return None
    told = "; ".join(f"{name}: {normalisation}" for name, normalisation in normalisations.items())
    return f"not the same text: each model was scored on what its own normalisation leaves ({told})"


@dataclass(frozen=True)
class _Passages:
    """How a text is cut for the paired test: whole documents, or runs of lines of a document.

    Arguments:
        texts: the documents.
        documents: whether passages are whole documents.
        least: characters of a passage that is not one, but for the last of a document.
        ends: of every document, how many of its characters lie before the end of each passage.
    """

    texts: TextStore
    documents: bool
    least: int
    ends: list[list[int]]

    @classmethod
    def of(cls, texts: TextStore) -> _Passages:
        documents = len(texts) >= FEWEST_DOCUMENTS
        least = max(LEAST_PASSAGE, texts.characters // PASSAGES)
        lengths = texts.lengths_D.tolist()
        if documents:
            return cls(texts, documents, least, [[length] for length in lengths])
        ends: list[list[int]] = [[] for _ in lengths]
        document, at = -1, 0
        for piece in texts.pieces(texts.whole):
            if piece.opening:
                document, at = document + 1, 0
            found = ends[document]
            while True:
                wanted = (found[-1] if found else 0) + least
                line = piece.text.find("\n", max(0, wanted - 1 - at))
                if line < 0 or at + line + 1 >= lengths[document]:
                    break
                found.append(at + line + 1)
            at += len(piece.text)
        for found, length in zip(ends, lengths, strict=True):
            found.append(length)
        return cls(texts, documents, least, ends)

    @property
    def words(self) -> str:
        if self.documents:
            return "documents"
        return f"passages of about {self.least:,} characters, cut behind line ends"

    def pieces(self, most: int) -> Iterator[tuple[int, Document]]:
        """Pieces of the text as `TextStore.pieces` cuts it, cut also where passages end, with their passage's number."""
        passage = document = -1
        at = end = 0
        ends: Iterator[int] = iter(())
        for piece in self.texts.pieces(self.texts.whole, most):
            if piece.opening:
                document += 1
                at, end = 0, 0
                ends = iter(self.ends[document])
            begin = 0
            while begin < len(piece.text):
                if at == end:
                    end, passage = next(ends), passage + 1
                size = min(end - at, len(piece.text) - begin)
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
    """Prompts from random places of documents, from the beginning of a line where there is one near.

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
        parts = np.array([[document, begin, min(size, begin + 2 * length)]], dtype=np.int64)
        text = "".join(piece.text for piece in texts.pieces(parts))
        line = text.find("\n", 0, length) + 1
        found.append(text[line : line + length])
    return [text for text in found if text.strip()]


def _passage_nats(
    passages: _Passages, encoder: Encoder, store: ElementStore, nats_N: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Nats of every passage, (U,), the spelling of unknown pieces included.

    Elements are counted off piece by piece, each encoded by itself as for the store: what ends behind a line end, or
    with its document, has the same ids there.
    """
    count = sum(map(len, passages.ends))
    elements_U = np.zeros(count, dtype=np.int64)
    spelled_U = np.zeros(count)
    speller: Speller | None = None
    if store.unknown:
        from rhapsode.modalities.text.spelling import Speller

        speller = Speller(encoder.vocabulary)
    if passages.documents:
        elements_U = np.diff(store.starts, append=len(store))
    if speller is not None or not passages.documents:
        for passage, piece in passages.pieces(piece_size(type(encoder))):
            if not passages.documents:
                ids_N = encode_piece(piece, encoder.encode).ids_N
                elements_U[passage] += len(ids_N) + int(piece.complete)
            if speller is not None:
                missing = encoder.unknown_pieces(piece.text[piece.prompt :])
                spelled_U[passage] += speller.nats(missing)
    ends_U = np.cumsum(elements_U)
    if ends_U[-1] != len(store):
        raise DataError(
            f"the {encoder.name} encoding gives {ends_U[-1]:,} elements in passages, {len(store):,} in one piece"
        )
    whole = np.concatenate(([0.0], np.cumsum(np.nan_to_num(nats_N), dtype=np.float64)))
    nats_U: NDArray[np.float64] = np.diff(whole[np.concatenate(([0], ends_U))]) + spelled_U
    return nats_U
