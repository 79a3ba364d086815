"""The n-gram model of a run as a part of what predicts: chosen, reported, used, and missed where it is gone."""

import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import read_bundle, write_bundle
from rhapsode.bundle.mixed_predictor import MixedPredictor
from rhapsode.cli.main import main
from rhapsode.counts import NGramModel
from rhapsode.errors import BundleError, DataError
from rhapsode.evaluation import in_context, part_losses
from rhapsode.workflows import load
from rhapsode.workflows.model import Model
from rhapsode.workflows.play import PlaySession
from rhapsode.workflows.train import prepare_training
from tests.cli.conftest import Cli
from tests.cli.test_engine import blocked

QUICK = (
    "--steps", "120", "--set", "network.hidden_size=48", "--set", "network.embedding_size=16",
    "--set", "training.window=32", "--set", "training.batch_size=16",
    "--set", "training.learning_rate=0.02", "--set", "training.evaluations=1",
    "--set", "training.precision=float32", "--set", "samples.length=0",
)  # fmt: skip
FEW = ("--steps", "2", *QUICK[2:])


def dialects(seed: int, size: int = 30_000) -> str:
    """Letters of a dialect that only many letters tell, which a network learns, and phrases, which counts know."""
    random = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    phrases = ["".join(random.choice(letters, 14)) for _ in range(40)]
    share_DV = random.dirichlet(np.full(26, 0.25), size=4)
    parts: list[str] = []
    while sum(map(len, parts)) < size:
        share_V = share_DV[random.integers(4)]
        for _ in range(random.integers(3, 8)):
            parts.append("".join(random.choice(letters, random.integers(15, 40), p=share_V)))
            parts.append(phrases[random.integers(40)] + "\n")
    return "".join(parts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network and whose counts each know what the other does not."""
    base = tmp_path_factory.mktemp("mixed")
    (base / "text.txt").write_text(dialects(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RHAPSODE_CACHE", str(base / "cache"))
        assert main(["train", str(base / "text.txt"), "-o", str(base / "run"), *QUICK]) == 0
    return base / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def summary_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def change(run: Path, mixture: object) -> None:
    bundle = read_bundle(run)
    facts = {**bundle.provenance, "mixture": mixture}
    write_bundle(run / "model.safetensors", replace(bundle, provenance=facts))


def generated(cli: Cli, run: Path, *more: str) -> str:
    done = cli("generate", str(run), "ab", "--length", "60", "--seed", "3", *more)
    assert done.code == 0, done.err
    return done.out


def test_the_figures_are_those_of_the_mixture_and_beside_them_those_of_its_parts(
    trained: Path,
) -> None:
    summary = summary_of(trained)
    mixture, network = summary["mixture"], summary["network"]
    assert 0.05 < mixture["share"] < 0.995
    assert summary["ngram_share"] == mixture["share"]
    assert mixture["validation_loss"] < mixture["network_validation_loss"] - 0.002
    assert mixture["validation_loss"] < mixture["ngram_validation_loss"]
    assert mixture["network_validation_loss"] == pytest.approx(summary["validation_loss"], abs=1e-4)
    assert mixture["reason"] is None
    assert summary["loss"] < network["loss"]
    assert np.exp(network["loss"]) == pytest.approx(network["perplexity"])
    ratio = network["loss"] / summary["loss"]
    assert network["bits_per_byte"] == pytest.approx(ratio * summary["bits_per_byte"])
    bundle = read_bundle(trained)
    assert bundle.provenance["mixture"] == mixture
    assert bundle.provenance["test"]["network"]["loss"] == network["loss"]


def test_the_figures_are_what_one_finds_by_hand(trained: Path) -> None:
    training = prepare_training(
        (str(trained.parent / "text.txt"),),
        {"steps": 1, "network": {"hidden_size": 8}, "training": {"precision": "float32"}},
        output=str(trained.parent / "never"),
    )
    test = training.corpus.test
    model = Model(trained)
    predictor = model.scorer
    assert isinstance(predictor, MixedPredictor)
    batches = in_context(test.elements_N, test.starts, model.bundle.context, lanes=1)
    network_N, ngram_N = part_losses(predictor, batches, model.bundle.context, elements=len(test))
    share, summary = predictor.share, summary_of(trained)
    mixed_N = -np.log((1 - share) * np.exp(-network_N) + share * np.exp(-ngram_N))
    assert summary["loss"] == pytest.approx(mixed_N.mean(), abs=1e-5)
    assert summary["network"]["loss"] == pytest.approx(network_N.mean(), abs=1e-5)
    assert summary["floors"]["ngram"] == pytest.approx(ngram_N.mean(), abs=1e-3)


def test_it_is_told_wherever_figures_are(cli: Cli, trained: Path) -> None:
    summary = summary_of(trained)
    share = f"{summary['ngram_share']:.3g}"
    alone = f"{summary['network']['loss']:.4f}"
    card = (trained / "README.md").read_text()
    assert f"| the network alone | {alone} |" in card
    assert f"| share of the n-gram | {share} |" in card
    assert "the n-gram alone (order" in card
    assert f"test, mixed <tspan" in (trained / "curve.svg").read_text()  # noqa: F541
    assert re.search(rf"share of the n-gram +{share}", cli("info", str(trained)).out)
    facts = json.loads(cli("info", str(trained), "--json").out)
    assert facts["provenance"]["mixture"]["share"] == summary["ngram_share"]
    Path("some.txt").write_text(dialects(0)[:600])
    shown = cli("evaluate", str(trained), "some.txt").out
    assert re.search(r"the network alone +\d", shown)
    assert re.search(rf"share of the n-gram +{share}", shown)
    figures = json.loads(cli("evaluate", str(trained), "some.txt", "--json").out)
    assert figures["loss"] < figures["network"]["loss"]
    assert figures["ngram_share"] == summary["ngram_share"]


def test_compare_scores_mixtures_and_tells_of_the_networks(
    cli: Cli, trained: Path, run: Path
) -> None:
    change(run, None)
    Path("some.txt").write_text(dialects(0)[:2500])
    asked = ("compare", str(run), str(trained), "--on", "some.txt")
    rows = json.loads(cli(*asked, "--json").out)["rows"]
    assert rows[0]["model"] == str(trained)
    figures, alone = (row["figures"] for row in rows)
    assert figures["loss"] < figures["network"]["loss"] == alone["loss"]
    assert alone["network"] is None
    shown = cli(*asked).out
    assert f"{figures['network']['loss']:.4f}" in shown
    assert f"share of the n-gram: {figures['ngram_share']:.3g}" in " ".join(shown.split())


def test_dynamic_evaluation_is_that_of_the_network_and_says_so(cli: Cli, trained: Path) -> None:
    Path("some.txt").write_text(dialects(0)[:300])
    asked = ("evaluate", str(trained), "some.txt", "--dynamic")
    found = json.loads(cli(*asked, "--json").out)
    static = found["dynamic"]["losses"]["static"]["loss"]
    assert static == pytest.approx(found["network"]["loss"], abs=1e-3)
    assert "without the n-gram model" in found["dynamic"]["protocol"]["static"]
    assert "by the network alone" in " ".join(cli(*asked).out.split())


def test_both_engines_write_the_same_and_not_what_the_network_does(
    cli: Cli, run: Path, trained: Path
) -> None:
    texts = {
        engine: generated(cli, trained, "--engine", engine) for engine in ("compiled", "torch")
    }
    assert texts["compiled"] == texts["torch"]
    change(run, None)
    assert generated(cli, run) != texts["compiled"]


def test_generate_needs_no_torch_for_it(cli: Cli, trained: Path) -> None:
    alone = blocked("generate", str(trained), "ab", "--length", "60", "--seed", "3")
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout == generated(cli, trained)


@pytest.mark.parametrize(
    "more",
    [
        ("--beams", "3"),
        ("--penalty-alpha", "0.5", "--top-k", "4"),
        ("--best-of", "3"),
        ("--typical-p", "0.8"),
        ("--count", "3", "--format", "jsonl"),
    ],
    ids=lambda more: more[0],
)
def test_every_way_of_writing_takes_it(
    cli: Cli, run: Path, trained: Path, more: tuple[str, ...]
) -> None:
    mixed = generated(cli, trained, *more)
    change(run, None)
    assert generated(cli, run, *more) != mixed
    change(run, {"share": 1e-12, "ngram": summary_of(trained)["mixture"]["ngram"]})
    nearly = generated(cli, run, *more)
    change(run, {"share": 0.0})
    assert generated(cli, run, *more) == nearly


def test_raw_probabilities_of_next_and_of_a_trace_are_the_mixtures(cli: Cli, trained: Path) -> None:
    model = Model(trained)
    ids_N = model.bundle.encoder.encode("ab").astype(np.int64)
    read_1T = np.array([[0, *ids_N]])
    following, _ = model.predictor.advance(read_1T, model.predictor.start(1))
    logits_V = following.logits_BV[0]
    share_V = np.exp(logits_V.astype(np.float64))
    assert share_V.sum() == pytest.approx(1, abs=1e-5)
    shown = json.loads(cli("next", str(trained), "ab", "--json", "--top", "3").out)["next"][0]
    for candidate in shown["top"]:
        assert candidate["raw_share"] == pytest.approx(share_V[candidate["element"]], rel=1e-5)
    asked = ("ab", "--length", "1", "--seed", "3", "--trace", "3", "--format", "jsonl")
    line = json.loads(cli("generate", str(trained), *asked).out)
    trace = line["trace"][0]
    assert trace["raw_log_prob"] == pytest.approx(logits_V[trace["element"]], abs=1e-4)


# What is missing

ALONE = "figures and text are those of the network alone"


def remove(run: Path) -> None:
    (run / "ngram.safetensors").unlink()


def swap(run: Path) -> None:
    encoder = read_bundle(run).encoder
    other = NGramModel.learn(encoder.encode(dialects(1)), encoder.vocab_size)
    other.save(run / "ngram.safetensors")


def tear(run: Path) -> None:
    data = (run / "ngram.safetensors").read_bytes()
    (run / "ngram.safetensors").write_bytes(data[: len(data) // 2])


def recount(run: Path) -> None:
    kept = NGramModel.load(run / "ngram.safetensors")
    kept.view(2, "absolute").save(run / "ngram.safetensors")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (remove, "there is no ngram.safetensors beside the model"),
        (swap, "ngram.safetensors counts another text than the one this model learnt from"),
        (tear, "ngram.safetensors cannot be used"),
        (recount, "ngram.safetensors is not the one that this model was mixed with"),
    ],
)
def test_without_its_own_counts_the_network_predicts_alone_and_says_so(
    cli: Cli,
    run: Path,
    harm: Callable[[Path], None],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = (run / "model.safetensors").read_bytes()
    assert load(run).alone is None
    harm(run)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    asked = ("ab", "--length", "60", "--seed", "3")
    found = {
        engine: cli("generate", str(run), *asked, "--engine", engine)
        for engine in ("compiled", "torch")
    }
    for done in found.values():
        assert done.code == 0
        assert done.err.count("warning") == 1
        assert f"warning: {why}" in done.err
        assert ALONE in done.err
    change(run, None)
    assert cli("generate", str(run), *asked).out == found["compiled"].out
    (run / "model.safetensors").write_bytes(whole)
    Path("some.txt").write_text(dialects(0)[:600])
    done = cli("evaluate", str(run), "some.txt", "--json")
    figures = json.loads(done.out)
    assert done.err.count(ALONE) == 1
    assert figures["network"] is None
    assert figures["ngram_share"] == 0
    for command in (("next", str(run), "ab"), ("play", str(run), "--set", "length=3")):
        assert cli(*command).err.count(ALONE) == 1
    assert load(run).alone is not None


def test_a_model_file_without_its_folder_writes(cli: Cli, trained: Path) -> None:
    shutil.copy(trained / "model.safetensors", "plain.safetensors")
    done = cli("generate", "plain.safetensors", "ab", "--length", "20", "--seed", "1")
    assert done.code == 0
    assert ALONE in done.err
    model, lines = Model("plain.safetensors"), list[str]()
    for engine in ("auto", "torch", "compiled"):
        model.predictor_for(engine, lines.append)
    assert len(lines) == 1


def test_a_share_changed_by_hand_is_used(cli: Cli, trained: Path, run: Path) -> None:
    mixture = read_bundle(run).provenance["mixture"]
    change(run, {**mixture, "share": 0.1})
    predictor = Model(run).scorer
    assert isinstance(predictor, MixedPredictor)
    assert predictor.share == 0.1
    Path("some.txt").write_text(dialects(0)[:600])
    one, other = (
        json.loads(cli("evaluate", str(path), "some.txt", "--json").out) for path in (trained, run)
    )
    assert other["ngram_share"] == 0.1
    assert one["network"] == other["network"]
    assert one["loss"] < other["loss"] < other["network"]["loss"]


@pytest.mark.parametrize(
    "mixture", [5, {"share": 2}, {"share": True}, {"share": "all"}, {"share": 0.5}, {"share": -0.1}]
)
def test_a_mixture_that_makes_no_sense_is_refused(run: Path, mixture: object) -> None:
    change_raw = replace(read_bundle(run), provenance={"mixture": mixture})
    write_bundle(run / "model.safetensors", change_raw)
    with pytest.raises(BundleError, match="its mixture"):
        read_bundle(run)


# The setting


def test_counts_share(cli: Cli, trained: Path) -> None:
    source = str(trained.parent / "text.txt")
    done = cli("train", source, "-o", "none", *FEW, "--set", "training.counts_share=0")
    assert done.code == 0
    summary = summary_of(Path("none"))
    assert (summary["ngram_share"], summary["network"]) == (0, None)
    assert summary["floors"]["ngram"] is not None
    assert "share of the n-gram" not in done.err
    assert "counts_share" in summary["mixture"]["reason"]
    assert cli("generate", "none", "ab", "--length", "5").err.count("warning") == 0
    bad = cli("train", source, "-o", "bad", *FEW, "--set", "training.counts_share=1.5")
    assert bad.code == 1
    assert "counts_share" in bad.err


def test_without_validation_there_is_no_mixture(cli: Cli, trained: Path) -> None:
    source = str(trained.parent / "text.txt")
    done = cli("train", source, "-o", "run", *FEW, "--set", "data.validation_share=0")
    assert done.code == 0
    summary = summary_of(Path("run"))
    assert summary["network"] is None
    assert "no n-gram model was counted" in summary["mixture"]["reason"]


def test_a_run_from_a_mixture_counts_its_own_text(cli: Cli, trained: Path) -> None:
    Path("more.txt").write_text(dialects(2, 8000))
    done = cli("train", "more.txt", "-o", "run", "--from", str(trained), "--steps", "2")
    assert done.code == 0, done.err
    mixture = summary_of(Path("run"))["mixture"]
    assert mixture["ngram"] != summary_of(trained)["mixture"]["ngram"]
    assert Model("run").alone is None


def test_repeated_runs_tell_of_mixture_and_network(cli: Cli, trained: Path) -> None:
    source = str(trained.parent / "text.txt")
    asked = ("--set", "training.counts_share=0.25")
    done = cli("train", source, "-o", "seeds", "--repeat", "2", *FEW, *asked)
    assert done.code == 0
    summary = json.loads(Path("seeds/summary.json").read_text())
    for run in summary["runs"]:
        one = summary_of(Path("seeds", run["folder"]))
        assert run["loss"] == one["loss"]
        assert run["network_loss"] == one["network"]["loss"] > run["loss"]
        assert run["ngram_share"] == one["ngram_share"] == 0.25
    assert summary["network_loss"]["mean"] > summary["loss"]["mean"]
    assert "network alone" in done.err


def test_a_saved_session_of_the_mixture_is_not_gone_on_with_by_the_network(
    cli: Cli, trained: Path, run: Path
) -> None:
    session = PlaySession(Model(trained))
    session.add("ab")
    session.save(Path("session.json"))
    PlaySession(Model(trained)).load(Path("session.json"))
    remove(run)
    with pytest.raises(DataError, match="another model"):
        PlaySession(Model(run)).load(Path("session.json"))
