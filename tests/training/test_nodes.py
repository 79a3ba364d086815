"""Two nodes that share nothing but the sources make the run of one process, and continue it after a loss."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.training import read_checkpoint
from tests.training.test_distributed import (
    assert_close,
    ended,
    lines,
    torchrun,
    wait_for_steps,
    workers_of,
)

TRAINING = {"precision": "float32", "evaluations": 2, "learning_rate": 0.01}
TEXT = {
    # The last batch of a pass has one row, so that one of the nodes has none.
    "reading": {"context": "window:16", "stride": 611},
    "training": {"batch_size": 4, **TRAINING},
    "network": {"hidden_size": 16, "dropout": 0.0},
}
SERIES = {
    "training": {"batch_size": 6, "window": 8, **TRAINING},
    "network": {"hidden_size": 8, "dropout": 0.0},
}


@pytest.fixture
def sources(prose: str, tmp_path: Path) -> dict[str, Path]:
    random = np.random.default_rng(5)
    values = (
        10 + np.sin(np.arange(300)[:, None] * 0.3 + np.arange(3)) + random.normal(size=(300, 3))
    )
    table = "\n".join(["a,b,c", *(",".join(f"{value:.4f}" for value in row) for row in values)])
    found = {"text": tmp_path / "prose.txt", "series": tmp_path / "table.csv"}
    found["text"].write_text(prose[:6000], encoding="utf-8")
    found["series"].write_text(table + "\n")
    return found


def words(settings: dict[str, Any], steps: int) -> list[str]:
    """The settings as words of a command."""
    flat = [
        f"{section}.{name}={value}"
        for section, own in settings.items()
        for name, value in own.items()
    ]
    return ["--steps", str(steps), *(word for one in flat for word in ("--set", one)),
            "--set", "samples.length=0"]  # fmt: skip


def two_nodes(base: Path, rendezvous: str, *command: str) -> list[subprocess.Popen[str]]:
    """The agents of two nodes, each in a folder and with a cache of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    static = ["--master-addr", "127.0.0.1", "--master-port", port, "--node-rank"]
    c10d = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "7"]
    agents = []
    for rank in ("0", "1"):
        folder = base / f"node{rank}"
        folder.mkdir(exist_ok=True)
        meeting = [*static, rank] if rendezvous == "static" else c10d
        agents.append(
            torchrun(
                *meeting, "-m", "rhapsode", "train", *command,
                launch=("--nnodes", "2", "--nproc-per-node", "1"), folder=folder,
                RHAPSODE_CACHE=str(folder / "cache"),
            )
        )  # fmt: skip
    return agents


@pytest.mark.parametrize(
    ("kind", "settings", "rendezvous"),
    [("text", TEXT, "static"), ("series", SERIES, "c10d")],
)
def test_two_nodes_make_the_run_of_one_process(
    sources: dict[str, Path], tmp_path: Path, kind: str, settings: Any, rendezvous: str
) -> None:
    nodes = two_nodes(tmp_path, rendezvous, str(sources[kind]), "-o", "run", *words(settings, 50))
    one = tmp_path / "one"
    rh.train(str(sources[kind]), output=one, steps=50, samples={"length": 0}, **settings)
    told = [ended(node) for node in nodes]
    assert [code for code, _, _ in told] == [0, 0], told
    homes = [folder for folder in sorted(tmp_path.glob("node*")) if (folder / "run").exists()]
    assert len(homes) == 1
    assert_close(one, homes[0] / "run")
    assert (homes[0] / "run" / "README.md").exists()
    silent = [err for _, _, err in told if "rank 1 of 2: rank 0 prints and writes" in err]
    assert len(silent) == 1
    assert silent[0].count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_node_ends_the_run_which_both_continue(
    sources: dict[str, Path], tmp_path: Path, lost: int
) -> None:
    settings = {**TEXT, "training": {**TEXT["training"], "evaluations": 20, "patience": 0}}
    source, folder = str(sources["text"]), tmp_path / "node0" / "run"
    nodes = two_nodes(tmp_path, "static", source, "-o", "run", *words(settings, 400))
    wait_for_steps(folder, 60)
    os.kill(workers_of(nodes[lost])[lost], signal.SIGKILL)
    told = [ended(node) for node in nodes]
    assert all(code != 0 for code, _, _ in told)
    errors = [
        [line for line in err.splitlines() if line.startswith("error:")] for _, _, err in told
    ]
    assert errors[lost] == []
    assert len(errors[1 - lost]) == 1, told
    assert "another process of this run has ended" in errors[1 - lost][0]
    at = read_checkpoint(folder / "checkpoints" / "last.safetensors").values["step"]
    assert at > 0
    told = [ended(node) for node in two_nodes(tmp_path, "static", "-o", "run", "--resume")]
    assert [code for code, _, _ in told] == [0, 0], told
    assert [line["step"] for line in lines(folder) if line["event"] == "step"] == [*range(1, 401)]
    assert not (tmp_path / "node1" / "run").exists()
