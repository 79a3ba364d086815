"""Several processes of one run: the first one speaks, and one of them reports an error."""

import contextlib
import os
from collections.abc import Iterator

import rhapsode as rh


def _are_several() -> bool:
    return os.environ.get("WORLD_SIZE", "1") != "1" and "MASTER_ADDR" in os.environ


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """Silence all processes but the first while this lasts."""
    with contextlib.ExitStack() as silence:
        if _are_several() and os.environ.get("RANK", "0") != "0":
            nowhere = silence.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123 - no path of ours
            silence.enter_context(contextlib.redirect_stdout(nowhere))
            silence.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def reports_errors() -> bool:
    """True if this process is the one to report its error; alone, it loads no torch to know."""
    return not _are_several() or rh.claim_report()
