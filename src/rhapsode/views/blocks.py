"""Numbers as block characters, and texts with visible white space."""

import math
import unicodedata
from collections.abc import Iterable

EIGHTHS = "▏▎▍▌▋▊▉"
RISING = "▁▂▃▄▅▆▇█"


def bar(share: float, width: int, *, full: float = 1.0) -> str:
    """A fraction as a bar, to an eighth of a cell.

    Arguments:
        share: 0 to `full`; only 0 gives an empty bar.
        width: cells.
        full: the fraction that fills all the width.
    """
    eighths = round(max(0.0, min(1.0, share / full)) * width * 8)
    whole, rest = divmod(max(1, eighths) if share > 0 else eighths, 8)
    return "█" * whole + (EIGHTHS[rest - 1] if rest else "")


def sparkline(before: Iterable[float], after: Iterable[float] = ()) -> str:
    """Values as blocks of eight heights, missing ones as dots.

    Arguments:
        before: of a history.
        after: drawn ones, separated by a line from the history.
    """
    parts = [part for part in (list(before), list(after)) if part]
    known = [value for part in parts for value in part if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    # Halves: the difference of two large numbers may be none.
    span = high / 2 - low / 2

    def column(value: float) -> str:
        if not math.isfinite(value):
            return "·"
        share = 0.5 if span <= 0 else (value / 2 - low / 2) / span
        return RISING[min(len(RISING) - 1, int(share * len(RISING)))]

    return "│".join("".join(map(column, part)) for part in parts)


def visible(text: str) -> str:
    """A text with visible white space and without control characters."""
    return on_one_line(text.replace(" ", "␣"))


def on_one_line(text: str) -> str:
    """A text without line ends and control characters; its spaces stay."""
    shown = text.replace("\n", "↵").replace("\t", "⇥").replace("\r", "␍")
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
    if shown and unicodedata.category(shown[0])[0] == "M":
        shown = "◌" + shown
    return shown
