"""Planned settings of runs on text and other elements, and base models.

Runs on series are planned in `modalities/series/fitting/plan.py`. Settings are interpolated from
measured runs on small corpora.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rhapsode.bundle import Bundle
from rhapsode.config import SeenContext
from rhapsode.errors import BundleError, RunError
from rhapsode.models.families import FAMILIES, LARGE_VOCABULARY, Family, PlanRequest
from rhapsode.models.output_layer import OutputLayer

Shape = tuple[int, int]
"""Rows and window of a batch."""

_STEP = 1024
# Multiply-adds a second in training on two cores with fast bfloat16 (430 GFLOP/s; 200 in float32),
# measured for an LSTM of 512; families say how much of that they reach. What settings were measured
# at, a minute of it being a minute here, other machines' minutes are turned into.
_SPEED = 9.0e10
# Maximum learning rate where a family remembers documents and each is read from a fresh state.
_FRESH_RATE = 6e-3
# Fewest documents in one update, where each is read from a fresh state.
_FEWEST_ROWS = 8
# Most elements of a document in one update; longer ones take several, with carried state.
_LONGEST = 1024
# Speed of a CPU relative to that on carried text: documents are fewer, and of unequal length.
_FRESH_SPEED = 0.7
# Factor of the learning rate that a base model was trained with. Measured with LSTMs of 256 after
# 1,500 updates (test loss on the new text, loss on the old one): Shakespeare, then 150 kB of
# Nietzsche for 400 updates: all of the rate 1.560 and 2.074, half 1.622 and 2.004, a quarter 1.700
# and 1.942, a tenth 1.836 and 1.873. Python's manual, then Shakespeare, best validation loss: 60 kB
# for 300 updates 1.675, 1.733, 1.819, 1.979; 30 kB for 800 updates 1.702, 1.698, 1.702, where all
# of the rate ends at 1.956 and half at 1.780.
GENTLER = 0.5


# What follows is estimated for GPUs, not measured.
# Share of the rate of large matrix products that training reaches.
_REACHED = 0.3
# Kernels of an update beside those of recurrent positions.
_KERNELS = {True: 250, False: 800}
# More rows are taken while an update takes at most so many times as long, and there are so many
# updates and windows of each row.
_FREE, _UPDATES, _WINDOWS = 1.5, 5000, 16
_MOST_ROWS, _MOST_RATE = 512, 8e-3
# Passes after which even wide layers with dropout have learnt a corpus by heart.
_PASSES = 40


@dataclass(frozen=True)
class Accelerator:
    """A GPU, as far as plans depend on it.

    Arguments:
        name: for people.
        float32: FLOP/s of large matrix products in float32.
        tf32: in TF32.
        bfloat16: in bfloat16.
        bandwidth: of its memory, bytes/s.
        memory: that tensors may take, bytes.
        position_seconds: for one position of one recurrent layer, forward and backward.
        kernel_seconds: to start a kernel.
    """

    name: str
    float32: float
    tf32: float
    bfloat16: float
    bandwidth: float
    memory: float
    position_seconds: float
    kernel_seconds: float

    def seconds(self, family: type[Family], size: int, vocab_size: int, shape: Shape) -> float:
        """Time of an update, estimated.

        Positions of a recurrent layer wait for one another, so that its time hardly depends on the
        rows while they are few. All else is bound by products, by memory or by starts of kernels.

        Arguments:
            family: of the network.
            size: units of a recurrent network of that cost.
            vocab_size: V.
            shape: rows and window of a batch.
        """
        rows, window = shape
        products = family.inner_cost(size) + size * vocab_size
        # cuDNN's recurrent layers are not computed in bfloat16.
        rates = (self.float32, self.tf32, 0.0 if family.sequential else self.bfloat16)
        computed = 6.0 * products * rows * window / (_REACHED * max(rates))
        moved = 12.0 * products * (window if family.sequential else 4) / self.bandwidth
        waited = window * self.position_seconds if family.sequential else 0.0
        started = _KERNELS[family.sequential] * self.kernel_seconds
        return max(computed, moved, waited) + started

    def bytes(self, family: type[Family], size: int, vocab_size: int, shape: Shape) -> float:
        """Memory of an update, estimated: weights, optimiser, and values kept for gradients."""
        rows, window = shape
        inner = family.inner_cost(size)
        weights = inner + 2 * size * vocab_size
        kept = 4 * inner / size + 4 * vocab_size
        return 4.0 * (6 * weights + rows * window * kept)

    def rows(self, family: type[Family], size: int, vocab_size: int, request: RowRequest) -> int:
        """Rows that cost little, fit, and leave enough updates."""
        rows, window = request.least, request.window
        most = self.seconds(family, size, vocab_size, (rows, window)) * _FREE
        while 2 * rows <= min(_MOST_ROWS, request.most):
            shape = (2 * rows, window)
            taken = self.seconds(family, size, vocab_size, shape)
            updates = _PASSES * request.elements / (2 * rows * window)
            if request.seconds is not None:
                updates = min(updates, request.seconds / taken)
            full = 2 * self.bytes(family, size, vocab_size, shape) > self.memory
            if taken > most or updates < _UPDATES or full:
                break
            rows *= 2
        return rows


@dataclass(frozen=True)
class RowRequest:
    """Limits of the rows of a batch on a GPU.

    Arguments:
        least: rows as planned for a CPU.
        most: that the corpus fills.
        window: steps that one update reads.
        elements: of the training split.
        seconds: the budget; None for none.
    """

    least: int
    most: int
    window: int
    elements: int
    seconds: float | None


@dataclass(frozen=True)
class PlannedSettings:
    """Settings of a run where nothing else was asked for.

    Arguments:
        network: settings of the input module and the family.
        training: batch_size, window, learning_rate.
        reasons: why, a line each.
        most_steps: maximum number of useful updates; None for no limit.
        passes: expected passes over the training split; 0 if unknown.
    """

    network: Mapping[str, Any]
    training: Mapping[str, Any]
    reasons: tuple[str, ...]
    most_steps: int | None = None
    passes: float = 0.0


def plan_id_run(
    *,
    family: str,
    elements: int,
    documents: int,
    vocab_size: int,
    context: SeenContext,
    seconds: float | None,
    epochs: float | None,
    steps: int | None,
    speed: float,
    hidden_size: int | None = None,
    accelerator: Accelerator | None = None,
    output: OutputLayer | None = None,
    read_at_once: int | None = None,
    has_sources: bool = False,
) -> PlannedSettings:
    """A plan for one corpus.

    Arguments:
        family: full name of the model.
        elements: of the training split.
        documents: of the training split.
        vocab_size: V.
        context: what the model sees of the past.
        seconds: the budget, or None when epochs or steps rule.
        epochs: passes asked for.
        steps: updates asked for.
        speed: of the machine, as `machine_speed` tells it.
        hidden_size: units that were asked for, to which the rest is fitted; None to choose them.
        accelerator: the GPU that trains; None for a CPU.
        output: the planned output layer; None for a full one.
        read_at_once: elements of an update, where the caller has decided that.
        has_sources: True if every document has a source, which attention reads.
    """
    if output is None:
        output = OutputLayer.full(vocab_size)
    kind = FAMILIES.get(family)
    length = max(2, elements // max(1, documents))
    if context.kind == "fresh":
        # All of a usual document in one update. Of short ones about as many elements as in windows.
        whole = 64 * math.ceil(2 * length / 64)
        window = min(whole, _LONGEST)
        batch = max(1, min(max(_FEWEST_ROWS, min(64, _STEP // length)), documents))
        if accelerator is None:
            speed *= _FRESH_SPEED
    else:
        window = context.size if context.kind == "window" else kind.default_window
        rows = max(16, min(64, 2048 // window)) if context.kind == "window" else 16
        if context.kind == "carried":
            window = max(1, min(window, elements - 1))  # a few pages must do too
        batch = max(1, min(rows, elements // window))
        whole = window
    rows_of_cpu = batch
    if accelerator is not None:
        row_limits = RowRequest(
            batch,
            documents if context.kind == "fresh" else elements // (_WINDOWS * window),
            window,
            elements,
            seconds,
        )
        batch = accelerator.rows(kind, 512, vocab_size, row_limits)
        own = accelerator.seconds(kind, 512, vocab_size, (batch, window)) / (batch * window)
        speed = (
            3.0 * (kind.inner_cost(512) + 512 * vocab_size) / (own * _SPEED * kind.training_speed)
        )
    size = _width(
        elements, None if seconds is None else seconds * speed, wide=accelerator is not None
    )
    if vocab_size > 2000:
        size = min(size, 512 if accelerator is None else 1024)
    if hidden_size is not None:
        size = hidden_size
    # Multiply-adds to learn from one element, about.
    work = 3.0 * (kind.inner_cost(size) + output.cost(size))
    rate = _SPEED * kind.training_speed * speed
    if accelerator is not None:
        batch = accelerator.rows(kind, size, vocab_size, row_limits)
        update = accelerator.seconds(kind, size, vocab_size, (batch, window))
        rate = work * batch * window / update
    read = read_at_once or batch * (min(length, window) if context.kind == "fresh" else window)
    most_steps = None
    if epochs is not None:
        seen = epochs
    elif steps is not None:
        seen = steps * read / max(1, elements)
    else:
        seen = (seconds or 0.0) * rate / work / max(1, elements)
        if accelerator is not None and seen > _PASSES:
            seen = float(_PASSES)
            most_steps = round(_PASSES * elements / read)
    dropout = _dropout(seen, size, vocab_size)
    planned = kind.plan(PlanRequest(size, vocab_size, whole, dropout))
    network, learning_rate = {**planned.network, **output.settings}, planned.learning_rate
    highest = _MOST_RATE
    if context.kind == "fresh" and kind.remembers_documents:
        network |= {"chrono": length, "chrono_share": 0.25}
        if not has_sources:
            highest = _FRESH_RATE
            learning_rate = min(learning_rate, highest)
    updates = seen * elements / read
    if accelerator is not None:
        # More rows give gradients with less noise, which bear a higher rate.
        raised = learning_rate * (batch / rows_of_cpu) ** 0.25
        learning_rate = round(max(learning_rate, min(raised, highest)), 5)
    averaging = 0.0
    if kind.averages and updates >= 500:
        # Over about the last tenth of a run, so that the schedule's end counts most.
        averaging = round(1.0 - 10.0 / min(updates, 20_000), 5)
    timed = f" in {seconds:.0f} s" if seconds is not None else ""
    reasons = [f"{planned.reason}: for {elements:,} elements{timed}"]
    if output.reason is not None:
        reasons.append(output.reason)
    if context.kind == "fresh":
        memory = (
            ", a quarter of the units initialised to remember a whole document"
            if "chrono" in network
            else ""
        )
        reasons.append(
            f"each document separately{memory}: {documents:,} of about {length:,} elements"
        )
    passes = f"{seen:.1f}" if seen < 100 else f"{seen:,.0f}"
    reasons.append(f"dropout {network.get('dropout', 0):g}: about {passes} passes are expected")
    if averaging:
        reasons.append(f"weights averaged over {1 / (1 - averaging):.0f} updates")
    if accelerator is not None:
        reasons.append(
            f"{batch} rows, about {updates:,.0f} updates of {1000 * update:.1f} ms: estimated for "
            f"{accelerator.name}, not measured"
        )
    if most_steps is not None:
        reasons.append(f"at most {most_steps:,} updates, {_PASSES} passes, to avoid overfitting")
    training = {
        "batch_size": batch,
        "window": window,
        "learning_rate": learning_rate,
        "averaging": averaging,
    }
    return PlannedSettings(network, training, tuple(reasons), most_steps, seen)


def machine_speed(rates: Mapping[str, float], threads: int = 1) -> float:
    """The training speed of a machine, relative to the reference machine.

    The settings were measured on the reference machine. Speeds are rounded to powers of the square
    root of two, so that a short disturbance seldom changes a plan. If one thread alone does better
    than its part of all, other programs were running while all were measured.

    Arguments:
        rates: measured matmul rates, GFLOP/s, as `matmul_rates` gives them.
        threads: that train.
    """
    half, single = rates["bfloat16"], max(1e-3, rates["float32"])
    share = half / 430 if half > 1.5 * single else 0.6 * single / 200
    together = rates.get("float32_one_thread", 0.0) * (1 + 0.9 * (threads - 1))
    share *= max(1.0, together / single)
    return float(2 ** (round(2 * math.log2(max(0.05, min(64.0, share)))) / 2))


def _dropout(seen: float, size: int, vocab_size: int) -> float:
    """Dropout: more for more passes, wider layers and rare elements.

    These overfit sooner.
    """
    share = 0.036 * seen * size / 512
    if vocab_size > LARGE_VOCABULARY:
        share = 0.1 + 0.07 * seen
    return round(min(0.4, max(0.0, share)), 2)


def _width(elements: int, seconds: float | None, *, wide: bool) -> int:
    """Hidden units: more with more time, fewer for small corpora.

    The seconds are those of the reference machine. A wide network overfits a small corpus early.
    Widths above 768, on GPUs, are estimated.
    """
    minutes = (seconds if seconds is not None else 180.0) / 60
    most = 16.0 if wide else 6.0
    by_time = 128 * round(max(1.0, min(most, 3.0 + math.log2(max(minutes, 0.1)) * 0.9)))
    by_corpus = 128 if elements < 50_000 else 256 if elements < 250_000 else 768
    if wide and elements >= 750_000:
        by_corpus = 1024 if elements < 10_000_000 else 2048
    return min(by_time, by_corpus)


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
            f"only a model of one network can be trained further, "
            f"this one has {len(bundle.members)}",
            where=str(path),
            hint="start from a model of one network",
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is not None and found != sha256:
        raise RunError(
            "the base model has changed since the run began",
            where=str(path),
            hint="restore it, or start a new run",
        )
    provenance = bundle.provenance
    names = ("data_sha256", "documents", "characters", "validation_loss", "rhapsode")
    own = {"model_sha256": found, **{name: getattr(provenance, name) for name in names}}
    return BaseModel(path, found, bundle, (*provenance.ancestors, own))


def gentler_plan(
    plan: PlannedSettings, base: BaseModel, elements: int, *, asked: float | None
) -> PlannedSettings:
    """The plan of a run that begins with trained weights.

    A model that has converged forgets under the rate it was first trained with; `GENTLER` is
    measured.

    Arguments:
        plan: for the new data, as if for a new model.
        base: gives the network and its learning rate.
        elements: of the training split.
        asked: the learning rate that was asked for; None for none.
    """
    peak = base.bundle.provenance.section("training").get("learning_rate")
    whose = "it was trained with"
    if not isinstance(peak, float) or not 0 < peak <= 10:
        peak, whose = float(plan.training["learning_rate"]), "planned for a new model"
    rate = GENTLER * peak
    reason = f"learning rate {rate:g}: {GENTLER:g} times the {peak:g} {whose}"
    return replace(
        plan,
        network={},
        training={**plan.training, "learning_rate": rate},
        reasons=(
            f"starts from {base.path}: its network and elements, {elements:,} elements of new text",
            reason if asked is None else f"learning rate {asked:g}",
        ),
    )
