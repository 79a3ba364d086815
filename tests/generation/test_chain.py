"""Chains: orders and what they mean, contradictions, what is off, control filters, traces."""

import math
from typing import Any

import numpy as np
import pytest

from rhapsode.config import GenerateSettings
from rhapsode.errors import SettingsError
from rhapsode.generation import ORDERS, STEPS, Chain, Context, Filter, chain_of
from rhapsode.generation.filters.contract import Logits
from tests.contracts.filter_contract import context_of, probabilities

ALL_BUT_MIROSTAT: dict[str, Any] = {
    "repetition_penalty": 1.1,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "dry_multiplier": 0.8,
    "no_repeat_ngram": 3,
    "temperature": 0.8,
    "top_n_sigma": 1.5,
    "top_k": 40,
    "top_p": 0.95,
    "min_p": 0.05,
    "typical_p": 0.9,
    "epsilon_cutoff": 0.0003,
    "eta_cutoff": 0.0003,
    "xtc_probability": 0.5,
}


class Noted(Filter):
    """Changes nothing, and can be found."""

    name = "noted"

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        return logits_BV, state


def chain(control: tuple[Filter, ...] = (), **asked: Any) -> Chain:
    return chain_of(GenerateSettings(**asked), vocab_size=9, suppressed=(1,), control=control)


def names(chain: Chain) -> list[str]:
    return [step.name for step in chain.filters]


def test_the_default_order_is_that_of_transformers():
    assert names(chain((Noted(),), **ALL_BUT_MIROSTAT)) == [
        "suppress", "repetition", "frequency", "presence", "dry", "noted", "no_repeat_ngram",
        "temperature", "top_n_sigma", "top_k", "top_p", "min_p", "typical", "epsilon", "eta", "xtc",
    ]  # fmt: skip


def test_the_order_of_vllm():
    assert names(chain((Noted(),), order="vllm", **ALL_BUT_MIROSTAT)) == [
        "suppress", "noted", "no_repeat_ngram", "repetition", "frequency", "presence", "dry",
        "temperature", "min_p", "top_k", "top_p", "top_n_sigma", "typical", "epsilon", "eta", "xtc",
    ]  # fmt: skip


def test_the_order_of_llama_cpp():
    assert names(chain((Noted(),), order="llamacpp", **ALL_BUT_MIROSTAT)) == [
        "suppress", "noted", "no_repeat_ngram", "repetition", "frequency", "presence", "dry",
        "top_n_sigma", "top_k", "typical", "top_p", "min_p", "epsilon", "eta", "xtc", "temperature",
    ]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_holds_every_step_once_and_control_before_temperature_and_truncation(
    order: str,
):
    assert sorted(ORDERS[order]) == sorted(["control", *STEPS])
    place = ORDERS[order].index
    assert place("control") < min(place("temperature"), place("dynatemp"), place("mirostat"))
    assert place("control") < min(place("top_n_sigma"), place("top_k"), place("min_p"))
    assert place("control") < place("no_repeat_ngram")


@pytest.mark.parametrize("order", ORDERS)
def test_mirostat_comes_behind_the_temperature(order: str):
    assert names(chain(order=order, mirostat_tau=3.0, temperature=0.7)) == [
        "suppress", "temperature", "mirostat",
    ]  # fmt: skip


def share(logits: list[float], **asked: Any) -> list[float]:
    logits_BV = np.array([logits], dtype=np.float32)
    built = chain_of(GenerateSettings(**asked), vocab_size=len(logits), suppressed=())
    after_BV, _ = built.apply(logits_BV, context_of(1), built.init(1))
    kept: list[float] = probabilities(after_BV)[0].tolist()
    return kept


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        ("hf", 1),
        ("vllm", 1),
        ("llamacpp", 2),
        ("top_p,temperature", 2),
        (" temperature , top_p", 1),
    ],
)
def test_the_same_numbers_mean_different_distributions(order: str, kept: int):
    found = share([3, 2, 1], temperature=0.5, top_p=0.8, order=order)
    assert sum(chance > 0 for chance in found) == kept
    if kept == 2:
        assert found == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2)), 0])


@pytest.mark.parametrize(("order", "kept"), [("hf", 4), ("llamacpp", 2)])
def test_temperature_before_or_behind_min_p(order: str, kept: int):
    logits = [math.log(p) for p in (0.7, 0.15, 0.1, 0.05)]
    found = share(logits, temperature=2.0, min_p=0.2, order=order)
    assert sum(chance > 0 for chance in found) == kept


def test_min_p_before_or_behind_top_p():
    # Of [.4, .3, .2, .1] top-p 0.76 needs three; behind min-p 0.4, which leaves .9 of the mass, two have 0.78 of it.
    logits = [math.log(p) for p in (0.4, 0.3, 0.2, 0.1)]
    assert [p > 0 for p in share(logits, min_p=0.4, top_p=0.76, order="hf")] == [1, 1, 1, 0]
    assert [p > 0 for p in share(logits, min_p=0.4, top_p=0.76, order="vllm")] == [1, 1, 0, 0]


def test_control_may_be_named_in_an_order_and_comes_first_otherwise():
    first = chain((Noted(),), order="top_k,temperature", top_k=3, temperature=0.5)
    assert names(first) == ["suppress", "noted", "top_k", "temperature"]
    named = chain((Noted(),), order="top_k,control,temperature", top_k=3, temperature=0.5)
    assert names(named) == ["suppress", "top_k", "noted", "temperature"]


def test_explain_tells_order_steps_and_what_is_off():
    asked = GenerateSettings(temperature=0.8, top_k=40, dry_multiplier=0.8, order="vllm")
    found = chain_of(asked, vocab_size=9, suppressed=(1,), breakers=(3, 2))
    assert found.explain() == (
        "order vllm: suppress [1] -> dry 0.8 x 1.75^(length - 2), broken by [2, 3] -> temperature 0.8 "
        "-> top_k 40 -> draw; off: no_repeat_ngram, repetition, frequency, presence, dynatemp, "
        "mirostat, min_p, top_p, top_n_sigma, typical, epsilon, eta, xtc"
    )
    plain = chain_of(GenerateSettings(order="top_k"), vocab_size=9, suppressed=())
    assert plain.explain().startswith("order top_k: draw; off: top_k, repetition, ")
    assert set(plain.off) == set(STEPS)
    assert Chain([Noted()]).explain() == "noted -> draw"


def test_steps_that_are_off_are_left_out():
    assert names(chain()) == ["suppress"]
    assert chain_of(GenerateSettings(), vocab_size=9, suppressed=()).filters == ()


def test_protected_elements_and_breakers_reach_their_steps():
    asked = GenerateSettings(xtc_probability=1.0, dry_multiplier=1.0)
    found = chain_of(asked, vocab_size=9, suppressed=(), protected=(5, 0), breakers=(7,))
    assert [step.explain() for step in found.filters] == [
        "dry 1 x 1.75^(length - 2), broken by [7]",
        "xtc 1 from 0.1, never [0, 5]",
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"mirostat_tau": 5.0, "top_k": 3}, "mirostat_tau and top_k contradict each other"),
        (
            {"mirostat_tau": 5.0, "top_p": 0.9, "xtc_probability": 0.1},
            "mirostat_tau and top_p, xtc contradict each other",
        ),
        ({"dynatemp_low": 0.5}, "a dynamic temperature needs both limits"),
        ({"dynatemp_high": 0.5}, "a dynamic temperature needs both limits"),
        ({"dynatemp_low": 2.0, "dynatemp_high": 1.0}, "dynamic temperature from 2 to 1"),
        (
            {"dynatemp_low": 0.0, "dynatemp_high": 1.0, "temperature": 0.0},
            "a dynamic temperature and a fixed one contradict each other",
        ),
        ({"order": "hff"}, "unknown order 'hff'; did you mean 'hf'?"),
        ({"order": "top_k,top_q"}, "unknown step 'top_q'; did you mean 'top_p'?"),
        ({"order": "top_k,"}, "unknown step ''"),
        ({"order": ""}, "unknown order ''"),
        ({"order": "top_k,hf"}, "unknown step 'hf'"),
        ({"order": "top_k,top_k"}, "top_k named twice"),
        (
            {"order": "top_k", "top_p": 0.9, "temperature": 0.5},
            "in use, but not in the order: temperature, top_p; name every step that is in use",
        ),
    ],
)
def test_contradictions_are_refused(asked: dict[str, Any], message: str):
    with pytest.raises(SettingsError) as caught:
        chain(**asked)
    assert message in str(caught.value)


def test_a_fork_of_all_states_goes_its_own_way():
    built = chain(frequency_penalty=1.0, no_repeat_ngram=2, dry_multiplier=1.0)
    logits_BV = np.zeros((1, 9), dtype=np.float32)

    def written(*elements: int) -> Context:
        output = (np.array(elements, dtype=np.int64),)
        zero = np.zeros(1, dtype=np.int64)
        return Context((np.array([2, 3]),), output, zero, zero, 0)

    _, states = built.apply(logits_BV, written(), built.init(1))
    twin = built.fork(states)
    built.apply(logits_BV, written(4, 4), states)
    after_BV, _ = built.apply(logits_BV, written(2), twin)
    fresh_BV, _ = built.apply(logits_BV, written(2), built.init(1))
    np.testing.assert_array_equal(after_BV, fresh_BV)
    assert np.isneginf(after_BV[0, 3])
