"""Warnings on texts: each on what it is made for, none on ordinary text."""

import random
from pathlib import Path

import pytest

from rhapsode.config import SourceSettings
from rhapsode.modalities.text.checks import text_warnings
from rhapsode.modalities.text.corpus import split_texts
from rhapsode.modalities.text.reading import prepare_texts
from rhapsode.modalities.text.settings import TrainSettings

GERMAN = "Und das ist nicht der Grund, den die Katze mit dem Hund auf dem Dach wie einst wird {}."
RUSSIAN = "Однажды весною, в час небывало жаркого заката, {}"


def warnings(path: Path, *texts: str) -> list[str]:
    path.mkdir()
    for number, text in enumerate(texts):
        (path / f"{number:03}.txt").write_text(text, encoding="utf-8")
    settings = TrainSettings(source=SourceSettings())
    store = prepare_texts([str(path)], settings.source).store
    return text_warnings(store, split_texts(store, settings), settings.source)


def mixed(prose: str, other: str, share: float) -> str:
    chance = random.Random(1)
    lines = prose.splitlines()
    return "\n".join(other.format(n) if chance.random() < share else line for n, line in enumerate(lines))  # fmt: skip


def test_ordinary_text_has_no_warning(tmp_path: Path, prose: str) -> None:
    assert warnings(tmp_path / "a", prose) == []


@pytest.mark.parametrize(
    ("other", "said"), [(GERMAN, "of the lines are in German"), (RUSSIAN, "of the lines are in Cyrillic")]
)  # fmt: skip
def test_lines_of_another_kind(tmp_path: Path, prose: str, other: str, said: str) -> None:
    told = warnings(tmp_path / "a", mixed(prose, other, 0.1))[0]
    assert said in told
    assert other[:20] in told


def test_text_read_in_the_wrong_encoding(tmp_path: Path, prose: str) -> None:
    plain = prose.encode("ascii", "ignore").decode()
    wrong = plain.replace("the ", "thé ", 50).encode().decode("cp1252")
    (told,) = warnings(tmp_path / "a", wrong)
    assert told.startswith("50 times")
    assert "'Ã©' for 'é'" in told
    right = plain.replace("the ", "thé — NÃO ", 50)
    assert not any("another encoding" in line for line in warnings(tmp_path / "b", right))


def test_repeated_lines_and_boilerplate(tmp_path: Path, prose: str) -> None:
    size = len(prose) // 20
    parts = [prose[n * size : (n + 1) * size] for n in range(20)]
    noticed = warnings(tmp_path / "a", *(f"Accept all cookies\n{part}" for part in parts))
    assert ["'Accept all cookies' stands in 20 of 20 documents" in line for line in noticed] == [True]  # fmt: skip
    (told,) = warnings(tmp_path / "b", "\n".join([*parts, *parts[:4]]))
    assert "of the text are lines that repeat an earlier one" in told


def test_a_test_part_unlike_the_rest(tmp_path: Path, prose: str) -> None:
    ends = prose[: 9 * len(prose) // 10]
    tail = "".join(
        chr(0x3B1 + (i * i) % 17) + (" " if i % 5 else "\n") for i in range(len(prose) // 20)
    )
    told = warnings(tmp_path / "a", ends + "\n" + tail)
    assert any("the test split is unlike the rest" in line for line in told)
