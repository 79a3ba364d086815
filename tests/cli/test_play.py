"""`rhapsode play` in a pipe: lines in, text out, the same for the same seed; and what is wrong gives a line."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Result

LINES = Path("lines")


@pytest.fixture
def feed(cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Run `rhapsode play` on the given lines."""

    def run(command: str, lines: list[str], *flags: str, seed: str | None = "5") -> Result:
        LINES.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        seeded = ("--seed", seed) if seed is not None else ()
        with LINES.open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            return cli(command, str(run_folder), "--set", "length=30", *seeded, *flags)

    return run


def test_lines_are_continued(feed, cli: Cli, run_folder: Path) -> None:
    done = feed("play", ["The ", "", "and "])
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    assert done.out == feed("play", ["The ", "", "and "]).out
    assert done.out != feed("play", ["The ", "", "and "], seed="6").out
    generated = cli("generate", str(run_folder), "The ", "--length", "30", "--seed", "5").out
    assert done.out.startswith(generated)
    assert done.out.count("and ") >= 1


def test_without_a_seed_one_is_told(feed, cli: Cli, run_folder: Path) -> None:
    first = feed("play", ["The "], seed=None)
    told = first.err.split()[1]
    assert first.err.splitlines()[0] == f"seed {told}"
    assert feed("play", ["The "], seed=told).out == first.out
    assert "--seed" in cli("play", "--help").out


def test_set(feed) -> None:
    greedy = feed("play", ["The "], "--set", "temperature=0").out
    assert feed("play", ["/set temperature 0", "The "]).out == greedy
    assert feed("play", ["/set temperature=0", "The "]).out == greedy
    assert feed("play", ["The "]).out != greedy
    shown = feed("play", ["/set", "/set top-k", "/set stop a b"])
    assert "length" in shown.out
    assert "30" in shown.out
    assert "top_k" in shown.out
    assert "stop ('a b',)" in shown.err
    wrong = feed("play", ["The "], "--set", "tempo=1")
    assert (wrong.code, wrong.out) == (1, "")
    assert "tempo" in wrong.err


def test_a_line_end_in_a_setting_of_text(feed) -> None:
    assert "stop ('\\n',)" in feed("play", ["/set stop \\n"]).err
    assert "stop ('\\n', 'b')" in feed("play", ['/set stop ["\\n", "b"]']).err
    assert "ban ('\\\\n',)" not in feed("play", ["/set ban \\\\n"]).out
    assert "regex \\n" in feed("play", ["/set regex \\n"]).err


def test_line_ends_and_slashes(feed) -> None:
    shown = feed("play", ["/set length 0", "The\\n", "//", "/set unknown skip", "a\\\\n", "/show"])
    assert shown.out.endswith("The\n/an\n")  # the model knows no backslash


def test_undo_again_and_branches(feed) -> None:
    first, second = (feed("play", ["The ", *more, "/show"]).out.splitlines() for more in ([], [""]))
    undone = feed("play", ["The ", "", "/undo", "/show"])
    assert undone.out.splitlines()[-len(first) // 2 :] == first[-len(first) // 2 :]
    assert "1 step taken back" in undone.err
    assert second != first
    gone = feed("play", ["The ", "", "/undo 2", "/show", "/undo"])
    assert "the text is empty" in gone.err
    assert "nothing to take back" in gone.err
    shown = feed("play", ["The ", "/again", "/branch", "/branch new", "/branch 1", "/show"])
    assert "branch 2; the earlier continuation is branch 1" in shown.err
    assert "branch 3 starts here" in shown.err
    assert "→ 2  34 elements" in shown.out
    assert "1  34 elements" in shown.out
    last = shown.out.splitlines()[-1]
    assert last in first


def test_why(feed) -> None:
    done = feed("play", ["The ", "/why", "/why 1", "/why -2"], "--set", "top_k=3")
    assert done.code == 0
    assert done.out.count("entropy") == 3
    assert "element 34, written" in done.out
    assert "element 1, given" in done.out
    assert "element 33, written" in done.out
    assert "3 candidates left" in done.out
    assert "top_k" in done.out


def test_keep(feed, run_folder: Path, tmp_path: Path, cli: Cli) -> None:
    done = feed("play", ["The ", "/keep", "", "/keep"], "--keep", "mine.jsonl")
    kept = [json.loads(line)["text"] for line in Path("mine.jsonl").read_text().splitlines()]
    assert [len(text) for text in kept] == [34, 64]
    assert kept[1].startswith(kept[0])
    assert "34 characters appended to mine.jsonl" in done.err
    shown = cli("data", "show", "mine.jsonl", "--field", "text", "--document", "1", "--json")
    assert json.loads(shown.out)["text"] == kept[1]
    feed("play", ["The ", "/keep"])
    beside = run_folder / "kept.jsonl"
    assert json.loads(beside.read_text())["text"] == kept[0]
    beside.unlink()


def test_save_and_load(feed) -> None:
    whole = feed("play", ["The ", "/save first.json", "", "/again", "/show"])
    assert whole.code == 0
    for lines, flags in (
        (["/load first.json", "", "/again", "/show"], ()),
        (["", "/again", "/show"], ("--load", "first.json")),
    ):
        again = feed("play", lines, *flags, seed="77")
        assert again.out == whole.out[len(whole.out) - len(again.out) :]
        assert len(again.out) > 90
    refused = feed("play", ["The "], "--load", "nowhere.json")
    assert (refused.code, refused.out) == (1, "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/agian", "did you mean 'again'"),
        ("/undo x", "not a whole number"),
        ("/undo 0", "from 1"),
        ("/branch 9", "no branch 9"),
        ("/branch x", "not new or the number of a branch"),
        ("/why", "no element yet"),
        ("/again", "nothing to write again"),
        ("/again now", "takes nothing more"),
        ("/set temperature warm", "temperature"),
        ("/set count 2", "cannot be set in a session"),
        ("/save", "name of a file"),
        ("/save no/such/folder/file", "cannot write"),
        ("/save ~nobody-of-this-name/file", "no such home folder"),
        ("/save a\0b", "not a valid file name"),
        ("/undo 1 2", "/undo takes one value"),
        ("/load nowhere", "No such file"),
        ("/keep", "nothing to keep"),
        ("/set regex (", "regex"),
        ("/", "no command"),
        ("/help me", "nothing more"),
        ("☃", "U+2603"),
    ],
)
def test_what_is_wrong_gives_a_line(feed, line: str, message: str) -> None:
    done = feed("play", [line, "/quit", "The "])
    assert (done.code, done.out) == (0, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert "Traceback" not in done.err


def test_help_names_every_command(feed) -> None:
    out = feed("play", ["/help"]).out
    for name in ("again", "undo", "branch", "why", "set", "show", "keep", "save", "load", "quit"):
        assert f"/{name}" in out


def test_a_beginning(feed) -> None:
    begun = feed("play", ["", "/show"], "The ")
    assert begun.out.endswith("".join(feed("play", ["The ", "/show"]).out.splitlines(True)[-1:]))


def test_edit(feed) -> None:
    done = feed("play", ["The ", "/edit man ", "/show", "/branch"])
    assert "branch 2; the earlier continuation is branch 1" in done.err
    assert "The man " in done.out
    assert "nothing to edit" in feed("play", ["/edit man"]).err
