"""A survey as a picture: frequencies by rank, coverage, lengths."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rhapsode.views.figures import plural
from rhapsode.views.pictures import INK, MUTED, check_picture, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ACCENT = "#0b6e8a"
_PALE = "#cfe3e9"
_MARKED = (90, 95, 99)
_FEW = 5
_DASHED = (0, (4, 3))
_STYLE = {
    "axes.grid": True,
    "axes.labelpad": 5,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
_WITH_MANY_GLYPHS = ("CJK", "WenQuanYi", "PingFang", "Hiragino", "YaHei", "SimHei", "Unicode")


def write_picture(surveyed: Mapping[str, Any], path: Path) -> None:
    """Draw a survey, three panels side by side.

    Arguments:
        surveyed: plain values of the survey.
        path: a .png or .svg file.

    Raises:
        SettingsError: neither .png nor .svg, or a folder that does not exist.
        MissingExtraError: matplotlib is not installed.
        RunError: the file cannot be written.
    """
    check_picture(path)
    source = ", ".join(Path(name).name or name for name in surveyed["sources"])
    title, family = _printable(source if len(source) <= 80 else source[:79] + "…")
    vocabulary = surveyed["vocabulary"]
    curve = vocabulary if vocabulary and len(vocabulary["curve"]["rank"]) > 1 else None
    lengths = surveyed["lengths"]
    documents, lines = lengths["documents_in_characters"], lengths["lines_in_characters"]
    many = documents is not None and (documents["count"] >= _FEW or lines is None)
    units, shown = ("documents", documents) if many else ("lines", lines)
    style = {**_STYLE, "font.sans-serif": [family]}
    with picture(path, style, figsize=(12.0, 4.3), dpi=160) as figure:
        first, second, third = figure.subplots(1, 3)
        figure.subplots_adjust(left=0.055, right=0.985, bottom=0.125, top=0.755, wspace=0.24)
        figure.text(0.055, 0.935, title, fontsize=15, fontweight="bold", va="center")
        figure.text(0.055, 0.872, _about(surveyed), fontsize=9.5, color=MUTED, va="center")
        first.set(title="Frequency by rank", xlabel="rank of the element", ylabel="occurrences")
        second.set(title="Coverage of the text", xlabel="most frequent elements")
        third.set(title=f"Length of the {units}", xlabel="characters", ylabel=units)
        for axes, draw, content in (
            (first, _ranks, curve),
            (second, _coverage, curve),
            (third, _lengths, shown),
        ):
            if content is not None:
                draw(axes, content)
                continue
            axes.set(xticks=[], yticks=[])
            middle: dict[str, Any] = {"transform": axes.transAxes, "ha": "center"}
            axes.text(0.5, 0.5, "too little text", color=MUTED, **middle)


def _about(surveyed: Mapping[str, Any]) -> str:
    sizes = [
        plural(surveyed["documents"], "document"),
        f"{surveyed['characters']:,} characters",
    ]
    vocabulary = surveyed["vocabulary"]
    if vocabulary is not None:
        kind = vocabulary["encoding"].partition(".")[0]
        sizes.append(f"encoding {kind}: {vocabulary['size']:,} elements")
    return "   ·   ".join(sizes)


def _log(axes: Axes, axis: Literal["x", "y"], low: float, high: float) -> None:
    """Make an axis logarithmic, with few ticks and short numbers.

    Numbers are 500, 2k, 1.5M.
    """
    from matplotlib.ticker import EngFormatter

    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 2.5 else (1,)
    start = math.floor(math.log10(low))
    ticks = [step * 10.0**at for at in range(start, start + int(decades) + 3) for step in steps]
    inside = [tick for tick in ticks if low <= tick <= high]
    axes.set(**{f"{axis}scale": "log", f"{axis}ticks": inside, f"{axis}lim": (low, high)})
    chosen = axes.xaxis if axis == "x" else axes.yaxis
    chosen.set_ticks([], minor=True)
    chosen.set_major_formatter(EngFormatter(sep=""))


def _ranks(axes: Axes, vocabulary: Mapping[str, Any]) -> None:
    rank, count = (np.array(vocabulary["curve"][name], float) for name in ("rank", "count"))
    _log(axes, "x", 0.9, rank[-1] * 1.15)
    _log(axes, "y", count[-1] * 0.6, count[0] * 1.8)
    marker = "o" if rank[-1] < 300 else None
    axes.plot(rank, count, color=_ACCENT, linewidth=1.8, marker=marker, markersize=3.2)
    slope = vocabulary["zipf_exponent"]
    if slope is None:
        return
    fitted = count > 1
    heights = np.log(count[fitted]) + slope * np.log(rank[fitted])
    height = float(np.average(heights, weights=np.gradient(np.log(rank[fitted]))))
    line = np.exp(height - slope * np.log(rank))
    axes.plot(rank, line, color=MUTED, linewidth=1.0, linestyle=_DASHED)
    axes.text(0.05, 0.07, f"Zipf slope −{slope:.2f}", transform=axes.transAxes, color=MUTED)


def _coverage(axes: Axes, vocabulary: Mapping[str, Any]) -> None:
    from matplotlib.ticker import PercentFormatter

    rank, covered = (np.array(vocabulary["curve"][name], float) for name in ("rank", "covered"))
    _log(axes, "x", 0.9, rank[-1] * 1.15)
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.plot(rank, covered, color=_ACCENT, linewidth=1.8)
    axes.fill_between(rank, covered, color=_PALE, alpha=0.45, linewidth=0)
    needed = {percent: vocabulary["coverage"][str(percent)] for percent in _MARKED}
    marks = [(percent, number) for percent, number in needed.items() if number is not None]
    axes.plot(
        [number for _, number in marks],
        [percent / 100 for percent, _ in marks],
        linestyle="none",
        marker="o",
        markersize=5.5,
        color="white",
        markeredgecolor=_ACCENT,
        markeredgewidth=1.5,
    )
    # Beside the curve the labels would lie on each other: they stand in a corner that a rising
    # curve leaves free.
    corner: dict[str, Any] = {"transform": axes.transAxes, "ha": "right"}
    for place, (percent, number) in enumerate(reversed(marks)):
        height = 0.07 + 0.075 * place
        axes.text(0.8, height, f"{percent} %", color=MUTED, **corner)
        axes.text(0.97, height, f"{number:,}", fontweight="bold", **corner)


def _lengths(axes: Axes, lengths: Mapping[str, Any]) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    edges, counts = lengths["histogram"]["edges"], lengths["histogram"]["counts"]
    for axis, ticks in ((axes.xaxis, 6), (axes.yaxis, 5)):
        axis.set_major_locator(MaxNLocator(ticks, integer=True))
        axis.set_major_formatter(EngFormatter(sep=""))
    if lengths["histogram"]["scale"] == "log":
        _log(axes, "x", max(edges[0], 0.9), edges[-1])
    else:
        axes.set_xlim(edges[0], edges[-1])
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
    axes.grid(visible=False, axis="x")
    median = lengths["median"]
    axes.axvline(median, color=INK, linewidth=1.0, linestyle=_DASHED)
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
    """Printable characters of a title, and a font that has them."""
    from matplotlib import font_manager

    title = "".join(one if one.isprintable() else " " for one in title)
    lacking = _missing(title, font_manager.findfont("DejaVu Sans"))
    if lacking:
        for entry in font_manager.fontManager.ttflist:
            wanted = any(word in entry.name for word in _WITH_MANY_GLYPHS)
            if wanted and not _missing(title, entry.fname):
                return title, entry.name
        title = re.sub("…+", "…", "".join("…" if one in lacking else one for one in title))
    return title, "DejaVu Sans"


def _missing(text: str, file: str) -> set[str]:
    from matplotlib.ft2font import FT2Font

    return set(text) - set(map(chr, FT2Font(file).get_charmap()))
