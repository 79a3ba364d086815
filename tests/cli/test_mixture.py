"""The counts of a run as a part of what predicts: fitted, reported, used, and missed where they are gone."""

import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from rhapsode import load
from rhapsode.bundle import Calibration, Mixture, read_bundle, write_bundle
from rhapsode.bundle import element_facts as id_facts
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.cli.main import main
from rhapsode.counts import NGramModel
from rhapsode.counts.ngram_file import unpacked
from rhapsode.errors import BundleError, DataError
from rhapsode.evaluation import in_context, part_losses
from rhapsode.modalities.ids.counting.ngram_sidecar import ngram_part
from rhapsode.modalities.session import PlaySession
from rhapsode.modalities.text.model import TextModel
from rhapsode.workflows.runs.run import prepare_training
from tests.cli.conftest import Cli
from tests.cli.test_engine import blocked
from tests.counts.test_ngram_file import packed_anyhow

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


def train_in(base: Path, patch: pytest.MonkeyPatch) -> Path:
    (base / "text.txt").write_text(dialects(0))
    patch.setenv("RHAPSODE_CACHE", str(base / "cache"))
    assert main(["train", str(base / "text.txt"), "-o", str(base / "run"), *QUICK]) == 0
    return base / "run"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network and whose counts each know what the other does not."""
    with pytest.MonkeyPatch.context() as patch:
        found = train_in(tmp_path_factory.mktemp("mixed"), patch)
    assert not (found / "ngram.safetensors").exists()
    return found


@pytest.fixture(scope="module")
def trained_beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with its counts beside the model file, as if they were too large for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(id_facts, "MOST_INSIDE", 0)
        found = train_in(tmp_path_factory.mktemp("beside"), patch)
    assert (found / "ngram.safetensors").exists()
    assert read_bundle(found).facts.ngram is None
    return found


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of a run to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def beside(trained_beside: Path, tmp_path: Path) -> Path:
    """A copy of a run with a sidecar, to be changed."""
    return Path(shutil.copytree(trained_beside, tmp_path / "beside"))


def summary_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def change(run: Path, mixture: Mixture | None) -> None:
    bundle = read_bundle(run)
    write_bundle(run / "model.safetensors", replace(bundle, calibration=Calibration(mixture)))


def rewrite(run: Path, harm: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> Path:
    """Write the model file of a run again, its metadata and arrays changed by hand."""
    path = run / "model.safetensors"
    with safe_open(path, framework="np") as file:
        kept = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    plain = ("format", "format_version", "modality")
    entries = {name: json.loads(text) for name, text in kept.items() if name not in plain}
    harm(entries, arrays)
    texts = {name: json.dumps(value) for name, value in entries.items()}
    save_file(arrays, path, metadata={**kept, **texts})
    return path


def generated(cli: Cli, run: Path, *more: str) -> str:
    done = cli("generate", str(run), "ab", "--length", "60", "--seed", "3", *more)
    assert done.code == 0, done.err
    return done.out


def test_the_figures_are_those_of_the_mixture_and_beside_them_those_of_its_parts(
    trained: Path,
) -> None:
    summary = summary_of(trained)
    mixture, network = summary["mixture"], summary["network"]
    assert len(mixture["adapting"]) > len(mixture["weights"]) > 50
    assert len({*mixture["weights"]}) > 20
    assert mixture["validation_loss"] < mixture["network_validation_loss"] - 0.002
    assert mixture["validation_loss"] < mixture["ngram_validation_loss"]
    # Fitted weights are better than those of training.
    assert mixture["validation_loss"] < summary["validation_loss"] + 5e-3
    assert mixture["reason"] is None
    assert summary["loss"] < network["loss"]
    assert np.exp(network["loss"]) == pytest.approx(network["perplexity"])
    ratio = network["loss"] / summary["loss"]
    assert network["bits_per_byte"] == pytest.approx(ratio * summary["bits_per_byte"])
    bundle = read_bundle(trained)
    assert bundle.calibration.mixture is not None
    assert json.loads(json.dumps(asdict(bundle.calibration.mixture))) == mixture
    assert bundle.provenance.test is not None
    assert bundle.provenance.test["network"]["loss"] == network["loss"]


def test_the_figures_are_what_one_finds_by_hand(trained: Path) -> None:
    training = prepare_training(
        (str(trained.parent / "text.txt"),),
        {"steps": 1, "network": {"hidden_size": 8}, "training": {"precision": "float32"}},
        output=str(trained.parent / "never"),
    )
    test = training.run.planned.corpus.test
    model = TextModel(trained)
    predictor = model.scorer
    assert isinstance(predictor, MixedPredictor)
    batches = in_context(test.elements_N, test.starts, model.bundle.context, lanes=1)
    network_N, mixed_N = part_losses(predictor, batches, model.bundle.context, elements=len(test))
    summary = summary_of(trained)
    text_N, state = np.asarray(test.elements_N, dtype=np.int64), predictor.start(1)
    for t, target in enumerate(text_N[:150]):
        read = text_N[t - 1] if t else 0
        following, state = predictor.advance(np.array([[read]]), state)
        assert mixed_N[t] == pytest.approx(-following.log_prob(np.array([target]))[0], abs=1e-4)
    assert summary["loss"] == pytest.approx(mixed_N.mean(), abs=1e-5)
    assert summary["network"]["loss"] == pytest.approx(network_N.mean(), abs=1e-5)
    assert summary["baselines"]["ngram"] == pytest.approx(predictor.ngram.loss(text_N), abs=1e-3)


def test_it_is_told_wherever_figures_are(cli: Cli, trained: Path) -> None:
    summary = summary_of(trained)
    alone = f"{summary['network']['loss']:.4f}"
    card = (trained / "README.md").read_text()
    assert f"| the network alone | {alone} |" in card
    assert "the n-gram alone (order" in card
    assert f"test, mixed <tspan" in (trained / "curve.svg").read_text()  # noqa: F541
    weights = summary["mixture"]["weights"]
    named = rf"mixed with counts +{len(weights)} weights  \({summary['mixture']['ngram'][:12]}\)"
    assert re.search(named, cli("info", str(trained)).out)
    facts = json.loads(cli("info", str(trained), "--json").out)
    assert facts["provenance"]["mixture"]["weights"] == weights
    Path("some.txt").write_text(dialects(0)[:600])
    shown = cli("evaluate", str(trained), "some.txt").out
    assert re.search(r"the network alone +\d", shown)
    assert re.search(r"the n-gram alone \(.*\) +\d", shown)
    figures = json.loads(cli("evaluate", str(trained), "some.txt", "--json").out)
    assert figures["loss"] < figures["network"]["loss"]


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
    assert " ".join(shown.split()).count("mixed with counts") == 1


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
    mixture = summary_of(trained)["mixture"]
    change(run, Mixture((1.0, *[0.0] * (len(mixture["weights"]) - 1)), (), mixture["ngram"]))
    assert isinstance(TextModel(run).predictor, MixedPredictor)
    without = generated(cli, run, *more)
    change(run, Mixture())
    assert generated(cli, run, *more) == without


def test_raw_probabilities_of_next_and_of_a_trace_are_the_mixtures(cli: Cli, trained: Path) -> None:
    model = TextModel(trained)
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


def test_counts_adapt_where_asked(cli: Cli, trained: Path, run: Path) -> None:
    phrase = "qzjxvwkpqyfbgm"  # which no dialect has
    Path("some.txt").write_text((phrase + "\n") * 12)
    found = json.loads(cli("evaluate", str(trained), "some.txt", "--adapt", "--json").out)
    assert found["adapting"]["loss"] < found["loss"] - 0.5
    assert found["adapting"]["elements"] == found["elements"]
    told = json.loads(cli("evaluate", str(trained), "some.txt", "--json").out)
    assert told["adapting"] is None
    assert told["loss"] == found["loss"]
    prompt = (phrase + "\n") * 8 + phrase[:5]
    asked = (str(trained), prompt, "--length", "9", "--temperature", "0", "--only-new")
    texts = [
        cli("generate", *asked, *more).out.strip()
        for more in (("--adapt",), ("--adapt", "--engine", "torch"), ())
    ]
    assert texts[0] == texts[1] == phrase[5:]
    assert texts[2] != texts[0]
    shares = []
    for more in ((), ("--adapt",)):
        shown = json.loads(cli("next", str(trained), prompt, "--json", *more).out)["next"][0]
        shares.append({each["text"]: each["share"] for each in shown["top"]}.get(phrase[5], 0.0))
    assert shares[1] > shares[0] + 0.2
    change(run, None)
    for command in ("generate", "next"):
        done = cli(command, str(run), "ab", "--adapt")
        assert done.code == 1
        assert "this model cannot adapt" in done.err


def test_models_are_compared_with_counts_that_adapt(cli: Cli, trained: Path, run: Path) -> None:
    Path("some.txt").write_text(("qzjxvwkpqyfbgm" + "\n") * 40)
    bundle = read_bundle(run)
    assert bundle.mixture is not None
    half = tuple(0.5 * weight for weight in bundle.mixture.adapting)
    change(run, replace(bundle.mixture, adapting=half))
    compared = ("compare", str(trained), str(run), "--on", "some.txt", "--json")
    rows = {
        adapts: json.loads(cli(*compared, *(["--adapt"] * adapts)).out)["rows"]
        for adapts in (False, True)
    }
    for adapts, found in rows.items():
        assert [row["adapting"] for row in found] == [adapts, adapts]
    assert rows[False][0]["figures"]["loss"] == rows[False][1]["figures"]["loss"]
    for row in rows[True]:
        done = cli("evaluate", row["model"], "some.txt", "--adapt", "--json")
        told = json.loads(done.out)
        assert row["figures"]["loss"] == pytest.approx(told["adapting"]["loss"], abs=1e-6)
        assert row["figures"]["protocol"]["context"] == told["adapting"]["protocol"]
        assert row["figures"]["loss"] < told["loss"] - 0.5
    assert "counts that adapt" in cli(*compared[:-1], "--adapt").out
    change(run, None)
    refused = cli(*compared, "--adapt")
    assert refused.code == 1
    assert f"{run}: adapt: this model cannot adapt" in refused.err


def test_what_network_and_counts_contribute(cli: Cli, trained: Path, run: Path) -> None:
    (shown,) = json.loads(cli("next", str(trained), "ab", "--json", "--top", "40").out)["next"]
    for row in shown["top"]:
        parts = row["parts"]
        assert parts["mixture"] == pytest.approx(row["raw_share"], rel=1e-4)
        gain = np.log(parts["mixture"]) - np.log(parts["network"])
        assert sum(parts["nats"].values()) == pytest.approx(gain, abs=1e-9)
    assert {"network", "frequency", "context_1", "word"} <= {*parts["nats"]}
    for name in ("network", "counts", "mixture"):
        unknown = 1 - sum(row["parts"][name] for row in shown["top"])
        assert -1e-9 < unknown < 0.01
    table = cli("next", str(trained), "ab").out
    assert re.search(r"network +counts +both +weight +0-2 +3-4 +5\+ +word", table)
    asked = ("ab", "--length", "3", "--seed", "3", "--trace", "2", "--format", "jsonl")
    for each in json.loads(cli("generate", str(trained), *asked).out)["trace"]:
        one = each["contribution"]
        assert one["mixture"] == pytest.approx(each["raw_log_prob"], abs=1e-4)
        assert sum(one["nats"].values()) == pytest.approx(one["mixture"] - one["network"], abs=1e-9)
        assert len(each["top_contributions"]) == len(each["top"]) == 2
    Path("some.txt").write_text(dialects(0)[-2500:])
    found = json.loads(cli("evaluate", str(trained), "some.txt", "--json").out)
    parts = found["parts"]
    assert parts["elements"] == found["elements"]
    assert parts["loss"] == pytest.approx(found["loss"], abs=2e-3)
    assert parts["network"] == pytest.approx(found["network"]["loss"], abs=2e-3)
    assert parts["network_nearer"] + parts["counts_nearer"] + parts["equal"] == pytest.approx(1)
    assert min(parts["network_nearer"], parts["counts_nearer"]) > 0.02
    assert parts["lost_without"]["network"] > 0.1
    told = cli("evaluate", str(trained), "some.txt").out
    assert "nearer to the truth: the network" in told
    assert "nats lost without: " in told
    change(run, None)
    (shown,) = json.loads(cli("next", str(run), "ab", "--json").out)["next"]
    assert "parts" not in shown["top"][0]
    assert "counts" not in cli("next", str(run), "ab").out
    line = json.loads(cli("generate", str(run), *asked).out)
    assert "contribution" not in line["trace"][0]
    assert json.loads(cli("evaluate", str(run), "some.txt", "--json").out)["parts"] is None


def test_a_session_adapts_from_its_beginning(
    cli: Cli, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phrase = "qzjxvwkpqyfbgm"
    lines = tmp_path / "lines.txt"
    lines.write_text("\n/set adapt false\n", encoding="utf-8")
    prompt = (phrase + "\n") * 8 + phrase[:5]
    asked = (str(trained), prompt, "--seed", "1", "--set", "length=9", "--set", "temperature=0")
    said = []
    for more in (("--adapt",), ()):
        with lines.open() as typed:
            monkeypatch.setattr("sys.stdin", typed)
            done = cli("play", *asked, *more)
        said.append(phrase[5:] in done.out)
        assert ("adapts from its beginning" in done.out + done.err) == bool(more)
    assert said == [True, False]


# What is missing

ALONE = "metrics and text are those of the network alone"


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
    beside: Path,
    harm: Callable[[Path], None],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = beside
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
    for command in (("next", str(run), "ab"), ("play", str(run), "--set", "length=3")):
        assert cli(*command).err.count(ALONE) == 1
    assert load(run).alone is not None


def test_a_model_file_without_its_folder_writes(
    cli: Cli, trained_beside: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(trained_beside / "model.safetensors", "plain.safetensors")
    done = cli("generate", "plain.safetensors", "ab", "--length", "20", "--seed", "1")
    assert done.code == 0
    assert ALONE in done.err
    model = TextModel("plain.safetensors")
    with caplog.at_level("INFO", "rhapsode"):
        for engine in ("auto", "torch", "compiled"):
            model.predictor_for(engine)
    assert len(caplog.messages) == 1


def test_weights_changed_by_hand_are_used(cli: Cli, trained: Path, run: Path) -> None:
    mixture = read_bundle(run).calibration.mixture
    assert mixture is not None
    weights = tuple(0.5 * weight + 0.5 * (at == 0) for at, weight in enumerate(mixture.weights))
    change(run, replace(mixture, weights=weights))
    predictor = TextModel(run).scorer
    assert isinstance(predictor, MixedPredictor)
    assert predictor.weights == weights
    Path("some.txt").write_text(dialects(0)[:600])
    one, other = (
        json.loads(cli("evaluate", str(path), "some.txt", "--json").out) for path in (trained, run)
    )
    assert one["network"] == other["network"]
    assert one["loss"] < other["loss"] < other["network"]["loss"]


@pytest.mark.parametrize(
    ("mixture", "told"),
    [
        (5, "setting 'mixture': expected a table"),
        ({"weights": 2}, "setting 'mixture.weights': expected a list"),
        ({"weights": [True]}, "setting 'mixture.weights[0]': expected a number"),
        ({"weights": ["all"]}, "setting 'mixture.weights[0]': expected a number"),
        ({"weights": [0.5]}, "its mixture does not name its n-gram model"),
        ({"weights": [-1e9]}, "setting 'mixture.weights[0]'"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(run: Path, mixture: object, told: str) -> None:
    path = rewrite(run, lambda entries, _: entries.update(calibration={"mixture": mixture}))
    with pytest.raises(BundleError) as caught:
        read_bundle(run)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


def test_a_mixture_by_one_share_is_refused_in_plain_words(cli: Cli, run: Path) -> None:
    """Files of this kind were written before counts became experts."""
    mixture = {
        "share": 0.35, "ngram": "3b7995f934ef", "validation_loss": 1.5,
        "network_validation_loss": 1.6, "ngram_validation_loss": 1.8, "reason": None,
    }  # fmt: skip
    path = rewrite(run, lambda entries, _: entries.update(calibration={"mixture": mixture}))
    done = cli("generate", str(run), "ab")
    assert done.code == 1
    assert (
        f"{path}: calibration: mixture.share: its network and counts are mixed by one" in done.err
    )
    assert "train it again on the same data" in done.err


# Counts inside the model file


def test_counts_inside_and_beside_are_one_mixture(trained: Path, trained_beside: Path) -> None:
    inside, beside = TextModel(trained), TextModel(trained_beside)
    assert inside.bundle.calibration == beside.bundle.calibration
    ids_1T = np.array([[0, *inside.bundle.encoder.encode("ab").astype(np.int64)]])
    for engine in ("compiled", "torch"):
        first, second = (model.predictor_for(engine) for model in (inside, beside))
        assert isinstance(first, MixedPredictor)
        one, _ = first.advance(ids_1T, first.start(1))
        other, _ = second.advance(ids_1T, second.start(1))
        np.testing.assert_array_equal(one.logits_BV, other.logits_BV)


def test_a_model_file_away_from_its_folder_predicts_as_the_mixture(cli: Cli, trained: Path) -> None:
    shutil.copy(trained / "model.safetensors", "away.safetensors")
    away, home = TextModel("away.safetensors"), TextModel(trained)
    assert away.alone is None
    ids_2T = np.array([[0, *home.bundle.encoder.encode(text)] for text in ("abcdef", "zyxwvu")])
    for engine in ("compiled", "torch"):
        one, other = (model.predictor_for(engine) for model in (away, home))
        assert isinstance(one, MixedPredictor)
        assert isinstance(other, MixedPredictor)
        assert one.weights == other.weights == tuple(summary_of(trained)["mixture"]["weights"])
        assert one.ngram.fingerprint == other.ngram.fingerprint
        found, state = one.advance(ids_2T.astype(np.int64), one.start(2))
        wanted, kept = other.advance(ids_2T.astype(np.int64), other.start(2))
        np.testing.assert_array_equal(found.logits_BV, wanted.logits_BV)
        found, _ = one.advance(ids_2T[:, 1:2].astype(np.int64), state)
        wanted, _ = other.advance(ids_2T[:, 1:2].astype(np.int64), kept)
        np.testing.assert_array_equal(found.logits_BV, wanted.logits_BV)
    asked = ("ab", "--length", "60", "--seed", "3")
    done = cli("generate", "away.safetensors", *asked)
    assert done.code == 0
    assert "warning" not in done.err
    assert done.out == generated(cli, trained)
    Path("some.txt").write_text(dialects(0)[:600])
    figures = [
        json.loads(cli("evaluate", path, "some.txt", "--json").out)
        for path in ("away.safetensors", str(trained))
    ]
    for name in ("loss", "network", "baselines"):
        assert figures[0][name] == figures[1][name]
    assert figures[0]["network"] is not None


Arrays = dict[str, np.ndarray]
Entries = dict[str, Any]


def put(arrays: Arrays, name: str, at: int, value: int) -> None:
    """Change a number of the counts, to one that no honest file holds if asked to."""
    name = f"counts.ngram.{name}"
    values_M = unpacked(arrays, name)
    values_M[at] = value
    arrays |= packed_anyhow(name, values_M)


def far_element(entries: Entries, arrays: Arrays) -> None:
    put(arrays, "element_M", 5, 2**30)


def far_child(entries: Entries, arrays: Arrays) -> None:
    put(arrays, "children_M", -1, 1000)


def far_word_element(entries: Entries, arrays: Arrays) -> None:
    put(arrays, "words.element_J", -1, 1000)


def wide_word(entries: Entries, arrays: Arrays) -> None:
    put(arrays, "words.size_K", 0, 2**30)


def negative_count(entries: Entries, arrays: Arrays) -> None:
    put(arrays, "count_M", 3, -1)


def negative_ending(entries: Entries, arrays: Arrays) -> None:
    put(arrays, "ending_M", 2, -1)


def lost_word(entries: Entries, arrays: Arrays) -> None:
    del arrays["counts.ngram.words.key_K"]


def short_array(entries: Entries, arrays: Arrays) -> None:
    arrays["counts.ngram.count_M"] = arrays["counts.ngram.count_M"][:-1]


def wide_array(entries: Entries, arrays: Arrays) -> None:
    arrays["counts.ngram.children_M"] = arrays["counts.ngram.children_M"].astype(np.int64)


def flat_array(entries: Entries, arrays: Arrays) -> None:
    arrays["counts.ngram.element_M"] = arrays["counts.ngram.element_M"][None]


def lost_array(entries: Entries, arrays: Arrays) -> None:
    del arrays["counts.ngram.ending_M"]


def no_arrays(entries: Entries, arrays: Arrays) -> None:
    for name in [name for name in arrays if name.startswith("counts.ngram.")]:
        del arrays[name]


def far_order(entries: Entries, arrays: Arrays) -> None:
    entries["facts"]["ngram"]["chosen"][0] = 9


def other_smoothing(entries: Entries, arrays: Arrays) -> None:
    entries["facts"]["ngram"]["chosen"][1] = "os.system"


def no_choice(entries: Entries, arrays: Arrays) -> None:
    entries["facts"]["ngram"]["chosen"] = None


def other_levels(entries: Entries, arrays: Arrays) -> None:
    entries["facts"]["ngram"]["begin_L"][-1] += 1


DAMAGE = [
    far_element, far_child, far_word_element, wide_word, negative_count, negative_ending, lost_word, short_array,
    wide_array, flat_array, lost_array, no_arrays, far_order, other_smoothing, no_choice, other_levels,
]  # fmt: skip


@pytest.mark.parametrize("harm", DAMAGE, ids=lambda harm: harm.__name__)
def test_damaged_counts_inside_the_file_are_refused(
    cli: Cli, run: Path, harm: Callable[[Entries, Arrays], None]
) -> None:
    path = rewrite(run, harm)
    for ask in (lambda model: model.predictor, lambda model: model.scorer):
        with pytest.raises(BundleError, match="its n-gram counts are") as caught:
            ask(TextModel(path))
        assert str(caught.value).startswith(f"{path}: ")
        assert str(caught.value).isprintable()
    done = cli("generate", str(run), "ab", "--length", "5")
    assert done.code == 1
    assert done.out == ""
    (told,) = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert "n-gram counts" in told
    assert "Traceback" not in done.err


def test_counts_inside_that_nothing_describes_are_refused(run: Path) -> None:
    path = rewrite(run, lambda entries, _: entries.update(facts={}))
    with pytest.raises(BundleError, match="its n-gram counts are not described") as caught:
        read_bundle(run)
    assert str(caught.value).startswith(f"{path}: ")


def test_counts_inside_of_another_text_are_refused(cli: Cli, run: Path) -> None:
    bundle = read_bundle(run)
    encoder = bundle.encoder
    other = NGramModel.learn(encoder.encode(dialects(1)), encoder.vocab_size)
    part = ngram_part(other)
    assert part is not None
    path = run / "model.safetensors"
    write_bundle(path, replace(bundle, facts=replace(bundle.facts, ngram=part)))
    with pytest.raises(BundleError, match="n-gram counts are from another text") as caught:
        _ = TextModel(run).predictor
    assert str(caught.value).startswith(f"{path}: ")
    done = cli("generate", str(run), "ab", "--length", "5")
    assert done.code == 1
    assert "another text" in done.err


def test_other_counts_inside_of_the_same_text_are_not_mixed_in(cli: Cli, run: Path) -> None:
    bundle = read_bundle(run)
    assert bundle.facts.ngram is not None
    kept = NGramModel.from_arrays(bundle.facts.ngram.numbers, bundle.facts.ngram.arrays)
    facts = replace(bundle.facts, ngram=ngram_part(kept.view(2, "absolute")))
    write_bundle(run / "model.safetensors", replace(bundle, facts=facts))
    done = cli("generate", str(run), "ab", "--length", "60", "--seed", "3")
    assert done.code == 0
    assert done.err.count("warning") == 1
    assert ALONE in done.err
    assert "are not those that this model was mixed with" in done.err
    change(run, None)
    assert cli("generate", str(run), "ab", "--length", "60", "--seed", "3").out == done.out


def test_where_counts_lie_follows_their_size(
    trained: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = read_bundle(trained).facts.ngram
    assert part is not None
    assert part.size == sum(array.nbytes for array in part.arrays.values())
    source, asked = str(trained.parent / "text.txt"), ("-o", "run", *QUICK)
    for most, beside in ((part.size, False), (part.size - 1, True)):
        monkeypatch.setattr(id_facts, "MOST_INSIDE", most)
        assert cli("train", source, *asked).code == 0
        assert Path("run/ngram.safetensors").exists() is beside
        assert (read_bundle("run").facts.ngram is None) is beside
        assert TextModel("run").alone is None
        shutil.rmtree("run")


# The setting


def test_counts_share(cli: Cli, trained: Path) -> None:
    source = str(trained.parent / "text.txt")
    done = cli("train", source, "-o", "none", *FEW, "--set", "training.counts_share=0")
    assert done.code == 0
    summary = summary_of(Path("none"))
    assert (summary["mixture"]["weights"], summary["network"]) == ([], None)
    assert summary["baselines"]["ngram"] is not None
    assert "network alone" not in done.err
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
    assert TextModel("run").alone is None


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
        assert one["mixture"]["weights"][:3] == [0.75, 0.25, 0.25]
    assert summary["network_loss"]["mean"] > summary["loss"]["mean"]
    assert "network alone" in done.err


def test_a_saved_session_of_the_mixture_is_not_gone_on_with_by_the_network(
    cli: Cli, trained_beside: Path, beside: Path
) -> None:
    trained, run = trained_beside, beside
    session = PlaySession(TextModel(trained))
    session.add("ab")
    session.save(Path("session.json"))
    PlaySession(TextModel(trained)).load(Path("session.json"))
    remove(run)
    with pytest.raises(DataError, match="another model"):
        PlaySession(TextModel(run)).load(Path("session.json"))
