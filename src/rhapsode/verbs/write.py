"""The verb `write`: a text in a hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from rhapsode.config import from_mapping
from rhapsode.errors import SettingsError
from rhapsode.log import log
from rhapsode.modalities.strokes.settings import WriteSettings

if TYPE_CHECKING:
    from pathlib import Path

    from rhapsode.keywords import WriteOptions
    from rhapsode.modalities.strokes.prompts import StrokeDocument

__all__ = ["WriteSettings", "write"]


def write(
    model: Any,
    text: str,
    settings: WriteSettings | None = None,
    *,
    output: str | Path | None = None,
    **options: Unpack[WriteOptions],
) -> StrokeDocument:
    """Write a text as strokes of a pen.

    Arguments:
        model: a run folder, model file or open model, trained on drawings with their texts.
        text: one or several lines.
        settings: style, bias, seed.
        output: a file: .svg, .json, .ndjson, .gcode or .txt.
        options: those of `WriteSettings` by name, in place of `settings`.

    Raises:
        RhapsodeError: a model, text or setting that does not fit.
    """
    from pathlib import Path

    from rhapsode.modalities.strokes.model import StrokeModel
    from rhapsode.modalities.strokes.writing import handwritten, summary, with_own_seed
    from rhapsode.workflows.inference.ask import as_model

    if settings is not None and options:
        raise SettingsError("give settings or single options, not both")
    opened = as_model(model)
    if not isinstance(opened, StrokeModel):
        raise SettingsError("this is no model of handwriting", where=str(opened.path))
    if output is not None:
        opened.check_output(Path(output))
    settings = with_own_seed(settings or from_mapping(WriteSettings, options, where="write"))
    document = handwritten(opened, text, settings)
    if output is not None:
        document.save(output)
        log.info(f"wrote {output}: {summary(document)}, seed {settings.seed}")
    return document
