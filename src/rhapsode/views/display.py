"""Representations of results for terminals, for notebooks and as plain values."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # takes longer to load than a text to write
    from rich.console import Console, RenderableType


WIDTH = 100
_PAGE = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:1.2;'
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

    def _repr_html_(self) -> str:
        return as_html(self.shown(WIDTH))


def as_text(blocks: Sequence[RenderableType]) -> str:
    """Renderables as plain text."""
    lines = _printed(blocks).export_text().splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def as_html(blocks: Sequence[RenderableType]) -> str:
    """Renderables as HTML with inline styles."""
    return _printed(blocks).export_html(code_format=_PAGE, inline_styles=True)


def _printed(blocks: Sequence[RenderableType]) -> Console:
    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        width=WIDTH,
        record=True,
        highlight=False,
        force_jupyter=False,
        force_terminal=True,
        color_system="truecolor",
    )
    for block in blocks:
        console.print(block, soft_wrap=isinstance(block, str), markup=False)
    return console
