"""`rhapsode generate`: stdout holds the text and nothing else; every flag does what it says."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def test_the_same_seed_writes_the_same_text(cli: Cli, run_folder: Path) -> None:
    first, second, other = (
        cli("generate", str(run_folder), "The ", "--length", "300", "--seed", seed)
        for seed in ("1", "1", "2")
    )
    assert first.out == second.out != other.out
    assert first.out.startswith("The ")
    assert len(first.out.removesuffix("\n")) == len("The ") + 300
    assert first.err == ""


def test_without_a_seed_one_is_told(cli: Cli, run_folder: Path) -> None:
    first = cli("generate", str(run_folder), "The ", "--length", "80")
    seed = first.err.split()[-1]
    assert first.err == f"seed {seed}\n"
    again = cli("generate", str(run_folder), "The ", "--length", "80", "--seed", seed)
    assert again.out == first.out


def test_length(cli: Cli, run_folder: Path) -> None:
    assert cli("generate", str(run_folder), "The", "--length", "0", "--seed", "1").out == "The\n"
    assert len(cli("generate", str(run_folder), "The", "--length", "7", "--seed", "1").out) == 11
    default = cli("generate", str(run_folder), "The", "--seed", "1").out
    assert 3 < len(default) <= 404


def test_temperature(cli: Cli, run_folder: Path) -> None:
    greedy = [
        cli(
            "generate",
            str(run_folder),
            "The ",
            "--temperature",
            "0",
            "--seed",
            seed,
            "--length",
            "60",
        ).out
        for seed in ("1", "2")
    ]
    assert greedy[0] == greedy[1]
    cold, hot = (
        cli(
            "generate",
            str(run_folder),
            "The ",
            "--temperature",
            t,
            "--seed",
            "1",
            "--length",
            "400",
        ).out
        for t in ("0.3", "3")
    )
    assert len(set(cold)) < len(set(hot))


def test_top_k_and_top_p_of_almost_nothing_are_greedy(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "60", "--seed", "5")
    greedy = cli(*base, "--temperature", "0").out
    assert cli(*base, "--top-k", "1").out == greedy
    assert cli(*base, "--top-p", "0").out == greedy
    assert cli(*base).out != greedy


def test_count_and_format(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "40", "--seed", "5")
    lines = cli(*base, "--count", "3", "--format", "jsonl").out.splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["index"] for entry in entries] == [0, 1, 2]
    assert len({entry["text"] for entry in entries}) == 3
    assert all(entry["prompt"] == "The " and entry["seed"] == 5 for entry in entries)
    assert entries[0]["elements"] == len(entries[0]["text"]) == 40
    alone = cli(*base).out
    assert alone == "The " + entries[0]["text"] + "\n"
    together = cli(*base, "--count", "3").out
    assert together == "".join("The " + entry["text"] + "\n" for entry in entries)


def test_stop(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "200", "--seed", "5")
    whole = cli(*base).out.removesuffix("\n")
    place = whole.index("e", 5)
    assert cli(*base, "--stop", "e").out == whole[:place] + "\n"
    assert cli(*base, "--stop", "e", "--stop", whole[5]).out == whole[:5] + "\n"
    entry = json.loads(cli(*base, "--stop", "e", "--format", "jsonl").out)
    assert entry["finish_reason"] == "stop"


def test_unseen_characters(cli: Cli, run_folder: Path) -> None:
    refused = cli("generate", str(run_folder), "The 中 ☃", "--length", "5")
    assert refused.code == 1
    assert "'中' (U+4E2D), '☃' (U+2603)" in refused.err
    assert refused.out == ""
    skipped = cli("generate", str(run_folder), "The 中☃", "--unknown", "skip", "--length", "5")
    assert skipped.code == 0
    assert skipped.out.startswith("The ")


def test_a_prompt_from_standard_input(
    cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    piped = tmp_path / "prompt"
    piped.write_bytes(b"The \xff")
    with piped.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        refused = cli("generate", str(run_folder), "-", "--length", "5")
    assert refused.code == 1
    assert "U+DCFF" in refused.err
    piped.write_text("The ")
    with piped.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert cli("generate", str(run_folder), "-", "--length", "5").out.startswith("The ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--temperature", "-1"), "temperature"),
        (("--top-p", "1.5"), "--top-p: expected a number <= 1.0"),
        (("--top-k", "-2"), "--top-k: expected a whole number >= 0"),
        (("--count", "0"), "count"),
        (("--length", "-1"), "length"),
        (("--seed", "-1"), "seed"),
    ],
)
def test_values_out_of_range(
    cli: Cli, run_folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = cli("generate", str(run_folder), "The", *arguments)
    assert done.code == 1
    assert message in done.err
    assert done.out == ""


def test_a_missing_model(cli: Cli) -> None:
    assert "no such model" in cli("generate", "nowhere").err
    Path("folder").mkdir()
    assert "holds no model.safetensors" in cli("generate", "folder").err


def test_output_is_a_file_or_several(cli: Cli, run_folder: Path, tmp_path: Path) -> None:
    words = ("generate", str(run_folder), "The ", "--length", "30", "--seed", "1")
    printed = cli(*words).out.removesuffix("\n")
    out = tmp_path / "new.txt"
    told = cli(*words, "--output", str(out))
    assert told.out == ""
    assert told.err == f"wrote {out}\n"
    assert out.read_text(encoding="utf-8") == printed
    cli(*words, "--output", str(out), "--only-new")
    assert out.read_text(encoding="utf-8") == printed.removeprefix("The ")
    cli(*words, "--output", str(out), "--count", "2")
    assert (tmp_path / "new-1.txt").read_text(encoding="utf-8") == printed
    assert (tmp_path / "new-2.txt").is_file()
    nowhere = cli(*words, "--output", str(tmp_path / "no" / "new.txt"))
    assert nowhere.code == 1
    assert "there is no such folder" in nowhere.err


@pytest.mark.parametrize("suffix", [".mid", ".MP3", ".svg", ".pdf", ".gz"])
def test_text_is_not_written_as_another_format(
    suffix: str, cli: Cli, run_folder: Path, tmp_path: Path
) -> None:
    told = cli("generate", str(run_folder), "The ", "-o", f"new{suffix}")
    assert told.code == 1
    assert told.out == ""
    assert told.err.splitlines()[-1] == (
        f"error: new{suffix}: this model writes text, not {suffix.lower()} files; "
        "write into new.txt"
    )
    assert not list(tmp_path.glob("new*"))


@pytest.mark.parametrize("name", ["new", "new.md", "new.abc", "new.jsonl", "new.1", "new.xyz"])
def test_text_is_written_under_any_other_name(
    name: str, cli: Cli, run_folder: Path, tmp_path: Path
) -> None:
    words = ("generate", str(run_folder), "The ", "--length", "5", "--seed", "1", "-o", name)
    assert cli(*words).code == 0
    assert (tmp_path / name).read_text(encoding="utf-8").startswith("The ")
