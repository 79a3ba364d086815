"""Models side by side: every flag, the paired figures, and blind votes."""

import io
import json
import math
from pathlib import Path

import pytest

from tests.cli.conftest import QUICK, Cli


@pytest.fixture
def second(cli: Cli, prose_file: Path) -> str:
    """A worse model of the same prose, by bytes."""
    asked = ("--steps", "5", *QUICK, "--set", "training.counts_share=0.4")
    done = cli("train", str(prose_file), "--encoding", "bytes", "-o", "second", *asked)
    assert done.code == 0
    return "second"


def test_two_models_on_one_text(cli: Cli, run_folder: Path, second: str, prose: str) -> None:
    Path("text.txt").write_text(prose[:20_000], encoding="utf-8")
    done = cli("compare", str(run_folder), second, "--on", "text.txt", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    first, last = found["rows"]
    assert (first["model"], last["model"]) == (str(run_folder), "second")
    alone = json.loads(cli("evaluate", second, "text.txt", "--json").out)
    assert last["figures"]["loss"] == alone["loss"]
    gap = last["figures"]["bits_per_character"] - first["figures"]["bits_per_character"]
    (contrast,) = found["contrasts"]
    assert contrast["difference"]["bits_per_character"] == pytest.approx(gap, rel=1e-5)
    assert contrast["difference"]["low"] < gap < contrast["difference"]["high"]
    assert contrast["difference"]["p_value"] < 0.01
    shown = " ".join(cli("compare", str(run_folder), second, "--on", "text.txt").out.split())
    assert "more than chance" in shown
    assert f"{last['figures']['bits_per_character']:.4f}" in shown


def test_what_cannot_be_compared(cli: Cli, run_folder: Path) -> None:
    assert "two or more" in cli("compare", str(run_folder)).err
    assert "--on" in cli("compare", str(run_folder), "other").err
    twice = cli("compare", str(run_folder), str(run_folder), "--on", "python-docs")
    assert (twice.code, "different" in twice.err) == (1, True)
    aside = cli(
        "compare", str(run_folder), f"{run_folder}/model.safetensors", "--on", "python-docs"
    )
    assert (aside.code, "different" in aside.err) == (1, True)
    Path("empty").write_bytes(b"")
    assert cli("compare", str(run_folder), "nowhere", "--on", "empty").code == 1


def test_one_long_line_is_one_passage(cli: Cli, prose_file: Path, run_folder: Path) -> None:
    done = cli("train", str(prose_file), "--encoding", "bpe", "-o", "bpe", "--steps", "2", *QUICK)
    assert done.code == 0
    text = prose_file.read_text(encoding="utf-8")[:9000]
    for lines, fewest in ((text, 11), (text.replace("\n", " "), 1)):
        Path("text.txt").write_text(lines, encoding="utf-8")
        done = cli("compare", str(run_folder), "bpe", "--on", "text.txt", "--json")
        assert done.code == 0, done.err
        found = json.loads(done.out)
        first, last = (row["figures"]["bits_per_character"] for row in found["rows"])
        difference = found["contrasts"][0]["difference"]
        assert difference["bits_per_character"] == pytest.approx(last - first, rel=1e-5)
        assert fewest <= difference["passages"] <= 18 * fewest


def test_few_pairs_are_compared_over_what_is_scored(
    cli: Cli, run_folder: Path, second: str, prose: str
) -> None:
    pairs = [{"a": prose[i : i + 700], "b": prose[i + 700 : i + 900]} for i in (0, 900, 1800)]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    flags = ("--prompt-field", "a", "--completion-field", "b", "--json")
    done = cli("compare", str(run_folder), second, "--on", "pairs.jsonl", *flags)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    first, last = (row["figures"]["bits_per_character"] for row in found["rows"])
    difference = found["contrasts"][0]["difference"]["bits_per_character"]
    assert difference == pytest.approx(last - first, rel=1e-5)


def test_other_normalisations_are_told(cli: Cli, run_folder: Path, prose_file: Path) -> None:
    done = cli("train", str(prose_file), "-o", "lower", "--steps", "2", *QUICK, "--set",
               "encoder.lowercase=true")  # fmt: skip
    assert done.code == 0
    Path("text.txt").write_text("One Two\n" * 90, encoding="utf-8")
    compared = ("compare", str(run_folder), "lower", "--on", "text.txt", "--limit", "80")
    found = json.loads(cli(*compared, "--json").out)
    assert "not the same text" in found["caution"]
    split = found["rows"][0]["figures"]["protocol"]["split"]
    assert split == "the first 80 records, files or lines of text.txt"
    shown = " ".join(cli(*compared).out.split())
    assert "not the same text" in shown
    assert "normalisation: none" in shown


def test_how_its_text_is_read(cli: Cli, run_folder: Path, second: str) -> None:
    lines = [json.dumps({"a": "the soup", "b": "is hot", "c": 1}) for _ in range(40)]
    Path("pairs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    Path("folder").mkdir()
    Path("folder/one.txt").write_bytes("the café is open\r\n".encode("cp1252") * 20)
    Path("folder/two.txt").write_text("never read", encoding="utf-8")

    def elements(*flags: str) -> int:
        done = cli("compare", str(run_folder), second, *flags, "--json")
        assert done.code == 0, done.err
        return int(min(row["figures"]["elements"] for row in json.loads(done.out)["rows"]))

    records = ("--on", "pairs.jsonl")
    assert elements(*records, "--field", "a") == 40 * 9
    assert elements(*records, "--template", "{a} {b}") == 40 * 16
    assert elements(*records, "--prompt-field", "a", "--completion-field", "b") == 40 * 7
    assert elements(*records, "--field", "a", "--limit", "10") == 10 * 9
    Path("rows.csv").write_text("the soup\n" * 40)
    assert elements("--on", "rows.csv", "--field", "column 1", "--header", "no") == 40 * 9
    folder = ("--on", "folder", "--pattern", "one.*", "--text-encoding", "cp1252")
    assert elements(*folder) == 20 * 17 + 1
    assert elements(*folder, "--newlines", "keep") == 20 * 18 + 1
    torn = ("--on", "folder", "--pattern", "one.*", "--text-encoding", "utf-8")
    assert cli("compare", str(run_folder), second, *torn).code == 1
    assert elements(*torn, "--errors", "replace") == 20 * 17 + 1


def test_blind_votes(
    cli: Cli, run_folder: Path, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--blind", "--prompt", "The ", "--rounds", "4", "--length", "30", "--temperature", "0.5",
             "--seed", "3", "--output", "votes.json", "--json")  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO("1\nperhaps\n2\n=\ns\n"))
    done = cli("compare", str(run_folder), second, *flags)
    assert done.code == 0
    assert "1, 2, =, s or q" in done.err
    kept = json.loads(Path("votes.json").read_text(encoding="utf-8"))["votes"]
    assert [vote["choice"] for vote in kept] == ["first", "second", "tie"]
    assert all(len(text) <= 30 for vote in kept for text in vote["pair"]["texts"])
    assert {*kept[0]["pair"]["models"]} == {str(run_folder), "second"}
    (score,) = json.loads(done.out)["scores"]
    assert (sum(score["wins"]), score["ties"]) == (2, 1)
    assert score["p_value"] == (0.5 if 2 in score["wins"] else 1.0)
    # The same seed shows the same pairs; votes are added to those there are; the end of input ends it.
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n"))
    assert json.loads(cli("compare", str(run_folder), second, *flags).out)["votes"] == 4
    more = json.loads(Path("votes.json").read_text(encoding="utf-8"))["votes"]
    assert more[:3] == kept
    assert more[3]["pair"] == kept[0]["pair"]
    Path("votes.json").write_text("{}", encoding="utf-8")
    wrong = cli("compare", str(run_folder), second, *flags)
    assert (wrong.code, "holds no votes" in wrong.err) == (1, True)


@pytest.mark.parametrize(
    "kept",
    [
        "[" * 100_000,
        '{"format": "rhapsode.votes", "version": 1, "votes": [{"choice": "tie", "when": "", "pair": '
        '{"round": 1e999, "prompt": "", "texts": ["", ""], "models": ["a", "b"], "seed": 0}}]}',
    ],
)
def test_a_file_of_something_else_is_refused(cli: Cli, run_folder: Path, kept: str) -> None:
    Path("votes.json").write_text(kept, encoding="utf-8")
    done = cli("compare", str(run_folder), "other", "--blind", "--prompt", "The ")
    assert (done.code, "holds no votes" in done.err) == (1, True)


def test_blind_texts_are_equally_long_whatever_a_character_takes(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rhapsode.config import GenerateSettings
    from rhapsode.workflows.inference.blind import BlindComparison

    Path("poem.txt").write_text("牀前看月光疑是地上霜" * 400, encoding="utf-8")
    for encoding in ("characters", "bytes"):
        done = cli(
            "train", "poem.txt", "--encoding", encoding, "-o", encoding, "--steps", "30", *QUICK
        )
        assert done.code == 0, done.err
    settings = GenerateSettings(length=30, temperature=0.0, seed=1)
    (pair,) = BlindComparison(["characters", "bytes"], "votes.json", settings).pairs(["月"], 1)
    assert [len(text) for text in pair.texts] == [30, 30]
    # What UTF-8 lacks is kept, too; without any standard input nothing is voted.
    flags = ("compare", "characters", "bytes", "--blind", "--prompt", "月\udcff", "--json")
    for given, votes in ((io.StringIO("1\n"), 1), (io.StringIO("2\n"), 2), (None, 2)):
        monkeypatch.setattr("sys.stdin", given)
        assert json.loads(cli(*flags, "--length", "5").out)["votes"] == votes


def test_blind_takes_prompts_from_a_text(
    cli: Cli, run_folder: Path, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("text.txt").write_text("one two three four five\n" * 50, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    done = cli("compare", str(run_folder), second, "--blind", "--on", "text.txt", "--length", "9")
    assert done.code == 0
    assert "three four" in done.err
    assert "prompts" in cli("compare", str(run_folder), second, "--blind").err


def test_the_sign_test_is_exact() -> None:
    from rhapsode.workflows.inference.blind import sign_test

    assert sign_test(0, 0) == 1.0
    assert sign_test(5, 5) == 1.0
    assert sign_test(0, 5) == pytest.approx(2 / 32)
    assert sign_test(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert math.isclose(sign_test(2, 8), sign_test(8, 2))
