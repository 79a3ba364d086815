"""Measures of models of pairs for people: answers, mistakes, an alignment."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from rhapsode.views.figures import figure_in_words
from rhapsode.views.tables import bare_table, number_column

_LONGEST = 60


def answer_rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of measures of answers.

    Arguments:
        found: plain values of the measures.
    """
    rows = [
        ("inputs answered", f"{found['inputs']:,}"),
        ("right answers", f"{found['accuracy']:.2%}"),
        ("wrong answers (error rate)", f"{found['error_rate']:.2%}"),
        ("symbol error rate", f"{found['symbol_error_rate']:.2%}"),
        ("edit distance, mean elements", f"{found['edit_distance']:.3f}"),
    ]
    if found["unfinished"]:
        rows.append(("answers without an end", f"{found['unfinished']:.2%}"))
    if found["bleu"] is not None:
        rows += [
            (f"BLEU ({found['signature']})", f"{found['bleu']:.2f}"),
            ("chrF", f"{found['chrf']:.2f}"),
        ]
    return rows


def pair_report(
    found: Mapping[str, Any], title: str, alignments: Sequence[Mapping[str, Any]] = ()
) -> Iterator[RenderableType]:
    """Measures of a model of pairs, from top to bottom.

    Arguments:
        found: plain values of the measures.
        title: printed above.
        alignments: drawn below.
    """
    baselines = found["baselines"]
    rows = [
        *answer_rows(found),
        ("loss, nats per element of the output", f"{found['loss']:.4f}"),
        ("perplexity", f"{found['perplexity']:.3f}"),
        ("elements scored", f"{found['elements']:,}"),
        ("baseline: outputs alone, n-gram", figure_in_words(baselines["ngram"], 4)),
        ("beams", str(found["beams"])),
    ]
    yield bare_table("", number_column(), rows=rows, title=title)
    if found["wrong"]:
        yield from wrong_table(found["wrong"])
    for alignment in alignments:
        yield Text("\nattention of each element of the output (down) to the input (across)", "bold")
        yield alignment_matrix(alignment)
    yield Text()
    for name, value in found["protocol"].items():
        yield Text.assemble((f"{name.replace('_', ' ')}: ", "dim"), value)


def told_pairs(summary: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Measures for the end of a run.

    Arguments:
        summary: as in `summary.json`.
        title: printed above.
    """
    answers = summary["answers"]
    if answers is None:
        return
    rows = [*answer_rows(answers), ("loss, nats per element", f"{summary['loss']:.4f}")]
    yield bare_table("", number_column(), rows=rows, title=title)
    if answers["wrong"]:
        yield from wrong_table(answers["wrong"])


def wrong_table(wrong: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Some wrong answers beside right ones."""
    rows = [
        (_short(each["input"]), _short(each["answer"]), _short(each["right"][0])) for each in wrong
    ]
    yield bare_table(
        "input", "answer", "right", rows=[map(Text, row) for row in rows], title="\nwrong answers"
    )


def _short(text: str) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def alignment_matrix(alignment: Mapping[str, Any]) -> Text:
    """Attention weights as blocks of five shades.

    Arguments:
        alignment: `source`, `output` and `weights`.
    """
    shades = " ░▒▓█"
    source, output = alignment["source"], alignment["output"]
    wide = max(map(len, source), default=1) > 1
    left = max(map(len, output), default=1)
    text = Text(no_wrap=True)
    if wide:
        names = [f"{place}: {name}" for place, name in enumerate(source)]
        text.append(" " * left + "  " + "  ".join(names) + "\n", "dim")
    heads = [str(place % 10) for place in range(len(source))] if wide else source
    text.append(" " * left + "  " + " ".join(heads) + "\n", "dim")
    for name, row in zip(output, alignment["weights"], strict=True):
        cells = [shades[round(4 * max(0.0, min(1.0, weight)))] for weight in row]
        text.append(f"{name:>{left}}  ", "dim")
        text.append(" ".join(cells) + "\n")
    return text
