"""`rhapsode write`: a text as strokes of a pen, in the hand of a style."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.modalities.strokes.test_writing import write_lines


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import rhapsode as rh

    folder = tmp_path_factory.mktemp("hand")
    source = str(write_lines(folder / "lines.ndjson", 40))
    run = rh.train(
        source, output=str(folder / "run"), steps=4, samples={"length": 0},
        network={"hidden_size": 16}, training={"precision": "float32"},
    )  # fmt: skip
    return Path(run.path).parent


def test_a_text_is_written_and_its_hand_goes_on(cli: Cli, hand: Path) -> None:
    flags = ("--seed", "3", "--bias", "1", "--temperature", "0.9", "--line", "4")
    done = cli("write", str(hand), "abc abz", *flags, "--output", "line.json")
    assert done.code == 1
    assert "'z'" in done.err
    assert not Path("line.json").exists()
    done = cli("write", str(hand), "abc abz", *flags, "--unknown", "skip", "--output", "line.json")
    assert done.code == 0, done.err
    kept = json.loads(Path("line.json").read_text(encoding="utf-8"))
    assert kept["text"].split() == ["abc", "ab"]
    done = cli("write", str(hand), "cab", "--seed", "3", "--style", "line.json", "-o", "next.svg")
    assert done.code == 0, done.err
    assert re.search(r"<title>[^<]*cab", Path("next.svg").read_text(encoding="utf-8"))
    assert cli("write", str(hand), "cab", "--seed", "3", "--style", "none.json").code == 1
