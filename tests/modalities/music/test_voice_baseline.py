"""The counted baseline of voices, against sums written out."""

import math

import numpy as np

from rhapsode.encoding.music import roll_score
from rhapsode.modalities.music.quality.voice_baseline import cells_of, voice_nats


def test_cells_are_pitches_of_voices() -> None:
    score = roll_score([[60, 55], [60], [62, 55]], 1)
    (cells_TK,) = cells_of([score], 2, 1)
    assert cells_TK.tolist() == [[61, 56], [61, 0], [63, 56]]


def test_what_always_follows_costs_little_and_probabilities_sum_to_one() -> None:
    train = [np.tile([[61, 50], [63, 52]], (40, 1))]
    assert voice_nats(train, train, 1) < 0.1
    # The first cell of a piece, over all pitches.
    total = sum(math.exp(-voice_nats(train, [np.array([[pitch]])], 1)) for pitch in range(129))
    assert abs(total - 1) < 1e-9


def test_other_keys_help_music_in_another_key() -> None:
    train = [np.tile([[61, 50], [63, 52]], (40, 1))]
    higher = [train[0] + 3]
    assert voice_nats(train, higher, 1, range(-6, 6)) < voice_nats(train, higher, 1) / 5
