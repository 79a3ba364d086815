"""Clocks: looking may take only its share of a budget."""

import time

import pytest

from rhapsode.training import BudgetClock, StepClock
from rhapsode.training.clock import LOOKING
from tests.training.replay_clock import ReplayClock


def test_a_budget_affords_its_share_of_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = BudgetClock(100.0, spent=4.0)
    assert clock.origin == 4.0
    now += 20.0
    assert clock.affords(0.0)
    assert clock.affords(LOOKING * 20.0)
    assert not clock.affords(LOOKING * 20.0 + 0.01)
    clock.reserve(2.0)
    assert clock.affords(LOOKING * 20.0 - 2.0)
    assert not clock.affords(LOOKING * 20.0 - 1.9)


def test_runs_of_steps_look_as_often_as_asked() -> None:
    for clock in (StepClock(10), ReplayClock([0.0, 0.5])):
        assert clock.affords(1e9)
