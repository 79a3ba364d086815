"""`rhapsode generate`: what limits a continuation, and what searches for one."""

import json
import re
from pathlib import Path

import pytest

from rhapsode.modalities.text.quality.elements_index import ELEMENTS_INDEX
from rhapsode.modalities.text.quality.text_index import TextIndex
from rhapsode.modalities.text.quality.writing_check import TEXT_INDEX
from tests.cli.conftest import Cli


def test_min_length(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "200", "--seed", "5")
    whole = cli(*base).out.removesuffix("\n")
    short = cli(*base, "--stop", "e").out.removesuffix("\n")
    assert len(short) < 40
    long = cli(*base, "--stop", "e", "--min-length", "40").out.removesuffix("\n")
    assert len(long) >= 44
    assert long == whole[: whole.index("e", 44)]
    # End-of-sequence, made certain, waits as well.
    ending = cli(*base, "--bias", "#0=1000", "--min-length", "9", "--format", "jsonl")
    entry = json.loads(ending.out)
    assert (entry["elements"], entry["finish_reason"]) == (9, "stop")


def test_ban(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "300", "--seed", "5")
    assert "e" in cli(*base).out[4:]
    banned = cli(*base, "--ban", "e", "--ban", "th").out[4:]
    assert "e" not in banned
    assert "th" not in banned
    refused = cli(*base, "--ban", "#9999")
    assert refused.code == 1
    assert refused.err.startswith("rhapsode: --ban: there is no element #9999") or (
        "--ban: there is no element #9999" in refused.err
    )


def test_bias(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "100", "--seed", "5")
    plain, more = cli(*base).out, cli(*base, "--bias", "q=4", "--bias", "e=-100").out
    assert more[4:].count("q") > plain[4:].count("q")
    assert "e" not in more[4:]
    assert set(cli(*base, "--bias", "x=1000").out[4:]) == {"x", "\n"}


def test_prefix(cli: Cli, run_folder: Path) -> None:
    base = (
        "generate",
        str(run_folder),
        "The ",
        "--length",
        "20",
        "--seed",
        "5",
        "--format",
        "jsonl",
    )
    entry = json.loads(cli(*base, "--prefix", "zebra ").out)
    assert entry["prompt"] == "The "
    assert entry["text"].startswith("zebra ")
    assert entry["elements"] == len(entry["text"]) == 20
    refused = cli(*base, "--prefix", "zebra " * 4)
    assert (refused.code, refused.out) == (1, "")
    assert "it has 24 elements, but the length limit is 20" in refused.err


def test_regex(cli: Cli, run_folder: Path) -> None:
    expression = r"[a-z]+(, [a-z]+){2}\."
    base = ("generate", str(run_folder), "The ", "--length", "60", "--regex", expression)
    lines = cli(*base, "--count", "8", "--seed", "5", "--format", "jsonl").out.splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert len(set(texts)) > 1
    assert all(re.fullmatch(expression, text) for text in texts)
    refused = cli("generate", str(run_folder), "The ", "--regex", "(a")
    assert refused.code == 1
    assert "--regex: unsupported regular expression" in refused.err


def test_no_copy(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "300", "--temperature", "0.5")
    index = TextIndex.load(run_folder / TEXT_INDEX)

    def longest(*more: str) -> int:
        text = cli(*base, "--seed", "5", *more).out.removesuffix("\n")
        return int(index.match_lengths(text).max())

    assert longest() >= 5
    assert longest("--no-copy", "5") < 5
    assert (run_folder / ELEMENTS_INDEX).exists()
    assert longest("--no-copy", "5") < 5
    refused = cli(*base, "--no-copy", "1")
    assert refused.code == 1
    assert "--no-copy: expected a whole number >= 2" in refused.err


def log_probs(cli: Cli, run_folder: Path, *more: str) -> list[str]:
    base = ("generate", str(run_folder), "The ", "--length", "30", "--seed", "5")
    done = cli(*base, "--format", "jsonl", *more)
    assert done.code == 0, done.err
    return [json.loads(line)["text"] for line in done.out.splitlines()]


def test_beams(cli: Cli, run_folder: Path) -> None:
    assert "generate" in cli("generate", "--help").out
    greedy = log_probs(cli, run_folder, "--temperature", "0")
    assert log_probs(cli, run_folder, "--beams", "1") == greedy
    several = log_probs(cli, run_folder, "--beams", "6", "--count", "3")
    assert len(set(several)) == 3
    assert several == log_probs(cli, run_folder, "--beams", "6", "--count", "3", "--seed", "8")


def test_length_penalty(cli: Cli, run_folder: Path) -> None:
    # End-of-sequence made likely enough that the plain sum prefers it, and the mean does not.
    base = ("generate", "--beams", "4", "--bias", "#0=7.5")
    short = log_probs(cli, run_folder, *base[1:])
    long = log_probs(cli, run_folder, *base[1:], "--length-penalty", "3")
    assert len(long[0]) > len(short[0])


def test_beam_groups_and_diversity(cli: Cli, run_folder: Path) -> None:
    base = ("generate", "--beams", "4", "--beam-groups", "2", "--count", "4")
    alike = log_probs(cli, run_folder, *base[1:])
    apart = log_probs(cli, run_folder, *base[1:], "--diversity-penalty", "5")
    assert len(set(alike)) == 2
    assert len(set(apart)) == 4


def test_stochastic_beams(cli: Cli, run_folder: Path) -> None:
    base = ("generate", "--beams", "5", "--count", "5", "--stochastic-beams")
    drawn = log_probs(cli, run_folder, *base[1:])
    assert len(set(drawn)) == 5
    assert drawn == log_probs(cli, run_folder, *base[1:])
    assert drawn != log_probs(cli, run_folder, *base[1:], "--seed", "6")


def test_penalty_alpha(cli: Cli, run_folder: Path) -> None:
    base = ("generate", "--length", "80", "--top-k", "5")
    greedy = log_probs(cli, run_folder, *base[1:], "--temperature", "0")
    assert log_probs(cli, run_folder, *base[1:], "--penalty-alpha", "0") == greedy
    apart = log_probs(cli, run_folder, *base[1:], "--penalty-alpha", "0.95")
    assert apart != greedy
    assert apart == log_probs(cli, run_folder, *base[1:], "--penalty-alpha", "0.95", "--seed", "6")


def test_best_of(cli: Cli, run_folder: Path) -> None:
    base = ("generate", "--best-of", "12")
    several = log_probs(cli, run_folder, "--count", "12")
    best = log_probs(cli, run_folder, *base[1:])
    assert best[0] in several
    assert log_probs(cli, run_folder, *base[1:], "--count", "2")[0] == best[0]


def test_rank_by(cli: Cli, run_folder: Path) -> None:
    base = ("generate", "--best-of", "12", "--rank-by", "novelty")
    index = TextIndex.load(run_folder / TEXT_INDEX)
    several = log_probs(cli, run_folder, "--count", "12")
    (best,) = log_probs(cli, run_folder, *base[1:])
    longest = {text: int(index.match_lengths(text).max()) for text in several}
    assert longest[best] == min(longest.values())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--beams", "4", "--temperature", "0.5"), "--temperature: this search draws no elements"),
        (("--beams", "4", "--best-of", "3"), "--best-of: it ranks drawn continuations"),
        (
            ("--min-length", "50"),
            "--min-length: the minimum of 50 elements exceeds the length limit of 20",
        ),
        (("--ban", "ze", "--prefix", "zebra"), "--prefix: it contains 'ze', which is banned"),
        (("--regex", "[a-d]+", "--prefix", "zebra"), "--prefix: 'zebra' cannot begin a match of"),
        (("--penalty-alpha", "0.5"), "a number of candidates; see --top-k"),
    ],
)
def test_contradictions(cli: Cli, run_folder: Path, flags: tuple[str, ...], message: str) -> None:
    done = cli("generate", str(run_folder), "The ", "--length", "20", *flags)
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_explain_says_how_elements_are_chosen(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "3", "--seed", "5", "--explain")
    for flags, last in (
        ((), "-> draw;"),
        (("--beams", "4"), "-> 4 beams;"),
        (("--beams", "4", "--beam-groups", "2"), "-> 4 beams in 2 groups;"),
        (("--beams", "4", "--stochastic-beams"), "-> 4 stochastic beams;"),
        (("--penalty-alpha", "0.6", "--top-k", "3"), "-> top_k 3 -> contrastive search 0.6;"),
        (("--best-of", "3"), "-> draw, the best of 3 by likelihood;"),
    ):
        assert last in cli(*base, *flags).err


def test_best_of_draws_no_further_than_a_stop_text(
    cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rhapsode.modalities.ids import continuation as searching

    drawn: list[int] = []
    plain = searching.continue_jobs

    def counted(*arguments, **options):
        for one in plain(*arguments, **options):
            drawn.extend(one.elements)
            yield one

    monkeypatch.setattr(searching, "continue_jobs", counted)
    flags = ("--length", "2000", "--seed", "5", "--best-of", "3", "--stop", "e", "--stop", " ")
    done = cli("generate", str(run_folder), "The ", *flags)
    assert done.code == 0
    assert 3 <= len(drawn) < 600
