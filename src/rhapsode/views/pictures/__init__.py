"""Pictures in files: the course of a run, a survey, forecasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhapsode.errors import MissingExtraError, SettingsError
from rhapsode.files import is_there, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


INK, MUTED, GRID = "#222222", "#6b7378", "#e6eaec"
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,  # a dollar is a dollar
    "axes.edgecolor": "#b4bcc0",
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": "#b4bcc0",
    "ytick.color": "#b4bcc0",
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "svg.hashsalt": "rhapsode",
}


def check_picture(path: Path) -> None:
    """Check that a picture can be written, before any work is done.

    Raises:
        SettingsError: neither .png nor .svg, or a folder that does not exist.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise SettingsError(
            "a picture is a .png or an .svg file", where=str(path), hint="name one of these"
        )
    if not is_there(path.parent):
        raise SettingsError(f"there is no folder {path.parent}", where=str(path))
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingExtraError("plots", "drawing a picture") from None


@contextmanager
def picture(path: Path, style: Mapping[Any, Any], **settings: Any) -> Iterator[Figure]:
    """Open a figure to draw in, and write it at the end.

    Arguments:
        path: a .png or .svg file.
        style: parameters of matplotlib, besides those of every picture.
        settings: of the `matplotlib.figure.Figure`.

    Raises:
        RunError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, **style}):
        # A figure of its own, without pyplot: no window, no state that another thread shares.
        figure = Figure(facecolor="white", **settings)
        yield figure
        kind = path.suffix.lower()[1:]
        # Without the date: the same data give the same file.
        metadata = {"Date": None} if kind == "svg" else {}
        write_atomically(path, lambda file: figure.savefig(file, format=kind, metadata=metadata))
