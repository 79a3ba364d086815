"""Accumulated batches weigh their elements as one large batch does, also where their numbers differ."""

from dataclasses import replace
from typing import Any

import numpy as np

from rhapsode.config import OptimisationSettings
from rhapsode.data import Batch
from rhapsode.training import LoopHooks, Step, StepClock, TrainingLoop
from tests.training.test_conditions import Toy, network


class Uneven(Toy):
    """Batches cut in two: the first row scores one element, the others all of theirs."""

    def __init__(self, parts: int) -> None:
        super().__init__(carries=False)
        self.parts = parts

    def batch(self, step: int) -> Batch:
        whole = super().batch(step // self.parts)
        weights_BT = np.array(whole.weights_BT)
        weights_BT[0, 1:] = 0.0
        rows = (slice(None),) if self.parts == 1 else (slice(0, 1), slice(1, None))
        return replace(whole, weights_BT=weights_BT).select(rows[step % self.parts])


def losses(parts: int) -> list[float]:
    settings = OptimisationSettings(
        learning_rate=0.03, averaging=0.0, precision="float32", accumulate=parts
    )
    hooks: Any = LoopHooks(None, tuple, lambda *_: None, None)
    clock = StepClock(20, spent=0.0)
    loop = TrainingLoop(network(), Uneven(parts), clock, settings, hooks)
    return [event.loss for event in loop.run() if isinstance(event, Step)]


def test_parts_of_different_size_make_the_update_of_the_whole() -> None:
    np.testing.assert_allclose(losses(2), losses(1), atol=1e-5)
