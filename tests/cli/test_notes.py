"""What is said on stderr looks the same whether or not what draws is loaded for it."""

import io
import sys

import pytest
from rich.console import Console
from rich.text import Text

from rhapsode.cli import console

LINES = (
    "seed 12",
    "",
    "a [b]bold[/b] :smile: https://a.b 'c'",
    "x" * 300,
    "é 红",
    "two\nlines",
    "a\tb",
)
RULES = ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"TERM": "dumb"},
        {"TERM": ""},
        {"TERM": "xterm-256color", "NO_COLOR": "1"},
        {"FORCE_COLOR": "1"},
    ],
)
def test_notes_look_as_if_drawn(
    stream: type[io.StringIO], settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in RULES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for line in LINES:
        console.stderr.cache_clear()
        monkeypatch.setattr(sys, "stderr", stream())
        console.note(line)
        found = sys.stderr.getvalue()
        monkeypatch.setattr(sys, "stderr", stream())
        Console(stderr=True, highlight=False, soft_wrap=True).print(Text(line), style="dim")
        assert found == sys.stderr.getvalue(), line
    console.stderr.cache_clear()


def test_a_note_beside_a_drawing_is_left_to_what_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    console.stderr.cache_clear()
    drawn = []
    monkeypatch.setattr(console.stderr(), "print", lambda *asked, **_: drawn.append(asked))
    console.note("seed 12")
    assert len(drawn) == 1
    console.stderr.cache_clear()
