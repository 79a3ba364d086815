"""What a run leaves to be watched: metrics as documented, a picture, TensorBoard's files."""

import itertools
import json
import math
import re
import xml.etree.ElementTree as ET
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.errors import MissingExtraError
from rhapsode.training import Evaluated, Step, events
from rhapsode.views.pictures.curve import Course, draw_course, read_course
from rhapsode.workflows.runs.run import Training, prepare_training

PAGE = Path(__file__).parent.parent.parent / "docs" / "watching.md"
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "whole number": (int,),
    "number": (float,),
    "number or null": (float, type(None)),
    "true or false": (bool,),
}
SVG = "{http://www.w3.org/2000/svg}"
SETTINGS: dict[str, Any] = {
    "steps": 12,
    "network": {"hidden_size": 16, "embedding_size": 8},
    "training": {"window": 16, "batch_size": 8, "evaluations": 3, "precision": "float32"},
    "samples": {"length": 10, "temperatures": [0.5, 1.0]},
}


def run_to_the_end(source: Path, folder: Path, **more: Any) -> Training:
    training = prepare_training((str(source),), {**SETTINGS, **more}, output=str(folder))
    list(training.events())
    training.finish()
    return training


def documented() -> dict[str, dict[str, str]]:
    """Type of every key, by kind of event, as the page has them."""
    found: dict[str, dict[str, str]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n### ")[1:]:
        rows = re.findall(r"^\| `(\w+)` \| ([\w ]+?) \|", section, flags=re.MULTILINE)
        found[section.splitlines()[0]] = dict(rows)
    return found


def test_metrics_are_as_the_page_says(prose_file: Path, tmp_path: Path) -> None:
    run_to_the_end(prose_file, tmp_path / "run")
    for name in ("metrics.jsonl", "samples.md", "curve.svg", "summary.json"):
        assert f"| `{name}` |" in PAGE.read_text(encoding="utf-8")
        assert (tmp_path / "run" / name).exists()
    assert not (tmp_path / "run" / "tensorboard").exists()
    page = documented()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    events = {"step", "evaluation", "samples"}
    assert {entry["event"] for entry in entries} == events == set(page) - {"lengthened"}
    for entry in entries:
        wanted = page[entry["event"]]
        assert list(entry) == list(wanted)
        for key, value in entry.items():
            assert type(value) in TYPES[wanted[key]], key
    steps = [entry for entry in entries if entry["event"] == "step"]
    assert [entry["step"] for entry in steps] == list(range(1, 13))
    assert [entry["elements"] for entry in steps] == [128 * n for n in range(1, 13)]
    assert [entry["fraction"] for entry in steps] == pytest.approx([n / 12 for n in range(12)])


def texts_of(picture: str) -> list[str]:
    root = ET.fromstring(picture)
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def test_a_run_leaves_its_picture(prose_file: Path, tmp_path: Path) -> None:
    training = run_to_the_end(prose_file, tmp_path / "run")
    picture = (tmp_path / "run" / "curve.svg").read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    texts = texts_of(picture)
    assert texts[0] == f"run: lstm, {summary['parameters']:,} parameters"
    assert f"test split {summary['network']['loss']:.3f}" in texts
    assert f"test, mixed {summary['loss']:.3f}" in texts
    assert training.run.planned.baseline is not None
    assert f"n-gram model {training.run.planned.baseline:.3f}" in texts
    corpus = training.run.planned.corpus
    counts_V, found_V = corpus.train.counts_V, corpus.validation.counts_V
    share_V = (counts_V + 1) / (counts_V + 1).sum()
    unigram = -(found_V * np.log(share_V)).sum() / found_V.sum()
    assert f"unigram model {unigram:.3f}" in texts
    root = ET.fromstring(picture)
    dots = [e for e in root.iter(f"{SVG}circle") if e.get("class") in ("dot", "best")]
    assert len(dots) == 3
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "script" not in picture


def course(losses: list[float], evaluated: list[tuple[int, float, bool]]) -> Course:
    return Course(np.arange(1, len(losses) + 1), np.array(losses), tuple(evaluated), 60.0)


FLOORS: dict[str, float | None] = {"n-gram model": 1.5, "unigram model": 3.0}


def test_lower_losses_lie_lower() -> None:
    picture = draw_course(
        course([3.0, 2.0, 1.0], [(1, 2.5, True), (3, 1.25, True)]),
        title="x",
        baselines=FLOORS,
        test=1.3,
    )
    root = ET.fromstring(picture)
    first, last = root.iter(f"{SVG}circle")
    assert (first.get("class"), last.get("class")) == ("dot", "best")
    assert float(first.get("cy", "0")) < float(last.get("cy", "0"))
    assert float(first.get("cx", "0")) < float(last.get("cx", "0"))
    lines = [e for e in root.iter(f"{SVG}line") if e.get("class") == "floor"]
    ngram, unigram = (float(line.get("y1", "0")) for line in lines)
    assert unigram < float(first.get("cy", "0")) < ngram < float(last.get("cy", "0"))


def test_labels_never_touch_and_stay_inside() -> None:
    baselines: dict[str, float | None] = {"n-gram model": 1.001, "unigram model": 1.002}
    picture = draw_course(
        course([1.0, 1.003], [(2, 1.0, True)]), title="x", baselines=baselines, test=1.001
    )
    root = ET.fromstring(picture)
    names = ("n-gram", "unigram", "training", "validation", "test split")
    labels = [e for e in root.iter(f"{SVG}text") if (e.text or "").startswith(names)]
    heights = sorted(float(e.get("y", "0")) for e in labels)
    assert len(heights) == 5
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 16.9
    assert 80 < heights[0] < heights[-1] < 430


def test_the_old_model_is_the_first_point() -> None:
    evaluated = [(2, 1.0, True)]
    picture = draw_course(course([1.0, 1.0], evaluated), title="x", baselines={}, before=2.0)
    circles = list(ET.fromstring(picture).iter(f"{SVG}circle"))
    assert len(circles) == 2
    assert float(circles[0].get("cx", "0")) == 64.0
    assert float(circles[0].get("cy", "0")) < float(circles[1].get("cy", "0"))


@pytest.mark.parametrize(
    ("losses", "evaluated"),
    [([], []), ([1.0], []), ([2.0] * 5, [(5, 2.0, True)]), ([1e9, 1.0], [(2, 1e-9, True)])],
)
def test_odd_courses_can_be_drawn(
    losses: list[float], evaluated: list[tuple[int, float, bool]]
) -> None:
    picture = draw_course(
        course(losses, evaluated), title='a <b> & "c"', baselines={"n-gram model": None}
    )
    assert ET.fromstring(picture).get("aria-label") == 'a <b> & "c"'
    assert "nan" not in picture
    assert "inf" not in picture


def test_losses_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    entries = [
        {"event": "step", "step": 1, "loss": 2.0, "elapsed": 1.0},
        {"event": "step", "step": 2, "loss": math.nan, "elapsed": 2.0},
        {"event": "samples", "step": 2, "samples_bytes": 3},
        {"event": "evaluation", "step": 2, "loss": 1.5, "best": True, "elapsed": 3.0},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    found = read_course(path)
    assert found.steps_N.tolist() == [1]
    assert found.evaluated == ((2, 1.5, True),)
    assert found.elapsed == 3.0


def test_smoothing_keeps_a_straight_line_straight() -> None:
    losses = [5.0 - 0.01 * n for n in range(400)]
    picture = draw_course(course(losses, []), title="x", baselines={})
    path = next(e for e in ET.fromstring(picture).iter(f"{SVG}path") if e.get("class") == "train")
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.get("d", ""))]
    x_N, y_N = np.array(numbers[::2]), np.array(numbers[1::2])
    slope, offset = np.polyfit(x_N, y_N, 1)
    np.testing.assert_allclose(y_N, slope * x_N + offset, atol=0.2)


def test_tensorboard_holds_what_metrics_hold(prose_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    run_to_the_end(prose_file, folder, track={"tensorboard": True})
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for tag, event, key in (
        ("loss/train", "step", "loss"),
        ("loss/validation", "evaluation", "loss"),
        ("optimiser/learning_rate", "step", "learning_rate"),
        ("optimiser/gradient_norm", "step", "gradient_norm"),
    ):
        found = accumulator.Scalars(tag)
        wanted = [(entry["step"], entry[key]) for entry in entries if entry["event"] == event]
        assert [scalar.step for scalar in found] == [step for step, _ in wanted]
        assert [s.value for s in found] == pytest.approx([v for _, v in wanted], rel=1e-6)
    assert {"speed/elements_per_second"} < set(accumulator.Tags()["scalars"])
    assert "samples/temperature 0.5/text_summary" in accumulator.Tags()["tensors"]


def test_a_resumed_run_leaves_no_step_twice_in_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = events.TensorBoard(tmp_path)
    for number in range(1, 7):
        first.take(Step(number, 0.1, float(number), 1.0, 0.1, 10 * number, float(number)))
    first.close()
    second = events.TensorBoard(tmp_path, 3)
    for number in range(4, 7):
        second.take(Step(number, 0.1, 10.0 + number, 1.0, 0.1, 10 * number, float(number)))
    second.take(Evaluated(6, 1.0, True, 6.0))
    second.close()
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    found = [(s.step, s.value) for s in accumulator.Scalars("loss/train")]
    assert found == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 14.0), (5, 15.0), (6, 16.0)]


def test_without_the_extra_nothing_begins(
    prose_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "tensorboard" else find_spec(name, package)

    monkeypatch.setattr(events, "find_spec", absent)
    with pytest.raises(MissingExtraError, match=r"track\.tensorboard needs") as caught:
        run_to_the_end(prose_file, tmp_path / "run", track={"tensorboard": True})
    assert "pip install 'rhapsode[track]'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
