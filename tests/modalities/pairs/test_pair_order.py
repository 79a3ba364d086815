"""The order of outputs and inputs, and the attention that is planned for it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rhapsode.config import SourceSettings
from rhapsode.data.corpora.dates import date_pairs
from rhapsode.modalities.text.corpus import TextCorpus
from rhapsode.modalities.text.pairs.pair_corpus import prepare_pairs
from rhapsode.modalities.text.pairs.pair_order import agreement_of_order
from rhapsode.modalities.text.pairs.pair_plan import chosen_attention
from rhapsode.modalities.text.settings import TrainSettings


def corpus_of(path: Path, pairs: list[tuple[str, str]]) -> TextCorpus:
    path.write_text("".join(f"{one}\t{other}\n" for one, other in pairs))
    return prepare_pairs([str(path)], TrainSettings(source=SourceSettings(pairs="0:1")))


@pytest.mark.parametrize(
    ("answer", "low", "high", "attention"),
    [
        (lambda text: text, 0.4, 1.0, "gaussian_window"),
        # Of another alphabet, with letters of two.
        (
            lambda text: text.upper().replace("A", "AH").replace("D", "TS"),
            0.45,
            1.0,
            "gaussian_window",
        ),
        (lambda text: text[::-1], -1.0, -0.4, "dot"),
        (lambda text: "".join(sorted(text)), -0.1, 0.1, "dot"),
    ],
)
def test_the_order_of_outputs_decides_the_attention(
    tmp_path: Path, answer: Callable[[str], str], low: float, high: float, attention: str
) -> None:
    random = np.random.default_rng(1)
    rows = (random.integers(97, 117, size=random.integers(1, 13)) for _ in range(1500))
    texts = dict.fromkeys("".join(map(chr, row)) for row in rows)
    corpus = corpus_of(tmp_path / "pairs.tsv", [(text, answer(text)) for text in texts])
    assert low < agreement_of_order(corpus.train) < high
    name, reasons = chosen_attention("auto", corpus, crossing=False)
    assert (name, bool(reasons)) == (attention, attention == "gaussian_window")
    assert chosen_attention("additive", corpus, crossing=False) == ("additive", ())
    assert chosen_attention("auto", corpus, crossing=True) == ("layers", ())


def test_dates_turn_the_order_and_single_elements_have_none(tmp_path: Path) -> None:
    dates = corpus_of(tmp_path / "dates.tsv", date_pairs(1500))
    assert abs(agreement_of_order(dates.train)) < 0.4
    single = [(chr(ord("a") + number % 26), str(number % 10)) for number in range(260)]
    assert agreement_of_order(corpus_of(tmp_path / "single.tsv", single).train) == 0.0
