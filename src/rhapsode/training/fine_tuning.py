"""Models that training goes on from, and how gently they learn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rhapsode.bundle import Bundle
from rhapsode.errors import BundleError, RunError
from rhapsode.training.planner import Plan

# Factor of the learning rate that a base model was trained with. Measured with LSTMs of 256 after
# 1,500 updates (test loss on the new text, loss on the old one): Shakespeare, then 150 kB of
# Nietzsche for 400 updates: all of the rate 1.560 and 2.074, half 1.622 and 2.004, a quarter 1.700
# and 1.942, a tenth 1.836 and 1.873. Python's manual, then Shakespeare, best validation loss: 60 kB
# for 300 updates 1.675, 1.733, 1.819, 1.979; 30 kB for 800 updates 1.702, 1.698, 1.702, where all
# of the rate ends at 1.956 and half at 1.780.
GENTLER = 0.5


@dataclass(frozen=True)
class BaseModel:
    """A model that another one begins as.

    Arguments:
        path: its file.
        sha256: of the file.
        bundle: contents of the file.
        line: it and all models before it, the nearest last, for the provenance of a descendant.
    """

    path: Path
    sha256: str
    bundle: Bundle[Any, Any]
    line: tuple[Mapping[str, Any], ...]

    def trained(self, section: str) -> Mapping[str, Any]:
        """A section of the settings it was trained with; empty where its file does not say."""
        return self.bundle.provenance.section(section)


def base_of(path: Path, bundle: Bundle[Any, Any], *, sha256: str | None = None) -> BaseModel:
    """A model file as a base model.

    Arguments:
        path: the file.
        bundle: its contents.
        sha256: of the file that is expected, where a run began with it already.

    Raises:
        BundleError: it has several networks, or none.
        RunError: the file is another one.
    """
    if len(bundle.members) != 1:
        raise BundleError(
            f"training goes on with one network, this model has {len(bundle.members)}",
            where=str(path),
            hint="begin as a model of one network",
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is not None and found != sha256:
        raise RunError(
            "this is not the model that the run began with any more",
            where=str(path),
            hint="restore it, or start a new run",
        )
    facts = bundle.provenance
    told = ("data_sha256", "documents", "characters", "validation_loss", "rhapsode")
    own = {"model_sha256": found, **{name: getattr(facts, name) for name in told}}
    return BaseModel(path, found, bundle, (*facts.ancestors, own))


def gentler_plan(
    plan: Plan, base: BaseModel, elements: int, *, asked: float | None, fits_window: bool
) -> Plan:
    """The plan of a run that begins with trained weights.

    A model that has converged forgets under the rate it was first trained with; `GENTLER` is measured.

    Arguments:
        plan: for the new data, as if for a new model.
        base: gives the network and its learning rate.
        elements: of the training part.
        asked: the learning rate that was asked for; None for none.
        fits_window: whether window and batch are cut to a short training part.
    """
    peak = base.trained("training").get("learning_rate")
    whose = "it was trained with"
    if not isinstance(peak, float) or not 0 < peak <= 10:
        peak, whose = float(plan.training["learning_rate"]), "planned for a new model"
    rate = GENTLER * peak
    window, batch = int(plan.training["window"]), int(plan.training["batch_size"])
    if fits_window:  # a few kept pages must do too
        window = min(window, max(1, elements - 1))
        batch = max(1, min(batch, elements // window))
    reason = f"learning rate {rate:g}: {GENTLER:g} times the {peak:g} {whose}"
    return replace(
        plan,
        network={},
        training={**plan.training, "batch_size": batch, "window": window, "learning_rate": rate},
        reasons=(
            f"begins as {base.path}: its network and elements, {elements:,} elements of new text",
            reason if asked is None else f"learning rate {asked:g}",
        ),
    )
