"""The linear part of a network of series, in words. No torch.

A network whose head also reads its inputs is a linear function of them that the rest of the network
corrects. Its weights stand in the last columns of the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rhapsode.encoding.series import SeriesEncoder, SeriesEncoderSettings
from rhapsode.modalities.series.facts import Covariates, SeriesBundle
from rhapsode.models.families import FAMILIES

# Heads whose first parameter of a number is its location, in units of the target.
LOCATED = ("laplace.v1", "gaussian.v1", "student_t.v1", "quantiles.v1")


def linear_part(bundle: SeriesBundle) -> dict[str, Any] | None:
    """Weights of the inputs in the location of the next value.

    The largest are first.

    Returns:
        Plain values: `of`, what inputs and location are, and for each number its `constant` (with
        the weights of flags of known values, as if none was missing) and its `weights`, pairs of
        `input` and `weight`. None if the head does not read the inputs, or has no location.
    """
    config, encoder = bundle.network, bundle.encoder
    if config is None or len(bundle.members) != 1:
        return None
    reads_inputs = FAMILIES.get(config.model.name).sees_inputs and config.input.name == "values.v1"
    if not reads_inputs or config.head.name not in LOCATED:
        return None
    names, numbers = input_names(encoder, bundle.facts.covariates, bundle.facts.names), {}
    weight, bias = (bundle.arrays[f"head.{each}"] for each in ("weight", "bias"))
    each = len(weight) // encoder.target_size
    for number, name in enumerate(bundle.facts.names):
        row_F = weight[number * each, -len(names) :].astype(np.float64)
        flags_F = np.array([label.endswith(" known") for label in names])
        labels = [_with_season(label, bundle.facts.season) for label in names]
        order = np.argsort(-np.abs(row_F), kind="stable")
        numbers[name] = {
            "constant": float(bias[number * each] + row_F[flags_F].sum()),
            "weights": [
                {"input": labels[place], "weight": float(row_F[place])}
                for place in order.tolist()
                if not flags_F[place]
            ],
        }
    return {"of": _values_in_words(encoder.settings), "numbers": numbers}


def input_names(
    encoder: SeriesEncoder, covariates: Covariates, names: tuple[str, ...]
) -> list[str]:
    """Names of the inputs of a network, in their order."""

    def own(text: str) -> Iterator[str]:
        yield from ((text if len(names) == 1 else f"{text} of {name}") for name in names)

    found: list[str] = []
    for lag in encoder.lags:
        found += [*own(f"lag {lag}"), *(f"{label} known" for label in own(f"lag {lag}"))]
    found += own("logarithm of the scale / 10")
    found += [f"{turn} of {each}" for turn in ("sine", "cosine") for each in covariates.calendar]
    described = covariates.known if covariates.conditioned else covariates.known + covariates.static
    for each in described:
        found += [each, f"{each} known"]
    if not covariates.conditioned:
        for category, levels in zip(covariates.categories, covariates.levels, strict=True):
            found += [f"{category} = {level}" for level in levels]
    return found


def _with_season(label: str, season: int) -> str:
    head, _, lag = label.partition(" ")
    lag = lag.partition(" ")[0]
    if head != "lag" or season < 2 or int(lag) % season:
        return label
    seasons = int(lag) // season
    return f"{label} ({'a season' if seasons == 1 else f'{seasons} seasons'})"


def _values_in_words(settings: SeriesEncoderSettings) -> str:
    """The values that a network reads and predicts."""
    words = "logarithms of 1 + x" if settings.log else "values"
    if settings.difference:
        words = f"differences over {settings.difference} steps of the {words}"
    elif settings.centre:
        words = f"differences from the mean of the last {settings.centre} {words}"
    return f"{words}, scaled ({settings.scaling})"
