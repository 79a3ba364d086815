"""Every example in the documentation runs: shell blocks through the command line, Python blocks as they stand.

Training in them is cut to twenty steps with two evaluations. Blocks are run in the order of a page, in one folder; those that a translation of
the README shares with it, once.
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rhapsode.cli.main import main
from tests.modalities.music.chorales import write_tunes

ROOT = Path(__file__).parent.parent
TRANSLATIONS = sorted(ROOT.glob("README.*.md"))
PAGES = [
    ROOT / "README.md",
    *TRANSLATIONS,
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "zh").glob("*.md")),
]
BLOCK = re.compile(r"(?ms)^```(sh|python)\n(.*?)^```$")
# Setting up and building is what `make` and CI do themselves.
NOT_OURS = ("make", "git", "cd", "pip", "python", "source", "torchrun")
QUICK = ["--set", "network.hidden_size=16", "--set", "training.precision=float32"]
EVALUATIONS = "training.evaluations"
PYTHON_QUICK = 'steps=20, network={"hidden_size": 16}, training={"evaluations": 2}'


def commands(block: str) -> list[list[str]]:
    joined = block.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def shortened(words: list[str]) -> list[str]:
    """A training command with twenty steps in place of its budget."""
    if words[1] == "demo":
        return [*words, "--budget", "2s"]
    if words[1] != "train" or "--resume" in words:
        return words
    kept = list(words)
    for flag in ("--budget", "--epochs", "--steps"):
        while flag in kept:
            at = kept.index(flag)
            del kept[at : at + 2]
    kept += ["--steps", "20"]
    if "transformer" not in kept:
        kept += QUICK
    if not any(word.startswith(EVALUATIONS) for word in kept):
        kept += ["--set", f"{EVALUATIONS}=2"]
    return kept


def blocks(page: Path) -> list[tuple[str, str]]:
    """The blocks of a page; of a translation, those of its own."""
    found: list[tuple[str, str]] = BLOCK.findall(page.read_text(encoding="utf-8"))
    if page in TRANSLATIONS:
        shared = blocks(ROOT / "README.md")
        return [block for block in found if block not in shared]
    return found


def run(words: list[str]) -> int:
    """One command, in this process: starting a hundred takes minutes. `play` wants a keyboard of its own."""
    if words[1] == "play":
        command = [sys.executable, "-m", *words]
        done = subprocess.run(command, check=False, timeout=120, stdin=subprocess.DEVNULL)
        return done.returncode
    try:
        return main(words[1:])
    except SystemExit as end:
        return int(end.code or 0)


def run_python(page: Path, block: str) -> None:
    """One block: that of the README in a process of its own, as a reader runs it; starting one takes seconds."""
    if page == ROOT / "README.md":
        subprocess.run([sys.executable, "-c", block], check=True, timeout=120)
    else:
        exec(compile(block, page.name, "exec"), {"__name__": "__main__"})


def write_ink(folder: Path) -> None:
    """Drawings of one line each, and a beginning of one."""
    rows = [
        [[0, 0, 0], *[[9 + place % 3, -5, 0] for _ in range(4)], [8, 20, 1]] for place in range(30)
    ]
    texts = [
        f"{letter} sentence of your own, and the next in my hand" for letter in "abcdefghij" * 3
    ]
    records = [{"strokes": each, "text": text} for each, text in zip(rows, texts, strict=True)]
    lines = [json.dumps(record) + "\n" for record in records]
    for name, count in (("notes", 30), ("mine", 12), ("begun", 1)):
        (folder / f"{name}.ndjson").write_text("".join(lines[:count]), encoding="utf-8")


@pytest.mark.parametrize("page", TRANSLATIONS, ids=lambda page: page.name)
def test_a_translation_has_all_examples(page: Path) -> None:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert [block for block in blocks(ROOT / "README.md") if block not in found] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(
    page: Path, tmp_path: Path, prose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-texts.txt").write_text(prose, encoding="utf-8")
    (tmp_path / "held-out.txt").write_text(prose[:2000], encoding="utf-8")
    if page.name == "music.md":
        write_tunes(tmp_path / "midi", 24)
    if page.name == "strokes.md":
        write_ink(tmp_path)
    for kind, block in blocks(page):
        if kind == "python":
            run_python(page, re.sub(r'budget="\w+"', PYTHON_QUICK, block))
            continue
        for words in commands(block):
            if words[0] in NOT_OURS:
                continue
            assert words[0] == "rhapsode", f"{page.name}: {words}"
            assert run(shortened(words)) == 0, f"{page.name}: {words}"
