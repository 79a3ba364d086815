"""Metrics of music for people: tables, and the card of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from rhapsode.bundle import IdBundle
from rhapsode.encoding.music.score import Score
from rhapsode.modalities.music.pieces.stretches import stretch
from rhapsode.modalities.music.quality.writing_report import (
    copy_lines,
    protocol,
    writing_columns,
    writing_rows,
    writing_table,
)
from rhapsode.views.card import Card, markdown_table
from rhapsode.views.comparison_report import compared_models, dim_columns
from rhapsode.views.evaluation_report import evaluation_report, figures_table
from rhapsode.views.figures import interval_in_words, mixture_rows
from rhapsode.views.tables import bare_table, number_column
from rhapsode.views.terminal.model_tables import samples_table

# Cells before a sample, and lines of a small piano roll.
MARGIN = 8
ROWS = 6
UNITS = {
    "nats_per_note": "nats per note",
    "nats_per_beat": "nats per quarter note",
    "nats_per_frame": "nats per frame",
    "nats_per_cell": "nats per cell of a voice",
    "nats_per_second": "nats per second",
}
COLUMNS = {
    "model": "model",
    "network": "network alone",
    "ngram": "n-gram",
    "unigram": "unigram",
    "voices": "counts of voices",
}


def unit_columns(units: Mapping[str, Any]) -> list[str]:
    """Names of the models whose losses are known."""
    return [name for name in COLUMNS if name in units]


def unit_rows(units: Mapping[str, Any]) -> list[list[str]]:
    """Losses in units of music, a row for each unit."""
    columns = unit_columns(units)
    return [
        [words, *(f"{units[name][unit]:.4f}" for name in columns)]
        for unit, words in UNITS.items()
        if unit in units["model"]
    ]


def units_table(units: Mapping[str, Any]) -> RenderableType:
    """Losses in units of music, by model and baseline."""
    amounts = units["amounts"]
    return bare_table(
        Column("", style="dim"),
        *(number_column(COLUMNS[name]) for name in unit_columns(units)),
        rows=unit_rows(units),
        title=f"{amounts['notes']:,} notes of {amounts['source_notes']:,} in the source, "
        f"{amounts['beats']:,.0f} quarter notes",
        header_style="bold",
    )


def music_report(found: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Metrics of a model of music, from top to bottom.

    Arguments:
        found: plain values of the metrics.
        title: printed above.
    """
    units, kinds = found["units"], found["kinds"]
    if units is not None:
        yield units_table(units)
    if kinds:
        yield Text()
        yield bare_table(
            Column("kind of element", style="dim"),
            number_column("nats"),
            number_column("share of the loss"),
            number_column("elements"),
            rows=[
                (name, f"{kind['loss']:.4f}", f"{kind['share']:.1%}", f"{kind['elements']:,}")
                for name, kind in kinds.items()
            ],
            header_style="bold",
        )
        yield Text()
    yield from evaluation_report({**found, "writing": None}, title)
    if found.get("writing"):
        yield from writing_table(found["writing"])


def roll_lines(score: Score, width: int, *, prompt_end: int = 0) -> RenderableType:
    """A score as a small piano roll for a terminal.

    Arguments:
        score: with at least one note.
        width: cells of a line.
        prompt_end: tick at which the prompt ends.
    """
    from rhapsode.modalities.music.drawing.rolls import roll_of
    from rhapsode.views.terminal.small_roll import small_roll

    return Group(*small_roll(roll_of(score), width, rows=ROWS, seed_end=prompt_end / score.ticks))


def roll_picture(score: Score, width: int, *, prompt_end: int) -> RenderableType:
    """A small piano roll, and what follows the prompt in numbers.

    Arguments:
        score: with at least one note.
        width: cells of a line.
        prompt_end: tick at which the prompt ends.
    """
    from rhapsode.modalities.music.drawing.rolls import facts

    new = stretch(score, prompt_end, max(prompt_end, score.end))
    line = Text(facts(new), style="dim", no_wrap=True, overflow="ellipsis")
    return Group(roll_lines(score, width, prompt_end=prompt_end), line)


def rolls_table(samples: Sequence[tuple[float, Score]], width: int) -> RenderableType:
    """Samples as small piano rolls, a row each.

    Arguments:
        samples: temperature and score of each.
        width: cells of a line.
    """
    return samples_table(
        [
            (heat, roll_lines(score, width - MARGIN) if len(score.notes) else "no note")
            for heat, score in samples
        ]
    )


def told_figures(summary: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """The figures at the end of a run."""
    if summary["loss"] is None:
        return
    yield figures_table(summary, title)
    if summary.get("units"):
        yield units_table(summary["units"])
    yield from writing_table(summary["writing"])


def music_comparison(found: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Nats per note of models of music, and paired differences.

    Arguments:
        found: plain values of the comparison.
        title: printed above.
    """
    columns = [*dim_columns("per quarter", "nats each", "n-gram"), Column("encoding", style="dim")]
    rows = []
    for row in found["rows"]:
        units, figures = row["units"], row["figures"]
        ngram = units.get("ngram")
        rows.append(
            (
                f"{units['model']['nats_per_note']:.4f}",
                f"{units['model']['nats_per_beat']:.4f}",
                f"{figures['loss']:.4f}",
                "-" if ngram is None else f"{ngram['nats_per_note']:.4f}",
                row["encoding"],
            )
        )
    yield from compared_models(found, title, "nats per note", columns, rows)
    if found["caution"] is not None:
        yield Text(found["caution"], style="yellow")


def card_of(bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
    """Contents of the card of a run.

    Arguments:
        bundle: the model.
        summary: as in `summary.json`.
    """
    facts = bundle.provenance
    encoding = bundle.encoder.name.partition(".")[0]
    return Card(
        title=f"A {bundle.config.model.name} over {encoding} of music",
        summary=f"Trained with rhapsode {facts.rhapsode} for {summary['seconds']:.0f} s "
        f"({summary['steps']:,} updates, {summary['epochs']:g} passes); "
        f"{summary['parameters']:,} parameters.",
        data=[
            f"{facts.documents:,} pieces, {facts.characters:,} notes; "
            f"{bundle.encoder.vocab_size:,} elements. SHA-256 of the scores: "
            f"`{facts.data_sha256}`.",
            f"Encoding: {bundle.encoder.round_trip}.",
        ],
        figures=_figures(summary),
        sections={"Generated music beside real music": _writing(summary["writing"])},
        limits=[
            "The model imitates the music that it was trained on. It may repeat passages of its",
            "training data, also in another key. It sees the past only, and plans nothing.",
        ],
        use=[
            "rhapsode generate . -o new.mid",
            "rhapsode generate . start.mid --only-new -o next.mid",
        ],
    )


def _figures(summary: Mapping[str, Any]) -> list[str]:
    if summary["loss"] is None:
        return ["None: no test split was held out."]
    rows = [
        (
            "loss, nats per element",
            f"{summary['loss']:.4f}{interval_in_words(summary['interval'])}",
        ),
        *mixture_rows(summary),
        ("elements scored, ends of pieces included", f"{summary['elements']:,}"),
    ]
    lines = [*markdown_table(["measure", "value"], rows)]
    units = summary.get("units")
    if units:
        head = ["", *(COLUMNS[name] for name in unit_columns(units))]
        lines += ["", *markdown_table(head, unit_rows(units))]
    how = "; ".join(f"{name}: {value}" for name, value in summary["protocol"].items())
    return [*lines, "", f"How: {how}."]


def _writing(writing: Mapping[str, Any]) -> list[str]:
    columns = writing_columns(writing)
    if not columns:
        return [f"Not measured: {writing.get('reason', 'there is no held-out music')}."]
    head = ["measure", *(name for name, _ in columns)]
    return [
        *markdown_table(head, writing_rows(writing)),
        "",
        protocol(writing),
        "",
        *(f"- {line}" for line in copy_lines(writing)),
    ]
