"""Models side by side on the same text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import COUNTS
from rhapsode.config import SourceSettings
from rhapsode.data import ElementStore, TextStore
from rhapsode.encoding import Encoder
from rhapsode.errors import DataError, SettingsError
from rhapsode.evaluation import Difference, Figures, paired_difference
from rhapsode.workflows.model import Model
from rhapsode.workflows.texts import silent

__all__ = ["Comparison", "Contrast", "Row", "compare"]

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
    """

    rows: list[Row]
    contrasts: list[Contrast]
    passages: str

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Passages:
    """How a text is cut for the paired test: whole documents, or runs of lines of a document.

    Arguments:
        texts: the documents.
        documents: whether passages are whole documents.
        most: characters of a passage that is not one.
    """

    texts: TextStore
    documents: bool
    most: int

    @classmethod
    def of(cls, texts: TextStore) -> _Passages:
        documents = len(texts) >= FEWEST_DOCUMENTS
        return cls(texts, documents, max(LEAST_PASSAGE, texts.characters // PASSAGES))

    @property
    def words(self) -> str:
        if self.documents:
            return "documents"
        return f"passages of about {self.most:,} characters, cut behind line ends"

    def __iter__(self) -> Iterator[tuple[str, bool]]:
        """The text of each passage, and whether its document ends there."""
        for document in range(len(self.texts)):
            parts = self.texts.whole[document : document + 1]
            if self.documents:
                pieces = list(self.texts.pieces(parts))
                yield "".join(piece.text[piece.prompt :] for piece in pieces), True
                continue
            held = ""
            for piece in self.texts.pieces(parts, self.most):
                if held:
                    yield held, False
                held = piece.text
            yield held, True


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
    if len(models) < 2 or len(set(models)) < len(models):
        raise SettingsError("a comparison needs two or more different models", where="compare")
    opened = [Model(name) for name in models]
    texts = opened[0].read(sources, source, tell)
    passages = _Passages.of(texts)
    characters_U: NDArray[np.int64] = np.array([len(text) for text, _ in passages], dtype=np.int64)
    if not characters_U.sum():
        raise DataError("there is nothing to score", where=", ".join(sources))
    rows: list[Row] = []
    nats: dict[str, NDArray[np.float64]] = {}
    for name, model in zip(models, opened, strict=True):
        tell(f"scoring with {name}")
        figures, nats_N, store = model.score(texts, f"all of {', '.join(sources)}", tell)
        nats[name] = _passage_nats(passages, model.bundle.encoder, store, nats_N)
        parameters = sum(array.size for key, array in model.bundle.arrays.items() if key != COUNTS)
        encoding = model.bundle.encoder.name.partition(".")[0]
        rows.append(Row(name, encoding, parameters, figures))
    rows.sort(key=lambda row: (nats[row.model].sum(), row.model))
    contrasts = [
        Contrast(
            better.model,
            worse.model,
            paired_difference(nats[worse.model], nats[better.model], characters_U),
        )
        for better, worse in combinations(rows, 2)
    ]
    return Comparison(rows, contrasts, passages.words)


def _passage_nats(
    passages: _Passages, encoder: Encoder, store: ElementStore, nats_N: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Nats of every passage, (U,), the spelling of unknown pieces included.

    Elements are counted off passage by passage: their ids are those of the passage alone, which ends behind a line
    end or with its document.
    """
    whole = np.concatenate(([0.0], np.cumsum(np.nan_to_num(nats_N), dtype=np.float64)))
    if passages.documents:
        ends = [*store.starts[1:].tolist(), len(store)]
    else:
        ends, at = [], 0
        for text, complete in passages:
            at += len(encoder.encode(text)) + int(complete)
            ends.append(at)
        if at != len(store):
            raise DataError(
                f"the {encoder.name} encoding gives {at:,} elements in passages, {len(store):,} in one piece"
            )
    nats_U: NDArray[np.float64] = np.diff(whole[[0, *ends]])
    if not store.unknown:
        return nats_U
    from rhapsode.evaluation.spelling import Speller

    speller = Speller(encoder.vocabulary)
    spelled = [speller.nats(encoder.unknown_pieces(text)) for text, _ in passages]
    return np.add(nats_U, np.array(spelled, dtype=np.float64))
