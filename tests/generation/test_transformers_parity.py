"""The steps that transformers has as well give the same distributions; it needs transformers, and skips without."""

from typing import Any

import numpy as np
import pytest

from rhapsode.config import GenerateSettings
from rhapsode.generation import Context, chain_of
from tests.contracts.filter_contract import probabilities

pytestmark = pytest.mark.slow

ROWS, VOCAB_SIZE, LENGTH = 200, 300, 40


@pytest.fixture(scope="module")
def peer() -> Any:
    return pytest.importorskip("transformers.generation.logits_process")


@pytest.fixture(scope="module")
def logits_BV() -> np.ndarray:
    """Normalised, since transformers' repetition penalty depends on the shift; from flat rows to peaked ones."""
    random = np.random.default_rng(11)
    noise_BV = random.normal(size=(ROWS, VOCAB_SIZE)) * random.uniform(0.2, 6.0, size=(ROWS, 1))
    log_BV: np.ndarray = noise_BV - np.log(np.exp(noise_BV).sum(axis=1, keepdims=True))
    return log_BV.astype(np.float32)


@pytest.fixture(scope="module")
def text_BT() -> np.ndarray:
    """Texts with many repeats."""
    return np.random.default_rng(12).integers(0, 9, size=(ROWS, LENGTH))


CASES: list[tuple[dict[str, Any], list[tuple[str, tuple[Any, ...]]]]] = [
    ({"temperature": 0.7}, [("TemperatureLogitsWarper", (0.7,))]),
    ({"top_k": 7}, [("TopKLogitsWarper", (7,))]),
    ({"top_p": 0.8}, [("TopPLogitsWarper", (0.8,))]),
    ({"min_p": 0.1}, [("MinPLogitsWarper", (0.1,))]),
    ({"typical_p": 0.6}, [("TypicalLogitsWarper", (0.6,))]),
    ({"epsilon_cutoff": 0.01}, [("EpsilonLogitsWarper", (0.01,))]),
    ({"eta_cutoff": 0.01}, [("EtaLogitsWarper", (0.01,))]),
    ({"repetition_penalty": 1.3}, [("RepetitionPenaltyLogitsProcessor", (1.3,))]),
    ({"no_repeat_ngram": 2}, [("NoRepeatNGramLogitsProcessor", (2,))]),
    ({"no_repeat_ngram": 3}, [("NoRepeatNGramLogitsProcessor", (3,))]),
    (
        {
            "repetition_penalty": 1.2,
            "no_repeat_ngram": 2,
            "temperature": 0.8,
            "top_k": 50,
            "top_p": 0.9,
            "min_p": 0.02,
            "typical_p": 0.9,
            "epsilon_cutoff": 0.001,
            "eta_cutoff": 0.002,
        },
        [
            ("RepetitionPenaltyLogitsProcessor", (1.2,)),
            ("NoRepeatNGramLogitsProcessor", (2,)),
            ("TemperatureLogitsWarper", (0.8,)),
            ("TopKLogitsWarper", (50,)),
            ("TopPLogitsWarper", (0.9,)),
            ("MinPLogitsWarper", (0.02,)),
            ("TypicalLogitsWarper", (0.9,)),
            ("EpsilonLogitsWarper", (0.001,)),
            ("EtaLogitsWarper", (0.002,)),
        ],
    ),
]


@pytest.mark.parametrize(("asked", "theirs"), CASES, ids=lambda value: str(value)[:60])
def test_the_distribution_is_that_of_transformers(
    peer: Any,
    logits_BV: np.ndarray,
    text_BT: np.ndarray,
    asked: dict[str, Any],
    theirs: list[tuple[str, tuple[Any, ...]]],
):
    torch = pytest.importorskip("torch")
    scores = torch.from_numpy(logits_BV.copy())
    for name, arguments in theirs:
        scores = getattr(peer, name)(*arguments)(torch.from_numpy(text_BT), scores)
    half = LENGTH // 2
    context = Context(
        tuple(text_BT[:, :half]),
        tuple(text_BT[:, half:]),
        np.full(ROWS, half, dtype=np.int64),
        np.arange(ROWS),
        seed=0,
    )
    chain = chain_of(GenerateSettings(**asked), vocab_size=VOCAB_SIZE, suppressed=())
    after_BV, _ = chain.apply(logits_BV, context, chain.init(ROWS))
    expected_BV = scores.double().numpy()
    np.testing.assert_array_equal(np.isfinite(after_BV), np.isfinite(expected_BV))
    np.testing.assert_allclose(
        probabilities(after_BV), probabilities(expected_BV), rtol=2e-5, atol=0
    )
