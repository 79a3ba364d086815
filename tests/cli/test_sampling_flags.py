"""`rhapsode generate`: every flag of the sampler does to the distribution what it says; the traces show it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli

Entry = Mapping[str, Any]
EVERYTHING = ("--format", "jsonl", "--trace", "1000", "--length", "40", "--seed", "5")


def traces(out: str) -> list[Entry]:
    return list(json.loads(out)["trace"])


def kept(entry: Entry) -> dict[int, float]:
    """Raw log-probabilities of what could be drawn."""
    return {element: raw for element, raw, after in entry["top"] if after is not None}


def dropped(entry: Entry) -> list[float]:
    """Raw log-probabilities of what could not, the unknown element left aside."""
    return [raw for element, raw, after in entry["top"] if after is None and element != 1]


def known(entry: Entry) -> list[float]:
    """Probabilities without the unknown element's, which is never written."""
    shares = [math.exp(raw) for element, raw, _ in entry["top"] if element != 1]
    return [share / math.fsum(shares) for share in shares]


def entropy(shares: list[float]) -> float:
    return -math.fsum(share * math.log(share) for share in shares if share)


def longest_repeat(text: str) -> int:
    """Length of the longest piece that occurs again."""
    return max(
        (
            size
            for size in range(1, len(text))
            if any(text.find(text[at : at + size], at + 1) >= 0 for at in range(len(text) - size))
        ),
        default=0,
    )


def test_trace(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "30", "--seed", "5")
    found = json.loads(cli(*base, "--format", "jsonl", "--trace", "3").out)
    plain = json.loads(cli(*base, "--format", "jsonl").out)
    assert "trace" not in plain
    assert found["text"] == plain["text"] == "".join(entry["text"] for entry in found["trace"])
    assert [len(entry["top"]) for entry in found["trace"]] == [3] * 30
    for entry in found["trace"]:
        assert entry["removed"] == {"suppress": 1}
        assert entry["raw_log_prob"] < entry["log_prob"] <= 0  # what unknown had is shared out
        if entry["rank"] <= 3:
            assert entry["top"][entry["rank"] - 1][0] == entry["element"]
    assert cli(*base, "--trace", "3").code == 1


def test_explain(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "30", "--seed", "5", "--top-k", "9")
    told = cli(*base, "--explain")
    assert told.out == cli(*base).out
    assert told.err.startswith("order hf: suppress [1] -> top_k 9 -> draw; off: repetition, ")


def test_order(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--temperature", "0.5", "--top-p", "0.8")
    sizes = {}
    for order in ("hf", "vllm", "llamacpp", "top_p,temperature"):
        done = cli(*base, "--order", order, "--explain", *EVERYTHING)
        assert done.err.startswith(f"order {order}: suppress [1] -> ")
        sizes[order] = traces(done.out)[0]["candidates"]
    assert sizes["hf"] == sizes["vllm"] < sizes["llamacpp"] == sizes["top_p,temperature"]
    refused = cli(*base, "--order", "top_p")
    assert refused.code == 1
    assert "in use, but not in the order: temperature" in refused.err


def test_min_p(cli: Cli, run_folder: Path) -> None:
    for entry in traces(
        cli("generate", str(run_folder), "The ", "--min-p", "0.2", *EVERYTHING).out
    ):
        bound = entry["top"][0][1] + math.log(0.2)
        assert min(kept(entry).values()) >= bound - 1e-5
        assert max(dropped(entry)) <= bound + 1e-5


def test_typical_p(cli: Cli, run_folder: Path) -> None:
    found = traces(cli("generate", str(run_folder), "The ", "--typical-p", "0.4", *EVERYTHING).out)
    for entry in found:
        shares = [math.exp(raw) for raw in kept(entry).values()]
        assert math.fsum(shares) >= 0.4 * (1 - math.exp(-5)) - 0.01
        assert entry["removed"]["typical"] > 0
    # Unlike every other truncation, it may drop the likeliest element.
    assert any(entry["top"][0][2] is None for entry in found)


def test_epsilon_cutoff(cli: Cli, run_folder: Path) -> None:
    done = cli("generate", str(run_folder), "The ", "--epsilon-cutoff", "0.05", *EVERYTHING)
    for entry in traces(done.out):
        shares = known(entry)
        assert entry["candidates"] == sum(share >= 0.05 for share in shares)
        assert entry["removed"]["epsilon"] == sum(share < 0.05 for share in shares)


def test_eta_cutoff(cli: Cli, run_folder: Path) -> None:
    done = cli("generate", str(run_folder), "The ", "--eta-cutoff", "0.05", *EVERYTHING)
    for entry in traces(done.out):
        shares = known(entry)
        bound = min(0.05, math.sqrt(0.05) * math.exp(-entropy(shares)))
        assert entry["candidates"] == sum(share >= bound for share in shares)


def test_top_n_sigma(cli: Cli, run_folder: Path) -> None:
    done = cli("generate", str(run_folder), "The ", "--top-n-sigma", "1", *EVERYTHING)
    for entry in traces(done.out):
        logs = [math.log(share) for share in known(entry)]
        mean = math.fsum(logs) / len(logs)
        sigma = math.sqrt(math.fsum((log - mean) ** 2 for log in logs) / len(logs))
        assert entry["candidates"] == sum(log >= max(logs) - sigma for log in logs)


def test_xtc(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", *EVERYTHING)
    assert all("xtc" not in entry["removed"] for entry in traces(cli(*base).out))
    counts = {}
    for often, threshold in (("1", "0.1"), ("0.5", "0.1"), ("1", "0.2")):
        asked = ("--xtc-probability", often, "--xtc-threshold", threshold)
        found = traces(cli(*base, *asked).out)
        counts[often, threshold] = sum(entry["removed"]["xtc"] > 0 for entry in found)
        for entry in found:
            gone, top = dropped(entry), [s for s in known(entry) if s >= float(threshold)]
            assert entry["removed"]["xtc"] == len(gone) <= max(0, len(top) - 1)
            assert all(share >= float(threshold) - 1e-3 for share in map(math.exp, gone))
            if often == "1" and len(top) > 1:
                protected = [e for e in entry["top"][: len(top) - 1] if e[2] is not None]
                assert len(gone) + len(protected) == len(top) - 1
                assert len(protected) <= 2  # end-of-sequence and the line end
    assert counts["1", "0.1"] > counts["0.5", "0.1"] > 0
    assert counts["1", "0.1"] > counts["1", "0.2"]


def test_mirostat(cli: Cli, run_folder: Path) -> None:
    def surprise(*asked: str) -> float:
        base = ("generate", str(run_folder), "The ", "--length", "300", "--seed", "5")
        found = traces(cli(*base, "--format", "jsonl", "--trace", "1", *asked).out)
        return math.fsum(-entry["log_prob"] / math.log(2) for entry in found) / len(found)

    for tau in (1.0, 2.0):
        steered = surprise("--mirostat-tau", str(tau), "--mirostat-eta", "0.5")
        assert steered == pytest.approx(tau, abs=0.15)
    # At no rate the bound stays at twice tau, and the surprise where that leads.
    assert surprise("--mirostat-tau", "1", "--mirostat-eta", "0") != pytest.approx(1.0, abs=0.15)
    both = cli("generate", str(run_folder), "--mirostat-tau", "1", "--top-k", "3")
    assert both.code == 1
    assert "mirostat_tau and top_k contradict each other" in both.err


def test_dynatemp(cli: Cli, run_folder: Path) -> None:
    ends = ("--dynatemp-low", "0.2", "--dynatemp-high", "1.7")
    for exponent in ("1", "3"):
        done = cli(
            "generate", str(run_folder), "The ", *ends, "--dynatemp-exponent", exponent, *EVERYTHING
        )
        for entry in traces(done.out):
            shares = known(entry)
            share = entropy(shares) / math.log(len(shares))
            expected = 0.2 + 1.5 * share ** float(exponent)
            (_, raw, after), (_, other_raw, other_after) = [
                place for place in entry["top"] if place[0] != 1
            ][:2]
            assert (raw - other_raw) == pytest.approx(
                expected * (after - other_after), rel=1e-3, abs=1e-4
            )
    lone = cli("generate", str(run_folder), "The ", "--dynatemp-low", "0.2")
    assert lone.code == 1


def shifts(entry: Entry) -> dict[int, float]:
    """By how much each log-probability changed, from the change that most have."""
    changes = {element: after - raw for element, raw, after in entry["top"] if after is not None}
    usual = sorted(changes.values())[len(changes) // 2]
    return {element: change - usual for element, change in changes.items()}


def test_frequency_and_presence(cli: Cli, run_folder: Path) -> None:
    found = traces(
        cli(
            "generate", str(run_folder), "The ", *EVERYTHING, "--frequency-penalty", "0.3",
            "--presence-penalty", "0.7",
        ).out
    )  # fmt: skip
    written = [entry["element"] for entry in found]
    for step in (0, 1, 5, 10):
        for element, shift in shifts(found[step]).items():
            count = written[:step].count(element)
            assert shift == pytest.approx(-0.3 * count - (0.7 if count else 0.0), abs=1e-4)
    base = ("generate", str(run_folder), "The ", "--length", "200", "--temperature", "0")
    assert len(set(cli(*base, "--frequency-penalty", "0.5").out)) > len(set(cli(*base).out))
    assert len(set(cli(*base, "--presence-penalty", "2").out)) > len(set(cli(*base).out))


def test_repetition_penalty(cli: Cli, run_folder: Path) -> None:
    first = traces(
        cli(
            "generate", str(run_folder), "The ", "--repetition-penalty", "1.5", *EVERYTHING
        ).out
    )[0]  # fmt: skip
    shares = known(first)
    changed = [change for change in shifts(first).values() if abs(change) > 1e-4]
    logs = [math.log(share) for share in shares]
    assert len(changed) == len(set("The "))
    assert all(any(c == pytest.approx(0.5 * log, abs=1e-3) for log in logs) for c in changed)


def test_no_repeat_ngram(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "150", "--temperature", "0")
    assert longest_repeat(cli(*base).out) > 10
    assert longest_repeat(cli(*base, "--no-repeat-ngram", "4").out) == 3


def test_dry(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "150", "--temperature", "0")
    greedy = cli(*base).out
    asked = ("--dry-multiplier", "8", "--dry-base", "4")
    found = cli(*base, *asked).out
    assert longest_repeat(found) < 8 < longest_repeat(greedy)
    longer = longest_repeat(cli(*base, *asked, "--dry-allowed-length", "9").out)
    assert longest_repeat(found) < longer < longest_repeat(greedy)
    assert cli(*base, "--dry-multiplier", "0.001", "--dry-base", "1").out == greedy
    assert cli(*base, "--dry-multiplier", "0.001", "--dry-base", "9").out != greedy
    letters = [flag for letter in set(greedy) for flag in ("--dry-breakers", letter)]
    assert cli(*base, *asked, *letters).out == greedy


def test_dry_breakers(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "5", "--dry-multiplier", "1")

    def breakers(*asked: str) -> int:
        told = cli(*base, *asked, "--explain", "--seed", "1").err
        step = told[told.index("dry 1") : told.index(" -> draw")]
        return len(step.partition("[")[2].split(",")) if "[" in step else 0

    assert breakers("--dry-breakers", "e") == 1
    assert breakers("--dry-breakers", "e", "--dry-breakers", "t") == 2
    assert breakers("--dry-breakers", "") == 0
    assert breakers() >= 1
