"""`rhapsode encode` and `rhapsode data show|fetch`: the elements, their ids, and what is unknown."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import QUICK, Cli


def test_encode(cli: Cli, run_folder: Path) -> None:
    shown = json.loads(cli("encode", str(run_folder), "The é", "--json").out)
    assert shown["elements"][:3] == ["T", "h", "e"]
    assert shown["ids"][-1] == 1
    assert shown["unknown"] == ["é"]
    plain = cli("encode", str(run_folder), "The é").out
    assert "5 elements, 1 of them unknown: 'é'" in plain
    assert "␣" in plain


def test_encode_reads_standard_input(
    cli: Cli, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("abc", encoding="utf-8")
    with (tmp_path / "text").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert "3 elements" in cli("encode", str(run_folder)).out


def test_data_show(cli: Cli) -> None:
    first = json.loads(cli("data", "show", "kitchen", "--json").out)
    third = json.loads(cli("data", "show", "kitchen", "--document", "2", "--json").out)
    assert first["text"] != third["text"]
    assert first["log_prob"] < 0
    assert first["record"]["title"] == first["text"].split("\n")[0]
    assert first["documents"] == 10_000
    assert first["encoding"] == "characters.v1"
    words = json.loads(
        cli(
            "data", "show", "kitchen", "--encoding", "words", "--set", "lowercase=true", "--json"
        ).out
    )
    assert words["encoding"] == "words.v1"
    assert all(element == element.lower() for element in words["elements"])
    assert "log-probability under the grammar" in cli("data", "show", "kitchen").out


def test_data_show_of_what_is_not_there(cli: Cli) -> None:
    assert "data show needs a source" in cli("data", "show").err
    Path("a.txt").write_text("abc")
    assert "numbered 0 to 0" in cli("data", "show", "a.txt", "--document", "5").err
    assert "unknown encoding" in cli("data", "show", "a.txt", "--encoding", "runes").err


def test_data_fetch(cli: Cli, shared_data: Path) -> None:
    assert cli("data", "fetch", "tinyshakespeare").out.endswith("tinyshakespeare/input.txt\n")
    assert "embedded" in cli("data", "fetch", "kitchen").out
    assert "there is no corpus 'tiny'" in cli("data", "fetch", "tiny").err


def test_unseen_words_of_a_prompt(cli: Cli, prose_file: Path) -> None:
    cli("train", str(prose_file), "-o", "run", "--steps", "3", "--encoding", "words", *QUICK)
    done = cli("generate", "run", "The xyzzy", "--length", "40", "--seed", "1")
    assert done.code == 0
    assert "has no element for 'xyzzy'" in done.err
    assert done.out.startswith("The xyzzy")
    assert "\N{REPLACEMENT CHARACTER}" not in done.out
    dropped = cli("generate", "run", "The xyzzy", "--length", "4", "--unknown", "skip")
    assert dropped.err.startswith("seed")
    assert dropped.out.startswith("The")
