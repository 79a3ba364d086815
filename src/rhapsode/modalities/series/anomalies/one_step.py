"""One-step distributions of every value of series. Loads torch.

A value that its distribution hardly allows is replaced by the median before the next values are
predicted, so that one spike is not followed by false alarms at its lags. At most `MOST_REPLACED`
consecutive values are replaced: a new level is soon read as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rhapsode.bundle import History
from rhapsode.bundle.device import numbers, tensor_on
from rhapsode.bundle.value_predictor import ValuePredictor
from rhapsode.data.tables import SeriesSet
from rhapsode.encoding.series import SeriesStats
from rhapsode.heads import tail_probabilities
from rhapsode.modalities.series.facts import SeriesBundle

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Two-sided probability below which a value is replaced in the history of the next ones.
REPLACED_BELOW = 1e-4
MOST_REPLACED = 3
# Stretches of series that are read side by side, and the least rows of one.
MOST_STRETCHES, LEAST_ROWS = 256, 256
# Quartile ranges from the median beyond which a value does not count for the scale.
FAR = 20.0
TAILS_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class OneStep:
    """Values under their one-step distributions, (N, K); NaN where none is scored.

    Arguments:
        expected: medians.
        at_most: probabilities of a value up to the observed one.
        at_least: probabilities of the observed value or a larger one.
        nats: negative log-densities, in the data's own units, of whole rows (N,).
    """

    expected: Floats
    at_most: Floats
    at_least: Floats
    nats: Floats


@dataclass(frozen=True)
class _Stretch:
    """Consecutive rows of a series.

    Arguments:
        series: its place in the set.
        lead: first row that is read step by step.
        first: first row that is scored.
        stop: the row after the last one.
    """

    series: int
    lead: int
    first: int
    stop: int


def one_step(
    predictor: ValuePredictor[SeriesBundle], given: SeriesSet, first_S: Ints, scaled_S: Ints
) -> OneStep:
    """Predict every value of series from the values before it.

    Arguments:
        predictor: the model.
        given: the series.
        first_S: rows of each before the first scored one.
        scaled_S: rows of each that set its scale; values far from all others do not count.
    """
    rows, width = given.values_NK.shape
    expected, at_most, at_least = (np.full((rows, width), np.nan) for _ in range(3))
    found = OneStep(expected, at_most, at_least, np.full(rows, np.nan))
    encoder = predictor.bundle.encoder
    scales = [
        encoder.stats(_without_far(given.values_NK[given.rows(series)][: scaled_S[series]]))
        for series in range(len(given))
    ]
    stretches = sorted(
        _stretches(given, first_S, encoder.span), key=lambda each: each.stop - each.lead
    )
    for begin in range(0, len(stretches), MOST_STRETCHES):
        _read(predictor, given, stretches[begin : begin + MOST_STRETCHES], scales, found)
    return found


def _without_far(values_TK: Floats) -> Floats:
    """Values of which those far from all others are missing."""
    known_TK = np.where(np.isfinite(values_TK), values_TK, np.nan)
    if not np.isfinite(known_TK).any(axis=0).all():
        return known_TK
    low_K, median_K, high_K = np.nanquantile(known_TK, (0.25, 0.5, 0.75), axis=0)
    limit_K = np.where(high_K > low_K, FAR * (high_K - low_K), np.inf)
    return np.where(np.abs(known_TK - median_K) > limit_K, np.nan, known_TK)


def _stretches(given: SeriesSet, first_S: Ints, span: int) -> Iterator[_Stretch]:
    """Divide the scored rows, so that long series are read side by side."""
    total = int((given.lengths - first_S).sum())
    size = max(LEAST_ROWS, span, -(-total // MOST_STRETCHES))
    lengths, firsts = given.lengths.tolist(), first_S.tolist()
    for series, (length, first) in enumerate(zip(lengths, firsts, strict=True)):
        for start in range(first, length, size):
            yield _Stretch(series, max(0, start - span), start, min(start + size, length))


def _read(
    predictor: ValuePredictor[SeriesBundle],
    given: SeriesSet,
    stretches: list[_Stretch],
    scales: list[SeriesStats],
    found: OneStep,
) -> None:
    """Score stretches side by side, into `found`."""
    facts, head = predictor.bundle.facts, predictor.head
    which_B = np.array([each.series for each in stretches])
    histories = []
    steps = max(each.stop - each.lead for each in stretches)
    values_BTK = np.full((len(stretches), steps, given.values_NK.shape[1]), np.nan)
    known_BTX = np.zeros((len(stretches), steps, facts.covariates.size), dtype=np.float32)
    for row, each in enumerate(stretches):
        offset = int(given.offsets[each.series])
        read = slice(offset + max(0, each.lead - facts.warm_up), offset + each.stop)
        known_TX = facts.covariates.rows(
            given, each.series, given.times_N[read], given.known_NC[read]
        )
        own = each.stop - each.lead
        past = given.values_NK[offset : offset + each.lead]
        before = known_TX[: len(known_TX) - own]
        histories.append(History(past, before, scales[each.series]))
        values_BTK[row, :own] = given.values_NK[offset + each.lead : offset + each.stop]
        known_BTX[row, :own] = known_TX[len(known_TX) - own :]
    state = predictor.begin(histories, facts.covariates.condition(given, which_B))
    levels = (REPLACED_BELOW / 2, 0.5, 1 - REPLACED_BELOW / 2)
    none_B0K = np.empty((len(stretches), 0, values_BTK.shape[2]))
    replaced_BK = np.zeros(values_BTK[:, 0].shape, dtype=np.int64)
    parameters, targets, jacobians, medians = [], [], [], []
    for step in range(steps):
        values_BK = values_BTK[:, step]
        following, state = predictor.advance(none_B0K, state, known_BTX[:, step : step + 1])
        targets_BK, jacobian_B = state.paths.encode_next(values_BK)
        low_BK, middle_BK, high_BK = (
            numbers(head.quantile(following.parameters_BP, level)) for level in levels
        )
        median_BK = state.paths.decode_next(middle_BK)
        wrong_BK = (targets_BK < low_BK) | (targets_BK > high_BK)
        replaced_BK = np.where(wrong_BK, replaced_BK + 1, 0)
        read_BK = np.where(wrong_BK & (replaced_BK <= MOST_REPLACED), median_BK, values_BK)
        state = predictor.observe(read_BK, state, known_BTX[:, step])
        parameters.append(following.parameters_BP)
        targets.append(targets_BK)
        jacobians.append(jacobian_B)
        medians.append(median_BK)
    places = [
        (row, offset - each.lead, int(given.offsets[each.series]) + offset)
        for row, each in enumerate(stretches)
        for offset in range(each.first, each.stop)
    ]
    row_N, step_N, place_N = np.array(places, dtype=np.int64).reshape(-1, 3).T
    parameters_BTP = torch.stack(parameters, dim=1)
    targets_BTK, jacobian_BT = np.stack(targets, axis=1), np.stack(jacobians, axis=1)
    found.expected[place_N] = np.stack(medians, axis=1)[row_N, step_N]
    for begin in range(0, len(place_N), TAILS_AT_ONCE):
        part = slice(begin, begin + TAILS_AT_ONCE)
        row_M, step_M, place_M = row_N[part], step_N[part], place_N[part]
        own_MP = parameters_BTP[row_M, step_M]
        targets_MK = tensor_on(parameters_BTP.device, targets_BTK[row_M, step_M])
        at_most_MK, at_least_MK = tail_probabilities(head, own_MP, targets_MK)
        found.at_most[place_M] = numbers(at_most_MK)
        found.at_least[place_M] = numbers(at_least_MK)
        density_M1 = head.log_prob(own_MP[:, None], targets_MK[:, None]).detach()
        nats_M = -numbers(density_M1)[:, 0] - jacobian_BT[row_M, step_M]
        known_M = np.isfinite(targets_BTK[row_M, step_M]).any(axis=1)
        found.nats[place_M] = np.where(known_M, nats_M, np.nan)
