"""The verb `render`: scores as sound, pictures and notation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rhapsode.config import from_mapping
from rhapsode.encoding.music.score import Score
from rhapsode.errors import SettingsError
from rhapsode.log import log
from rhapsode.modalities.music.render_settings import RenderSettings

if TYPE_CHECKING:
    from rhapsode.keywords import RenderOptions

__all__ = ["RenderSettings", "render"]


def render(
    score: Any,
    output: str | Path,
    settings: RenderSettings | None = None,
    **options: Unpack[RenderOptions],
) -> list[Path]:
    """Render a score as sound, a picture or notation.

    Arguments:
        score: a .mid, .abc or .musicxml file, generated music, or a `Score`.
        output: a file: .wav, .flac, .ogg, .mp3, .svg, .png, .mid, .musicxml or .abc.
        settings: kind of picture, SoundFont, speed.
        options: those of `RenderSettings` by name, in place of `settings`.

    Returns:
        The files: `output`, and further pages of a long engraved score.

    Raises:
        RhapsodeError: a file, format or setting that does not fit.
    """
    from rhapsode.modalities.music.rendering import check_output, render_score

    if settings is not None and options:
        raise SettingsError("give settings or single options, not both")
    settings = settings or from_mapping(RenderSettings, options, where="render")
    path = Path(output)
    check_output(path, settings)
    music, prompt_end = _score_of(score, settings.piece)
    files = render_score(music, path, settings, prompt_end=prompt_end)
    log.info("rendered: " + ", ".join(map(str, files)))
    return files


def _score_of(source: Any, piece: int) -> tuple[Score, int]:
    """A score, and the tick at which its prompt ends."""
    if isinstance(source, Score):
        return source, 0
    if not isinstance(source, str | Path):
        from rhapsode.modalities.music.prompts import MusicDocument

        if isinstance(source, MusicDocument):
            return source.value, source.prompt_end
        raise SettingsError(
            f"a score is no {type(source).__name__}", hint="give a file, generated music or a Score"
        )
    from rhapsode.modalities.music.files import read_score

    pieces = read_score(source)
    if piece > len(pieces):
        raise SettingsError(
            f"there is no piece {piece}", where=str(source), hint=f"the file has {len(pieces)}"
        )
    if len(pieces) > 1:
        log.info(f"piece {piece} of {len(pieces):,}: {pieces[piece - 1].name}")
    for name, number in pieces[piece - 1].repairs.items():
        log.info(f"{source}: {name} ({number:,})")
    return pieces[piece - 1].score, 0
