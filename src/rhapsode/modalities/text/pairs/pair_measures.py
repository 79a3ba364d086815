"""Measures of answers: accuracy, error rates, edit distance, BLEU and chrF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class AnswerMeasures:
    """Measures of the best answers to distinct inputs.

    An input may have several right outputs; the nearest one counts.

    Arguments:
        inputs: how many were answered.
        accuracy: fraction of inputs whose answer equals a right output.
        error_rate: 1 - accuracy.
        symbol_error_rate: edit operations over elements of the nearest right output, summed.
        edit_distance: mean edit operations of an answer, in elements.
        unfinished: fraction of answers that reached the longest length.
        bleu: BLEU of the texts, by sacrebleu; None where it is not installed.
        chrf: chrF of the texts, likewise.
        signature: of sacrebleu's BLEU.
    """

    inputs: int
    accuracy: float
    error_rate: float
    symbol_error_rate: float
    edit_distance: float
    unfinished: float
    bleu: float | None = None
    chrf: float | None = None
    signature: str | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure_answers(
    answers: Sequence[Sequence[int]],
    references: Sequence[Sequence[Sequence[int]]],
    *,
    unfinished: int = 0,
) -> AnswerMeasures:
    """Compare answers with right outputs, as elements.

    Arguments:
        answers: one for each input.
        references: right outputs of each input, at least one.
        unfinished: number of answers that reached the longest length.
    """
    right, edits, length = 0, 0, 0
    for answer, known in zip(answers, references, strict=True):
        right += any(list(answer) == list(reference) for reference in known)
        distances = [edit_distance(answer, reference) for reference in known]
        nearest = int(np.argmin(distances))
        edits += distances[nearest]
        length += len(known[nearest])
    count = max(1, len(answers))
    return AnswerMeasures(
        inputs=len(answers),
        accuracy=right / count,
        error_rate=1.0 - right / count,
        symbol_error_rate=edits / max(1, length),
        edit_distance=edits / count,
        unfinished=unfinished / count,
    )


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Insertions, deletions and substitutions between two sequences (Levenshtein 1966)."""
    if list(first) == list(second):
        return 0
    row = list(range(len(second) + 1))
    for at, one in enumerate(first, 1):
        before, row[0] = row[0], at
        for place, other in enumerate(second, 1):
            cost = min(row[place] + 1, row[place - 1] + 1, before + (one != other))
            before, row[place] = row[place], cost
    return row[-1]


def corpus_scores(
    answers: Sequence[str], references: Sequence[Sequence[str]], *, tokenise: str = "13a"
) -> dict[str, Any]:
    """BLEU and chrF of texts by sacrebleu, with the signature.

    Nothing without the package.

    Arguments:
        answers: one text for each input.
        references: right texts of each input, at least one.
        tokenise: sacrebleu's tokeniser: "13a" for words, "zh" for Chinese, "char" for characters.
    """
    try:
        from sacrebleu.metrics import BLEU, CHRF  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return {}
    most = max(map(len, references), default=1)
    # sacrebleu wants as many references for each answer: the first is repeated.
    columns = [[known[min(n, len(known) - 1)] for known in references] for n in range(most)]
    bleu = BLEU(tokenize=tokenise)
    scored = bleu.corpus_score(list(answers), columns)
    return {
        "bleu": float(scored.score),
        "chrf": float(CHRF().corpus_score(list(answers), columns).score),
        "signature": str(bleu.get_signature()),
    }
