"""`rhapsode generate` and its engines."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rhapsode.bundle import IdBundle
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.bundle.network import Network
from rhapsode.bundle.torch_predictor import TorchPredictor
from rhapsode.engine import compiled_predictor as predictor
from rhapsode.engine import compiled_writing
from rhapsode.engine.compiled_predictor import CompiledPredictor
from rhapsode.engine.compiled_steps import Entries
from rhapsode.modalities.text.model import TextModel
from tests.cli.conftest import QUICK, Cli

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise ImportError("torch is blocked")
sys.meta_path.insert(0, Blocked())
from rhapsode.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def blocked(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process that cannot import torch."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_generate_needs_no_torch(cli: Cli, run_folder: Path) -> None:
    asked = ("generate", str(run_folder), "The ", "--length", "60", "--seed", "4", "--top-k", "20")
    alone = blocked(*asked)
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout.startswith("The ")
    assert cli(*asked).out == alone.stdout
    refused = blocked(*asked, "--engine", "torch")
    assert refused.returncode != 0
    assert "torch is blocked" in refused.stderr


def test_engine_says_what_computes(
    cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[type, type]] = []
    taken = TextModel.predictor_for

    def noted(self: TextModel, *asked: Any, **how: Any) -> object:
        predictor = taken(self, *asked, **how)
        assert isinstance(predictor, MixedPredictor)
        used.append((type(predictor), type(predictor.network)))
        return predictor

    monkeypatch.setattr(TextModel, "predictor_for", noted)
    texts = {}
    for engine, kind in (
        ("auto", (MixedPredictor, CompiledPredictor)),
        ("compiled", (MixedPredictor, CompiledPredictor)),
        ("torch", (MixedPredictor, TorchPredictor)),
    ):
        used.clear()
        found = cli(
            "generate", str(run_folder), "--length", "50", "--seed", "1", "--engine", engine
        )
        assert found.code == 0
        assert set(used) == {kind}
        texts[engine] = found.out
    assert texts["auto"] == texts["compiled"]
    # Both draw with the same uniforms: they part at a near-tie at the earliest.
    assert texts["torch"][:20] == texts["auto"][:20]


def test_another_device_generates_and_scores_in_torch(
    cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first core stands for another device: PyTorch tells it from the CPU."""
    asked = ("generate", str(run_folder), "The ", "--length", "30", "--seed", "1")
    scored = ("evaluate", str(run_folder), "--split", "test", "--json")
    plain, figures = cli(*asked), json.loads(cli(*scored).out)
    assert cli(*asked, "--device", "cpu").out == plain.out
    for command in (asked, scored):
        refused = cli(*command, "--device", "cuda")
        assert (refused.code, "no device cuda" in refused.err) == (1, True)
        assert refused.err.splitlines()[-1].startswith("error: device: ")
    places: list[Any] = []
    make = TorchPredictor.__init__

    def noted(self: TorchPredictor, network: Any, vocab_size: int) -> None:
        places.append(moved[-1])
        make(self, network, vocab_size)

    moved: list[Any] = []
    move = Network.to
    other = torch.device("cpu", 0)
    monkeypatch.setattr("rhapsode.bundle.device.choose_device", lambda _: other)
    monkeypatch.setattr(Network, "to", lambda self, to: moved.append(to) or move(self, to))
    monkeypatch.setattr(TorchPredictor, "__init__", noted)
    assert cli(*asked, "--device", "cuda").out[:20] == plain.out[:20]
    assert json.loads(cli(*scored, "--device", "cuda").out)["loss"] == figures["loss"]
    assert places == [other, other]
    both = cli(*asked, "--device", "cuda", "--engine", "compiled")
    assert (both.code, "does not run on cuda" in both.err) == (1, True)


def test_the_compiled_engine_refuses_what_it_has_no_form_of(
    cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(bundle: IdBundle) -> str:
        return "no implementation of x"

    monkeypatch.setattr("rhapsode.engine.packed_weights.unsupported", none)
    refused = cli("generate", str(run_folder), "--length", "5", "--engine", "compiled")
    assert refused.code == 1
    assert "the compiled engine cannot run this model: no implementation of x" in refused.err
    assert cli("generate", str(run_folder), "--length", "5", "--engine", "auto").code == 0


def test_a_text_that_stops_is_cut_alike_by_both_engines(cli: Cli, run_folder: Path) -> None:
    asked = ("generate", str(run_folder), "The ", "--length", "90", "--seed", "2", "--stop", "e")
    one, other = (cli(*asked, "--engine", engine).out for engine in ("compiled", "torch"))
    assert one == other
    assert "e" not in one.removeprefix("The ")


@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_weights_of_fewer_bits_write_and_tell_what_they_cost(
    cli: Cli, run_folder: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[str] = []
    made = predictor.compiled_predictor

    def noted(*asked: Any, **how: Any) -> CompiledPredictor:
        kinds.append(how["weights"])
        return made(*asked, **how)

    monkeypatch.setattr(predictor, "compiled_predictor", noted)
    asked = ("generate", str(run_folder), "The ", "--length", "60", "--seed", "4")
    plain = cli(*asked)
    assert "weights" not in plain.err
    kinds.clear()
    found = cli(*asked, "--weights", weights)
    assert found.code == 0
    assert sorted(kinds) == sorted([weights, "float32"])
    assert found.out[:20] == plain.out[:20]
    assert "rounded weights cost" in found.err
    assert "nats per element on 256 generated elements" in found.err


def test_weights_are_those_of_the_compiled_engine(
    cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("generate", str(run_folder), "--length", "5", "--weights", "int8")
    refused = cli(*asked, "--engine", "torch")
    assert refused.code == 1
    assert "the torch engine has no int8 weights" in refused.err
    monkeypatch.setattr(
        "rhapsode.engine.packed_weights.unsupported", lambda _: "no implementation of x"
    )
    refused = cli(*asked)
    assert refused.code == 1
    assert "--weights" in refused.err
    assert "no implementation of x" in refused.err


def test_threads_write_the_same(
    cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    split = compiled_writing.parts_of

    def noted(rows: int, count: int) -> list[range]:
        threads.append(count)
        return split(rows, count)

    monkeypatch.setattr(compiled_writing, "parts_of", noted)
    asked = ("generate", str(run_folder), "--length", "40", "--seed", "4", "--count", "20")
    one, two = (cli(*asked, "--threads", count).out for count in ("1", "2"))
    assert threads == [1, 2]
    assert one == two
    assert "threads" in cli(*asked, "--threads", "0").err


def test_evaluate_tells_what_weights_of_fewer_bits_lose(
    cli: Cli, run_folder: Path, prose: str, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text(prose[:4000], encoding="utf-8")
    asked = ("evaluate", str(run_folder), str(tmp_path / "text.txt"))
    assert json.loads(cli(*asked, "--json").out)["reduced"] is None
    found = json.loads(cli(*asked, "--json", "--weights", "int8").out)
    reduced = found["reduced"]
    assert reduced["weights"] == "int8"
    assert reduced["elements"] == found["elements"]
    assert reduced["float32"] == pytest.approx(found["loss"], abs=1e-5)
    assert reduced["loss"] != reduced["float32"]
    assert reduced["loss"] == pytest.approx(reduced["float32"], abs=0.01)
    said = cli(*asked, "--weights", "bf16").out
    assert "with bf16 weights" in said


def test_what_writes_is_compiled_when_training_ends_and_says_so(
    cli: Cli, tmp_path: Path, prose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "time", predictor.time)
    monkeypatch.setattr(predictor, "entries_for", _slow(predictor.entries_for))
    (tmp_path / "text.txt").write_text(prose, encoding="utf-8")
    trained = cli("train", "text.txt", "-o", "run", "--steps", "2", *QUICK)
    assert trained.code == 0, trained.err
    assert trained.err.count("compiled the generator (7 s, once per machine)") == 1
    assert "compiled" not in cli("next", "run", "T").err


def _slow(entries: Any) -> Any:
    """Entries as they are when nothing was kept of them yet, on a clock of seven seconds."""
    real = time.perf_counter

    def found(*asked: Any) -> Entries:
        made: Entries = entries(*asked)
        predictor.time = SimpleNamespace(perf_counter=lambda: real() + 7.0)  # type: ignore[assignment]
        return replace(made, compiled=2)

    return found
