"""Contexts are trained, stored, evaluated and generated in: `fresh`, `window:N`, and the fixed-window classic."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rhapsode as rh
from rhapsode.bundle import Calibration, Member, write_bundle
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.bundle.network import load_network, network_arrays
from rhapsode.errors import SettingsError
from rhapsode.models import FAMILIES

TINY: dict[str, dict[str, Any]] = {
    "lstm": {"embedding_size": 8, "hidden_size": 16},
    "gru": {"embedding_size": 8, "hidden_size": 16},
    "rnn": {"embedding_size": 8, "hidden_size": 16, "nonlinearity": "relu"},
    "tcn": {"embedding_size": 8, "hidden_size": 8, "num_layers": 2},
    "transformer": {"embedding_size": 16, "num_layers": 1, "num_heads": 2, "window": 12},
    "transformer_classic": {"embedding_size": 16, "num_layers": 1, "num_heads": 2, "length": 12},
}


def trained(source: Path, folder: Path, family: str, **settings: Any) -> rh.Model:
    training = {"batch_size": 8, "precision": "float32", "evaluations": 1}
    if not str(settings.get("reading", {}).get("context", "")).startswith("window"):
        training["window"] = 12
    if family == "transformer_classic":
        training.pop("window", None)
    return rh.train(
        str(source),
        output=str(folder),
        model=family,
        network=TINY[family],
        training={**training, **settings.pop("training", {})},
        samples={"length": 5, "temperatures": [0.8]},
        **{"steps": 12, **settings},
    )


@pytest.fixture
def small(prose: str, tmp_path: Path) -> Path:
    path = tmp_path / "small.txt"
    path.write_text(prose[:4000], encoding="utf-8")
    return path


@pytest.mark.parametrize("encoding", ["characters", "words"])
@pytest.mark.parametrize("family", sorted(TINY))
def test_every_family_trains_writes_and_opens_again(
    family: str, encoding: str, small: Path, tmp_path: Path
) -> None:
    model = trained(small, tmp_path / "run", family, encoding=encoding)
    assert FAMILIES.full_name(family) == model.bundle.config.model.name
    text = model.generate("The ", length=20, seed=1)
    assert text == rh.load(tmp_path / "run").generate("The ", length=20, seed=1)
    figures = model.evaluate(str(small))
    assert math.isfinite(figures.loss)
    if encoding == "characters":
        assert figures.elements == 4001


def brute_force(model: rh.Model, texts: Sequence[str]) -> tuple[float, float, int]:
    """Nats over documents in the model's own context, one element at a time, each from all that it may see, by the
    network alone and in the geometric mixture with the n-gram model, of weight 0.4; and how many elements.
    """
    network, mixed = load_network(model.bundle), model.scorer
    assert isinstance(mixed, MixedPredictor)
    context = model.bundle.context
    order = mixed.ngram.trie.order
    if context.kind == "window":
        order = min(order, context.size + 1)
    ngram = mixed.ngram.view(order, "kneser_ney")
    documents = [[*model.bundle.encoder.encode(text).tolist(), 0] for text in texts]
    sequences = documents if context.kind == "fresh" else [[e for ids in documents for e in ids]]
    alone, total, count = 0.0, 0.0, 0
    with torch.no_grad():
        for ids in ([0, *sequence] for sequence in sequences):
            for at in range(1, len(ids)):
                first = max(0, at - context.size) if context.kind == "window" else 0
                logits, _ = network(torch.tensor([ids[first:at]]))
                share = float(torch.softmax(logits[0, -1].double(), -1)[ids[at]])
                alone -= math.log(share)
                read = ngram.advance(np.array([ids[first:at]]), ngram.start(1))
                z_V = 0.6 * logits[0, -1].double().numpy() + 0.4 * np.log(
                    ngram.distribution(read)[0]
                )
                total -= float(z_V[ids[at]] - np.logaddexp.reduce(z_V))
                count += 1
    return alone, total, count


@pytest.mark.parametrize("context", ["carried", "fresh", "window:9"])
@pytest.mark.parametrize("family", sorted(TINY))
def test_figures_equal_brute_force_in_the_own_context(
    family: str, context: str, small: Path, tmp_path: Path
) -> None:
    if family == "transformer_classic" and not context.startswith("window"):
        with pytest.raises(SettingsError, match="needs a windowed context"):
            trained(small, tmp_path / "run", family, reading={"context": context})
        return
    asked = {"reading": {"context": context}, "training": {"counts_share": 0.4}}
    model = trained(small, tmp_path / "run", family, **asked)
    assert str(model.bundle.context) == context
    text = small.read_text(encoding="utf-8")
    texts = [text[:90], text[200:201], text[300:360]]
    held = tmp_path / "held"
    held.mkdir()
    for number, held_out in enumerate(texts):
        (held / f"{number}.txt").write_text(held_out, encoding="utf-8")
    figures = model.evaluate(str(held))
    assert figures.protocol.context.startswith(context)
    alone, total, count = brute_force(model, texts)
    assert figures.elements == count == 154
    assert figures.loss == pytest.approx(total / count, rel=1e-5)
    assert figures.perplexity == pytest.approx(math.exp(total / count), rel=1e-4)
    assert figures.network is not None
    assert figures.network.loss == pytest.approx(alone / count, rel=1e-5)
    characters = sum(map(len, texts))
    assert figures.bits_per_character == pytest.approx(total / math.log(2) / characters, rel=1e-5)


@pytest.mark.parametrize("family", sorted(TINY))
def test_the_perplexity_of_a_uniform_model_is_its_vocabulary(
    family: str, small: Path, tmp_path: Path
) -> None:
    context = "window:9" if family == "transformer_classic" else "carried"
    model = trained(small, tmp_path / "run", family, reading={"context": context})
    network = load_network(model.bundle)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    members = (Member(network_arrays(network)),)
    bundle = replace(model.bundle, members=members, calibration=Calibration())
    write_bundle(tmp_path / "uniform.safetensors", bundle)
    figures = rh.load(tmp_path / "uniform.safetensors").evaluate(str(small))
    assert figures.perplexity == pytest.approx(model.bundle.encoder.vocab_size, rel=1e-6)
    assert figures.loss == pytest.approx(figures.baselines["uniform"], rel=1e-6)
    assert figures.calibration is not None
    assert figures.calibration.entropy == pytest.approx(figures.loss, rel=1e-5)


def test_the_fixed_window_classic(prose: str, tmp_path: Path) -> None:
    source = tmp_path / "lower.txt"
    source.write_text(prose[:6000].lower(), encoding="utf-8")
    model = rh.train(
        str(source),
        output=str(tmp_path / "run"),
        epochs=1,
        model="lstm",
        network={"input": "onehot", "hidden_size": 32},
        reading={"context": "window:20", "stride": 3, "loss": "last"},
        training={
            "optimiser": "rmsprop",
            "learning_rate": 0.01,
            "schedule": "constant",
            "batch_size": 64,
            "precision": "float32",
            "evaluations": 1,
        },
        samples={"length": 5},
    )
    assert model.bundle.config.input.name == "onehot.v1"
    assert model.bundle.context.size == 20
    # What came more than twenty elements ago does not count.
    end = "the value of a name "
    greedy = model.generate(prose[:100].lower() + end, length=30, temperature=0)
    again = model.generate("zzz " + end, length=30, temperature=0)
    assert greedy[-30:] == again[-30:]
    figures = model.evaluate(str(source))
    assert math.isfinite(figures.loss)
    assert figures.loss < figures.baselines["uniform"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reading": {"context": "windows:3"}}, "unknown context 'windows:3'"),
        ({"reading": {"stride": 3}}, "'stride' belongs to a window:N context"),
        ({"reading": {"loss": "last"}}, "'loss' belongs to a window:N context"),
        ({"reading": {"context": "window:9"}, "training": {"window": 12}}, "training.window is 12"),
        ({"model": "transformer_classic", "network": {"length": 8},
          "reading": {"context": "window:9"}}, "longer than the 8 positions"),
    ],
)  # fmt: skip
def test_contradictions_are_named(small: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("(", r"\(")):
        rh.train(str(small), steps=2, output="never", **settings)


@pytest.mark.parametrize(
    "training",
    [
        {"optimiser": "adam", "schedule": "linear"},
        {"optimiser": "sgd", "learning_rate": 0.5},
        {"optimiser": "rmsprop", "schedule": "constant"},
        {"accumulate": 3},
    ],
)
def test_optimisers_learn(small: Path, tmp_path: Path, training: dict[str, Any]) -> None:
    model = trained(small, tmp_path / "run", "lstm", steps=60, training=training)
    figures = model.evaluate(str(small))
    assert figures.loss < figures.baselines["uniform"] - 0.3


def test_accumulated_batches_are_one_large_batch(small: Path, tmp_path: Path) -> None:
    losses = []
    for batch_size, accumulate in ((8, 1), (4, 2)):
        model = trained(
            small, tmp_path / f"run{accumulate}", "lstm", steps=6,
            reading={"context": "window:12", "stride": 5, "shuffle": False},
            training={"batch_size": batch_size, "accumulate": accumulate, "clip": 100.0},
        )  # fmt: skip
        losses.append(model.bundle.arrays["model.weight_hh_l0"])
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5)
