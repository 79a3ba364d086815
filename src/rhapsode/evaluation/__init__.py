"""Figures with their protocols. Models come as predictors; no torch."""

from rhapsode.evaluation.figures import (
    Figures,
    Protocol,
    evaluate_store,
    figures_of,
    floors_of,
    total_loss,
)

__all__ = ["Figures", "Protocol", "evaluate_store", "figures_of", "floors_of", "total_loss"]
