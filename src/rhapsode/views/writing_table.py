"""Measures of writing in words: rows, longest copies, a verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

# Lengths at which novelty is shown, of those that are measured.
NOVELTY = ("8", "16", "32", "64")
# A model's longest copy may be this much longer than one of real text and count as no longer.
AS_MUCH = 1.25
# From this copied fraction on, real text is taken for a part of the training text, and generated
# text for learnt by heart.
SEEN = 0.5


def writing_columns(writing: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Measures of each temperature, and last of real text, if measured."""
    temperatures = writing["temperatures"] or []
    columns = [(f"temperature {one['temperature']:g}", one["written"]) for one in temperatures]
    if columns and temperatures[0]["held_out"] is not None:
        columns.append(("real text", temperatures[0]["held_out"]))
    return columns


def writing_rows(writing: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The measures by name that any column has, with their values."""
    columns = [measures for _, measures in writing_columns(writing)]
    lengths = _telling(columns)
    cells = [_in_words(measures, lengths) for measures in columns]
    rows = [(name, [column[name] for column in cells]) for name in (cells[0] if cells else ())]
    return [(name, values) for name, values in rows if any(value != "-" for value in values)]


def _in_words(measures: Mapping[str, Any], lengths: Sequence[str]) -> dict[str, str]:
    novelty, copied = measures["novelty"] or {}, measures["copied_share"]
    return {
        "longest copy, characters": "-" if copied is None else f"{_length(measures):,}",
        "in copies of 50 or more": _share(copied),
        **{f"new at {length} characters": _share(novelty.get(length)) for length in lengths},
        "invented words": _share(measures["invented_words"]),
        "texts that end in a loop": _share(measures["loops"]),
        **{f"distinct-{n}": _decimals(measures[f"distinct_{n}"]) for n in (1, 2, 4)},
        "rep-4": _decimals(measures["rep_4"]),
        "self-BLEU": _decimals(measures["self_bleu"]),
    }


def _telling(columns: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Lengths of novelty to show, up to the first without copies."""
    for place, length in enumerate(NOVELTY, 1):
        if all((measures["novelty"] or {}).get(length, 1.0) == 1.0 for measures in columns):
            return NOVELTY[:place]
    return NOVELTY


def _length(measures: Mapping[str, Any]) -> int:
    longest = measures["longest_copy"]
    return 0 if longest is None else int(longest["length"])


def _decimals(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def longest_copies(writing: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The longest copy of every column: `text`, `document`, `line`, `count`."""
    return [
        (name, measures["longest_copy"])
        for name, measures in writing_columns(writing)
        if measures["longest_copy"] is not None
    ]


def _obstacle(writing: Mapping[str, Any]) -> str | None:
    """The reason why copying was not measured; None if it was."""
    columns = writing_columns(writing)
    if not columns:
        return str(writing["reason"])
    written = columns[0][1]
    return None if written["copied_share"] is not None else str(written["reason"])


def writing_verdict(writing: Mapping[str, Any]) -> str:
    """The meaning of the measures of copying, in a sentence or two."""
    obstacle = _obstacle(writing)
    if obstacle is not None:
        return f"Copying was not measured: {obstacle}."
    (temperature, written), *_, (_, real) = writing_columns(writing)
    longest, usual, share = _length(written), _length(real), written["copied_share"]
    if writing["temperatures"][0]["held_out"] is None:
        by_heart = " The model has learnt its text by heart." if share > SEEN else ""
        return (
            f"At {temperature} the longest passage shared with the training text has "
            f"{longest:,} characters, and {share:.1%} of the generated text is copied in passages "
            f"of 50 characters or more.{by_heart} No comparison with real text: "
            f"{writing['reason']}."
        )
    said = (
        f"At {temperature} the longest passage shared with the training text has "
        f"{longest:,} characters; for the same amount of real text it has {usual:,}."
    )
    if real["copied_share"] > SEEN:
        return (
            f"{said} But {real['copied_share']:.0%} of that real text is in the training text "
            "itself, so it is no measure of new text."
        )
    if longest <= AS_MUCH * usual and share <= real["copied_share"]:
        return f"{said} It copies no more than new text does by chance."
    if not share:
        return f"{said} No passage of 50 characters or more is copied."
    return (
        f"{said} {share:.1%} of the generated text is copied in passages of "
        f"50 characters or more (real text: {real['copied_share']:.1%})."
    )


def copying_in_short(writing: Mapping[str, Any]) -> str:
    """The longest copies in one line."""
    obstacle = _obstacle(writing)
    if obstacle is not None:
        return f"copying not measured: {obstacle}"
    columns = writing_columns(writing)
    real = writing["temperatures"][0]["held_out"]
    lengths = ", ".join(
        f"{_length(measures):,} characters at {name}"
        for name, measures in columns
        if measures is not real
    )
    said = f"longest passage shared with the training text: {lengths}"
    if real is not None:
        return f"{said}; real text {_length(real):,}"
    copied = max(measures["copied_share"] for _, measures in columns)
    return f"{said}; {copied:.0%} of the generated text is copied; {writing['reason']} to compare"


def one_line(text: str) -> str:
    """A text on one line, with arrows for line ends."""
    shown = text.replace("\n", "↵").replace("\t", "⇥")
    return "".join(c if c.isprintable() else "·" for c in shown)
