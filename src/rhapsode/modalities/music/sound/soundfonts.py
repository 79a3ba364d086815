"""Sound of a score by a SoundFont, where one is installed."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.score import DEFAULT_TEMPO, Score
from rhapsode.errors import DataError, MissingExtraError, SettingsError
from rhapsode.files import first_line, is_there
from rhapsode.modalities.music.sound.sound_files import read_wav
from rhapsode.modalities.music.sound.synthesis import TAIL, check_length, finished

SYNTH = "synth"
_FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/local/share/soundfonts")
# The best of those that systems have, the first first.
_USUAL = ("MuseScore_General", "FluidR3", "GeneralUser", "default", "TimGM6mb")


def choose_soundfont(name: str | None) -> Path | None:
    """The SoundFont to render with; None for the built-in synthesiser.

    Arguments:
        name: a file, `synth`, or None for an installed one.

    Raises:
        SettingsError: there is no such file.
        MissingExtraError: a file is named, and midirenderer is not installed.
    """
    if name == SYNTH:
        return None
    renderer = find_spec("midirenderer") is not None
    if name is not None:
        path = Path(name)
        if not is_there(path) or not path.is_file():
            raise SettingsError(
                "there is no such SoundFont", where=name, hint="name an .sf2 file, or synth"
            )
        if not renderer:
            raise MissingExtraError("music", "rendering with a SoundFont")
        return path
    return installed_soundfont() if renderer else None


def installed_soundfont() -> Path | None:
    """The first SoundFont in the usual places."""
    paths = [
        path for folder in map(Path, _FOLDERS) if is_there(folder) for path in folder.iterdir()
    ]
    package = find_spec("pretty_midi")
    for folder in (package.submodule_search_locations or ()) if package else ():
        paths += Path(folder).glob("*.sf2")
    fonts = [path for path in sorted(paths) if path.suffix.lower() == ".sf2" and is_there(path)]

    def rank(path: Path) -> int:
        return next((at for at, name in enumerate(_USUAL) if path.name.startswith(name)), 99)

    return min(fonts, key=rank, default=None)


def render_with(score: Score, soundfont: Path) -> tuple[NDArray[np.float32], int]:
    """Render a score with the samples of a SoundFont.

    Returns:
        Shape (2, samples), peaks at most -1 dB below full scale; and samples a second.

    Raises:
        DataError: the SoundFont cannot be read, or the piece lasts longer than two hours.
    """
    import midirenderer

    from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes

    check_length(score.seconds(score.end))
    try:
        content = soundfont.read_bytes()
    except OSError as problem:
        raise DataError(f"cannot read: {problem.strerror}", where=str(soundfont)) from None
    try:
        wav = midirenderer.render_wave_from(content, midi_bytes(_with_tail(score)))
        sound_2T, rate = read_wav(wav)
    except RuntimeError as problem:
        raise DataError(
            f"this SoundFont cannot be used: {first_line(problem)}", where=str(soundfont)
        ) from None
    return finished(sound_2T), rate


def _with_tail(score: Score) -> Score:
    """The score with an end at which the last notes have died away."""
    quarters = score.tempos[-1].quarters if score.tempos else DEFAULT_TEMPO
    return replace(score, end=score.end + round(TAIL * quarters / 60 * score.ticks))
