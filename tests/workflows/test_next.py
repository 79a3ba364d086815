"""The shares of the next element, from logits that are known."""

from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import Component, IdBundle, NetworkConfig
from rhapsode.config import GenerateSettings
from rhapsode.encoding import Encoder
from rhapsode.encoding.text import ByteEncoder, CharacterEncoder
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.model import TextModel
from rhapsode.views.candidates import NextElements
from tests.generation.even import Ruled

# Solved for the shares that the literature gives at temperatures 1, 0.5 and 2.
LOGITS = (0.0, -1.4863, -1.7, -1.7, -1.8)


class Fixed(Ruled):
    """A predictor that expects the same whatever it has read."""

    def __init__(self, logits_V: list[float]) -> None:
        super().__init__(len(logits_V))
        self.logits_V = np.array(logits_V, dtype=np.float32)
        self.seen: list[list[int]] = []

    def logits(self, elements_BT: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        self.seen.append(elements_BT[0].tolist())
        return np.repeat(self.logits_V[None], len(elements_BT), axis=0), state


def fixed_model(encoder: Encoder, logits_V: list[float]) -> TextModel:
    """A model that expects the same always."""
    nothing = Component("none")
    facts = TextFacts(np.ones(encoder.vocab_size, dtype=np.int64))
    bundle = IdBundle(NetworkConfig(nothing, nothing, nothing), encoder, facts)
    model = TextModel(__file__, bundle)  # of which nothing is read
    model.__dict__["predictor"] = Fixed(logits_V)
    return model


def following(
    model: TextModel, prompt: str, settings: GenerateSettings | None = None, **options: Any
) -> NextElements:
    settings = settings or GenerateSettings()
    ((found,),) = model.following([model.prompt(prompt, settings)], settings, **options).tables
    return found


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_shares_are_those_of_the_formula(temperature: float) -> None:
    encoder = CharacterEncoder.learn(["aaaabbbccd"], {})
    logits = [LOGITS[4], 9.0, *LOGITS[:4]]  # end, unknown (never generated), a, b, c, d
    model = fixed_model(encoder, logits)
    found = following(model, "ab", temperatures=[temperature], top=5)
    weights = np.exp(np.array(LOGITS) / temperature)
    wanted = weights / weights.sum()
    assert [candidate.text for candidate in found.top] == ["a", "b", "c", "d", "<end>"]
    np.testing.assert_allclose([c.share for c in found.top], wanted, rtol=1e-6)
    assert found.candidates == 5
    assert found.rest == pytest.approx(0)
    assert found.perplexity == pytest.approx(np.exp(-(wanted * np.log(wanted)).sum()))
    assert model.predictor.seen == [[0, *encoder.encode("ab").tolist()]]
    # The unknown element was the likeliest of all before the chain.
    assert [candidate.rank for candidate in found.top] == [2, 3, 4, 5, 6]
    raw = np.exp(np.array(logits))
    assert found.top[0].raw_share == pytest.approx(raw[2] / raw.sum(), rel=1e-6)


def test_bytes_have_names() -> None:
    logits = [-50.0] * 258
    for place, byte in enumerate((ord("e"), 0xE4, ord(" "), ord("\n"))):
        logits[2 + byte] = -float(place)
    model = fixed_model(ByteEncoder(), logits)
    found = following(model, "", top=4)
    assert [candidate.text for candidate in found.top] == ["e", "0xe4", " ", "\n"]


def test_what_a_step_removes_is_not_listed() -> None:
    encoder = CharacterEncoder.learn(["aaaabbbccd"], {})
    model = fixed_model(encoder, [-9.0, -9.0, 3.0, 2.0, 1.0, 0.0])
    settings = GenerateSettings(top_k=2)
    found = following(model, "a", settings, top=5)
    assert [candidate.text for candidate in found.top] == ["a", "b"]
    assert found.candidates == 2
    assert found.entropy < found.raw_entropy
