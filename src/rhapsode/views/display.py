"""Representations of results: for a terminal, for a notebook, and as plain values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # takes longer to load than a text to write
    from rich.console import Console, RenderableType

__all__ = ["Shown", "as_html", "as_text"]

WIDTH = 100
_PAGE = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:1.35;'
    'font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace">{code}</pre>'
)


class Shown(ABC):
    """A result that can be looked at."""

    @abstractmethod
    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""

    @abstractmethod
    def shown(self, width: int) -> Sequence[RenderableType]:
        """Renderables of `rich` for a terminal of `width` cells."""

    def __repr__(self) -> str:
        return as_text(self.shown(WIDTH))

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return as_html(self.shown(WIDTH))


def as_text(blocks: Sequence[RenderableType], width: int = WIDTH) -> str:
    """Renderables as plain text."""
    console = _console(width)
    with console.capture() as captured:
        _print(console, blocks)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip("\n")


def as_html(blocks: Sequence[RenderableType], width: int = WIDTH) -> str:
    """Renderables as HTML with inline styles."""
    console = _console(width, record=True)
    with console.capture():
        _print(console, blocks)
    return console.export_html(code_format=_PAGE, inline_styles=True)


def _console(width: int, *, record: bool = False) -> Console:
    from rich.console import Console

    return Console(
        width=width,
        record=record,
        highlight=False,
        force_jupyter=False,
        color_system="truecolor" if record else None,
        force_terminal=record,
    )


def _print(console: Console, blocks: Sequence[RenderableType]) -> None:
    for block in blocks:
        console.print(block, soft_wrap=isinstance(block, str), markup=False)
