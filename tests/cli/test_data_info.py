"""`rhapsode data info`, as it is typed."""

import json
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from rhapsode.views.blocks import bar, visible
from tests.cli.conftest import Cli

SECTIONS = ("Characters", "Lengths", "Vocabulary", "Splits", "rhapsode train would choose")


@pytest.mark.parametrize("columns", ["60", "80", "100", "200"])
def test_the_report_fits(cli: Cli, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    Path("红楼.txt").write_text("满纸荒唐言，一把辛酸泪。都云作者痴，谁解其中味？\n" * 90)
    for source in ("kitchen", "红楼.txt"):
        shown = cli("data", "info", source)
        assert shown.code == 0, shown.err
        assert all(section in shown.out for section in SECTIONS)
        assert max(map(cell_len, shown.out.splitlines())) <= min(100, int(columns))
    assert "Han" in shown.out


def test_one_json_object(cli: Cli) -> None:
    found = json.loads(cli("data", "info", "kitchen", "--json").out)
    assert found["documents"] == 10_000
    assert found["training"]["encoding"] == "characters.v1"
    told = json.loads(
        cli(
            "data", "info", "kitchen", "--encoding", "words", "--set", "lowercase=true", "--json"
        ).out
    )
    assert told["vocabulary"]["encoding"] == "words.v1"
    assert told["vocabulary"]["reason"] == "as requested"
    assert told["vocabulary"]["settings"]["lowercase"] is True
    assert told["vocabulary"]["size"] < 1000 < told["vocabulary"]["elements"]


def test_source_flags(cli: Cli) -> None:
    lines = [{"title": f"Soup {number}"} for number in range(60)]
    Path("a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "{}\n")
    flags = ("--field", "title", "--limit", "50")
    assert json.loads(cli("data", "info", "a.jsonl", *flags, "--json").out)["documents"] == 50
    all_of_them = cli("data", "info", "a.jsonl", "--field", "title")
    assert "1 record left out" in all_of_them.out


def test_a_picture(cli: Cli) -> None:
    pytest.importorskip("matplotlib")
    Path("$5 红楼.txt").write_text("To be, or not to be?\n" * 300)
    for name in ("a.png", "b.PNG", "c.svg"):
        drawn = cli("data", "info", "$5 红楼.txt", "--plot", name)
        assert drawn.code == 0, drawn.err
        assert name in drawn.err
    assert Path("a.png").read_bytes() == Path("b.PNG").read_bytes()
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert Path("c.svg").read_text().startswith("<?xml")
    Path("x.txt").write_text("x")
    assert cli("data", "info", "x.txt", "--plot", "x.png").code == 0


def test_pictures_that_cannot_be(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, why in (("a.gif", ".png or an .svg"), ("none/a.png", "there is no folder none")):
        # The source is not looked at: it does not exist either.
        wrong = cli("data", "info", "no-such-source", "--plot", name)
        assert wrong.code == 1
        assert why in wrong.err
        assert wrong.out == ""
    assert "has no picture" in cli("data", "show", "kitchen", "--plot", "a.png").err
    assert "data info needs a source" in cli("data", "info").err
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    lacking = cli("data", "info", "no-such-source", "--plot", "a.png")
    assert lacking.code == 1
    assert "pip install 'rhapsode[plots]'" in lacking.err


def test_a_tiny_source_says_why_it_is_too_small(cli: Cli) -> None:
    Path("a.txt").write_text("One.\n")
    shown = cli("data", "info", "a.txt")
    assert shown.code == 0
    assert "too little to learn from" in shown.out


def test_bars_and_elements() -> None:
    assert bar(0.5, 4) == "██"
    assert bar(1e-9, 4) == "▏"
    assert bar(0.0, 4) == ""
    assert visible(" a\n") == "␣a↵"
    assert visible("\u0301") == "◌\u0301"
    assert bar(1.0, 4, full=2.0) == "██"
    assert bar(3.0, 4, full=2.0) == "████"
