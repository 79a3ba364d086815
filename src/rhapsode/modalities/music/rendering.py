"""Scores as sound, pictures and notation, in files."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from rhapsode.encoding.music.score import Score, Tempo
from rhapsode.errors import DataError, MissingExtraError, SettingsError
from rhapsode.files import is_there, write_atomically
from rhapsode.log import log
from rhapsode.modalities.music.render_settings import RenderSettings
from rhapsode.modalities.music.sound.sound_files import SOUNDS, check_sound

PICTURES = (".svg", ".png")
MIDI = (".mid", ".midi")
SUFFIXES = (*SOUNDS, *PICTURES, *MIDI, ".musicxml", ".abc")
# Pixels of a unit of a picture, and of its height at most.
_ZOOM, _SMALLEST_ZOOM, _PIXELS = 2.0, 0.5, 16_000
HIGHEST_PAGE = 1400


def check_output(path: Path, settings: RenderSettings) -> None:
    """Check that a score can be rendered into a file.

    Raises:
        SettingsError: a suffix without a format, or a folder or SoundFont that does not exist.
        MissingExtraError: a package that the format needs is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        kinds = ", ".join(SUFFIXES)
        raise SettingsError(
            f"music is rendered as {kinds}, not {suffix or 'without a suffix'}", where=str(path)
        )
    if not is_there(path.parent) or not path.parent.is_dir():
        raise SettingsError(f"there is no folder {path.parent}", where=str(path))
    if suffix in SOUNDS:
        from rhapsode.modalities.music.sound.soundfonts import choose_soundfont

        check_sound(suffix)
        choose_soundfont(settings.soundfont)
    if suffix in PICTURES and settings.as_ == "score":
        from rhapsode.modalities.music.drawing.engraving import check_engraver

        check_engraver()
    if suffix == ".png" and find_spec("resvg_py") is None:
        raise MissingExtraError("music", "drawing a .png file")


def render_score(
    score: Score, path: Path, settings: RenderSettings, *, prompt_end: int = 0
) -> list[Path]:
    """Render a score in the format of the suffix.

    Arguments:
        score: the piece.
        path: the file.
        settings: of the rendering.
        prompt_end: tick at which the prompt ends, for piano rolls.

    Returns:
        The files: `path`, and further pages of a long engraved score.

    Raises:
        RhapsodeError: as in `check_output`; or the score cannot be rendered, or not be written.
    """
    check_output(path, settings)
    score = score if settings.tempo is None else at_tempo(score, settings.tempo)
    suffix = path.suffix.lower()
    if suffix in SOUNDS:
        _render_sound(score, path, settings)
    elif suffix in PICTURES:
        return _render_pictures(score, path, settings, prompt_end)
    elif suffix in MIDI:
        from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes

        write_atomically(path, midi_bytes(score))
    else:
        write_atomically(path, _notation(score, suffix).encode("utf-8"))
    return [path]


def at_tempo(score: Score, quarters: float) -> Score:
    """The score at another mean speed; changes of speed keep their proportions.

    Arguments:
        score: the piece.
        quarters: quarter notes a minute, over the whole piece.
    """
    seconds = score.seconds(score.end)
    if not seconds:
        return replace(score, tempos=(Tempo(0, quarters),))
    factor = quarters / (score.end / score.ticks * 60 / seconds)
    tempos = score.tempos
    if not tempos or tempos[0].start > 0:
        tempos = (Tempo(0, 120.0), *tempos)
    return replace(
        score,
        tempos=tuple(replace(tempo, quarters=tempo.quarters * factor) for tempo in tempos),
    )


def _render_sound(score: Score, path: Path, settings: RenderSettings) -> None:
    from rhapsode.modalities.music.sound import soundfonts, synthesis
    from rhapsode.modalities.music.sound.sound_files import write_sound

    soundfont = soundfonts.choose_soundfont(settings.soundfont)
    if soundfont is None:
        log.info("sound of the built-in synthesiser")
        sound_2T, rate = synthesis.synthesise(score), synthesis.RATE
    else:
        log.info(f"sound of the SoundFont {soundfont}")
        sound_2T, rate = soundfonts.render_with(score, soundfont)
    write_sound(path, sound_2T, rate)


def _render_pictures(
    score: Score, path: Path, settings: RenderSettings, prompt_end: int
) -> list[Path]:
    suffix = path.suffix.lower()
    if settings.as_ == "score":
        from rhapsode.modalities.music.drawing.engraving import engrave

        # Pixels take memory, and few programs show a picture of great height.
        pages = engrave(score, height=HIGHEST_PAGE) if suffix == ".png" else engrave(score)
    else:
        from rhapsode.modalities.music.drawing.rolls import roll_svg

        pages = [roll_svg(score, seed_end=prompt_end)]
    paths = [path] + [path.with_stem(f"{path.stem}-{page}") for page in range(2, len(pages) + 1)]
    for page, file in zip(pages, paths, strict=True):
        write_atomically(file, page.encode("utf-8") if suffix == ".svg" else png_bytes(page))
    return paths


def png_bytes(svg: str) -> bytes:
    """An SVG picture as pixels, on light ground.

    Raises:
        MissingExtraError: resvg_py is not installed.
        DataError: the picture is too tall.
    """
    try:
        import resvg_py
    except ImportError:
        raise MissingExtraError("music", "drawing a .png file") from None
    size = re.search(r'<svg [^>]*height="([0-9.]+)"', svg)
    zoom = min(_ZOOM, _PIXELS / max(1.0, float(size[1]) if size else 1.0))
    if zoom < _SMALLEST_ZOOM:
        raise DataError("the piece is too long for a .png file", hint="name an .svg file")
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom, background="white"))


def _notation(score: Score, suffix: str) -> str:
    """Text of a MusicXML or ABC file."""
    if suffix == ".abc":
        from rhapsode.modalities.music.files.abc.abc_writer import abc_text

        return abc_text(score)
    from rhapsode.modalities.music.files.musicxml.xml_writer import musicxml_text

    return musicxml_text(score)
