"""`rhapsode generate` and its engines."""

import subprocess
import sys
from pathlib import Path

import pytest

from rhapsode.bundle import Bundle
from rhapsode.bundle.mixed_predictor import MixedPredictor
from rhapsode.bundle.torch_predictor import TorchPredictor
from rhapsode.generation.compiled.mixed import CompiledMixedPredictor
from rhapsode.generation.compiled.predictor import CompiledPredictor
from rhapsode.workflows.model import Model
from tests.cli.conftest import Cli

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
    taken = Model.predictor_for

    def noted(self: Model, *asked: object) -> object:
        predictor = taken(self, *asked)  # type: ignore[arg-type]
        assert isinstance(predictor, MixedPredictor)
        used.append((type(predictor), type(predictor.network)))
        return predictor

    monkeypatch.setattr(Model, "predictor_for", noted)
    texts = {}
    for engine, kind in (
        ("auto", (CompiledMixedPredictor, CompiledPredictor)),
        ("compiled", (CompiledMixedPredictor, CompiledPredictor)),
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


def test_the_compiled_engine_refuses_what_it_has_no_form_of(
    cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(bundle: Bundle) -> str:
        return "it has no form of x"

    monkeypatch.setattr("rhapsode.generation.compiled.layout.unsupported", none)
    refused = cli("generate", str(run_folder), "--length", "5", "--engine", "compiled")
    assert refused.code == 1
    assert "the compiled engine cannot run this model: it has no form of x" in refused.err
    assert cli("generate", str(run_folder), "--length", "5", "--engine", "auto").code == 0


def test_a_text_that_stops_is_cut_alike_by_both_engines(cli: Cli, run_folder: Path) -> None:
    asked = ("generate", str(run_folder), "The ", "--length", "90", "--seed", "2", "--stop", "e")
    one, other = (cli(*asked, "--engine", engine).out for engine in ("compiled", "torch"))
    assert one == other
    assert "e" not in one.removeprefix("The ")
