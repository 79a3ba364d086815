"""A survey as a picture: frequencies by rank, coverage, lengths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.errors import MissingExtraError, SettingsError
from rhapsode.files import is_there, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
_ACCENT = "#0b6e8a"
_PALE = "#cfe3e9"
_INK = "#222222"
_MUTED = "#6b7378"
_GRID = "#e6eaec"
_MARKED = (90, 95, 99)
_FEW = 5
PICTURE_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": _INK,
    "axes.edgecolor": "#b4bcc0",
    "axes.labelcolor": _MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": "#b4bcc0",
    "ytick.color": "#b4bcc0",
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "svg.hashsalt": "rhapsode",
}
_WITH_MANY_GLYPHS = ("CJK", "WenQuanYi", "PingFang", "Hiragino", "YaHei", "SimHei", "Unicode")


def check_picture(path: Path) -> None:
    """Find what is in the way of a picture before any work is done.

    Raises:
        SettingsError: neither .png nor .svg, or a folder that does not exist.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(
            "a picture is a .png or an .svg file", where=str(path), hint="name one of these"
        )
    if not is_there(path.parent):
        raise SettingsError(f"there is no folder {path.parent}", where=str(path))
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingExtraError("plots", "drawing a picture") from None


def write_picture(surveyed: Mapping[str, Any], path: Path) -> None:
    """Draw what `survey` found, three panels side by side.

    Arguments:
        surveyed: what `survey` gave.
        path: a .png or .svg file.

    Raises:
        SettingsError: neither .png nor .svg, or a folder that does not exist.
        MissingExtraError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    check_picture(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    source = ", ".join(Path(name).name or name for name in surveyed["sources"])
    title, family = _printable(source if len(source) <= 80 else source[:79] + "…")
    with mpl.rc_context({**PICTURE_STYLE, "font.sans-serif": [family]}):
        # A figure of its own, without pyplot: no window, no state that another thread shares.
        figure = Figure(figsize=(12.0, 4.3), dpi=160, facecolor="white")
        panels = figure.subplots(1, 3)
        figure.subplots_adjust(left=0.055, right=0.985, bottom=0.125, top=0.755, wspace=0.24)
        heading = figure.text(0.055, 0.935, title, fontsize=15, fontweight="bold", va="center")
        heading.set_parse_math(False)  # a dollar is a dollar
        figure.text(0.055, 0.872, _about(surveyed), fontsize=9.5, color=_MUTED, va="center")
        _ranks(panels[0], surveyed["vocabulary"])
        _coverage(panels[1], surveyed["vocabulary"])
        _lengths(panels[2], surveyed["lengths"])
        save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the suffix says.

    Raises:
        RunError: the file cannot be written.
    """
    kind = path.suffix.lower()[1:]
    # Without the date: the same data give the same file.
    metadata = {"Date": None} if kind == "svg" else {}
    write_atomically(path, lambda scratch: figure.savefig(scratch, format=kind, metadata=metadata))


def _about(surveyed: Mapping[str, Any]) -> str:
    documents = surveyed["documents"]
    parts = [
        f"{documents:,} document{'s' if documents != 1 else ''}",
        f"{surveyed['characters']:,} characters",
    ]
    vocabulary = surveyed["vocabulary"]
    if vocabulary is not None:
        kind = vocabulary["encoding"].partition(".")[0]
        parts.append(f"encoding {kind}: {vocabulary['size']:,} elements")
    return "   ·   ".join(parts)


def _panel(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", pad=9)
    axes.set_xlabel(across, labelpad=5)
    axes.set_ylabel(up, labelpad=5)
    axes.grid(visible=True, color=_GRID, linewidth=0.8)
    axes.tick_params(length=0, which="both")


def _nothing(axes: Axes, why: str) -> None:
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", color=_MUTED)
    axes.set_xticks([])
    axes.set_yticks([])


def _short(value: float, _: object = None) -> str:
    """A number for an axis: 500, 2k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _log(axes: Axes, axis: str, low: float, high: float) -> None:
    """A log axis with few ticks and plain numbers on them."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    chosen = axes.xaxis if axis == "x" else axes.yaxis
    (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 2.5 else (1,)
    start = math.floor(math.log10(low))
    ticks = [step * 10.0**at for at in range(start, start + int(decades) + 3) for step in steps]
    chosen.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    chosen.set_minor_locator(NullLocator())
    chosen.set_major_formatter(FuncFormatter(_short))
    (axes.set_xlim if axis == "x" else axes.set_ylim)(low, high)


def _ranks(axes: Axes, vocabulary: Mapping[str, Any] | None) -> None:
    _panel(axes, "Frequency by rank", "rank of the element", "occurrences")
    if vocabulary is None or len(vocabulary["curve"]["rank"]) < 2:
        _nothing(axes, "too little text")
        return
    rank, count = (np.array(vocabulary["curve"][name], float) for name in ("rank", "count"))
    _log(axes, "x", 0.9, rank[-1] * 1.15)
    _log(axes, "y", count[-1] * 0.6, count[0] * 1.8)
    few = rank[-1] < 300
    axes.plot(
        rank, count, color=_ACCENT, linewidth=1.8, marker="o" if few else None, markersize=3.2
    )
    slope = vocabulary["zipf_exponent"]
    if slope is not None:
        fitted = count > 1
        heights = np.log(count[fitted]) + slope * np.log(rank[fitted])
        height = float(np.average(heights, weights=np.gradient(np.log(rank[fitted]))))
        axes.plot(
            rank,
            np.exp(height - slope * np.log(rank)),
            color=_MUTED,
            linewidth=1.0,
            linestyle=(0, (4, 3)),
        )
        axes.text(
            0.05,
            0.07,
            f"Zipf slope −{slope:.2f}",
            transform=axes.transAxes,
            color=_MUTED,
        )


def _coverage(axes: Axes, vocabulary: Mapping[str, Any] | None) -> None:
    from matplotlib.ticker import PercentFormatter

    _panel(axes, "Coverage of the text", "most frequent elements", "")
    if vocabulary is None or len(vocabulary["curve"]["rank"]) < 2:
        _nothing(axes, "too little text")
        return
    rank, covered = (np.array(vocabulary["curve"][name], float) for name in ("rank", "covered"))
    _log(axes, "x", 0.9, rank[-1] * 1.15)
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.plot(rank, covered, color=_ACCENT, linewidth=1.8)
    axes.fill_between(rank, covered, color=_PALE, alpha=0.45, linewidth=0)
    lines = []
    for percent in _MARKED:
        needed = vocabulary["coverage"][str(percent)]
        if needed is None:
            continue
        axes.plot(
            [needed],
            [percent / 100],
            marker="o",
            markersize=5.5,
            color="white",
            markeredgecolor=_ACCENT,
            markeredgewidth=1.5,
        )
        lines.append((f"{percent} %", f"{needed:,}"))
    # Beside the curve the three labels would lie on each other: they stand in a corner that a rising curve leaves free.
    for place, (share, needed) in enumerate(reversed(lines)):
        height = 0.07 + 0.075 * place
        axes.text(0.8, height, share, transform=axes.transAxes, ha="right", color=_MUTED)
        axes.text(0.97, height, needed, transform=axes.transAxes, ha="right", fontweight="bold")


def _lengths(axes: Axes, lengths: Mapping[str, Any]) -> None:
    documents, lines = lengths["documents_in_characters"], lengths["lines_in_characters"]
    many = documents is not None and (documents["count"] >= _FEW or lines is None)
    what, shown = ("documents", documents) if many else ("lines", lines)
    _panel(axes, f"Length of the {what}", "characters", what)
    if shown is None:
        _nothing(axes, "too little text")
        return
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    edges, counts = shown["histogram"]["edges"], shown["histogram"]["counts"]
    if shown["histogram"]["scale"] == "log":
        _log(axes, "x", max(edges[0], 0.9), edges[-1])
    else:
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.bar(
        edges[:-1],
        counts,
        width=np.diff(edges),
        align="edge",
        color=_ACCENT,
        edgecolor="white",
        linewidth=0.6,
    )
    axes.set_ylim(0, max(counts) * 1.16)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_short))
    axes.grid(visible=False, axis="x")
    median = shown["median"]
    axes.axvline(median, color=_INK, linewidth=1.0, linestyle=(0, (4, 3)))
    late = axes.transAxes.inverted().transform(axes.transData.transform((median, 0)))[0] > 0.6
    axes.annotate(
        f"median {median:,}",
        (median, 0.985),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if late else 5, 0),
        textcoords="offset points",
        ha="right" if late else "left",
        va="top",
    )


def _printable(title: str) -> tuple[str, str]:
    """A title, and a font that has all its characters; what no font here has is left out."""
    from matplotlib import font_manager

    title = "".join(one if one.isprintable() else " " for one in title)
    usual = font_manager.findfont("DejaVu Sans")
    if not _missing(title, usual):
        return title, "DejaVu Sans"
    for entry in font_manager.fontManager.ttflist:
        wanted = any(word in entry.name for word in _WITH_MANY_GLYPHS)
        if wanted and not _missing(title, entry.fname):
            return title, entry.name
    lacking = _missing(title, usual)
    kept = "".join("…" if one in lacking else one for one in title)
    while "……" in kept:
        kept = kept.replace("……", "…")
    return kept, "DejaVu Sans"


def _missing(text: str, file: str) -> set[str]:
    """The characters of a text that a font lacks."""
    from matplotlib.ft2font import FT2Font

    glyphs = FT2Font(file).get_charmap()
    return {character for character in text if ord(character) not in glyphs}
