"""Dances from a grammar: one parse each, at the probability they are drawn with; and the tunes."""

import math
from collections import defaultdict

import numpy as np

from rhapsode.data import catalogue_documents, reel_documents, reel_log_prob
from rhapsode.data.corpora.reels import bar_text, reel_grammar
from rhapsode.data.corpora.text_grammar import draw_text, parses
from rhapsode.modalities.music.files.abc.abc_reader import read_abc


def test_drawn_tunes_have_the_probability_they_were_drawn_with_and_one_parse() -> None:
    generator = np.random.default_rng(3)
    for _ in range(100):
        text, nats = draw_text(reel_grammar(), generator)
        (way,) = parses(reel_grammar(), text)
        assert math.isclose(way, nats, rel_tol=1e-12)
        assert reel_log_prob(text) == way
        assert reel_log_prob(text[:-3] + "|\n") == -math.inf


def test_the_corpus_is_the_same_every_time_and_varied() -> None:
    texts = [document.text for document in reel_documents(400)]
    assert texts == [document.text for document in reel_documents(400)]
    assert len(set(texts)) == 400
    entropy = -np.mean([reel_log_prob(text) for text in texts[:200]])
    assert 26 < entropy < 30


def test_notes_alone_tell_a_figure_and_its_chord() -> None:
    """An encoding that drops chord symbols loses no information, so that the optimum is the same."""
    from rhapsode.data.corpora import reels

    for dance in ("Reel", "Jig"):
        for key in range(5):
            bars = defaultdict(set)
            for degree in range(7):
                for steps in reels._FIGURES[dance]["bar"]:
                    _, chord, notes = bar_text(steps, key, degree).split('"')
                    bars[notes].add((chord, steps))
            assert all(len(sources) == 1 for sources in bars.values())


def test_tunes_and_dances_are_sound_music() -> None:
    documents = [*catalogue_documents("tunes"), *reel_documents(50)]
    assert len(documents) == 42 + 50
    for document in documents:
        assert document.name.endswith(".abc")
        ((piece,), errors) = read_abc(document.text, document.name)
        assert errors == []
        assert piece.repairs == {}
        score = piece.score
        assert len(score.metres) == 1, document.name  # every bar has its length
        last, metre = score.bars()[-1]
        assert (score.end - last + score.upbeat) % metre.ticks(score.ticks) == 0, document.name
        assert score.notes.pitch_N.min() >= 52
        assert score.notes.pitch_N.max() <= 84
