"""Conditions in training: targets that depend on nothing else are learnt, resumed bit for bit, and evaluated."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.network import Network, build_network
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.config import OptimisationSettings, parse_context
from rhapsode.data import Batch, Condition
from rhapsode.evaluation.losses import total_loss
from rhapsode.training import LoopHooks, Step, StepClock, TrainingLoop, read_checkpoint

KINDS, ROWS, TIME, WINDOWS, STEPS = 3, 6, 4, 3, 90
BLIND = math.log(KINDS)
"""Nats of the best that reads elements only."""


class Toy:
    """Sequences of noise; every target is the kind of the row's condition.

    A row takes another kind every third window, the rows not all at the same time.

    Arguments:
        carries: whether rows go on from window to window.
    """

    batch_size = ROWS
    elements_per_epoch = ROWS * TIME * WINDOWS

    def __init__(self, *, carries: bool = True) -> None:
        self.carries = carries

    def batch(self, step: int) -> Batch:
        random = np.random.default_rng((7, step))
        inputs_BT = random.integers(0, KINDS, size=(ROWS, TIME))
        turn_B = (step + np.arange(ROWS)) // WINDOWS
        kind_B = (turn_B * 5 + np.arange(ROWS) * 2) % 7 % KINDS
        reset_BT = np.zeros((ROWS, TIME), dtype=np.bool_)
        reset_BT[:, 0] = (step + np.arange(ROWS)) % WINDOWS == 0
        return Batch(
            inputs_BT,
            np.repeat(kind_B[:, None], TIME, axis=1),
            np.ones((ROWS, TIME), dtype=np.float32),
            reset_BT if self.carries else None,
            condition=Condition(static_BK=np.eye(KINDS, dtype=np.float32)[kind_B]),
        )

    def scored(self, steps: int) -> int:
        return steps * ROWS * TIME

    def steps(self, epochs: float) -> int:
        return max(1, round(epochs * WINDOWS))


def network() -> Network:
    torch.manual_seed(3)
    return build_network(
        NetworkConfig(
            Component("table", {"vocab_size": KINDS, "embedding_size": 4}),
            Component("lstm", {"hidden_size": 8}),
            Component("categorical", {"vocab_size": KINDS}),
            conditioner=Component("static", {"static_size": KINDS, "condition_size": 4}),
        )
    )


def loop_of(made: Network, stream: Toy, checkpoint: Path | None = None) -> TrainingLoop:
    settings = OptimisationSettings(learning_rate=0.03, averaging=0.0, precision="float32")
    hooks = LoopHooks(None, tuple, lambda *_: None, checkpoint)
    return TrainingLoop(made, stream, StepClock(STEPS, spent=0.0), settings, hooks)


def run(loop: TrainingLoop, *, stop_at: int | None = None) -> list[float]:
    losses = []
    for event in loop.run():
        if isinstance(event, Step):
            losses.append(event.loss)
            if event.step == stop_at:
                loop.stop()
    return losses


@pytest.mark.parametrize("context", ["carried", "fresh", "window:4"])
def test_what_only_the_condition_tells_is_learnt_and_evaluated(context: str) -> None:
    seen = parse_context(context)
    made, stream = network(), Toy(carries=seen.kind != "window")
    losses = run(loop_of(made, stream))
    assert np.mean(losses[-6:]) < 0.1 * BLIND
    predictor = torch_predictor(made, KINDS, seen)
    batches = [stream.batch(step) for step in range(STEPS, STEPS + 2 * WINDOWS)]
    nats, count = total_loss(predictor, batches, seen)
    assert nats / count < 0.1 * BLIND
    blind = [replace(batch, condition=None) for batch in batches]
    nats, count = total_loss(predictor, blind, seen)
    assert nats / count > 0.9 * BLIND


@pytest.mark.parametrize("stop_at", [31, 33])
def test_a_resumed_run_is_the_unbroken_one(stop_at: int, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    losses = run(loop_of(network(), Toy(), whole))
    first = run(loop_of(network(), Toy(), parts), stop_at=stop_at)
    going_on = loop_of(network(), Toy(), parts)
    going_on.resume(parts)
    assert first + run(going_on) == losses
    one, other = read_checkpoint(whole).tensors, read_checkpoint(parts).tensors
    assert sorted(one) == sorted(other)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
