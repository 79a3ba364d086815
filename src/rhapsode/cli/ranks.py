"""Several processes of one run, one voice: only the first speaks, and of an error one tells. Loads no torch by itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_voice", "tells"]


def _rank() -> int:
    """The number of this process where `torchrun` started several, else 0."""
    several = os.environ.get("WORLD_SIZE", "1") != "1" and "MASTER_ADDR" in os.environ
    rank = os.environ.get("RANK", "0")
    return int(rank) if several and rank.isdecimal() else 0


@contextmanager
def one_voice() -> Iterator[None]:
    """All processes but the first are silent while this lasts."""
    if _rank() == 0:
        yield
        return
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,  # noqa: PTH123 - no path of ours
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def tells() -> bool:
    """Whether this process is the one to tell of an error that ends it."""
    if "MASTER_ADDR" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return True
    from rhapsode.training import joined

    group = joined()
    return _rank() == 0 if group is None else group.tells()
