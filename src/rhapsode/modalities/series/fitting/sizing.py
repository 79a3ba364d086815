"""Settings for training on series of numbers, from how many there are, with reasons."""

from __future__ import annotations

from rhapsode.training.planner import Plan

__all__ = ["enough_steps", "plan_series"]


def plan_series(
    *,
    points: int,
    series: int,
    longest: int,
    season: int,
    horizon: int,
    hidden_size: int | None = None,
) -> Plan:
    """A plan for a set of series.

    Few values want a small network, steps enough to fit it and weights that are pulled towards nothing; many want a
    wide one and no more passes than the budget has.

    Arguments:
        points: known values of the training share.
        series: how many series there are.
        longest: steps of the longest.
        season: steps in a season.
        horizon: steps that are to be forecast.
        hidden_size: units that were asked for, to which the rest is fitted; None to choose them.
    """
    size = 24 if points < 1_000 else 40 if points < 10_000 else 64 if points < 100_000 else 96
    size = size if hidden_size is None else hidden_size
    window = min(longest, max(32, min(192, 2 * season, 4 * horizon), horizon))
    rows = max(1, min(64, 3072 // window, -(-points // window)))
    dropout = 0.3 if points < 1_000 else 0.1
    network = {
        "hidden_size": size,
        "num_layers": 1,
        "dropout": dropout,
    }
    few = points < 1_000
    rate = 1e-3 if few else 3e-3
    training = {
        "batch_size": rows,
        "window": window,
        "learning_rate": rate,
        "averaging": 0.9 if few else 0.99,
        "evaluations": 40 if few else 20,
        "patience": 12 if few else 6,
        "weight_decay": 0.02,
    }
    reasons = (
        f"{size} units: for {points:,} values of {series:,} series",
        f"windows of {window} steps, {rows} side by side: seasons of {season}, {horizon} steps to forecast",
        f"dropout {dropout:g}, decay {training['weight_decay']:g}",
    )
    return Plan(network, training, reasons)


def enough_steps(points: int, elements_per_step: int) -> int:
    """Updates behind which a set of so many values has nothing more to give.

    Arguments:
        points: known values of the training share.
        elements_per_step: steps times rows of one update.
    """
    passes = max(15.0, min(600.0, 8.0e6 / max(1, points)))
    return round(max(500.0, passes * points / max(1, elements_per_step)))
