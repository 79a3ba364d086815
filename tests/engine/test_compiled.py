"""The compiled engine as a predictor: torch's numbers, the same bits however a text is cut and whoever is beside it."""

import sys
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest

from rhapsode.bundle import Component, Member, Predictor, log_softmax
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.config import parse_context
from rhapsode.engine.compiled_predictor import compiled_predictor
from rhapsode.engine.forms import engine_form
from rhapsode.engine.packed_weights import lay_out, unsupported
from rhapsode.errors import BundleError
from rhapsode.models import FAMILIES as MODELS
from tests.contracts.predictor_contract import PredictorContract, batch_of
from tests.engine.compiled_models import FAMILIES, VOCABULARY, bundle_of, network_config, network_of


def compiled(family: str, **asked: object) -> Predictor:
    config = network_config(family, **asked)  # type: ignore[arg-type]
    return compiled_predictor(bundle_of(config, network_of(config)))


class TestLSTM(PredictorContract):
    def make(self) -> Predictor:
        return compiled("lstm of two layers")


class TestGRU(PredictorContract):
    def make(self) -> Predictor:
        return compiled("gru")


class TestRNN(PredictorContract):
    def make(self) -> Predictor:
        return compiled("rnn")


class TestTransformer(PredictorContract):
    def make(self) -> Predictor:
        return compiled("transformer")


class TestTCN(PredictorContract):
    def make(self) -> Predictor:
        return compiled("tcn")


class TestWindow(PredictorContract):
    window = 7

    def make(self) -> Predictor:
        return compiled("classic in a window")


@pytest.mark.parametrize(
    ("input", "bias"), [("table.v1", True), ("table.v1", False), ("onehot.v1", True)]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_are_those_of_torch(family: str, input: str, bias: bool) -> None:
    config = network_config(family, input=input, bias=bias)
    network = network_of(config)
    bundle = bundle_of(config, network)
    torchs = torch_predictor(network, VOCABULARY, bundle.context)
    ours = compiled_predictor(bundle)
    ids_BT = np.random.default_rng(1).integers(VOCABULARY, size=(5, 90))
    ours_state, their_state = ours.start(5), torchs.start(5)
    for start, end in pairwise([0, 13, *range(14, 40), 90]):
        own, ours_state = ours.advance(ids_BT[:, start:end], ours_state)
        other, their_state = torchs.advance(ids_BT[:, start:end], their_state)
        found_BV, wanted_BV = log_softmax(own.logits_BV), log_softmax(other.logits_BV)
        np.testing.assert_allclose(found_BV, wanted_BV, rtol=0, atol=1e-4)
    wanted_BT, _ = torchs.score(batch_of(ids_BT[:, :7]))
    found_BT, _ = ours.score(batch_of(ids_BT[:, :7]))
    np.testing.assert_allclose(found_BT, wanted_BT, rtol=0, atol=1e-4)
    found, wanted = (
        each.advance(ids_BT[:, :9], each.start(5), features=True)[0] for each in (ours, torchs)
    )
    np.testing.assert_allclose(found.features_BTH, wanted.features_BTH, rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        log_softmax(found.logits_BV), log_softmax(wanted.logits_BV), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_has_the_same_bits_alone_and_among_others_at_once_and_in_pieces(family: str) -> None:
    predictor = compiled(family)
    ids_BT = np.random.default_rng(2).integers(VOCABULARY, size=(64, 30))
    wanted, behind = predictor.advance(ids_BT, predictor.start(64))
    state = predictor.start(64)
    for start, end in pairwise([0, 1, 2, 9, 30]):
        following, state = predictor.advance(ids_BT[:, start:end], state)
    assert np.array_equal(following.logits_BV, wanted.logits_BV)
    more, _ = predictor.advance(ids_BT[:, :1], behind)
    for row in range(64):
        alone, own = predictor.advance(ids_BT[row : row + 1], predictor.start(1))
        assert np.array_equal(alone.logits_BV[0], wanted.logits_BV[row])
        alone, _ = predictor.advance(ids_BT[row : row + 1, :1], own)
        assert np.array_equal(alone.logits_BV[0], more.logits_BV[row])


def test_a_state_is_a_value() -> None:
    predictor = compiled("transformer")
    _, state = predictor.advance(np.array([[1, 2, 3]]), predictor.start(1))
    first, _ = predictor.advance(np.array([[4]]), state)
    predictor.advance(np.array([[5, 6]]), state)
    again, _ = predictor.advance(np.array([[4]]), state)
    assert np.array_equal(again.logits_BV, first.logits_BV)


@pytest.mark.parametrize("element", [-1, VOCABULARY])
def test_an_element_outside_the_vocabulary_is_refused(element: int) -> None:
    predictor = compiled("lstm")
    with pytest.raises(ValueError, match="must lie from 0"):
        predictor.advance(np.array([[element]]), predictor.start(1))
    with pytest.raises(ValueError, match="targets must lie"):
        predictor.score(batch_of(np.array([[0, element]])))


def test_a_table_too_large_to_hold_the_products_is_multiplied_at_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids_BT = np.random.default_rng(3).integers(VOCABULARY, size=(3, 12))
    folded = compiled("gru")
    wanted, _ = folded.advance(ids_BT, folded.start(3))
    monkeypatch.setattr("rhapsode.engine.family_layouts.FOLDED", 10)
    plain = compiled("gru")
    found, _ = plain.advance(ids_BT, plain.start(3))
    np.testing.assert_allclose(found.logits_BV, wanted.logits_BV, rtol=0, atol=1e-5)
    assert not np.array_equal(found.logits_BV, wanted.logits_BV)


@pytest.mark.parametrize("name", [name for name in MODELS.names() if name != "lstm_skip.v1"])
def test_settings_left_out_are_those_of_the_family(name: str) -> None:
    family, context = MODELS.get(name), parse_context("window:4")
    config = network_config("lstm")
    bundle = bundle_of(config, network_of(config))
    bare = replace(bundle, network=replace(config, model=Component(name)))
    wanted = family.engine_form(asdict(family.Config(input_size=8)), context)
    assert wanted is not None
    bare = replace(bare, network=replace(bare.config, context="window:4"))
    assert engine_form(bare) == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_arrays_that_do_not_fit_are_refused(family: str) -> None:
    config = network_config(family)
    bundle = bundle_of(config, network_of(config))
    assert unsupported(bundle) is None
    for name in bundle.arrays:
        without = {key: array for key, array in bundle.arrays.items() if key != name}
        with pytest.raises(BundleError, match="has shape None, its configuration asks for"):
            lay_out(replace(bundle, members=(Member(without),)))
        wrong = {**bundle.arrays, name: bundle.arrays[name][..., :-1]}
        with pytest.raises(BundleError, match="its configuration asks for"):
            lay_out(replace(bundle, members=(Member(wrong),)))
    more = {**bundle.arrays, "model.more": np.zeros(3, dtype=np.float32)}
    with pytest.raises(BundleError, match="asks for None"):
        lay_out(replace(bundle, members=(Member(more),)))


def test_weights_that_are_too_large_for_their_sums_are_laid_out_without_a_warning() -> None:
    config = network_config("lstm")
    bundle = bundle_of(config, network_of(config))
    largest = np.finfo(np.float32).max
    arrays = {name: np.full_like(array, largest) for name, array in bundle.arrays.items()}
    assert lay_out(replace(bundle, members=(Member(arrays),)))[0].kind == "float32"


@pytest.mark.parametrize(("hidden_size", "boundary"), [(24, 64), (256, 1 << 21)])
def test_weights_begin_at_a_boundary_of_their_size(hidden_size: int, boundary: int) -> None:
    config = network_config("lstm")
    config = replace(config, model=Component("lstm.v1", {"hidden_size": hidden_size}))
    (laid,) = lay_out(bundle_of(config, network_of(config)))
    if sys.platform != "linux":
        boundary = 64
    assert laid.matrices.ctypes.data % boundary == 0


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "many", None])
def test_settings_that_are_no_size_are_refused(value: object) -> None:
    config = network_config("lstm")
    bundle = bundle_of(config, network_of(config))
    model = Component("lstm.v1", {"hidden_size": 24, "num_layers": value})
    with pytest.raises(BundleError, match="num_layers"):
        lay_out(replace(bundle, network=replace(config, model=model)))


def test_what_has_no_compiled_form_is_named() -> None:
    config = network_config("lstm")
    bundle = bundle_of(config, network_of(config))
    other = replace(bundle, network=replace(config, model=Component("mamba.v1")))
    assert unsupported(other) == "no implementation of mamba.v1"
    with pytest.raises(BundleError, match=r"cannot run this model: no implementation of mamba\.v1"):
        compiled_predictor(other)
    carried = replace(bundle, network=replace(config, model=Component("transformer_classic.v1")))
    assert "only with a window:N context" in (unsupported(carried) or "")
    conditioned = replace(bundle, network=replace(config, conditioner=Component("static")))
    assert unsupported(conditioned) == "no implementation of static.v1"


def test_without_a_compiler_there_is_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    config = network_config("lstm")
    bundle = bundle_of(config, network_of(config))
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    assert unsupported(bundle) == "the compiler of numba is disabled"
