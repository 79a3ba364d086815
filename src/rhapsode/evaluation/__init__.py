"""Figures with their protocols. Models come as predictors; no torch."""

from rhapsode.evaluation.calibration import Calibration, ReliabilityBin, calibration_of
from rhapsode.evaluation.figures import (
    Figures,
    NetworkFigures,
    Protocol,
    Text,
    evaluate_store,
    figures_of,
    floors_of,
    ngram_in_words,
)
from rhapsode.evaluation.intervals import Interval, interval_of, unit_begins, unit_sums
from rhapsode.evaluation.looks import (
    Bucket,
    Surprise,
    context_losses,
    loss_by_context,
    position_losses,
    surprises,
    windowed_loss,
)
from rhapsode.evaluation.losses import (
    element_losses,
    in_context,
    read_batches,
    total_loss,
    without_given,
)
from rhapsode.evaluation.mixture import LEAST_GAIN, best_share, mixture_nats, part_losses
from rhapsode.evaluation.paired import Difference, paired_difference

__all__ = [
    "Bucket",
    "Calibration",
    "Difference",
    "Figures",
    "Interval",
    "LEAST_GAIN",
    "NetworkFigures",
    "Protocol",
    "ReliabilityBin",
    "Surprise",
    "Text",
    "best_share",
    "calibration_of",
    "context_losses",
    "element_losses",
    "evaluate_store",
    "figures_of",
    "floors_of",
    "in_context",
    "interval_of",
    "loss_by_context",
    "mixture_nats",
    "ngram_in_words",
    "paired_difference",
    "part_losses",
    "position_losses",
    "read_batches",
    "surprises",
    "total_loss",
    "unit_begins",
    "unit_sums",
    "windowed_loss",
    "without_given",
]
