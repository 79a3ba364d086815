"""What a small model of notes writes: documents, continuations, sessions, metrics."""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rhapsode import load
from rhapsode.cli.main import main
from rhapsode.errors import RhapsodeError, RunError, SettingsError
from rhapsode.modalities.music.files import read_score
from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes
from rhapsode.modalities.music.model import MusicModel
from rhapsode.modalities.music.pieces.stretches import stretch
from rhapsode.modalities.session import PlaySession
from rhapsode.workflows.inference.comparison import compare, evaluate
from rhapsode.workflows.runs.run import prepare_training
from tests.modalities.music.chorales import roll_file, tune, write_tunes

SMALL: dict[str, Any] = {
    "steps": 30,
    "network": {"hidden_size": 16, "embedding_size": 16},
    "training": {"batch_size": 8, "window": 32, "evaluations": 1},
    "samples": {"length": 0},
}


def trained(source: Path, folder: Path, **asked: Any) -> MusicModel:
    training = prepare_training((source,), {**SMALL, **asked}, output=str(folder))
    list(training.events())
    training.finish()
    model = load(folder)
    assert isinstance(model, MusicModel)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("music")


@pytest.fixture(scope="module")
def tunes(folder: Path) -> Path:
    return write_tunes(folder / "midi", 16)


@pytest.fixture(scope="module")
def model(folder: Path, tunes: Path) -> MusicModel:
    return trained(tunes, folder / "notes")


def test_bars_are_counted_and_every_sample_is_a_score(model: MusicModel) -> None:
    for number in range(6):
        document = model.generate(bars=3, seed=number)
        assert document.notation.count("bar:") == 3
        assert document.finish_reason == "stop"
        notes, end = document.value.notes, document.value.end
        assert (notes.start_N + notes.length_N).max(initial=0) <= end
        assert "3 bars" in repr(document)
        ids = model.encoder.elements(document.value)
        assert model.encoder.score_of(ids).notes.pitch_N.tolist() == (
            document.value.notes.pitch_N.tolist()
        )


def test_written_files_need_no_repair(model: MusicModel, tunes: Path, tmp_path: Path) -> None:
    for number in range(6):
        for prompt in ("", tunes / "tune-01.mid"):
            path = tmp_path / "written.mid"
            model.generate(prompt, bars=3, seed=number, temperature=1.5).save(path)
            assert not read_score(path)[0].repairs


def test_a_continuation_of_a_file_keeps_the_file(
    model: MusicModel, tunes: Path, tmp_path: Path
) -> None:
    path = tunes / "tune-01.mid"
    (given,) = (each.score for each in read_score(path))
    document = model.generate(str(path), bars=2, seed=1)
    whole = document.value
    assert whole.ticks == given.ticks
    assert whole.tempos[:1] == given.tempos
    assert [track.program for track in whole.tracks][:3] == [73, 24, 0]
    first = whole.notes.select(whole.notes.start_N < given.end)
    assert first.start_N.tolist() == given.notes.start_N.tolist()
    assert first.length_N.tolist() == given.notes.length_N.tolist()
    assert document.prompt_end == given.end
    assert document.notation.count("bar:") == len(given.bars()) + 2
    document.save(tmp_path / "whole.mid")
    assert len(read_score(tmp_path / "whole.mid")[0].score.notes) == len(whole.notes)
    assert "<svg" in document.svg()


def test_a_bar_that_the_prompt_leaves_open_is_continued(model: MusicModel, tunes: Path) -> None:
    given = read_score(tunes / "tune-01.mid")[0].score
    bars = [start for start, _ in given.bars()]
    opened = stretch(given, 0, (bars[-2] + bars[-1]) // 2)
    document = model.generate(opened, bars=2, seed=1)
    starts = [start for start, _ in document.value.bars()]
    assert starts[: len(bars)] == bars
    assert document.prompt_end == opened.end


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("nowhere.mid", "^nowhere.mid: no such file$"),
        ("{folder}", "this is a folder"),
        ("C4 Q9", "the model has no element 'Q9'"),
    ],
)
def test_prompts_of_no_music_are_refused(
    model: MusicModel, folder: Path, prompt: str, message: str
) -> None:
    with pytest.raises(RhapsodeError) as caught:
        model.generate(prompt.format(folder=folder))
    assert re.search(message, str(caught.value))


def test_files_are_encoded_as_the_model_reads_them(model: MusicModel, tunes: Path) -> None:
    seen = model.encoded(str(tunes / "tune-01.mid")).to_mapping()
    score = read_score(tunes / "tune-01.mid")[0].score
    assert seen["ids"] == model.encoder.elements(score).tolist()
    assert not seen["unknown"]


def test_only_the_new_bars_are_written(model: MusicModel, tunes: Path, tmp_path: Path) -> None:
    out = tmp_path / "next.mid"
    words = ["generate", str(model.folder), str(tunes / "tune-02.mid"), "--only-new", "--bars", "2"]
    assert main([*words, "--seed", "4", "-o", str(out)]) == 0
    score = read_score(out)[0].score
    assert score.tempos[0].quarters == pytest.approx(100, abs=0.01)
    assert main([*words, "--count", "2", "-o", str(out)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"next.mid", "next-1.mid", "next-2.mid"}
    assert main([*words, "-o", str(tmp_path / "next.xyz")]) == 1


def test_music_is_drawn_on_a_terminal_and_written_into_a_pipe(
    model: MusicModel, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["generate", str(model.path.parent), "--bars", "2", "--seed", "1"]
    assert main(asked) == 0
    piped = capsys.readouterr()
    assert piped.out.startswith("inst:")
    assert "new.mid" not in piped.err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for more, rolls in (([], 1), (["--count", "2"], 2), (["--temperatures", "0.8", "1"], 2)):
        assert main(asked + more) == 0
        drawn = capsys.readouterr()
        assert "bar:" not in drawn.out
        assert len(re.findall(r"\d+ notes?", drawn.out)) == rolls
        assert drawn.err.count("with --seed 1, -o new.mid keeps it, | cat shows the notation") == 1


def test_notes_after_the_end_of_their_bar_are_told(
    model: MusicModel, caplog: pytest.LogCaptureFixture
) -> None:
    ids = model.encoder.encode("bar:3/4 at:0 C5 len:24 at:84 C5 len:24 bar:3/4 at:0 C5 len:24")
    assert 1 not in ids
    with caplog.at_level("INFO", "rhapsode"):
        document = model.prompt("", model.generation()).document(ids.tolist())
    assert len(document.value.notes) == 2
    assert caplog.messages == ["left out 1 note that begins after the end of a bar"]


def test_scores_are_prompts_too(model: MusicModel) -> None:
    score = tune(99, bars=2)
    document = model.generate(score, bars=1, seed=0)
    assert document.value.notes.start_N[0] == score.notes.start_N[0]
    table = model.next(score, top=3)
    assert table.to_list()[0]["candidates"]


def test_prompts_come_from_held_out_music(model: MusicModel, capsys: Any) -> None:
    words = ["generate", str(model.folder), "--prompt-from-data", "2", "--bars", "1", "--seed", "1"]
    assert main([*words, "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    assert all(line["prompt"].count("bar:") == 4 for line in lines)


def test_prompts_of_changed_sources_are_told(
    model: MusicModel, tunes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more = tunes / "another.mid"
    with caplog.at_level("INFO", "rhapsode"):
        model.held_out(1, model.generation(seed=1))
        assert not caplog.messages
        more.write_bytes(midi_bytes(tune(77)))
        model.held_out(1, model.generation(seed=1))
    more.unlink()
    assert caplog.messages[-1].startswith("the sources have changed since the run")


def test_constraints_hold_in_what_is_written(model: MusicModel) -> None:
    document = model.generate(bars=3, key="C", pitch_range="60:84", tracks=("flute",), seed=2)
    pitches = document.value.notes.pitch_N
    assert set((pitches % 12).tolist()) <= {0, 2, 4, 5, 7, 9, 11}
    assert len(pitches) == 0 or (pitches.min() >= 60 and pitches.max() <= 84)
    assert all(not track.drums for track in document.value.tracks)
    with pytest.raises(SettingsError, match="no metre"):
        model.generate(metre="13/16")


def test_turns_are_bars_that_can_be_taken_back(model: MusicModel, tmp_path: Path) -> None:
    session = PlaySession(model, model.generation(length=40, seed=3))
    first = "".join(session.write())
    assert first
    session.undo()
    assert not session.turns
    again = "".join(session.write())
    assert again == first
    assert session.picture(60) is not None
    session.set("bars", "1")
    assert session.keep(tmp_path / "kept") >= 0
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".mid"]
    session.save(tmp_path / "session.json")
    other = PlaySession(model, model.generation(seed=3))
    other.load(tmp_path / "session.json")
    assert other.text == session.text
    assert other.settings.bars == 1
    assert other.keep(tmp_path / "again") == session.keep(tmp_path / "again")


def test_bars_end_a_turn_and_not_the_piece(model: MusicModel) -> None:
    session = PlaySession(model, model.generation(length=500, bars=2, seed=3))
    turns = ["".join(session.write()) for _ in range(3)]
    assert [turn.count("bar:") for turn in turns] == [2, 2, 2]
    assert not any(session.ends_document(turn) for turn in session.turns)
    assert len(session.documents) == 1
    assert session.text.count("inst:") == turns[0].count("inst:")


def test_losses_are_told_in_units_of_music(model: MusicModel, tunes: Path) -> None:
    metrics = evaluate(model, str(tunes / "tune-03.mid"))
    found = json.loads(json.dumps(metrics.to_mapping()))
    units = found["units"]
    total = found["loss"] * found["elements"]
    notes = len(read_score(tunes / "tune-03.mid")[0].score.notes)
    assert units["amounts"]["notes"] == notes
    assert units["model"]["nats_per_note"] == pytest.approx(total / notes, rel=1e-6)
    assert units["model"]["nats_per_beat"] == pytest.approx(total / 32, rel=1e-6)
    assert units["model"]["nats_per_second"] == pytest.approx(total / 19.2, rel=1e-3)
    assert sum(kind["share"] for kind in found["kinds"].values()) == pytest.approx(1)
    assert math.isfinite(units["ngram"]["nats_per_note"])
    assert list(metrics.report("music"))


def test_models_of_other_encodings_are_compared_per_note(
    model: MusicModel, tunes: Path, folder: Path
) -> None:
    frames = trained(tunes, folder / "frames", encoding="frames", encoder={"grid": 4})
    result = compare([model.path, frames.path], str(tunes / "tune-04.mid"))
    rows = result.to_mapping()["rows"]
    assert {row["encoding"] for row in rows} == {"notes", "frames"}
    assert "encodings differ" in (result.caution or "")
    assert list(result.report("two"))


def test_copies_are_refused_in_any_key(model: MusicModel, tmp_path: Path) -> None:
    free = model.generate(length=60, seed=5)
    index = model.elements_index()
    new = model.generate(length=60, seed=5, no_copy=6)
    ids = np.array(new.elements)
    longest = index.longest(ids)
    assert longest is None or longest.length < 6
    assert free.elements
    bare = MusicModel(model.path)
    moved = tmp_path / "model.safetensors"
    bare.save(moved)
    with pytest.raises(RunError, match="copies cannot be detected"):
        MusicModel(moved).generate(length=5, no_copy=6)


def test_rolls_are_continued_in_their_own_voices(folder: Path, tmp_path: Path) -> None:
    voices = trained(roll_file(tmp_path, "rolls-16th.json"), folder / "voices")
    metrics = evaluate(voices, str(roll_file(tmp_path, "rolls-16th.json")))
    assert metrics.protocol.split.startswith("the test split of ")
    units = metrics.units
    assert units["amounts"]["cells"] == 4 * units["amounts"]["frames"] == 4 * 4 * 24
    assert units["voices"]["nats_per_frame"] == pytest.approx(4 * units["voices"]["nats_per_cell"])
    summary = json.loads((voices.path.parent / "summary.json").read_text())
    assert units["voices"] == pytest.approx(summary["units"]["voices"])
    document = voices.generate(bars=2, seed=1)
    assert len(document.value.tracks) == 4
    assert document.value.end / document.value.ticks == 8
