"""A bundle's network: what it is made of, errors that name the setting, and the way through a file and back."""

import dataclasses
import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from rhapsode.bundle import Component, IdBundle, Member, NetworkConfig, read_bundle, write_bundle
from rhapsode.bundle import network as network_module
from rhapsode.bundle.network import (
    Network,
    build_network,
    load_network,
    network_arrays,
)
from rhapsode.data import Batch, Condition
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.errors import BundleError, SettingsError
from rhapsode.modalities.text.facts import TextFacts

ENCODER = CharacterEncoder("etaoin", {})
VOCABULARY = ENCODER.vocab_size
INPUTS = {
    "table": {"vocab_size": VOCABULARY, "embedding_size": 8, "dropout": 0.3},
    "onehot": {"vocab_size": VOCABULARY},
}
MODELS = {
    "lstm": {"hidden_size": 6, "num_layers": 2, "dropout": 0.3},
    "transformer": {"num_layers": 2, "num_heads": 2, "window": 4, "dropout": 0.3},
}
IDS_BT = torch.tensor([[2, 3, 4, 5, 6, 7, 0], [7, 7, 2, 1, 0, 4, 3]])


def configuration(input: str = "table", model: str = "lstm", **head: Any) -> NetworkConfig:
    return NetworkConfig(
        input=Component(input, INPUTS[input]),
        model=Component(model, MODELS[model]),
        head=Component("categorical", {"vocab_size": VOCABULARY, **head}),
    )


def bundle_of(network: Network, config: NetworkConfig, **arrays: Any) -> IdBundle:
    facts = TextFacts(np.arange(VOCABULARY, dtype=np.int64))
    return with_arrays(IdBundle(config, ENCODER, facts), {**network_arrays(network), **arrays})


def with_arrays(bundle: IdBundle, arrays: Mapping[str, Any]) -> IdBundle:
    return dataclasses.replace(bundle, members=(Member(arrays),))


def changed(config: NetworkConfig, part: str, name: str, settings: Mapping[str, Any]) -> Any:
    return dataclasses.replace(config, **{part: Component(name, settings)})


everything = pytest.mark.parametrize(("input", "model"), list(product(INPUTS, MODELS)))


# What it computes


@everything
def test_a_network_is_its_parts_in_a_row(input: str, model: str) -> None:
    network = build_network(configuration(input, model)).eval()
    found_BTV, found = network(IDS_BT)
    y_BTH, wanted = network.model(network.input(IDS_BT), None)
    assert torch.equal(found_BTV, network.head(y_BTH))
    assert found_BTV.shape == (*IDS_BT.shape, VOCABULARY)
    for name, tensor in wanted.tensors().items():
        assert torch.equal(found.tensors()[name], tensor)


@everything
def test_steps_give_what_the_window_gives(input: str, model: str) -> None:
    network = build_network(configuration(input, model)).double().eval()
    wanted_BTV, _ = network(IDS_BT)
    state = network.model.init_state(len(IDS_BT))
    for t in range(IDS_BT.shape[1]):
        logits_BV, state = network.step(IDS_BT[:, t], state)
        torch.testing.assert_close(logits_BV, wanted_BTV[:, t], rtol=1e-9, atol=1e-9)


def test_the_log_probability_of_a_batch() -> None:
    network = build_network(configuration()).eval()
    ids_BT = IDS_BT.numpy()
    reset_BT = np.zeros((2, 6), dtype=bool)
    reset_BT[1, 3] = True
    jacobian_BT = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
    plain = Batch(ids_BT[:, :-1], ids_BT[:, 1:], np.ones((2, 6), np.float32))

    logits_BTV, _ = network(IDS_BT[:, :-1])
    wanted_BT = logits_BTV.log_softmax(-1).gather(-1, IDS_BT[:, 1:, None])[..., 0]
    found_BT, _ = network.log_prob(plain)
    assert found_BT.dtype == torch.float32
    torch.testing.assert_close(found_BT, wanted_BT)

    scaled = dataclasses.replace(plain, log_jacobian_BT=jacobian_BT)
    torch.testing.assert_close(
        network.log_prob(scaled)[0], wanted_BT + torch.from_numpy(jacobian_BT)
    )

    broken_BT, _ = network.log_prob(dataclasses.replace(plain, reset_BT=reset_BT))
    fresh_BT, _ = network.log_prob(
        Batch(ids_BT[1:, 3:-1], ids_BT[1:, 4:], np.ones((1, 3), np.float32))
    )
    torch.testing.assert_close(broken_BT[0], wanted_BT[0])
    torch.testing.assert_close(broken_BT[1, :3], wanted_BT[1, :3])
    torch.testing.assert_close(broken_BT[1, 3:], fresh_BT[0])
    assert not torch.allclose(broken_BT[1, 3:], wanted_BT[1, 3:])


def test_evidence_is_added_to_logits() -> None:
    network = build_network(configuration()).eval()
    ids_BT = IDS_BT.numpy()
    random = np.random.default_rng(0)
    vocab_size = network(IDS_BT[:, :-1])[0].shape[-1]
    evidence_BTV = random.normal(size=(2, 6, vocab_size)).astype(np.float32)
    plain = Batch(ids_BT[:, :-1], ids_BT[:, 1:], np.ones((2, 6), np.float32))
    beside = dataclasses.replace(plain, evidence_BTV=evidence_BTV)

    logits_BTV = network(IDS_BT[:, :-1])[0] + torch.from_numpy(evidence_BTV)
    wanted_BT = logits_BTV.log_softmax(-1).gather(-1, IDS_BT[:, 1:, None])[..., 0]
    torch.testing.assert_close(network.loss(beside)[0], -wanted_BT)
    torch.testing.assert_close(network.loss(beside.select([1]))[0], -wanted_BT[1:])
    torch.testing.assert_close(network.log_prob(beside)[0], wanted_BT)
    assert not torch.allclose(network.log_prob(plain)[0], wanted_BT)

    allowed_BTV = np.ones((2, 6, vocab_size), np.bool_)
    allowed_BTV[..., 0] = ids_BT[:, 1:] == 0
    masked, _ = network.loss(dataclasses.replace(beside, allowed_BTV=allowed_BTV))
    logits_BTV = logits_BTV.masked_fill(~torch.from_numpy(allowed_BTV), -torch.inf)
    wanted_BT = logits_BTV.log_softmax(-1).gather(-1, IDS_BT[:, 1:, None])[..., 0]
    torch.testing.assert_close(masked, -wanted_BT)


@pytest.mark.parametrize("at_once", [1, 25, 1 << 20])
def test_scoring_in_parts_is_scoring_at_once(at_once: int, monkeypatch) -> None:
    network = build_network(configuration()).eval()
    ids_BT = IDS_BT.numpy()
    jacobian_BT = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
    batch = Batch(
        ids_BT[:, :-1], ids_BT[:, 1:], np.ones((2, 6), np.float32), log_jacobian_BT=jacobian_BT
    )
    wanted_BT, behind = network.log_prob(batch)
    monkeypatch.setattr(network_module, "SCORED_AT_ONCE", at_once)
    with torch.no_grad():
        found_BT, after = network.log_prob(batch)
    torch.testing.assert_close(found_BT, wanted_BT.detach())
    for name, tensor in behind.tensors().items():
        torch.testing.assert_close(after.tensors()[name], tensor)


@pytest.mark.parametrize("time", [1, 6])
def test_a_batch_that_scores_its_last_targets_only(time: int) -> None:
    network = build_network(configuration()).eval()
    ids_BT = IDS_BT[:, : time + 1].numpy()
    weights_BT = np.zeros((2, time), np.float32)
    weights_BT[:, -1] = 1
    jacobian_BT = np.linspace(-1, 1, 2 * time, dtype=np.float32).reshape(2, time)
    whole = Batch(
        ids_BT[:, :-1], ids_BT[:, 1:], np.ones_like(weights_BT), log_jacobian_BT=jacobian_BT
    )
    wanted_BT, behind = network.log_prob(whole)
    found_BT, after = network.log_prob(dataclasses.replace(whole, weights_BT=weights_BT))
    assert found_BT.shape == wanted_BT.shape
    torch.testing.assert_close(found_BT[:, -1], wanted_BT[:, -1])
    for name, tensor in behind.tensors().items():
        assert torch.equal(after.tensors()[name], tensor)


def test_a_batch_becomes_tensors() -> None:
    network = build_network(configuration("onehot", "lstm"))
    ids_BT, weights_BT = IDS_BT.numpy(), np.ones((2, 6), np.float32)
    batch = Batch(ids_BT[:, :-1], ids_BT[:, 1:], weights_BT)
    moved = network.moved(batch)
    assert torch.equal(moved.inputs, IDS_BT[:, :-1])
    assert torch.equal(moved.targets, IDS_BT[:, 1:])
    assert moved.reset_BT is None
    reset_BT = np.eye(2, 6, dtype=bool)
    moved = network.moved(dataclasses.replace(batch, reset_BT=reset_BT))
    assert moved.reset_BT is not None
    assert moved.reset_BT.tolist() == reset_BT.tolist()


def test_the_numbers_that_training_fits_are_counted() -> None:
    network = build_network(configuration("onehot", "lstm"))
    first, second = 24 * VOCABULARY + 24 * 6 + 48, 24 * 6 + 24 * 6 + 48
    assert network.parameter_count() == first + second + 6 * VOCABULARY + VOCABULARY


# What it is made of


def test_a_name_without_a_version_means_the_newest() -> None:
    config = configuration()
    full = changed(config, "model", "lstm.v1", MODELS["lstm"])
    shapes = [
        {name: tensor.shape for name, tensor in build_network(asked).state_dict().items()}
        for asked in (config, full)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("part", "name", "settings", "message"),
    [
        ("input", "tabel", {"vocab_size": 8}, r"unknown input module 'tabel'; did you mean 'table"),
        ("model", "lstmm", {}, r"unknown model 'lstmm'; did you mean 'lstm\.v1'"),
        ("model", "lstm.v9", {}, r"unknown model 'lstm\.v9'"),
        ("model", "os.system", {}, r"unknown model 'os\.system'"),
        ("head", "softmax", {}, r"unknown head 'softmax'; known: .*categorical\.v1"),
        ("model", "lstm", {"hiden_size": 4}, r"unknown setting 'hiden_size'; did you mean 'hidden_size'"),
        ("model", "lstm", {"hidden_size": 0}, r"setting 'hidden_size': .*>= 1"),
        ("model", "lstm", {"hidden_size": "4"}, r"setting 'hidden_size': expected a whole number"),
        ("model", "lstm", {"num_layers": 65}, r"setting 'num_layers': .*<= 64"),
        ("model", "lstm", {"dropout": 1.0}, r"setting 'dropout': .*< 1\.0"),
        ("model", "transformer", {"window": 0}, r"setting 'window': .*>= 1"),
        ("model", "transformer", {"num_heads": 3}, r"num_heads: a width of 8 does not divide into 3"),
        ("input", "table", {}, r"missing setting .*vocab_size"),
        ("input", "table", {"vocab_size": 8, "dropout": -0.1}, r"setting 'dropout': .*>= 0\.0"),
        ("head", "categorical", {"vocab_size": 8, "bias": 1}, r"setting 'bias': expected true or false"),
        ("head", "categorical", {"vocab_size": -1}, r"setting 'vocab_size': .*>= 1"),
        ("model", "lstm", {"input_size": 8}, r"'input_size' cannot be set"),
        ("head", "categorical", {"vocab_size": 8, "feature_size": 6}, r"'feature_size' cannot be set"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named(
    part: str, name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        build_network(changed(configuration(), part, name, settings))


# Through a file and back


@everything
def test_a_network_comes_back_bit_for_bit(input: str, model: str, tmp_path: Path) -> None:
    config = configuration(input, model, bias=input == "table")
    network = build_network(config).eval()
    path = tmp_path / "model.safetensors"
    write_bundle(path, bundle_of(network, config))
    loaded = load_network(read_bundle(path))
    assert not any(module.training for module in loaded.modules())
    assert list(loaded.state_dict()) == list(network.state_dict())
    found_BTV, found = loaded(IDS_BT)
    wanted_BTV, wanted = network(IDS_BT)
    assert torch.equal(found_BTV, wanted_BTV)
    for name, tensor in wanted.tensors().items():
        assert torch.equal(found.tensors()[name], tensor)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


# Under a condition

STATIC = Component("static", {"static_size": 2, "condition_size": 3})
SOURCES = Condition(static_BK=np.array([[1.0, np.nan], [-2.0, 0.5]], dtype=np.float32))


def batch_under(condition: Condition | None) -> Batch:
    ids_BT = IDS_BT.numpy()
    weights_BT = np.ones((2, 6), dtype=np.float32)
    return Batch(ids_BT[:, :-1], ids_BT[:, 1:], weights_BT, condition=condition)


def test_a_conditioned_network_comes_back_bit_for_bit(tmp_path: Path) -> None:
    config = dataclasses.replace(configuration(), conditioner=STATIC)
    network = build_network(config).eval()
    path = tmp_path / "model.safetensors"
    write_bundle(path, bundle_of(network, config))
    bundle = read_bundle(path)
    assert bundle.config.conditioner == STATIC
    batch = batch_under(SOURCES)
    with torch.no_grad():
        found_BT, _ = load_network(bundle).log_prob(batch)
        wanted_BT, _ = network.log_prob(batch)
        assert torch.equal(found_BT, wanted_BT)
        assert not torch.allclose(found_BT, network.log_prob(batch_under(None))[0])


def test_a_file_without_a_conditioner_does_not_name_one(tmp_path: Path) -> None:
    network, path = build_network(configuration()), tmp_path / "model.safetensors"
    write_bundle(path, bundle_of(network, configuration()))
    with safe_open(path, framework="np") as file:
        assert sorted(json.loads(file.metadata()["network"])) == [
            "context",
            "head",
            "input",
            "model",
        ]


def test_rows_go_on_under_the_condition_of_the_batch_or_else_their_own() -> None:
    network = build_network(dataclasses.replace(configuration(), conditioner=STATIC)).eval()
    conditioner = list(network.model.conditioner.parameters())
    _, behind = network.loss(batch_under(SOURCES))
    for state in (None, behind.detach()):
        network.zero_grad()
        loss_BT, _ = network.loss(batch_under(SOURCES), state)
        loss_BT.sum().backward()
        assert all(parameter.grad.abs().max() > 0 for parameter in conditioner)
    found_BT, _ = network.log_prob(batch_under(SOURCES), behind)
    wanted_BT, _ = network.log_prob(batch_under(None), behind)
    assert torch.equal(found_BT, wanted_BT)
    other_BT, _ = network.log_prob(batch_under(SOURCES.select(np.array([1, 0]))), behind)
    assert not torch.allclose(other_BT, wanted_BT)


def test_a_network_without_a_conditioner_refuses_a_condition() -> None:
    network = build_network(configuration())
    for score in (network.loss, network.log_prob):
        with pytest.raises(SettingsError, match="cannot use a condition"):
            score(batch_under(SOURCES))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_arrays_of_a_network_are_its_own(dtype: torch.dtype) -> None:
    network = build_network(configuration()).to(dtype)
    arrays = network_arrays(network)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    kept = arrays["head.bias"].copy()
    with torch.no_grad():
        network.head.bias += 1
    assert np.array_equal(arrays["head.bias"], kept)


def test_a_loaded_network_does_not_write_into_its_bundle() -> None:
    config = configuration()
    bundle = bundle_of(build_network(config), config)
    kept = bundle.arrays["head.bias"].copy()
    loaded = load_network(bundle)
    with torch.no_grad():
        loaded.head.bias += 1
    assert np.array_equal(bundle.arrays["head.bias"], kept)


def test_loading_does_not_touch_the_random_numbers() -> None:
    config = configuration()
    bundle = bundle_of(build_network(config), config)
    before = torch.get_rng_state()
    load_network(bundle)
    assert torch.equal(torch.get_rng_state(), before)


@everything
def test_an_array_missing_added_or_of_another_shape_is_named(input: str, model: str) -> None:
    config = configuration(input, model)
    whole = bundle_of(build_network(config), config)
    for name in whole.arrays:
        less = {other: array for other, array in whole.arrays.items() if other != name}
        with pytest.raises(BundleError, match=f"'{name}' has shape None"):
            load_network(with_arrays(whole, less))
        longer = np.concatenate((whole.arrays[name], whole.arrays[name][:1]))
        with pytest.raises(BundleError, match=f"'{name}' has shape "):
            load_network(with_arrays(whole, {**whole.arrays, name: longer}))
    with pytest.raises(BundleError, match=r"'model\.more' has shape \(2,\).* asks for None"):
        load_network(bundle_of(build_network(config), config, **{"model.more": np.ones(2, "f4")}))


@pytest.mark.parametrize(
    ("part", "name", "settings", "message"),
    [
        ("model", "posix.v1", {}, "unknown model 'posix.v1'"),
        ("model", "lstm", {"hidden_size": 0}, "setting 'hidden_size'"),
        ("model", "lstm", {"code": "print()"}, "unknown setting 'code'"),
        ("model", "lstm", {"hidden_size": 65536, "num_layers": 64}, "has shape"),
        ("model", "transformer", {"num_heads": 3}, "does not divide"),
        ("model", "transformer", {"num_heads": 1, "feedforward_size": 1 << 20}, "has shape"),
        ("input", "table", {"vocab_size": 1 << 31, "embedding_size": 1 << 20}, "has shape"),
        ("input", "onehot", {"vocab_size": 1 << 31}, "setting 'input_size'"),
        ("input", "onehot", {"vocab_size": 1 << 20}, "has shape"),
        ("head", "categorical", {"vocab_size": 1 << 31}, "has shape"),
    ],
)  # fmt: skip
def test_a_configuration_that_does_not_fit_its_arrays_is_refused(
    part: str, name: str, settings: dict[str, Any], message: str
) -> None:
    config = configuration()
    bundle = bundle_of(build_network(config), config)
    torn = dataclasses.replace(bundle, network=changed(config, part, name, settings))
    with pytest.raises(BundleError, match=message):
        load_network(torn)


@pytest.mark.parametrize("part", ["input", "head"])
def test_a_vocabulary_that_is_not_the_encoders_is_refused(part: str) -> None:
    config = configuration()
    settings = {**getattr(config, part).settings, "vocab_size": VOCABULARY + 1}
    config = changed(config, part, getattr(config, part).name, settings)
    bundle = bundle_of(build_network(config), config)
    with pytest.raises(BundleError, match=f"the {part} has 9 elements, the encoder 8"):
        load_network(bundle)
