"""`rhapsode next`: the table is the model's own distribution, and what each sampling step leaves of it."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from rhapsode.cli.console import plain, print_json
from rhapsode.modalities.text.model import TextModel
from tests.cli.conftest import Cli

PROMPT = "the the the th"
ALL = ("--top", "1000", "--json")


def table(
    cli: Cli, command: str, run_folder: Path, *flags: str, prompt: str = PROMPT
) -> dict[str, Any]:
    done = cli(command, str(run_folder), prompt, *ALL, *flags)
    assert done.code == 0, done.err
    (found,) = json.loads(done.out)["next"]
    assert isinstance(found, dict)
    return found


def shares(found: dict[str, Any]) -> dict[str, float]:
    return {entry["text"]: entry["share"] for entry in found["top"]}


def test_the_figures_of_a_table(cli: Cli, run_folder: Path) -> None:
    found = table(cli, "next", run_folder)
    top = found["top"]
    ranks = [entry["rank"] for entry in top]
    assert ranks == sorted(ranks)
    assert len(set(range(1, len(top) + 2)) - set(ranks)) == 1  # that of the unknown element
    assert found["candidates"] == len(top) == TextModel(run_folder).bundle.encoder.vocab_size - 1
    assert sum(shares(found).values()) == pytest.approx(1)
    entropy = -sum(s * math.log(s) for s in shares(found).values())
    assert found["entropy"] == pytest.approx(entropy)
    assert found["perplexity"] == pytest.approx(math.exp(entropy))
    few = json.loads(cli("next", str(run_folder), PROMPT, "--top", "3", "--json").out)["next"][0]
    assert few["top"] == top[:3]
    assert few["rest"] == pytest.approx(1 - sum(entry["share"] for entry in top[:3]))


def test_temperature_and_temperatures(cli: Cli, run_folder: Path) -> None:
    plain, cold = shares(table(cli, "next", run_folder)), shares(table(cli, "next", run_folder, "--temperature", "0.5"))  # fmt: skip
    total = sum(share**2 for share in plain.values())
    assert cold == pytest.approx(
        {text: share**2 / total for text, share in plain.items()}, abs=1e-6
    )
    done = cli("next", str(run_folder), PROMPT, *ALL, "--temperatures", "0.5", "1")
    both = json.loads(done.out)["next"]
    assert [one["temperature"] for one in both] == [0.5, 1.0]
    assert [shares(one) for one in both] == [cold, plain]
    greedy = table(cli, "next", run_folder, "--temperature", "0")
    assert list(shares(greedy).values()) == [1.0]


def test_steps_that_drop_candidates(cli: Cli, run_folder: Path) -> None:
    plain = shares(table(cli, "next", run_folder))
    first = max(plain.values())

    def left(*flags: str) -> dict[str, float]:
        found = shares(table(cli, "next", run_folder, *flags))
        assert sum(found.values()) == pytest.approx(1)
        return found

    assert list(left("--top-k", "4")) == list(plain)[:4]
    nucleus = left("--top-p", "0.5")
    mass = sum(plain[text] for text in nucleus)
    assert mass >= 0.5 > mass - min(plain[text] for text in nucleus)
    assert set(left("--min-p", "0.3")) == {t for t, share in plain.items() if share >= 0.3 * first}
    assert set(left("--epsilon-cutoff", "0.02")) == {t for t, s in plain.items() if s >= 0.02}
    assert 1 <= len(left("--eta-cutoff", "0.02")) < len(plain)
    assert 1 <= len(left("--typical-p", "0.5")) < len(plain)
    assert 1 <= len(left("--top-n-sigma", "1")) < len(left("--top-n-sigma", "2")) < len(plain)
    assert 1 <= len(left("--mirostat-tau", "1")) < len(left("--mirostat-tau", "3"))
    # How fast it corrects itself matters from the second element on.
    miro = left("--mirostat-tau", "2", "--mirostat-eta", "0.5")
    assert miro == left("--mirostat-tau", "2")
    without = left("--xtc-probability", "1", "--xtc-threshold", "0.05")
    likely = [text for text, share in plain.items() if share >= 0.05]
    assert set(plain) - set(without) == set(likely[:-1])


def test_steps_that_weigh_anew(cli: Cli, run_folder: Path) -> None:
    plain = shares(table(cli, "next", run_folder))

    def weighed(*flags: str) -> dict[str, float]:
        return shares(table(cli, "next", run_folder, *flags))

    repetition = weighed("--repetition-penalty", "1.5")
    assert repetition["t"] < plain["t"]
    assert repetition["a"] > plain["a"]
    assert weighed("--repetition-penalty", "1.5", "--penalty-range", "1")["t"] > repetition["t"]
    assert weighed("--repetition-penalty", "1.5", "--penalty-spare", "t")["t"] > repetition["t"]
    assert "e" not in weighed("--no-repeat-ngram", "3")  # "the" stands there
    dry = ("--dry-multiplier", "0.001")
    assert weighed(*dry)["e"] < plain["e"]
    assert weighed(*dry, "--dry-base", "3")["e"] < weighed(*dry, "--dry-base", "1.1")["e"]
    assert weighed(*dry, "--dry-allowed-length", "50") == plain
    broken = weighed(*dry, "--dry-breakers", "h")
    assert broken["e"] > weighed(*dry)["e"]
    # These count what has been written, and nothing has.
    assert weighed("--frequency-penalty", "2", "--presence-penalty", "2") == plain
    warm = ("--dynatemp-low", "0.5", "--dynatemp-high", "1.5")
    assert weighed(*warm) != plain
    assert weighed(*warm) != weighed(*warm, "--dynatemp-exponent", "4")


def test_order_and_explain(cli: Cli, run_folder: Path) -> None:
    flags = ("--temperature", "3", "--top-p", "0.5")
    first = table(cli, "next", run_folder, *flags)
    last = table(cli, "next", run_folder, *flags, "--order", "llamacpp")
    assert first["candidates"] > last["candidates"]
    done = cli("next", str(run_folder), PROMPT, *flags, "--explain")
    assert "temperature 3 -> top_p 0.5" in done.err
    refused = cli("next", str(run_folder), PROMPT, "--trace", "2")
    assert (refused.code, refused.out) == (1, "")


def test_unseen_characters(cli: Cli, run_folder: Path) -> None:
    refused = cli("next", str(run_folder), "The ☃")
    assert (refused.code, refused.out) == (1, "")
    assert "U+2603" in refused.err
    skipped = table(cli, "next", run_folder, "--unknown", "skip", prompt="☃" + PROMPT)
    assert skipped == table(cli, "next", run_folder)


def test_several_prompts(cli: Cli, run_folder: Path) -> None:
    done = cli("next", str(run_folder), "The ", "A", "", "--json")
    found = json.loads(done.out)["next"]
    assert [one["prompt"] for one in found] == ["The ", "A", ""]
    assert [len(one["top"]) for one in found] == [5, 5, 5]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_picture(
    cli: Cli, run_folder: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    prompts = ("The quick\nbrown", "a " * 60 + "long one", "The")
    out = cli("next", str(run_folder), *prompts, "--temperatures", "0.5", "1", "--top", "4").out
    lines = out.splitlines()
    assert max(map(len, lines)) <= width
    assert "The quick↵brown" in out
    assert "… a a" in out or "…a a" in out
    assert "␣" in out
    assert "█" in out
    assert len(re.findall(r"T 0\.5", out)) == 3
    shown = re.findall(r"perplexity +[\d.]+ +[\d.]+", out)
    assert len(shown) >= (3 if width < 100 else 1)
    monkeypatch.setenv("COLUMNS", "20")
    assert cli("next", str(run_folder), *prompts).code == 0


def test_json_is_utf_8_whatever_the_prompt(capfd: pytest.CaptureFixture[str]) -> None:
    print_json({"prompt": "\udc80é"})
    out = capfd.readouterr().out
    assert out == '{"prompt": "\\udc80é"}\n'
    assert json.loads(out) == {"prompt": "\udc80é"}


def test_what_a_terminal_would_obey() -> None:
    assert plain("a\x1b[31m\x9b\udc9b\n\tb") == "a·[31m··\n\tb"
    joined = "👩\u200d👧 می\u200cخواهم e\u0301"
    assert plain(joined) == joined
