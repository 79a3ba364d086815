"""Check what the committed models say against `records.json`; see make.py."""

import json
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.golden import make, mutants

GROUPS = tuple(dict.fromkeys(name.partition("/")[0] for name in make.names_a()))
TIE = 1e-4
"""Of a cumulative probability: where a draw falls so close to a boundary, arithmetic of another kind may decide."""


@cache
def records() -> dict[str, make.Record]:
    found: dict[str, make.Record] = json.loads(make.RECORDS.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with copies of models and texts."""
    work = tmp_path_factory.mktemp("golden")
    make.fill(work)
    return work


@pytest.fixture
def work(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, and the terminal that records were made at."""
    for name, value in make.ENVIRONMENT.items():
        if "THREADS" not in name:
            monkeypatch.setenv(name, value)
    monkeypatch.delenv("RHAPSODE_DATA", raising=False)  # what is suggested depends on it
    monkeypatch.chdir(filled)
    return filled


def one_line(record: make.Record) -> make.Record:
    """A record with its stderr in one line, however wide the terminal."""
    return record | {"err": " ".join(record["err"].split())} if "err" in record else record


def test_every_mutant_applies_to_the_code_as_it_is() -> None:
    for mutant in mutants.MUTANTS:
        mutants.place_of(mutant, mutants.ROOT / "src")
        assert mutants.tests_of(mutant, mutants.ROOT)


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_changed(group: str, work: Path) -> None:
    places = make.places_of(work)
    told: list[str] = []
    for name in make.names_a():
        if name.partition("/")[0] == group:
            told += changes(name, records()[name], make.record_a(name, places), places)
    assert not told, "\n".join(told)


def changes(
    name: str, expected: make.Record, found: make.Record, places: dict[str, str]
) -> list[str]:
    """List differences beyond rounding, but for texts that a near-tie parts."""
    case = make.cases_a().get(name)
    left, right = one_line(expected), one_line(found)
    if case is not None and case.argv[0] == "generate" and "jsonl" in case.argv:
        ones, others = listed(left["out"]), listed(right["out"])
        if len(ones) == len(others):
            pairs = list(zip(ones, others, strict=True))
            kept = [
                (one, other)
                for one, other in pairs
                if one["text"] == other["text"] or not near_tie(case, one, other, places)
            ]
            left |= {"out": [one for one, _ in kept]}
            right |= {"out": [other for _, other in kept]}
    return [
        f"{path}\n  expected {one!r}\n  found    {other!r}"
        for path, one, other in make.differences(left, right, name, tolerant=True)
    ]


def listed(out: Any) -> list[dict[str, Any]]:
    """The objects that jsonl gave, however many."""
    return out if isinstance(out, list) else [out] if isinstance(out, dict) else []


def near_tie(
    case: make.Case, expected: dict[str, Any], found: dict[str, Any], places: dict[str, str]
) -> bool:
    """Tell texts that part where a draw falls beside a boundary."""
    argv = list(case.argv)
    if "--trace" in argv:
        place = argv.index("--trace")
        del argv[place : place + 2]
    again = make.run_here(make.Case((*argv, "--trace", "1000000"), case.stdin), places)
    who = ("index", "prompt", "temperature")
    for one in listed(again["out"]):
        if one["text"] == found["text"] and all(one[key] == found[key] for key in who):
            return _tied(one["trace"], expected)
    return False  # searches have no trace


def _tied(trace: list[dict[str, Any]], expected: dict[str, Any]) -> bool:
    text, written = expected["text"].encode(), b""
    for position, step in enumerate(trace):
        before, written = written, written + spelled(step["text"])
        if text.startswith(written):
            continue
        if not text.startswith(before):
            return False
        shares = behind(step)
        if len(shares) == 1:  # the likeliest was taken
            first, second = sorted((raw for _, raw, _ in step["top"]), reverse=True)[:2]
            return bool(first - second < TIE)
        point = uniform(expected["seed"], expected["index"], position)
        return min(abs(edge - point) for edge in edges(shares)) < TIE
    return False


def spelled(name: str) -> bytes:
    """The bytes of an element by its name in a trace."""
    return bytes([int(name, 16)]) if re.fullmatch("0x[0-9A-F]{2}", name) else name.encode()


def behind(step: dict[str, Any]) -> list[tuple[int, float]]:
    """Elements and their probabilities behind the chain, by rising id."""
    return sorted((int(one), math.exp(after)) for one, _, after in step["top"] if after is not None)


def edges(shares: list[tuple[int, float]]) -> Iterator[float]:
    """Ends of the shares on the line from 0 to 1."""
    total, so_far = sum(share for _, share in shares), 0.0
    for _, share in shares:
        so_far += share
        yield so_far / total


def uniform(seed: int, sequence: int, position: int) -> float:
    """The number that a draw inverts: Philox 4x32-10 under the seed."""
    low = 0xFFFFFFFF
    c0, c1, c2, c3 = position & low, position >> 32, sequence & low, 0
    k0, k1 = seed & low, seed >> 32 & low
    for _ in range(10):
        one, other = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = other >> 32 ^ c1 ^ k0, other & low, one >> 32 ^ c3 ^ k1, one & low
        k0, k1 = k0 + 0x9E3779B9 & low, k1 + 0xBB67AE85 & low
    return ((c0 >> 5) * 67108864.0 + (c1 >> 6)) / 9007199254740992.0


def test_a_draw_falls_into_the_share_of_its_element(work: Path) -> None:
    argv = [
        "generate",
        "models/lstm",
        "O",
        "--format",
        "jsonl",
        "--length",
        "20",
        "--seed",
        "7",
        "--count",
        "2",
        "--trace",
        "1000",
    ]
    made = make.run_here(make.Case(tuple(argv)), make.places_of(work))
    for one in listed(made["out"]):
        for position, step in enumerate(one["trace"]):
            shares = behind(step)
            point = uniform(7, one["index"], position)
            place = sum(edge <= point for edge in edges(shares))
            assert shares[place][0] == step["element"]


def test_a_difference_away_from_a_tie_is_told(work: Path) -> None:
    places = make.places_of(work)
    name = "lstm/trace"
    found = make.record_a(name, places)
    other = json.loads(json.dumps(found))
    one = listed(other["out"])[0]
    one["text"] = one["text"][:2] + ("x" if one["text"][2] != "x" else "y") + one["text"][3:]
    assert changes(name, other, found, places)
    assert not changes(name, found, found, places)


def test_a_near_tie_is_one() -> None:
    expected = {"text": "b", "seed": 1, "index": 0}
    for distance, tied in ((5e-5, True), (5e-3, False)):
        edge = uniform(1, 0, 0) + distance
        top = [[2, 0.0, math.log(edge)], [3, 0.0, math.log(1 - edge)]]
        assert _tied([{"text": "a", "top": top}], expected) is tied


def test_every_record_is_of_today() -> None:
    assert list(records()) == make.names_a()
