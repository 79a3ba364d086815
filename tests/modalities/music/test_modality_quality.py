"""Measures of music, copies in other keys, stretches, and scores that continue others."""

from pathlib import Path

import numpy as np
import pytest

from rhapsode.encoding.music.score import Key, Metre, Notes, Score, Tempo, Track
from rhapsode.errors import BundleError
from rhapsode.modalities.music.pieces.continuing import continuation, joined
from rhapsode.modalities.music.pieces.reading import Piece
from rhapsode.modalities.music.pieces.stretches import cut_pieces, stretch
from rhapsode.modalities.music.quality.copies import MelodyIndex
from rhapsode.modalities.music.quality.features import (
    distance,
    features_of,
    loop_share,
    mean_features,
)


def melody(pitches: list[int], *, length: int = 4, ticks: int = 4) -> Score:
    return Score(
        ticks=ticks, notes=Notes.of(np.arange(len(pitches)) * length, length, pitches), title="m"
    )


SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


def test_features_of_a_scale() -> None:
    features = features_of(melody(SCALE))
    assert features.scale == 1.0
    assert features.range == 12
    assert features.polyphony == 1.0
    assert features.notes_per_beat == 1.0
    assert features.empty == 0.0
    assert features.pitch_class_P[0] == pytest.approx(2 / 8)
    assert features.interval_P[12 + 2] == pytest.approx(5 / 7)
    for name in ("pitch_class_P", "interval_P", "length_P", "onset_P"):
        assert getattr(features, name).sum() == pytest.approx(1.0)


def test_features_of_nothing_and_of_drums() -> None:
    empty = features_of(Score(end=16, ticks=4))
    assert empty.notes_per_beat == 0
    drums = Score(ticks=4, notes=Notes.of([0, 4], 1, [36, 38]), tracks=(Track(drums=True),))
    assert features_of(drums).range == 0
    assert mean_features([Score(end=16, ticks=4), melody(SCALE)]).range == 6


def test_the_distance_of_histograms() -> None:
    one, other = features_of(melody(SCALE)), features_of(melody([61, 63, 66, 68, 70]))
    assert distance(one.pitch_class_P, one.pitch_class_P) == 0
    assert distance(one.pitch_class_P, other.pitch_class_P) == 1


def test_a_loop_is_found_by_its_period() -> None:
    share, period, times = loop_share(melody([60, 62, 64, 65] * 6))
    assert (share, period, times) == (1.0, 1, 6)
    share, period, _ = loop_share(melody([60, 62, 64, 65, 67, 69, 71, 72] * 5))
    assert (share, period) == (1.0, 2)
    assert loop_share(melody(list(range(40, 72))))[0] == 0
    assert loop_share(Score(ticks=4, end=160))[0] == 0


def test_a_copy_is_found_in_another_key(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    pieces = [
        Piece(f"piece {n}", melody(generator.integers(50, 80, size=64).tolist())) for n in range(4)
    ]
    index = MelodyIndex.build(pieces)
    theirs = pieces[2].score.notes.pitch_N.astype(int)[16:36] + 5
    own = melody([*generator.integers(50, 80, size=8).tolist(), *theirs.tolist()])
    copy = index.longest(own)
    assert copy is not None
    assert (copy.piece, copy.bar, copy.own_bar) == ("piece 2", 5, 3)
    assert copy.notes in {20, 21}
    index.save(tmp_path / "index.safetensors")
    assert MelodyIndex.load(tmp_path / "index.safetensors").longest(own) == copy
    (tmp_path / "index.safetensors").write_bytes(b"damaged")
    with pytest.raises(BundleError):
        MelodyIndex.load(tmp_path / "index.safetensors")


def test_a_stretch_keeps_what_is_in_force() -> None:
    score = Score(
        ticks=4,
        notes=Notes.of([0, 16, 30], [4, 20, 4], [60, 62, 64]),
        tempos=(Tempo(0, 90.0), Tempo(24, 60.0)),
        metres=(Metre(0, 3, 4),),
        keys=(Key(0, 2),),
        end=48,
    )
    part = stretch(score, 16, 32)
    assert part.notes.start_N.tolist() == [0, 14]
    assert part.notes.length_N.tolist() == [16, 2]
    assert part.tempos == (Tempo(0, 90.0), Tempo(8, 60.0))
    assert part.metres == (Metre(0, 3, 4),)
    assert part.end == 16


def test_pieces_are_cut_at_bars() -> None:
    score = melody(list(range(40, 100)))
    parts = cut_pieces([Piece("a", score)])
    assert sum(len(part.score.notes) for part in parts) == 60
    assert parts[0].name == "a, bars 1 to 1"


def test_a_continuation_keeps_the_ticks_notes_and_tempo_of_the_prompt() -> None:
    first = Score(
        ticks=480,
        notes=Notes.of([3, 487], [470, 475], [60, 64], 97),
        tracks=(Track(program=40, name="violin"),),
        tempos=(Tempo(0, 91.37),),
        metres=(Metre(0, 6, 8),),
        end=1440,
    )
    snapped = Score(ticks=24, notes=Notes.of([0, 24], 24, [60, 64]), end=72)
    whole = Score(
        ticks=24,
        notes=Notes.of([0, 24, 72, 96], 24, [60, 64, 67, 72]),
        tempos=(Tempo(0, 91.0),),
        metres=(Metre(0, 6, 8),),
        end=144,
    )
    result = joined(first, continuation(first, snapped, whole))
    assert result.ticks == 480
    assert result.tempos == first.tempos
    assert result.metres == first.metres
    assert result.tracks == first.tracks
    assert result.notes.start_N.tolist() == [3, 487, 1440, 1920]
    assert result.notes.velocity_N[:2].tolist() == [97, 97]
    assert result.end == 1440 + 1440
