"""Sound in files: formats, whole files, missing packages, SoundFonts."""

import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode.encoding.music.score import Score
from rhapsode.errors import DataError, MissingExtraError, RunError, SettingsError
from rhapsode.modalities.music.sound import soundfonts
from rhapsode.modalities.music.sound.sound_files import SOUNDS, read_wav, write_sound
from rhapsode.modalities.music.sound.soundfonts import choose_soundfont, render_with
from rhapsode.modalities.music.sound.synthesis import RATE, TAIL, synthesise
from tests.modalities.music.listening import band, decibels, hertz, melody, peak, strongest

soundfile = pytest.importorskip("soundfile")


@pytest.fixture(scope="module")
def sound_2T() -> Any:
    return synthesise(band(1))


def test_wav_holds_every_sample(sound_2T: Any, tmp_path: Path) -> None:
    path = tmp_path / "tune.wav"
    write_sound(path, sound_2T, RATE)
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (2, 2, RATE, sound_2T.shape[1])
    back_2T, rate = read_wav(path.read_bytes())
    assert rate == RATE
    np.testing.assert_allclose(back_2T, sound_2T, atol=1e-4)


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_other_formats_sound_the_same(suffix: str, sound_2T: Any, tmp_path: Path) -> None:
    path = tmp_path / f"tune{suffix}"
    write_sound(path, sound_2T, RATE)
    back_T2, rate = soundfile.read(path)
    assert rate == RATE
    length = min(len(back_T2), sound_2T.shape[1])
    assert abs(len(back_T2) - sound_2T.shape[1]) < RATE // 10
    for channel in range(2):
        original_T, decoded_T = sound_2T[channel, :length], back_T2[:length, channel]
        # MP3 begins a little later; loudness and spectrum are the same.
        assert abs(decibels(original_T) - decibels(decoded_T)) < 0.5
        one, other = np.abs(np.fft.rfft(original_T)), np.abs(np.fft.rfft(decoded_T))
        assert np.corrcoef(one, other)[0, 1] > 0.95
    assert peak(back_T2.astype(np.float32)) < 0
    assert path.stat().st_size < sound_2T.size * 2


def test_a_full_disk_leaves_the_old_file(
    sound_2T: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: Any) -> None:
        raise soundfile.SoundFileRuntimeError("disk full")

    path = tmp_path / "tune.ogg"
    path.write_bytes(b"old")
    monkeypatch.setattr(soundfile.SoundFile, "write", write)
    with pytest.raises(RunError, match="unchanged"):
        write_sound(path, sound_2T, RATE)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["tune.ogg"]


def test_without_soundfile_there_is_still_wav(
    sound_2T: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    write_sound(tmp_path / "tune.wav", sound_2T, RATE)
    for suffix in SOUNDS[1:]:
        with pytest.raises(MissingExtraError, match=r"pip install 'rhapsode\[sound\]'"):
            write_sound(tmp_path / f"tune{suffix}", sound_2T, RATE)


def test_what_is_no_wav_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"RIFF", b"MThd" * 20):
        with pytest.raises(DataError):
            read_wav(content)


def test_soundfonts_are_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_soundfont("synth") is None
    with pytest.raises(SettingsError, match="no such SoundFont"):
        choose_soundfont(str(tmp_path / "none.sf2"))
    with pytest.raises(SettingsError, match="no such SoundFont"):
        choose_soundfont(str(tmp_path))
    monkeypatch.setattr(soundfonts, "_FOLDERS", (str(tmp_path),))
    monkeypatch.setitem(sys.modules, "pretty_midi", None)
    assert choose_soundfont(None) is None
    for name in ("other.sf2", "TimGM6mb.sf2", "FluidR3_GM.sf2", "read.me", "small.sf3"):
        (tmp_path / name).write_bytes(b"junk")
    font = choose_soundfont(None)
    assert font == tmp_path / "FluidR3_GM.sf2"
    assert choose_soundfont(str(tmp_path / "other.sf2")) == tmp_path / "other.sf2"
    with pytest.raises(DataError, match="cannot be used"):
        render_with(melody((60,)), font)
    with pytest.raises(DataError, match="hours"):
        render_with(Score(ticks=1, end=1 << 28), font)
    monkeypatch.setitem(sys.modules, "midirenderer", None)
    assert choose_soundfont(None) is None
    with pytest.raises(MissingExtraError):
        choose_soundfont(str(font))


def test_a_soundfont_plays_the_notes() -> None:
    font = soundfonts.installed_soundfont()
    if font is None:
        pytest.skip("no SoundFont is installed")
    pitches = (60, 64, 67, 72)
    sound_2T, rate = render_with(melody(pitches, 73, length=960), font)
    assert peak(sound_2T) <= -1
    assert sound_2T.shape[1] == pytest.approx((4 + TAIL) * rate, rel=0.01)
    for place, pitch in enumerate(pitches):
        part_T = sound_2T[0, place * rate + rate // 4 : place * rate + 3 * rate // 4]
        ratio = strongest(part_T) * rate / RATE / hertz(pitch)
        # Of some instruments the second partial is stronger than the first.
        assert round(ratio) in (1, 2, 3)
        assert abs(1200 * np.log2(ratio / round(ratio))) < 20
