"""Measures of writing in words: rows for a table, the longest copies, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# Lengths at which novelty is shown, of those that are measured.
NOVELTY = ("8", "16", "32", "64")
# Up to how many times the longest copy of real text a model's counts as no more than that.
AS_MUCH = 1.25

# From which copied share on a text is taken for one that was learnt from.
SEEN = 0.5


def writing_columns(writing: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Each temperature, and the real text last, with its measures; none where nothing was measured."""
    temperatures = writing["temperatures"] or []
    columns = [(f"temperature {one['temperature']:g}", one["written"]) for one in temperatures]
    if columns:
        columns.append(("real text", temperatures[0]["held_out"]))
    return columns


def writing_rows(writing: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The measures by name, a value for each column; those that no column has are left out."""
    columns = [measures for _, measures in writing_columns(writing)]
    rows: list[tuple[str, Callable[[Mapping[str, Any]], str]]] = [
        ("longest copy, characters", _longest),
        ("share in copies of 50 or more", lambda one: _share(one["copied_share"])),
        *((f"new at {length} characters", _novelty(length)) for length in _telling(columns)),
        ("invented words", lambda one: _share(one["invented_words"])),
        ("texts that end in a loop", lambda one: _share(one["loops"])),
        *((f"distinct-{n}", _number(f"distinct_{n}")) for n in (1, 2, 4)),
        ("rep-4", _number("rep_4")),
        ("self-BLEU", _number("self_bleu")),
    ]
    told = [(name, [value(one) for one in columns]) for name, value in rows]
    return [(name, values) for name, values in told if any(value != "-" for value in values)]


def longest_copies(writing: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The longest copy of every column that has one: `text`, `document`, `line`, `count`."""
    return [
        (who, measures["longest_copy"])
        for who, measures in writing_columns(writing)
        if measures["longest_copy"] is not None
    ]


def writing_verdict(writing: Mapping[str, Any]) -> str:
    """What the measures say about copying, in a sentence or two; why nothing is known, where that is so."""
    columns = writing_columns(writing)
    if not columns:
        return f"Whether it copies was not measured: {writing['reason']}."
    temperature, written = columns[0]
    real = columns[-1][1]
    if written["copied_share"] is None:
        return f"Whether it copies was not measured: {written['reason']}."
    mine, other = (_length(one) for one in (written, real))
    share = written["copied_share"]
    said = (
        f"At {temperature} the longest stretch that it shares with its training text has {mine:,} characters; "
        f"as much real text shares {other:,}."
    )
    if real["copied_share"] > SEEN:
        return (
            f"{said} But {real['copied_share']:.0%} of that stands in the training text itself, so it does not tell "
            "what is usual for new text."
        )
    if mine <= AS_MUCH * other and share <= real["copied_share"]:
        return f"{said} So it copies no more than new text repeats the old by itself."
    if not share:
        return f"{said} No stretch of 50 characters or more is copied."
    return (
        f"{said} {share:.1%} of what it writes stands in its training text in stretches of 50 characters or more "
        f"(real text: {real['copied_share']:.1%})."
    )


def copying_in_short(writing: Mapping[str, Any]) -> str:
    """The same in one line for a terminal."""
    columns = writing_columns(writing)
    if not columns:
        return f"copying not measured: {writing['reason']}"
    if columns[0][1]["copied_share"] is None:
        return f"copying not measured: {columns[0][1]['reason']}"
    told = [f"{_length(measures):,} characters at {name}" for name, measures in columns[:-1]]
    return f"longest stretch shared with the training text: {', '.join(told)}; real text {_length(columns[-1][1]):,}"


def one_line(text: str) -> str:
    """A text on one line: line ends as arrows, what cannot be printed as dots."""
    shown = text.replace("\n", "↵").replace("\t", "⇥")
    return "".join(c if c.isprintable() else "·" for c in shown)


def _length(measures: Mapping[str, Any]) -> int:
    longest = measures["longest_copy"]
    return 0 if longest is None else int(longest["length"])


def _longest(measures: Mapping[str, Any]) -> str:
    return "-" if measures["copied_share"] is None else f"{_length(measures):,}"


def _novelty(length: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda measures: _share((measures["novelty"] or {}).get(length))


def _telling(columns: list[Mapping[str, Any]]) -> list[str]:
    """The lengths of novelty to show: up to the first at which everything is new."""
    shown: list[str] = []
    for length in NOVELTY:
        shown.append(length)
        if all((measures["novelty"] or {}).get(length, 1.0) == 1.0 for measures in columns):
            break
    return shown


def _number(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda measures: "-" if measures[name] is None else f"{measures[name]:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
