"""Several processes give what one gives, in order, and need nothing of the user's script."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loky.backend import context

from rhapsode.data import Document
from rhapsode.encoding import ENCODERS
from rhapsode.errors import SettingsError
from rhapsode.modalities.text import reading as processes

CHINESE = "黛玉见了，便吃一大惊，心下想道：好生奇怪！\n宝玉笑道：这个妹妹我曾见过的。\n"


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(processes, "WORTH", 0)
    monkeypatch.setattr(processes, "TASK", 200)
    monkeypatch.setattr(processes, "workers", lambda: 2)
    yield
    processes.release()


def pieces() -> list[Document]:
    texts = [CHINESE * (number % 5 + 1) + f"第{number}回\n" for number in range(60)]
    return [Document(text, str(n), prompt=n % 3 * 7) for n, text in enumerate(texts)]


@pytest.fixture(params=["loky", "spawn", "forkserver"])
def start_method(request: pytest.FixtureRequest) -> Iterator[None]:
    """Windows and macOS only spawn, and Python 3.14 begins with a server that forks."""
    before = context.get_start_method()
    context.set_start_method(request.param, force=True)
    yield
    processes.release()
    context.set_start_method(before, force=True)


def test_counting_and_encoding_equal_those_of_one_process(eager: None, start_method: None) -> None:
    learner = ENCODERS.get("jieba.v1")
    alone = learner.learn([piece.text for piece in pieces()], {"max_vocabulary": 30})
    shared = processes.counted(learner, pieces(), {"max_vocabulary": 30}, 10_000)
    assert shared.fingerprint == alone.fingerprint
    each = processes.encoded(shared, 10_000)
    assert each is not None
    found = list(each(iter(pieces())))
    assert [piece for piece, _ in found] == pieces()
    for piece, encoded in found:
        given_N = alone.encode(piece.text[: piece.prompt])
        assert encoded.given == len(given_N)
        rest_N = alone.encode(piece.text[piece.prompt :])
        np.testing.assert_array_equal(encoded.ids_N, np.concatenate((given_N, rest_N)))


def test_bad_settings_are_told_here(eager: None) -> None:
    with pytest.raises(SettingsError, match="no_such"):
        processes.counted(ENCODERS.get("jieba.v1"), pieces(), {"no_such": 1}, 10_000)


def test_a_failure_in_another_process_arrives(eager: None) -> None:
    each = processes.encoded(ENCODERS.get("jieba.v1").learn([CHINESE], {}), 10_000)
    assert each is not None
    with pytest.raises((AttributeError, TypeError)):
        list(each(iter([Document(None, "a")] * 3)))  # type: ignore[arg-type]


def test_little_text_and_fast_encoders_stay_here() -> None:
    jieba = ENCODERS.get("jieba.v1").learn([CHINESE], {})
    characters = ENCODERS.get("characters.v1").learn([CHINESE], {})
    assert processes.encoded(jieba, 1000) is None
    assert processes.encoded(characters, 10**9) is None


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_script_needs_no_guard(tmp_path: Path, method: str) -> None:
    """Whatever multiprocessing is set to, by the script or by its system."""
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import multiprocessing
multiprocessing.set_start_method({method!r})
from rhapsode.data import Document
from rhapsode.encoding import ENCODERS
from rhapsode.modalities.text import reading as processes
print("begun")
processes.WORTH, processes.workers = 0, lambda: 2
encoder = ENCODERS.get("jieba.v1").learn([{CHINESE!r}], {{}})
found = list(processes.encoded(encoder, 10)(iter([Document({CHINESE!r}, "a")] * 4)))
print(len(found))
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout == "begun\n4\n", done.stderr
