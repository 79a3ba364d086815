"""Models side by side on the same text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import bundle_path
from rhapsode.config import SourceSettings
from rhapsode.data import PIECE, Document, ElementStore, TextStore, encode_piece
from rhapsode.encoding import Encoder
from rhapsode.errors import DataError, SettingsError
from rhapsode.evaluation import Difference, Figures, paired_difference
from rhapsode.modalities.contract import silent
from rhapsode.modalities.text.metrics import split_in_words
from rhapsode.modalities.text.model import TextModel
from rhapsode.modalities.text.processes import piece_size

if TYPE_CHECKING:  # loads the compiler
    from rhapsode.modalities.text.spelling import Speller

__all__ = ["Comparison", "Contrast", "Row", "compare", "open_models"]

PASSAGES = 100
LEAST_PASSAGE = 500
FEWEST_DOCUMENTS = 30


@dataclass(frozen=True)
class Row:
    """One model of a comparison.

    Arguments:
        model: as it was named.
        encoding: of its elements.
        parameters: numbers that training fitted.
        figures: on the common text.
    """

    model: str
    encoding: str
    parameters: int
    figures: Figures


@dataclass(frozen=True)
class Contrast:
    """Two models of a comparison.

    Arguments:
        better: the one that needs fewer bits.
        worse: the other.
        difference: how many more bits per character `worse` needs.
    """

    better: str
    worse: str
    difference: Difference


@dataclass(frozen=True)
class Comparison:
    """Models on a common text, best first, and every pair of them.

    Arguments:
        rows: by bits per character.
        contrasts: best against second, best against third, ...
        passages: what the paired test takes as its units.
        caution: why the figures do not compare, where the models normalise texts differently; else None.
    """

    rows: list[Row]
    contrasts: list[Contrast]
    passages: str
    caution: str | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


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


def open_models(models: Sequence[str]) -> dict[str, TextModel]:
    """The models of a comparison by name.

    Arguments:
        models: run folders or model files.

    Raises:
        SettingsError: fewer than two, or one named twice, also by another path.
        BundleError: one cannot be opened.
    """
    if len(models) < 2 or len({bundle_path(name).resolve() for name in models}) < len(models):
        raise SettingsError("a comparison needs two or more different models", where="compare")
    return {name: TextModel(name) for name in models}


def compare(
    models: Sequence[str],
    *sources: str,
    source: SourceSettings | None = None,
    tell: Callable[[str], None] | None = None,
) -> Comparison:
    """Score the same text with several models; bits per character compare across encodings.

    Arguments:
        models: run folders or model files, at least two.
        sources: files, folders, corpora.
        source: how they are read [default: as in the training of the first model].
        tell: takes lines of progress.

    Raises:
        SettingsError: fewer than two models, or one named twice.
        BundleError: a model that cannot be opened.
        DataError: the sources cannot be read, or hold nothing.
    """
    tell = tell or silent
    opened = open_models(models)
    texts = opened[models[0]].read(sources, source, tell)
    passages = _Passages.of(texts)
    characters_U = np.zeros(sum(map(len, passages.ends)), dtype=np.int64)
    for passage, piece in passages.pieces(PIECE):
        characters_U[passage] += len(piece.text) - piece.prompt
    if not characters_U.sum():
        raise DataError("there is nothing to score", where=", ".join(sources))
    rows: list[Row] = []
    nats: dict[str, NDArray[np.float64]] = {}
    for name, model in opened.items():
        tell(f"scoring with {name}")
        figures, nats_N, store = model.score(texts, split_in_words(sources, source), tell)
        nats[name] = _passage_nats(passages, model.bundle.encoder, store, nats_N)
        parameters = sum(array.size for array in model.bundle.arrays.values())
        encoding = model.bundle.encoder.name.partition(".")[0]
        rows.append(Row(name, encoding, parameters, figures))
    scored_U = characters_U > 0  # of others all is given, but perhaps their document's end
    for nats_U in nats.values():
        scored_U |= nats_U > 0
    rows.sort(key=lambda row: (nats[row.model].sum(), row.model))
    contrasts = [
        Contrast(
            better.model,
            worse.model,
            paired_difference(
                nats[worse.model][scored_U], nats[better.model][scored_U], characters_U[scored_U]
            ),
        )
        for better, worse in combinations(rows, 2)
    ]
    return Comparison(rows, contrasts, passages.words, _caution(rows))


def _caution(rows: Sequence[Row]) -> str | None:
    normalisations = {row.figures.protocol.normalisation for row in rows}
    if len(normalisations) < 2:
        return None
    told = "; ".join(f"{row.model}: {row.figures.protocol.normalisation}" for row in rows)
    return f"not the same text: each model was scored on what its own normalisation leaves ({told})"


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
