"""How sources are read, by flag, in every command that has them."""

import gzip
import itertools
import json
import math
import os
from pathlib import Path

import pytest

from rhapsode.modalities.text.model import TextModel
from tests.cli.conftest import QUICK, Cli
from tests.data.mixed_files import write_folder

RECORDS = [
    {"title": f"Soup {number}", "steps": ["Cut the leek.", "Boil it."], "note": {"by": "Ann"}}
    for number in range(60)
]


@pytest.fixture
def records(cli: Cli) -> str:
    text = "".join(json.dumps(record) + "\n" for record in [*RECORDS, {"title": "no steps"}])
    Path("soups.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return "soups.jsonl.gz"


def test_records(cli: Cli, records: str) -> None:
    template = ("--template", "Recipe for {title} | {steps}")
    shown = json.loads(cli("data", "show", records, *template, "--json").out)
    assert shown["text"] == "Recipe for Soup 0 | Cut the leek. Boil it."
    assert shown["documents"] == 60
    trained = cli("train", records, *template, "-o", "run", "--steps", "3", *QUICK)
    assert trained.code == 0
    assert "1 record left out because a field is missing" in trained.err
    again = json.loads(cli("evaluate", "run", records, "--json").out)
    told = json.loads(cli("evaluate", "run", records, *template, "--json").out)
    assert again == told
    titles = json.loads(cli("evaluate", "run", records, "--field", "title", "--json").out)
    assert titles["elements"] == sum(len(r["title"]) + 1 for r in [*RECORDS, {"title": "no steps"}])


def test_a_field(cli: Cli, records: str) -> None:
    shown = json.loads(cli("data", "show", records, "--field", "note.by", "--json").out)
    assert (shown["text"], shown["documents"]) == ("Ann", 60)
    assert cli("train", records, "--field", "steps", "-o", "run", "--steps", "3", *QUICK).code == 0
    assert TextModel("run").source_settings([records]).field == "steps"
    wrong = cli("train", records, "--field", "stepz", "-o", "other")
    assert wrong.code == 1
    assert "steps" in wrong.err
    assert not Path("other").exists()


def test_pairs_learn_the_completion_only(cli: Cli) -> None:
    lines = [{"ask": f"word {n}?", "answer": "yes" * (n % 3 + 1)} for n in range(80)]
    Path("pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    flags = ("--prompt-field", "ask", "--completion-field", "answer")
    shown = json.loads(cli("data", "show", "pairs.jsonl", *flags, "--json").out)
    assert shown["text"] == "word 0?\nyes"
    done = cli("train", "pairs.jsonl", *flags, "-o", "run", "--steps", "150", *QUICK)
    assert done.code == 0
    model = TextModel("run")
    assert model.bundle.context.kind == "fresh"
    figures = json.loads(cli("evaluate", "run", "pairs.jsonl", *flags, "--json").out)
    assert figures["elements"] == sum(len(line["answer"]) + 1 for line in lines)
    assert figures["loss"] < math.log(3)
    written = cli("generate", "run", "word 4?", "--seed", "1").out
    assert written.startswith("word 4?\nyes")
    half = cli("train", "pairs.jsonl", "--prompt-field", "ask", "-o", "other")
    assert half.code == 1
    assert "--completion-field" in half.err
    carried = cli("train", "pairs.jsonl", *flags, "--set", "reading.context=carried", "-o", "other")
    assert "need the context fresh" in carried.err


def test_limit(cli: Cli, records: str) -> None:
    flags = ("--field", "title", "--limit", "20")
    assert json.loads(cli("data", "show", records, *flags, "--json").out)["documents"] == 20
    assert cli("train", records, *flags, "-o", "run", "--steps", "3", *QUICK).code == 0
    assert TextModel("run").bundle.provenance.documents == 20
    few = json.loads(cli("evaluate", "run", records, "--limit", "2", "--json").out)
    assert few["elements"] == 2 * len("Soup 0 ")


def test_header(cli: Cli) -> None:
    Path("rows.csv").write_text("".join(f"soup {number:02}\n" for number in range(60)))
    flags = ("--field", "column 1", "--header", "no")
    assert json.loads(cli("data", "show", "rows.csv", *flags, "--json").out)["documents"] == 60
    assert cli("train", "rows.csv", *flags, "-o", "run", "--steps", "3", *QUICK).code == 0
    assert TextModel("run").bundle.provenance.documents == 60
    found = json.loads(cli("evaluate", "run", "rows.csv", *flags, "--json").out)
    assert found["elements"] == 60 * len("soup 00 ")
    named = ("--field", "soup 00", "--header", "yes")
    assert json.loads(cli("data", "show", "rows.csv", *named, "--json").out)["documents"] == 59


def test_pattern(cli: Cli) -> None:
    Path("books/old").mkdir(parents=True)
    for name in ("a.txt", "b.md", "old/c.txt"):
        (Path("books") / name).write_text(f"{name} says: to be or not to be\n" * 30)
    flags = ("--pattern", "*.txt")
    assert json.loads(cli("data", "show", "books", *flags, "--json").out)["documents"] == 2
    assert cli("train", "books", *flags, "-o", "run", "--steps", "3", *QUICK).code == 0
    assert TextModel("run").bundle.provenance.documents == 2
    one = json.loads(cli("evaluate", "run", "books", "--pattern", "old/*", "--json").out)
    assert one["elements"] == len("old/c.txt says: to be or not to be\n" * 30) + 1


def test_text_encoding_errors_and_newlines(cli: Cli) -> None:
    raw = ("naïve café\r\n" * 60).encode("cp1252")
    Path("old.txt").write_bytes(raw)
    flags = ("--text-encoding", "cp1252", "--newlines", "keep")
    shown = json.loads(cli("data", "show", "old.txt", *flags, "--json").out)
    assert shown["text"] == "naïve café\r\n" * 60
    assert cli("train", "old.txt", *flags, "-o", "run", "--steps", "3", *QUICK).code == 0
    assert "\r" in TextModel("run").bundle.encoder.vocabulary
    told = json.loads(cli("evaluate", "run", "old.txt", *flags, "--json").out)
    assert told["elements"] == len(raw) + 1
    guessed = cli("train", "old.txt", "-o", "guessed", "--steps", "3", *QUICK)
    assert "old.txt: read as cp1252" in guessed.err
    assert TextModel("guessed").bundle.encoder.unknown("naïve café\n") == []

    Path("torn.txt").write_bytes(
        "fine text — yes\n".encode() * 60 + b"\xff\n" + b"more text\n" * 60
    )
    for command in (("train", "torn.txt", "-o", "torn"), ("data", "show", "torn.txt"),
                    ("evaluate", "run", "torn.txt")):  # fmt: skip
        stopped = cli(*command)
        assert stopped.code == 1
        assert "line 61" in stopped.err
        done = cli(*command, "--errors", "replace", *(QUICK if command[0] == "train" else ()),
                   *(("--steps", "3") if command[0] == "train" else ()))  # fmt: skip
        assert done.code == 0, done.err
    assert "\N{REPLACEMENT CHARACTER}" in TextModel("torn").bundle.encoder.vocabulary


def test_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    class Piped:
        buffer = None

    with Path("piped.txt").open("w+b") as file:
        file.write(b"to be or not to be\n" * 60)
        file.seek(0)
        piped = Piped()
        piped.buffer = file
        monkeypatch.setattr("sys.stdin", piped)
        done = cli("train", "-", "-o", "run", "--steps", "3", *QUICK)
    assert done.code == 0, done.err
    assert TextModel("run").bundle.provenance.characters == 19 * 60


def test_copies_are_counted(cli: Cli) -> None:
    Path("copies").mkdir()
    for number in range(40):
        Path(f"copies/{number:02}.txt").write_text(f"text {number % 30} and more of it\n" * 9)
    done = cli("train", "copies", "-o", "run", "--steps", "3", *QUICK)
    assert "10 duplicate documents" in done.err
    dropped = cli("train", "copies", "--set", "data.duplicates=drop", "--set",
                  "data.split=documents", "-o", "other", "--steps", "3", *QUICK)  # fmt: skip
    assert "10 left out" in dropped.err


def test_a_limit_of_nothing_is_refused(cli: Cli, records: str) -> None:
    for command in (("data", "show", records), ("train", records)):
        done = cli(*command, "--field", "title", "--limit", "0")
        assert done.code == 1
        assert "limit" in done.err


def test_pipes_and_broken_links_are_no_patterns(cli: Cli) -> None:
    read, write = os.pipe()
    os.write(write, b"from a pipe")
    os.close(write)
    shown = cli("data", "show", f"/dev/fd/{read}", "--json")
    os.close(read)
    assert json.loads(shown.out)["text"] == "from a pipe"
    Path("broken").symlink_to("nowhere")
    done = cli("data", "show", "broken")
    assert (done.code, "Traceback" in done.err) == (1, False)


def test_a_field_of_a_table_with_numbers_is_text(cli: Cli) -> None:
    rows = "".join(f'{n % 7},"a pie of {n}"\n' for n in range(50))
    Path("titles.csv").write_text("steps,title\n" + rows, encoding="utf-8")
    assert "use --field title" in cli("data", "show", "titles.csv").err
    shown = cli("data", "show", "titles.csv", "--field", "title", "--json")
    assert json.loads(shown.out)["text"] == "a pie of 0"
    assert cli("data", "info", "titles.csv", "--field", "title").code == 0


def test_a_list_of_names(cli: Cli) -> None:
    names = ["".join(word) for word in itertools.product(("an", "be", "co", "di", "el"), repeat=4)]
    names += [name.upper() for name in names]
    Path("names.txt").write_text("\n".join(names) + "\n")
    whole = cli("train", "names.txt", "-o", "whole", "--steps", "3", *QUICK)
    assert "use --documents lines" in " ".join(whole.err.split())
    flags = ("--documents", "lines")
    told = cli("train", "names.txt", *flags, "-o", "run", "--steps", "60", *QUICK)
    assert "--documents lines" not in told.err
    model = TextModel("run")
    assert model.bundle.provenance.documents == len(names)
    assert model.bundle.context.kind == "fresh"
    info = json.loads(cli("data", "info", "names.txt", *flags, "--json").out)
    assert info["documents"] == len(names)
    assert any("--documents lines" in w for w in json.loads(cli("data", "info", "names.txt", "--json").out)["warnings"])  # fmt: skip
    elements = sum(len(name) + 1 for name in names)
    for asked in ((), flags):  # as in training, and as asked
        assert json.loads(cli("evaluate", "run", "names.txt", *asked, "--json").out)["elements"] == elements  # fmt: skip
    compared = cli("compare", "run", "whole", "--on", "names.txt", *flags, "--json")
    assert json.loads(compared.out)["passages"] == "documents"
    assert json.loads(compared.out)["rows"][0]["figures"]["elements"] == elements
    written = cli("generate", "run", "--count", "9", "--seed", "1", "--format", "jsonl").out
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["finish_reason"] for line in lines] == ["stop"] * 9
    assert all("\n" not in line["text"] for line in lines)


def test_formats_and_boilerplate(cli: Cli) -> None:
    text = "".join(f"<p>A fox met {n} crows by the river.</p>\n" for n in range(40))
    page = f"<html><body><nav>Home and away</nav><script>let a;</script>{text}</body></html>"
    Path("page.html").write_text(page)
    train = ("train", "page.html", "--steps", "3", *QUICK)
    kept = cli(*train, "-o", "kept")
    told = " ".join(kept.err.split())
    assert "text taken out of 1 html; left out: 1 script" in told
    assert "around the text of web pages: 15 characters kept; --boilerplate drop" in told
    assert "15 characters left out" in cli(*train, "--boilerplate", "drop", "-o", "run").err
    assert cli(*train, "--formats", "raw", "-o", "raw").code == 0
    sizes = {}
    for name, flags in (
        ("kept", ("--boilerplate", "keep")),
        ("run", ("--boilerplate", "drop")),
        ("raw", ("--formats", "raw")),
    ):
        sizes[name] = json.loads(cli("data", "info", "page.html", *flags, "--json").out)
        for asked in ((), flags):
            scored = json.loads(cli("evaluate", name, "page.html", *asked, "--json").out)
            assert scored["elements"] == sizes[name]["characters"] + 1
        done = cli("compare", name, "raw" if name != "raw" else "run", "--on", "page.html", *flags)
        assert (done.code, done.err.count("error")) == (0, 0)
    assert sizes["raw"]["characters"] == len(page)
    assert sizes["kept"]["characters"] == sizes["run"]["characters"] + 15


def test_a_writers_folder(cli: Cli) -> None:
    write_folder(Path("desk"))
    done = cli("train", "desk", "-o", "run", "--steps", "3", *QUICK)
    assert done.code == 0, done.err
    assert "29 documents" in done.err
    told = " ".join(done.err.split())
    assert "text taken out of 3 epub, 1 WhatsApp chat, 3 odt, 4 subtitles, 3 rtf, 3 html, 3 pdf, 3 docx, 1 notebook" in told  # fmt: skip
    assert "1 file left out, the first: desk/photo.png" in told
    assert cli("generate", "run", "On the", "--length", "20").code == 0
