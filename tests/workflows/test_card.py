"""The card says no more of the shares than is so."""

import pytest

from rhapsode.bundle import Provenance
from rhapsode.modalities.text.report import shares_in_words


@pytest.mark.parametrize(
    ("test", "validation", "split", "words"),
    [
        (
            0.1,
            0.05,
            "tail",
            ("The last 10.0%, at most about 1,000,000", "5.0% of the rest, at most"),
        ),
        (0.004, 0.0, "tail", ("The last 0.4%", "the final weights were kept")),
        (0.1, 0.05, "documents", ("documents chosen by a hash", "the weights were selected on")),
        (0.0, 0.05, "tail", ("No data was held out", "the weights were selected on")),
    ],
)
def test_how_a_corpus_was_divided(
    test: float, validation: float, split: str, words: tuple[str, str]
) -> None:
    facts = Provenance(
        test_share=test, validation_share=validation, settings={"data": {"split": split}}
    )
    said = shares_in_words(facts)
    assert all(part in said for part in words)
    assert ("The last" in said) == (split == "tail" and test > 0)
