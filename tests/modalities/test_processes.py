"""Runs of the toy modalities on two processes equal those on one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import read_bundle
from rhapsode.training import Step
from rhapsode.workflows.runs.run import prepare_training
from tests.modalities import brackets, zigzag
from tests.modalities.registered import registered
from tests.modalities.sources import bracket_lines, zigzag_lines
from tests.training.test_distributed import ended, lines, torchrun

TRAINING = {
    "batch_size": 4, "window": 16, "learning_rate": 0.01, "precision": "float32", "evaluations": 2,
}  # fmt: skip
TOYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "brackets": (brackets, {"hidden_size": 8, "embedding_size": 8, "dropout": 0.0}),
    "zigzag": (zigzag, {"hidden_size": 8}),
}
WORKER = """
import sys
from tests.modalities.test_processes import run

for toy in ("brackets", "zigzag"):
    run(sys.argv[1], sys.argv[2], toy)
    run(sys.argv[1], sys.argv[2], toy, name="begun", resume=True)
"""


def run(
    sources: str,
    folder: str,
    toy: str,
    *,
    name: str = "whole",
    stop_at: int | None = None,
    resume: bool = False,
) -> None:
    module, network = TOYS[toy]
    asked = {"steps": 20, "network": network, "training": TRAINING, "samples": {"length": 4}}
    with registered(module.NAME, **module.REGISTRATION):
        training = prepare_training(
            (f"{sources}/lines.{toy}",),
            {} if resume else asked,
            output=f"{folder}/{toy}-{name}",
            resume=resume,
        )
        for event in training.events():
            if isinstance(event, Step) and event.step == stop_at:
                training.loop.stop()
        if stop_at is not None:
            return
        with training.group.first_goes():
            if training.group.first:
                training.finish()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("runs")
    for name in ("sources", "one", "two"):
        (base / name).mkdir()
    (base / "sources" / "lines.brackets").write_text(bracket_lines())
    (base / "sources" / "lines.zigzag").write_text(zigzag_lines())
    sources, one, two = (str(base / name) for name in ("sources", "one", "two"))
    for toy in TOYS:
        run(sources, one, toy)
        run(sources, two, toy, name="begun", stop_at=7)
    worker = base / "worker.py"
    worker.write_text(WORKER)
    code, _, err = ended(torchrun(str(worker), sources, two))
    assert code == 0, err
    return base / "one", base / "two"


@pytest.mark.parametrize("name", ["whole", "begun"])
@pytest.mark.parametrize("toy", TOYS)
def test_two_processes_make_the_run_of_one(runs: tuple[Path, Path], toy: str, name: str) -> None:
    one, two = runs[0] / f"{toy}-whole", runs[1] / f"{toy}-{name}"
    first, second = lines(one), lines(two)
    assert [(line["event"], line["step"]) for line in first] == [
        (line["event"], line["step"]) for line in second
    ]
    for kind in ("step", "evaluation"):
        losses = [
            [line["loss"] for line in each if line["event"] == kind] for each in (first, second)
        ]
        assert np.abs(np.subtract(*losses)).max() < 1e-5
    module, _ = TOYS[toy]
    with registered(module.NAME, **module.REGISTRATION):
        best, again = read_bundle(one).arrays, read_bundle(two).arrays
    for key, array in best.items():
        np.testing.assert_allclose(array, again[key], atol=1e-4, err_msg=key)
    assert (two / "README.md").is_file()
