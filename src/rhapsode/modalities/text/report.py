"""The card of a model of text."""

import re
from collections.abc import Mapping
from typing import Any

from rhapsode.bundle import IdBundle, Provenance
from rhapsode.data.splits import MOST_TEST, MOST_VALIDATION
from rhapsode.views.card import Card, markdown_table
from rhapsode.views.figures import figure_in_words, interval_in_words, mixture_rows
from rhapsode.views.writing_table import (
    longest_copies,
    one_line,
    writing_columns,
    writing_rows,
    writing_verdict,
)

# Characters of a copied stretch that are quoted.
QUOTED = 240


def card_of(bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
    """Contents of the card of a run.

    Arguments:
        bundle: the model.
        summary: as in `summary.json`.
    """
    facts = bundle.provenance
    return Card(
        title=f"A {bundle.config.model.name} over {bundle.encoder.name.partition('.')[0]}",
        summary=f"Trained with rhapsode {facts.rhapsode} for {summary['seconds']:.0f} s "
        f"({summary['steps']:,} updates, {summary['epochs']:g} passes); "
        f"{summary['parameters']:,} parameters.",
        data=[
            f"{facts.documents:,} documents, {facts.characters:,} characters; "
            f"{bundle.encoder.vocab_size:,} elements. SHA-256 of the texts: `{facts.data_sha256}`.",
            shares_in_words(facts),
        ],
        figures=_figures(summary),
        sections={"Does it copy?": _writing(summary["writing"])},
        limits=[
            "The model imitates the text that it was trained on, and has no other knowledge. It "
            "may repeat",
            "passages of its training data, including longer ones than those found above.",
        ],
        use=['rhapsode generate . "Your prompt" --temperature 0.8'],
    )


def shares_in_words(facts: Provenance) -> str:
    """The division of a corpus in a sentence.

    Arguments:
        facts: provenance of a bundle.
    """
    test, validation = facts.test_share or 0.0, facts.validation_share or 0.0
    by = facts.section("data").get("split", "tail")
    if not test:
        held = "No data was held out for the metrics"
    elif by == "documents":
        held = (
            f"About {test:.1%}, documents chosen by a hash of their text and not much above "
            f"{MOST_TEST:,} characters, was held out for the metrics below"
        )
    else:
        held = (
            f"The last {test:.1%}, at most about {MOST_TEST:,} characters, was held out for the "
            "metrics below"
        )
    if not validation:
        return f"{held}; the final weights were kept."
    return (
        f"{held}; the weights were selected on {validation:.1%} of the rest, at most about "
        f"{MOST_VALIDATION:,} characters spread over all of it."
    )


def _figures(summary: Mapping[str, Any]) -> list[str]:
    if summary["loss"] is None:
        return ["None: no test split was held out."]
    baselines = summary["baselines"]
    rows = [
        (
            "loss, nats per element",
            f"{summary['loss']:.4f}{interval_in_words(summary['interval'])}",
        ),
        *mixture_rows(summary),
        ("perplexity", f"{summary['perplexity']:.2f}"),
        ("bits per byte", figure_in_words(summary["bits_per_byte"], 4)),
        ("bits per character", figure_in_words(summary["bits_per_character"], 4)),
        ("perplexity per word", figure_in_words(summary["word_perplexity"], 2)),
        ("elements scored", f"{summary['elements']:,}"),
        ("unknown elements", f"{summary['unknown_rate']:.4%}"),
        ("baseline: uniform, nats", f"{baselines['uniform']:.4f}"),
        ("baseline: unigram, nats", f"{baselines['unigram']:.4f}"),
        (
            f"baseline: n-gram ({baselines.get('ngram_model', 'none')}), nats",
            figure_in_words(baselines["ngram"], 4),
        ),
    ]
    how = "; ".join(f"{name}: {value}" for name, value in summary["protocol"].items())
    return [
        "| measure | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        f"How: {how}.",
    ]


def _writing(writing: Mapping[str, Any]) -> list[str]:
    lines = [writing_verdict(writing)]
    columns = writing_columns(writing)
    if not columns:
        return lines
    rows = [(name, *values) for name, values in writing_rows(writing)]
    lines += [
        "",
        *markdown_table(["measure", *(name for name, _ in columns)], rows),
        "",
        f"{writing['texts']} texts of {writing['length']} characters each, written from "
        f"{writing['prompt'] or 'the empty prompt'} (seed {writing['seed']}), "
        "and as many passages of the held-out text.",
    ]
    copies = longest_copies(writing)
    if copies:
        lines += ["", "The longest copies, and where they first occur:", ""]
    for who, copy in copies:
        times = "" if copy["count"] == 1 else f", {copy['count']:,} times in all"
        lines.append(
            f"- {who}, {len(copy['text']):,} characters: {_code_span(copy['text'])} "
            f"in {_code_span(copy['document'])}, line {copy['line']:,}{times}"
        )
    return lines


def _code_span(text: str) -> str:
    shown = one_line(text)
    if len(shown) > QUOTED:
        shown = f"{shown[: QUOTED // 2]} ... {shown[-QUOTED // 2 :]}"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}"
