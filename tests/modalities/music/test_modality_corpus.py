"""Corpora of music: splits, keys, encodings, copies."""

import json
from pathlib import Path

import numpy as np
import pytest

from rhapsode.config import from_mapping
from rhapsode.encoding.music.score import Notes, Score
from rhapsode.errors import DataError, RhapsodeError, SettingsError
from rhapsode.modalities.music.corpus import MusicCorpus, mean_offset, prepare_corpus
from rhapsode.modalities.music.pieces.json_rolls import read_rolls, score_of_roll, step_of
from rhapsode.modalities.music.pieces.reading import Piece
from rhapsode.modalities.music.pieces.transposing import KEYS
from rhapsode.modalities.music.settings import MusicTrainSettings
from tests.modalities.music.chorales import roll_file, rolls


def corpus_of(*sources: object, **asked: object) -> MusicCorpus:
    return prepare_corpus(sources, from_mapping(MusicTrainSettings, asked, where="test"))


def melodies(count: int, *, notes: int = 16, seed: int = 0) -> list[Score]:
    generator = np.random.default_rng(seed)
    return [
        Score(
            ticks=4,
            notes=Notes.of(np.arange(notes) * 4, 4, generator.integers(55, 80, size=notes), 80, 0),
            title=f"tune {number}",
        )
        for number in range(count)
    ]


def test_the_splits_of_the_source_are_kept(tmp_path: Path) -> None:
    corpus = corpus_of(roll_file(tmp_path))
    assert {name: len(part) for name, part in corpus.pieces.items()} == {
        "train": 24, "validation": 4, "test": 4,
    }  # fmt: skip
    assert corpus.documents == 32
    assert len(corpus.test.starts) == 4


def test_the_training_split_alone_is_learnt_in_all_keys(tmp_path: Path) -> None:
    path = roll_file(tmp_path)
    corpus, plain = corpus_of(path), corpus_of(path, music={"transpose": "none"})
    assert len(corpus.train) == len(KEYS) * len(plain.train)
    assert corpus.keys == len(KEYS) == 12
    assert plain.keys == 1
    assert np.array_equal(corpus.test.elements_N, plain.test.elements_N)
    assert corpus.sha256 == plain.sha256
    # Every piece occurs once in every key.
    spans = np.split(np.asarray(corpus.train.elements_N), corpus.train.starts[1:])
    assert len({span.tobytes() for span in spans}) == len(spans)


def test_a_roll_is_read_exactly(tmp_path: Path) -> None:
    path = roll_file(tmp_path)
    content = json.loads(path.read_text())
    encoder = corpus_of(path).encoder
    for roll, (_, _, score) in zip(
        content["train"], read_rolls(path.read_bytes(), path.name, 1), strict=False
    ):
        lines = encoder.decode(encoder.elements(score)).rstrip("\n").split("\n")
        names = [sorted(line.split(), key=encoder.vocabulary.index) for line in lines]
        assert [len(set(frame)) for frame in roll] == list(map(len, names))


def test_a_roll_of_voices_is_learnt_by_voice(tmp_path: Path) -> None:
    corpus = corpus_of(roll_file(tmp_path, "rolls-16th.json"))
    assert corpus.encoder.name == "chords.v1"
    assert corpus.encoder.settings["voices"] == 4
    assert corpus.encoder.settings["grid"] == 4
    score = corpus.pieces["train"][0].score
    assert len(corpus.encoder.elements(score)) <= 5 * 24
    voices = corpus_of(roll_file(tmp_path, "rolls-16th.json"), encoding="voices")
    assert len(voices.encoder.elements(score)) == 4 * 24
    assert len(score.tracks) == 4


@pytest.mark.parametrize(
    ("name", "steps"), [("a-quarter.json", 1), ("8th", 2), ("16th", 4), ("other", 4)]
)
def test_the_step_is_read_from_the_name(name: str, steps: int) -> None:
    assert step_of(name, 0) == steps
    assert step_of(name, 3) == 3


@pytest.mark.parametrize("roll", [7, [7], [["a"]], [[200]], [[60.5]]])
def test_something_else_than_pitches_is_an_error(roll: object) -> None:
    with pytest.raises(DataError):
        score_of_roll(roll, 4, "here")


def test_pieces_are_split_by_a_hash_that_is_the_same_in_every_key() -> None:
    scores = melodies(40)
    moved = [
        Score(ticks=4, notes=Notes.of(s.notes.start_N, 4, s.notes.pitch_N.astype(int) + 3))
        for s in scores
    ]
    for score, other in zip(scores, moved, strict=True):
        assert Piece("a", score).tune == Piece("b", other).tune
        assert Piece("a", score).digest != Piece("b", other).digest
    one, both = corpus_of(scores), corpus_of([*scores, *moved])
    assert both.copies == 40
    titles = [{piece.tune for piece in one.pieces[name]} for name in one.pieces]
    again = [{piece.tune for piece in both.pieces[name]} for name in both.pieces]
    assert titles == again
    assert not titles[0] & titles[2]
    assert all(titles)


def test_a_single_piece_is_cut_into_stretches_of_bars() -> None:
    (score,) = melodies(1, notes=400)
    corpus = corpus_of(score)
    assert all(len(part) for part in corpus.pieces.values())
    assert sum(len(p.score.notes) for part in corpus.pieces.values() for p in part) <= 400


def test_sources_without_splits_cannot_be_split_by_the_source() -> None:
    with pytest.raises(SettingsError, match="names no splits"):
        corpus_of(melodies(20), data={"split": "source"})


def test_no_notes_are_an_error() -> None:
    with pytest.raises(DataError, match="no notes"):
        corpus_of([Score(end=16)])


def test_an_encoding_of_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RhapsodeError, match="does not encode music"):
        corpus_of(roll_file(tmp_path), encoding="characters")


def test_a_list_of_rolls_needs_no_splits(tmp_path: Path) -> None:
    path = tmp_path / "quarter.json"
    path.write_text(json.dumps(rolls(30)))
    corpus = corpus_of(path)
    assert corpus.documents == 30
    assert all(len(part) for part in corpus.pieces.values())


def test_music_beside_every_grid_is_a_performance() -> None:
    scores = melodies(20)
    assert mean_offset(scores) == 0
    generator = np.random.default_rng(0)
    played = [
        Score(
            ticks=480,
            notes=Notes.of(np.cumsum(generator.integers(50, 900, size=40)), 200, 60 + number % 12),
        )
        for number in range(20)
    ]
    assert mean_offset(played) > 0.2
    assert corpus_of(scores).encoder.name == "notes.v1"
    assert corpus_of(played).encoder.name == "performance.v1"
