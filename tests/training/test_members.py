"""Several networks in one run: division of the limit, exact resume, and the average of those that help."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import read_bundle
from rhapsode.errors import RunError, SettingsError
from rhapsode.evaluation import total_loss
from rhapsode.modalities.ids.counting.validation import ValidationPart
from rhapsode.modalities.text.model import TextModel
from rhapsode.training import BudgetClock, Evaluated, Saved, StepClock, join_group, member_seed
from rhapsode.workflows.inference.ask import load
from rhapsode.workflows.runs.kept_members import helpful_members
from rhapsode.workflows.runs.planning import plan_training
from rhapsode.workflows.runs.run import prepare_training
from tests.training.test_resume import asked, assert_same_run, train

STEPS, MEMBERS = 22, 3


@pytest.fixture(scope="module")
def source(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "prose.txt"
    path.write_text(prose[:6000], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unbroken run of three members: 7, 7 and 8 updates."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(source, folder, asked("lstm", steps=STEPS, members=MEMBERS))
    return folder


def test_time_is_divided_evenly_and_what_is_left_goes_to_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = BudgetClock(100.0, spent=10.0, members=3)
    now += 15.0
    assert clock.fraction(1) == pytest.approx(0.5)
    now += 15.0
    assert clock.fraction(2) == 1.0
    second = clock.following()  # 40 of 100 seconds are over
    assert second.fraction(0) == 0.0
    now += 10.0  # it stops early, after a third of its time
    assert second.fraction(1) == pytest.approx(1 / 3)
    last = second.following()
    now += 25.0
    assert last.fraction(1) == pytest.approx(0.5)
    now += 25.0
    assert last.fraction(2) == 1.0
    assert last.elapsed() == 100.0


def test_updates_are_divided_evenly_without_a_rest() -> None:
    clocks = [StepClock(STEPS, members=MEMBERS)]
    clocks += [clocks[0].following(), clocks[0].following().following()]
    lengths = [next(n for n in range(99) if clock.fraction(n) == 1.0) for clock in clocks]
    assert lengths == [7, 7, 8]


def test_each_member_is_planned_with_its_part_of_the_limit(source: Path) -> None:
    runs = [
        plan_training((str(source),), settings, resumed=None, base=None, group=join_group()).planned
        for settings in (
            {"budget": "90s", "members": 3, "device": "cpu"},
            {"budget": "30s", "device": "cpu"},
        )
    ]
    several, one = runs
    assert several.settings.budget == "90s"
    assert several.settings.network == one.settings.network
    assert several.plan.reasons[0] == "3 networks, one after the other, each with 30s"
    assert several.plan.reasons[1:] == one.plan.reasons


@pytest.mark.parametrize("stops", [(5,), (7,), (8, 14), (3, 15, 21)])
def test_a_run_resumed_within_and_between_members_equals_the_unbroken_one(
    whole: Path, source: Path, tmp_path: Path, stops: Sequence[int]
) -> None:
    broken = tmp_path / "broken"
    settings = asked("lstm", steps=STEPS, members=MEMBERS)
    for number, stop in enumerate(stops):
        train(source, broken, {} if number else settings, stop_at=stop, resume=number > 0)
    train(source, broken, {}, resume=True)
    assert_same_run(whole, broken)


def test_a_run_killed_after_the_last_checkpoint_of_a_member_goes_on_with_the_next(
    whole: Path, source: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    settings = asked("lstm", steps=STEPS, members=MEMBERS)
    training = prepare_training((str(source),), settings, output=str(killed))
    for event in training.events():
        if isinstance(event, Saved) and event.step == 7:
            break
    training.folder.close()
    train(source, killed, {}, resume=True)
    assert_same_run(whole, killed)


def test_members_differ_and_metrics_tell_which_is_trained(whole: Path) -> None:
    events = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, STEPS + 1))
    assert [event["member"] for event in steps] == [0] * 7 + [1] * 7 + [2] * 8
    elements = [event["elements"] for event in steps]
    assert elements == sorted(elements)
    averages = [e["average"] for e in events if e["event"] == "evaluation" and e["member"]]
    assert any(averages)
    one, *others = read_bundle(whole).members
    for other in others:
        assert not np.array_equal(one.arrays["head.weight"], other.arrays["head.weight"])
    seeds = {member_seed(3, member) for member in range(9)} | {member_seed(4, m) for m in range(9)}
    assert len(seeds) == 18
    assert member_seed(3, 0) == 3


def test_the_model_is_the_mean_of_its_members_probabilities(source: Path, tmp_path: Path) -> None:
    settings = asked("lstm", steps=180, members=MEMBERS)
    settings["network"] = {"embedding_size": 16, "hidden_size": 24}
    settings["training"] |= {"batch_size": 16, "averaging": 0.0, "beside_counts": "off"}
    training = prepare_training((str(source),), settings, output=str(tmp_path / "run"))
    told = [event for event in training.events() if isinstance(event, Evaluated)]
    summary = training.finish()
    bundle = read_bundle(tmp_path / "run")
    assert len(summary["members"]) == MEMBERS
    assert len(bundle.members) > 1
    assert len(bundle.members) == sum(member["averaged"] for member in summary["members"])
    for number, member in enumerate(summary["members"]):
        assert member["validation_loss"] == min(e.loss for e in told if e.member == number)
    model = load(tmp_path / "run")
    assert isinstance(model, TextModel)
    run = training.run
    part = ValidationPart.of(run.planned.corpus, run.network, bundle.context)
    total, count = total_loss(model.network_scorer, part.batches(), bundle.context)
    assert summary["validation_loss"] == pytest.approx(total / count, abs=1e-5)
    assert summary["validation_loss"] == bundle.provenance.validation_loss
    assert summary["validation_loss"] < min(each["validation_loss"] for each in summary["members"])
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == [
        "last.safetensors"
    ]


def test_a_member_that_makes_the_average_worse_is_left_out() -> None:
    random = np.random.default_rng(0)
    nats_MN = random.normal(1.5, 0.5, size=(4, 4000))
    nats_MN[1] += 6.0
    nats_MN[:, 7] = np.nan
    numbers, loss = helpful_members(nats_MN)
    assert numbers == (0, 2, 3)
    known_MN = np.delete(nats_MN[[0, 2, 3]], 7, axis=1)
    assert loss == pytest.approx(-np.log(np.exp(-known_MN).mean(axis=0)).mean())
    numbers, _ = helpful_members(nats_MN[:1])
    assert numbers == (0,)


def test_what_is_not_supported_is_refused(whole: Path, source: Path, tmp_path: Path) -> None:
    def refused(*sources: str, **how: Any) -> str:
        with pytest.raises((SettingsError, RunError)) as caught:
            prepare_training(sources, how.pop("settings"), **how)
        return str(caught.value)

    assert "cannot be lengthened" in refused(settings={"steps": 99}, output=str(whole), resume=True)
    base = str(tmp_path / "base")
    train(source, Path(base), asked("lstm", steps=1))
    assert "not with a base model" in refused(
        str(source), settings={"members": 2}, output=str(tmp_path / "no"), base=base
    )
    table = tmp_path / "table.csv"
    table.write_text("day,sold\n" + "".join(f"{n},{n % 7}\n" for n in range(200)))
    assert "a model of series has one network" in refused(
        str(table), settings={"members": 2}, output=str(tmp_path / "no")
    )


def test_shuffled_windows_of_a_resumed_member_are_those_of_its_seed(
    source: Path, tmp_path: Path
) -> None:
    settings = asked("lstm", steps=STEPS, members=MEMBERS, reading={"context": "window:16"})
    del settings["training"]["window"]
    train(source, tmp_path / "whole", settings)
    train(source, tmp_path / "broken", settings, stop_at=10)
    train(source, tmp_path / "broken", {}, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "broken")
