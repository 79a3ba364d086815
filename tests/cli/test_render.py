"""`rhapsode render`, and `rh.render` in Python."""

import wave
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.encoding.music.score import Score, Tempo
from rhapsode.modalities.music.files import read_score
from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes
from rhapsode.modalities.music.prompts import MusicDocument
from tests.cli.conftest import Cli
from tests.modalities.music.listening import TICKS, band, melody

BOOK = "X:1\nT:One\nM:4/4\nL:1/4\nK:C\nCDEF|\n\nX:2\nT:Two\nM:3/4\nL:1/4\nK:G\nGAB|\n"


@pytest.fixture
def tune(tmp_path: Path) -> str:
    (tmp_path / "tune.mid").write_bytes(midi_bytes(band(2)))
    return "tune.mid"


def test_sound_is_rendered(cli: Cli, tune: str, tmp_path: Path) -> None:
    done = cli("render", tune, "--output", "tune.wav", "--soundfont", "synth")
    assert (done.code, done.out) == (0, "")
    assert "built-in synthesiser" in done.err
    with wave.open(str(tmp_path / "tune.wav")) as file:
        seconds = file.getnframes() / file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert seconds == pytest.approx(8 * 60 / 112 + 2, abs=0.1)
    assert 5000 < np.abs(samples.astype(int)).max() < 30_000
    for name in ("tune.mp3", "tune.ogg", "tune.flac"):
        assert cli("render", tune, "-o", name, "--soundfont", "synth").code == 0
        assert (tmp_path / name).stat().st_size > 10_000


def test_a_soundfont_must_be_there(cli: Cli, tune: str, tmp_path: Path) -> None:
    done = cli("render", tune, "-o", "tune.wav", "--soundfont", "none.sf2")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "none.sf2: there is no such SoundFont" in done.err
    assert not (tmp_path / "tune.wav").exists()


def test_pictures_are_rolls_or_scores(cli: Cli, tune: str, tmp_path: Path) -> None:
    assert cli("render", tune, "-o", "roll.svg").code == 0
    assert cli("render", tune, "-o", "score.svg", "--as", "score").code == 0
    for name in ("roll", "score"):
        picture = ET.parse(tmp_path / f"{name}.svg").getroot()
        assert picture.get("class") == f"rh-{name}"
    for name in ("roll", "score"):
        assert cli("render", tune, "-o", f"{name}.png", "--as", name).code == 0
        content = (tmp_path / f"{name}.png").read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(content[16:20], "big") == 1920


def test_a_long_piece_has_pages_of_pixels(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "long.mid").write_bytes(midi_bytes(band(48)))
    done = cli("render", "long.mid", "-o", "long.png", "--as", "score")
    assert done.code == 0
    pages = sorted(path.name for path in tmp_path.glob("*.png"))
    assert {"long.png", "long-2.png"} <= set(pages)
    assert all(name in done.err for name in pages)
    assert cli("render", "long.mid", "-o", "long.svg", "--as", "score").code == 0
    assert not (tmp_path / "long-2.svg").exists()
    (tmp_path / "hours.mid").write_bytes(midi_bytes(Score(ticks=1, end=40_000)))
    done = cli("render", "hours.mid", "-o", "hours.png")
    assert done.code == 1
    assert "too long for a .png file; name an .svg file" in done.err


def test_the_tempo_keeps_its_proportions(cli: Cli, tmp_path: Path) -> None:
    score = Score(
        ticks=TICKS,
        notes=melody((60, 62, 64, 65)).notes,
        tempos=(Tempo(0, 60.0), Tempo(2 * TICKS, 120.0)),
    )
    (tmp_path / "slow.mid").write_bytes(midi_bytes(score))
    assert cli("render", "slow.mid", "-o", "fast.mid", "--tempo", "160").code == 0
    (fast,) = read_score(tmp_path / "fast.mid")
    assert [round(tempo.quarters) for tempo in fast.score.tempos] == [120, 240]
    assert fast.score.seconds(fast.score.end) == pytest.approx(4 * 60 / 160, rel=1e-4)
    assert cli("render", "slow.mid", "-o", "fast.mid", "--tempo", "0").code == 1


def test_a_piece_of_a_book_is_chosen(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "book.abc").write_text(BOOK, encoding="utf-8")
    for number, pitches in ((1, [60, 62, 64, 65]), (2, [67, 69, 71])):
        done = cli("render", "book.abc", "-o", "one.mid", "--piece", str(number))
        assert done.code == 0
        assert f"piece {number} of 2" in done.err
        assert read_score(tmp_path / "one.mid")[0].score.notes.pitch_N.tolist() == pitches
    done = cli("render", "book.abc", "-o", "one.mid", "--piece", "3")
    assert done.code == 1
    assert "there is no piece 3" in done.err


@pytest.mark.parametrize("suffix", [".mid", ".musicxml", ".abc"])
def test_notes_are_written_for_other_programs(cli: Cli, suffix: str, tmp_path: Path) -> None:
    (tmp_path / "tune.mid").write_bytes(midi_bytes(melody((60, 64, 67, 72))))
    assert cli("render", "tune.mid", "-o", f"other{suffix}").code == 0
    (piece,) = read_score(tmp_path / f"other{suffix}")
    assert piece.score.notes.pitch_N.tolist() == [60, 64, 67, 72]
    assert (piece.score.notes.start_N * 480 // piece.score.ticks).tolist() == [0, 480, 960, 1440]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tune.mid",), "--output: no file is named"),
        (("tune.mid", "-o", "tune.txt"), "tune.txt: music is rendered as .wav"),
        (("tune.mid", "-o", "tune"), "without a suffix"),
        (("tune.mid", "-o", "none/tune.wav"), "there is no folder none"),
        (("none.mid", "-o", "tune.svg"), "none.mid: cannot read"),
        (("text.mid", "-o", "tune.svg"), "text.mid"),
    ],
)
def test_what_cannot_be_rendered_is_an_error_of_one_line(
    cli: Cli, tune: str, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "text.mid").write_text("no music", encoding="utf-8")
    done = cli("render", *arguments)
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1


def test_in_python(tmp_path: Path) -> None:
    score = band(8)
    document = MusicDocument(score, prompt_end=4 * TICKS)
    assert rh.render(document, tmp_path / "a.svg") == [tmp_path / "a.svg"]
    assert 'class="seed"' in (tmp_path / "a.svg").read_text(encoding="utf-8")
    rh.render(score, tmp_path / "b.svg", rh.RenderSettings())
    assert 'class="seed"' not in (tmp_path / "b.svg").read_text(encoding="utf-8")
    rh.render(score, tmp_path / "c.wav", soundfont="synth", tempo=200)
    with pytest.raises(rh.RhapsodeError, match="not both"):
        rh.render(score, tmp_path / "d.svg", rh.RenderSettings(), tempo=90)
    with pytest.raises(rh.RhapsodeError, match="a score is no int"):
        rh.render(4, tmp_path / "d.svg")
