"""`rhapsode evaluate`, `info`, `data`, `demo`, and what the bare command says."""

import json
import math
from pathlib import Path

import pytest

from rhapsode import __version__
from rhapsode.cli.main import COMMANDS
from tests.cli.conftest import Cli


def test_evaluate(cli: Cli, run_folder: Path, prose: str) -> None:
    Path("text.txt").write_text(prose[:3000], encoding="utf-8")
    done = cli("evaluate", str(run_folder), "text.txt", "--json")
    figures = json.loads(done.out)
    assert figures["elements"] == 3001
    assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]))
    bits = figures["loss"] * 3001 / math.log(2)
    assert figures["bits_per_character"] == pytest.approx(bits / 3000)
    assert figures["bits_per_byte"] == pytest.approx(bits / len(prose[:3000].encode()))
    assert set(figures["baselines"]) >= {"uniform", "unigram", "ngram"}
    assert figures["protocol"]["context"].startswith("carried")
    shown = cli("evaluate", str(run_folder), "text.txt")
    assert f"{figures['loss']:.4f}" in shown.out


def test_evaluate_charges_unknown_characters(cli: Cli, run_folder: Path) -> None:
    Path("text.txt").write_text("The 中文 text", encoding="utf-8")
    figures = json.loads(cli("evaluate", str(run_folder), "text.txt", "--json").out)
    assert figures["unknown_rate"] == pytest.approx(2 / 12)
    assert math.isfinite(figures["loss"])


def test_evaluate_without_anything_to_score(cli: Cli, run_folder: Path) -> None:
    assert cli("evaluate", str(run_folder)).code == 1
    Path("empty").write_bytes(b"")
    assert "the file is empty" in cli("evaluate", str(run_folder), "empty").err


def test_info(cli: Cli, run_folder: Path) -> None:
    facts = json.loads(cli("info", str(run_folder), "--json").out)
    assert facts["config"]["model"]["name"] == "lstm.v1"
    sizes = [math.prod(shape) for shape in facts["arrays"].values()]
    assert facts["parameters"] == sum(sizes)
    shown = cli("info", str(run_folder)).out
    assert "model.weight_hh_l0" in shown
    assert "96 x 24" in shown


def test_data_list(cli: Cli) -> None:
    assert "python-docs" in cli("data", "list").out
    assert "python-code" in json.loads(cli("data", "list", "--json").out)


def test_demo(cli: Cli) -> None:
    done = cli("demo", "--budget", "4s", "--output", "shown")
    assert done.code == 0
    for temperature in ("0.5", "0.8", "1.1"):
        assert f"temperature {temperature}" in done.out
    assert "what to type next" in done.out
    assert "rhapsode generate shown" in done.out
    assert "perplexity" in done.err
    assert Path("shown/summary.json").exists()


def test_the_bare_command(cli: Cli) -> None:
    assert cli("--version").out == f"rhapsode {__version__}\n"
    listing = cli("--help")
    assert listing.code == 0
    assert all(f"  {name} " in listing.out for name in COMMANDS)
    assert cli().code == 2


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help(cli: Cli, name: str) -> None:
    done = cli(name, "--help")
    assert done.code == 0
    assert f"usage: rhapsode {name}" in done.out
    assert "{None}" not in done.out
