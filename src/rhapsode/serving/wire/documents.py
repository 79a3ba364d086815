"""Documents in answers: the file of a continuation as base64."""

from __future__ import annotations

import base64
import mimetypes
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rhapsode.errors import RhapsodeError, SettingsError
from rhapsode.serving.wire.api_errors import refused
from rhapsode.serving.writing.work import Work

KINDS = {
    ".gcode": "text/x.gcode",
    ".ndjson": "application/x-ndjson",
    ".abc": "text/vnd.abc",
    ".mid": "audio/midi",
    ".musicxml": "application/vnd.recordare.musicxml+xml",
    ".txt": "text/plain; charset=utf-8",
}


def check_suffix(suffix: str, model: Any) -> None:
    """Refuse a document that a model cannot write, before anything is written.

    Raises:
        ApiError: the model has no such format.
    """
    if not suffix.startswith(".") or not suffix[1:].isalnum() or len(suffix) > 16:
        raise refused("document is a suffix, as .mid", param="document")
    with TemporaryDirectory() as folder:
        try:
            model.check_output(Path(folder) / f"document{suffix}")
        except SettingsError as problem:
            raise refused(problem.what, param="document") from None


def document_of(
    work: Work, chosen: tuple[Any, ...], text: str, end: str | None, suffix: str
) -> dict[str, Any]:
    """The document of prompt and continuation.

    Arguments:
        work: what is continued.
        chosen: elements of the continuation.
        text: of the continuation.
        end: why it ended.
        suffix: of the format.

    Raises:
        ApiError: it cannot be written in that format.
    """
    document = work.prompt.document(
        (*work.elements, *chosen),
        work.prompt.text + text,
        seed=work.settings.seed,
        finish_reason=end,
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"document{suffix}"
        try:
            document.save(path)
        except RhapsodeError as problem:
            raise refused(problem.what, param="document") from None
        content = path.read_bytes()
    kind = KINDS.get(suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return {"mime": kind, "base64": base64.b64encode(content).decode()}
