"""A command line to run in process, and a small trained run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rhapsode.cli.main import main

QUICK = (
    "--set", "network.hidden_size=24", "--set", "network.embedding_size=8",
    "--set", "training.window=16", "--set", "training.batch_size=8",
    "--set", "training.evaluations=2", "--set", "training.precision=float32",
    "--set", "samples.length=20",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a command gave."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run `rhapsode` in an empty working folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        capfd.readouterr()
        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture(scope="session")
def run_folder(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of sixty quick steps on English prose; what it predicts is network and counts in fixed shares."""
    base = tmp_path_factory.mktemp("trained")
    source = base / "prose.txt"
    source.write_text(prose, encoding="utf-8")
    folder = base / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RHAPSODE_CACHE", str(base / "cache"))
        asked = ("--steps", "60", *QUICK, "--set", "training.counts_share=0.4")
        assert main(["train", str(source), "-o", str(folder), *asked]) == 0
    return folder
