"""Sound written into files: WAV, FLAC, OGG and MP3."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError, MissingExtraError
from rhapsode.files import write_atomically

WAV = ".wav"
_FORMATS = {
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
SOUNDS = (WAV, *_FORMATS)
# Frames written at once; libsndfile overflows its stack on long stretches of Vorbis.
_CHUNK = 1 << 14


def check_sound(suffix: str) -> None:
    """Check that sound can be written with a suffix.

    Raises:
        MissingExtraError: soundfile is not installed, and the suffix is not .wav.
    """
    if suffix != WAV and find_spec("soundfile") is None:
        raise MissingExtraError("sound", f"writing {suffix} files")


def write_sound(path: Path, sound_2T: NDArray[np.float32], rate: int) -> None:
    """Write a sound in the format of the suffix.

    Arguments:
        path: a .wav, .flac, .ogg or .mp3 file.
        sound_2T: left and right channel, from -1 to 1.
        rate: samples a second.

    Raises:
        MissingExtraError: soundfile is not installed, and the suffix is not .wav.
        RunError: the file cannot be written.
    """
    suffix = path.suffix.lower()
    check_sound(suffix)
    write_atomically(
        path, _wav_writer(sound_2T, rate) if suffix == WAV else _encoder(sound_2T, rate, suffix)
    )


def read_wav(content: bytes) -> tuple[NDArray[np.float32], int]:
    """Channels of a 16-bit stereo WAV file, and samples a second.

    Raises:
        DataError: of another kind.
    """
    try:
        with wave.open(io.BytesIO(content), "rb") as file:
            rate, shape = file.getframerate(), (file.getsampwidth(), file.getnchannels())
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as problem:
        raise DataError(f"this is no WAV file: {problem}") from None
    if shape != (2, 2):
        raise DataError("this WAV file is not of two channels with 16 bits")
    sound_T2 = np.frombuffer(frames, "<i2").reshape(-1, 2)
    return np.ascontiguousarray(sound_T2.T, np.float32) / np.float32(32768), rate


def _wav_writer(sound_2T: NDArray[np.float32], rate: int) -> Callable[[Path], None]:
    def write(scratch: Path) -> None:
        with wave.open(str(scratch), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(np.rint(np.clip(sound_2T.T, -1, 1) * 32767).astype("<i2").tobytes())

    return write


def _encoder(sound_2T: NDArray[np.float32], rate: int, suffix: str) -> Callable[[Path], None]:
    import soundfile

    kind, subtype = _FORMATS[suffix]

    def write(scratch: Path) -> None:
        try:
            with soundfile.SoundFile(scratch, "w", rate, 2, subtype, format=kind) as file:
                for first in range(0, sound_2T.shape[1], _CHUNK):
                    file.write(sound_2T[:, first : first + _CHUNK].T)
        except soundfile.SoundFileError as problem:
            raise OSError(str(problem)) from None

    return write
