"""Forecasts, drawings and answers as plain values for the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rhapsode as rh
from rhapsode.modalities.opened import collect

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of a forecast."""
MOST_SERIES, MOST_HISTORY = 40, 400
"""Series of one forecast, and values of the history of each, that are sent."""


def kind_of(model: rh.Model[Any]) -> str:
    """Name of the view of a model, as text or pairs."""
    if getattr(model, "source_encoder", None) is not None:
        return "pairs"
    return model.modality.partition(".")[0]


def writes_texts(model: rh.Model[Any]) -> bool:
    """True for a model of strokes that writes given texts."""
    facts = model.bundle.facts
    return kind_of(model) == "strokes" and getattr(facts, "source", None) is not None


def forecast_values(model: rh.Model[Any], history: str | None, **settings: Any) -> dict[str, Any]:
    """A forecast, and the last values of its history.

    Arguments:
        model: of series.
        history: a table in CSV; None for the training data.
        settings: of the forecast.

    Raises:
        RhapsodeError: the model or the table does not fit.
    """
    asked = rh.ForecastSettings(quantiles=LEVELS, **settings)
    with TemporaryDirectory() as folder:
        source = ""
        if history is not None:
            path = Path(folder) / "history.csv"
            path.write_bytes(history.encode("utf-8", "surrogatepass"))
            source = str(path)
        found = rh.forecast(model, source, asked)
    plain = found.to_mapping()
    series = []
    for place, entry in enumerate(plain["forecasts"][:MOST_SERIES]):
        times_T, values_TK = found.history(place)
        times = found.times_in_words(place, times_T[-MOST_HISTORY:])
        columns = dict(zip(found.given.names, values_TK[-MOST_HISTORY:].T, strict=True))
        past = {name: _numbers(column_T) for name, column_T in columns.items()}
        series.append({**entry, "history": {"times": times, "values": past}})
    return {
        "levels": plain["levels"],
        "samples": plain["samples"],
        "horizon": plain["horizon"],
        "count": len(plain["forecasts"]),
        "series": series,
    }


def drawing_values(
    model: rh.Model[Any], begun: Sequence[Any], text: str, count: int, **settings: Any
) -> dict[str, Any]:
    """New drawings, y growing downwards.

    Arguments:
        model: of strokes.
        begun: strokes [[x, ...], [y, ...]] of the beginning, y growing downwards; may be empty.
        text: to write, for a model that writes texts; others have none.
        count: of drawings.
        settings: of the request.

    Raises:
        RhapsodeError: the model or the beginning does not fit.
    """
    asked = model.request(None, {"count": count, **settings})
    if begun:
        content = json.dumps({"y": "down", "strokes": begun}).encode()
        prompt = model.prompt_of_file(content, ".ndjson", asked)
    else:
        prompt = model.prompt(text, asked)
    drawings = []
    for one in collect(model.write([prompt], asked), [prompt.text], asked):
        document: Any = prompt.document((*prompt.opening.elements, *one.chosen))
        sign = -1.0 if document.value.up else 1.0
        strokes = [
            (np.asarray(each) * (1.0, sign)).round(3).tolist() for each in document.value.strokes
        ]
        drawings.append(
            {"strokes": strokes, "given": document.given, "finish_reason": one.finish_reason}
        )
    return {"seed": asked.seed, "drawings": drawings}


def answer_values(
    model: rh.Model[Any], inputs: Sequence[str], n_best: int, beams: int
) -> list[dict[str, Any]]:
    """The best answers to inputs.

    Arguments:
        model: of pairs.
        inputs: a text each.
        n_best: answers to each input.
        beams: of the search.

    Raises:
        RhapsodeError: the model does not fit.
    """
    settings = model.generation(beams=beams)
    found = rh.answer(model, inputs, settings, n_best=n_best)
    return [
        {"input": text, "answers": [_answer(each) for each in answers]}
        for text, answers in zip(inputs, found, strict=True)
    ]


def _answer(found: Any) -> dict[str, Any]:
    return {"text": found.text, "log_prob": found.log_prob}


def _numbers(column_T: NDArray[np.float64]) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in column_T.tolist()]
