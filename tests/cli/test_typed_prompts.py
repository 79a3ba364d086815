"""Prompts and stop texts as people type them in a shell."""

import json
from pathlib import Path

import pytest

import rhapsode as rh
from rhapsode.cli.main import main
from rhapsode.errors import EncodingError
from tests.cli.conftest import QUICK, Cli

LINES = "ROMEO:\nI come, my café.\n\nJULIET:\nGo thou, then; go.\n\n" * 60


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Models of characters and of words, of a text without a backslash, and one of code."""
    base = tmp_path_factory.mktemp("plays")
    flat = LINES.replace("\n", " ")
    texts = {"characters": LINES, "words": LINES, "code": "print('\\n')\n" + LINES, "split": flat}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RHAPSODE_CACHE", str(base / "cache"))
        for name, text in texts.items():
            (base / f"{name}.txt").write_text(text, encoding="utf-8")
            encoding = {"code": "characters", "split": "words"}.get(name, name)
            split = ("--set", "encoder.split=whitespace") if name == "split" else ()
            asked = (
                "--encoding",
                encoding,
                *split,
                "--steps",
                "20",
                *QUICK,
                "--set",
                "samples.length=0",
            )
            assert main(["train", str(base / f"{name}.txt"), "-o", str(base / name), *asked]) == 0
    return {name: str(base / name) for name in texts}


def written(cli: Cli, model: str, *more: str) -> tuple[str, str]:
    done = cli("generate", model, *more, "--length", "12", "--seed", "1")
    assert done.code == 0, done.err
    return done.out, done.err


def test_escapes_are_read_where_they_cannot_be_meant_literally(
    cli: Cli, plays: dict[str, str]
) -> None:
    model = plays["characters"]
    out, err = written(cli, model, r"ROMEO:\n")
    assert out == written(cli, model, "ROMEO:\n")[0]
    assert err == "escapes are read in ROMEO:\\n: the training text has no backslash\n"
    for flag, typed, meant in (
        ("--stop", r"\n", "\n"), ("--ban", r"\n", "\n"), ("--ban", r"\u0065", "e"),
        ("--bias", r"\n=9", "\n=9"), ("--prefix", r"caf\xe9", "café"),
        ("--penalty-spare", r"\n", "\n"), ("--dry-breakers", r"\n", "\n"),
    ):  # fmt: skip
        penalties = ("--repetition-penalty", "1.5", "--dry-multiplier", "2")
        one, other = (
            written(cli, model, "R", flag, each, *penalties)[0] for each in (typed, meant)
        )
        assert one == other, flag
    literal, err = written(cli, plays["code"], r"ROMEO:\n")
    assert literal.startswith(r"ROMEO:\n")
    assert err == ""
    shown = cli("next", model, r"ROMEO:\n", "--json").out
    assert json.loads(shown)["next"][0]["prompt"] == "ROMEO:\n"
    assert json.loads(cli("encode", model, r"\n", "--json").out)["text"] == "\n"
    refused = cli("generate", model, r"\o")
    assert refused.code == 1
    assert "never seen '\\\\' (U+005C): 1 of 2 characters" in refused.err


def test_python_strings_are_never_reinterpreted(plays: dict[str, str]) -> None:
    model = rh.load(plays["characters"])
    with pytest.raises(EncodingError, match="U\\+005C"):
        model.generate(r"ROMEO:\n")
    assert str(model.generate("R", stop=(r"\n",), length=9, seed=1)) == str(
        model.generate("R", length=9, seed=1)
    )


@pytest.mark.parametrize(
    "text", ["ROMEO:\r\nI", "\ufeffROMEO:\nI", "ROMEO:\rI", "cafe\u0301", "ＲＯＭＥＯ"]
)
def test_a_prompt_is_normalised_as_the_training_text_was(plays: dict[str, str], text: str) -> None:
    plain = {"ROMEO:\r\nI": "ROMEO:\nI", "\ufeffROMEO:\nI": "ROMEO:\nI", "ROMEO:\rI": "ROMEO:\nI",
             "cafe\u0301": "café", "ＲＯＭＥＯ": "ROMEO"}[text]  # fmt: skip
    for name in ("characters", "words"):
        model = rh.load(plays[name])
        assert model.encode(text).tolist() == model.encode(plain).tolist()
        assert model.log_prob(text).tolist() == model.log_prob(plain).tolist()
        assert model.generate(text, length=5, seed=1) == model.generate(plain, length=5, seed=1)
        session = rh.session(model, text, seed=1)
        assert session.text == plain
        session.add(text)
        assert session.text == plain + plain


def test_a_space_at_the_end_of_a_prompt_of_words(cli: Cli, plays: dict[str, str]) -> None:
    out, err = written(cli, plays["words"], "I come, my ")
    assert (out, err) == written(cli, plays["words"], "I come, my")
    assert (out, err) == written(cli, plays["words"], "I come, my    ")
    assert "  " not in out
    assert err == ""
    model = rh.load(plays["words"])
    assert len(model.encode("I come, my ")) == len(model.encode("I come, my")) + 1
    split = tuple(rh.load(plays["split"]).generate("I come, ", length=4, seed=1).split())
    assert split[:2] == ("I", "come,")
    assert len(split) == len(["I", "come,"]) + 4
    letters = rh.load(plays["characters"])
    assert str(letters.generate("I come, ", length=1)).startswith("I come, ")


def test_only_new(cli: Cli, plays: dict[str, str]) -> None:
    model = plays["characters"]
    whole, _ = written(cli, model, "ROMEO:")
    assert "ROMEO:" + written(cli, model, "ROMEO:", "--only-new")[0] == whole
    two = written(cli, model, "ROMEO:", "--only-new", "--count", "2")[0]
    assert whole.removeprefix("ROMEO:") in two
    asked = ("--only-new", "--temperatures", "0", "1", "--length", "5")
    assert "ROMEO" not in cli("generate", model, "ROMEO:", *asked).out
    entry = json.loads(written(cli, model, "ROMEO:", "--only-new", "--format", "jsonl")[0])
    assert "prompt" not in entry
    assert "ROMEO:" + entry["text"] + "\n" == whole


def test_settings_and_prompts_without_effect_are_told(cli: Cli, plays: dict[str, str]) -> None:
    _, err = written(cli, plays["characters"], "R", "--stop", "§x", "--stop", "I")
    assert err == "warning: the model cannot write the stop text '§x': it stops nothing\n"
    _, err = written(cli, plays["words"], "R", "--stop", "dog")
    assert "cannot write the stop text 'dog'" in err
    _, err = written(cli, plays["characters"], "R", "--frequency-penalty", "1")
    assert "elements are single characters here" in err
    assert (
        "single characters" not in written(cli, plays["words"], "I", "--presence-penalty", "1")[1]
    )
    refused = cli("next", plays["characters"], "Привет")
    assert "'и' (U+0438)" in refused.err
    assert "6 of 6 characters" in refused.err
    _, err = written(cli, plays["words"], "Привет мир")
    assert "it reads 2 of 2 elements as the unknown element" in err


def test_penalty_range_and_spare(cli: Cli, plays: dict[str, str]) -> None:
    model = plays["characters"]
    penalty = ("--frequency-penalty", "2", "--temperature", "2", "--length", "200")
    long = ("--min-length", "200")
    texts = [
        cli("generate", model, "R", *penalty, *long, "--seed", "1", *more).out
        for more in (
            (),
            ("--penalty-range", "64"),
            ("--penalty-range", "3"),
            ("--penalty-range", "0"),
        )
    ]
    assert texts[0] == texts[1]
    assert len({*texts[1:]}) == 3
    explained = cli(
        "generate",
        model,
        "R",
        *penalty,
        "--seed",
        "1",
        "--explain",
        "--penalty-spare",
        "R",
        "--penalty-spare",
        ":",
    )
    letters = rh.load(model).bundle.encoder
    spared = sorted(int(letters.encode(each)[0]) for each in "R:")
    assert f"frequency 2 in the last 64 without {spared}" in explained.err
    assert (
        "without"
        not in cli("generate", model, "R", *penalty, "--explain", "--penalty-spare", "").err
    )


def test_a_session_reads_escapes_and_spaces(
    cli: Cli, plays: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("I come, \n/show\n", encoding="utf-8")
    with lines.open() as typed:
        monkeypatch.setattr("sys.stdin", typed)
        done = cli(
            "play",
            plays["words"],
            r"ROMEO:\n",
            "--seed",
            "1",
            "--set",
            "length=4",
            "--set",
            'stop=["\\n"]',
        )
    assert done.code == 0
    assert "ROMEO:\nI come," in done.out
    assert "  " not in done.out
