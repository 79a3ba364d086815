"""The start of the server; loads the rest late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rhapsode.errors import MissingExtraError
from rhapsode.log import log
from rhapsode.serving.serve_settings import ServeSettings

__all__ = ["ServeSettings", "serve"]


def serve(
    models: Sequence[str | Path] = (),
    settings: ServeSettings | None = None,
    *,
    tell: Callable[[str], None] = log.info,
) -> None:
    """Serve models over HTTP until a signal ends it.

    Arguments:
        models: run folders or model files; none for those in the folder `runs`.
        settings: address, limits, stored states.
        tell: takes the address with its token, when the server listens.

    Raises:
        MissingExtraError: the packages of the server are not installed.
        RhapsodeError: a model that cannot be opened, or an address that cannot be used.
    """
    try:
        from rhapsode.serving.run_server import serve as run
    except ModuleNotFoundError as problem:
        if (problem.name or "").partition(".")[0] == "rhapsode":
            raise
        raise MissingExtraError("serve", "the server") from None
    run(models, settings or ServeSettings(), tell=tell)
