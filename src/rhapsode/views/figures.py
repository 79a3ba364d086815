"""Figures of models and forecasts in words and as rows."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

METHOD_COLUMNS = ("MASE", "sMAPE", "CRPS", "WQL", "in 80 %", "in 90 %", "Winkler")


def mixture_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Losses of the parts of a mixture.

    Arguments:
        figures: as in `Figures.to_mapping`.
    """
    if figures["network"] is None:
        return []
    baselines = figures["baselines"]
    return [
        ("the network alone", figure_in_words(figures["network"]["loss"], 4)),
        (
            f"the n-gram alone ({baselines.get('ngram_model', 'none')})",
            figure_in_words(baselines["ngram"], 4),
        ),
    ]


def figure_in_words(value: float | None, digits: int) -> str:
    """A figure with so many decimals; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.{digits}f}" if abs(value) < 1e9 else f"{value:.3g}"


def interval_in_words(interval: Mapping[str, Any] | None) -> str:
    """A 95 % interval as it follows its figure; empty for none."""
    if interval is None:
        return ""
    return f" (95 %: {interval['low']:.4f} to {interval['high']:.4f}, over {interval['units']})"


def number(value: float | None, digits: int = 4) -> str:
    """A figure with so many significant digits; a dash for none."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def plural(count: int, noun: str) -> str:
    """A count and its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def figure_rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values of the figures of a sweep.

    Arguments:
        figures: as in `Figures.to_mapping`.
    """
    interval, baselines = figures["interval"], figures["baselines"]
    about = f" ± {1.96 * interval['standard_error']:.4f}" if interval else ""
    yield "loss (nats per element)", figure_in_words(figures["loss"], 4) + about
    for name, value in mixture_rows(figures):
        yield f"  {name}", value
    yield "perplexity", figure_in_words(figures["perplexity"], 3)
    yield "bits per byte", figure_in_words(figures["bits_per_byte"], 4)
    yield "bits per character", figure_in_words(figures["bits_per_character"], 4)
    if figures["word_perplexity"] is not None:
        yield "perplexity per word", figure_in_words(figures["word_perplexity"], 2)
    yield "elements scored", f"{figures['elements']:,}"
    yield "unknown elements", f"{figures['unknown_rate']:.2%}"
    yield "baseline: uniform / unigram", f"{baselines['uniform']:.3f} / {baselines['unigram']:.3f}"
    if baselines["ngram"] is not None and figures["network"] is None:
        yield f"baseline: n-gram, {baselines['ngram_model']}", f"{baselines['ngram']:.4f}"


def method_rows(forecasts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each method: its name and the figures of `METHOD_COLUMNS`.

    These are the parts of the values inside central intervals with their standard errors, and the
    interval score (Winkler) of the 90 % interval.
    """
    measures = ("mase", "smape", "crps", "weighted_quantile_loss")
    return [
        (
            name,
            *(number(method[measure]) for measure in measures),
            *(
                _percent(method["coverage"].get(interval), method["coverage_error"].get(interval))
                for interval in ("80%", "90%")
            ),
            number(method["interval_score"].get("90%")),
        )
        for name, method in forecasts["methods"].items()
    ]


def _percent(share: float | None, error: float | None) -> str:
    """A share and its standard error, where one can be estimated."""
    if share is None:
        return "-"
    return f"{share:.0%} ± {100 * error:.0f}" if error else f"{share:.0%}"


def method_notes(forecasts: Mapping[str, Any]) -> Iterator[str]:
    """Remarks on forecasts, and a warning if the model is weak."""
    yield from forecasts["notes"]
    yield from next(iter(forecasts["methods"].values()))["notes"]
    if forecasts["warning"]:
        yield f"warning: {forecasts['warning']}"
