"""Contents of sources of music: pieces, instruments, metres, keys, tempos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import RenderableType

from rhapsode.encoding.music.score import Score
from rhapsode.files import source_name
from rhapsode.modalities.contract import Surveyed
from rhapsode.modalities.music.corpus import MusicCorpus, prepare_pieces
from rhapsode.modalities.music.pieces.reading import read_pieces
from rhapsode.modalities.music.quality.features import NUMBERS, mean_features
from rhapsode.modalities.music.settings import MusicTrainSettings
from rhapsode.views.figures import plural
from rhapsode.views.survey_report import facts_survey

# Names of a kind that are told.
MOST = 8
# Weights of the degrees of keys: Krumhansl, "Cognitive Foundations of Musical Pitch", 1990.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def estimated_key(score: Score) -> str | None:
    """The key whose profile fits best; None without pitches."""
    notes = score.notes
    if not len(notes):
        return None
    drums_S = np.array([track.drums for track in score.tracks], dtype=np.bool_)
    tones = notes.select(~drums_S[notes.track_N])
    weight_P = np.bincount(tones.pitch_N % 12, weights=tones.length_N, minlength=12)
    if not weight_P.any() or weight_P.std() == 0:
        return None
    fits = {
        f"{_NAMES[tonic]}{suffix}": float(np.corrcoef(np.roll(profile, tonic), weight_P)[0, 1])
        for profile, suffix in ((_MAJOR, ""), (_MINOR, "m"))
        for tonic in range(12)
    }
    return max(fits, key=fits.__getitem__)


def survey_music(sources: Sequence[Any], settings: MusicTrainSettings) -> Surveyed[MusicCorpus]:
    """Describe sources of music, and prepare their corpus.

    Arguments:
        sources: files, folders, scores in memory.
        settings: as for training.

    Raises:
        DataError: there is no music in them.
    """
    read = read_pieces(sources, settings.music)
    corpus = prepare_pieces(read, sources, settings)
    scores = [piece.score for piece in read.pieces]
    found: dict[str, Any] = {
        "sources": [source_name(source) for source in sources],
        "documents": len(scores),
        "characters": corpus.characters,
        "notes": corpus.characters,
        "bars": sum(len(score.bars()) for score in scores),
        "beats": sum(score.end / score.ticks for score in scores),
        "seconds": sum(score.seconds(score.end) for score in scores),
        "copies": corpus.copies,
        "remarks": list(read.notes),
        "splits": {name: len(part) for name, part in corpus.pieces.items()},
        "instruments": _counted(_instruments(scores)),
        "metres": _counted(f"{m.beats}/{m.unit}" for score in scores for m in score.metres[:1]),
        "keys": _counted(filter(None, map(estimated_key, scores))),
        "tempo": _spread([score.tempos[0].quarters for score in scores if score.tempos]),
        "lengths": _spread([score.end / score.ticks for score in scores]),
    }
    means = mean_features([score for score in scores if len(score.notes)])
    found |= {name: getattr(means, name) for name in NUMBERS}
    return Surveyed(found, corpus, encoding_reason=corpus.encoding_reason)


def _instruments(scores: Sequence[Score]) -> Iterator[str]:
    from rhapsode.modalities.music.drawing.instruments import PROGRAMS

    for score in scores:
        for track in score.tracks:
            yield "drums" if track.drums else PROGRAMS[track.program]


def _counted(names: Iterator[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _spread(values: Sequence[float]) -> list[float] | None:
    """Least, median and largest value; None without any."""
    return [float(each) for each in np.quantile(values, (0, 0.5, 1))] if values else None


def music_survey_report(found: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    """A survey of music for people.

    Arguments:
        found: from `survey_music`, with `training`.
        width: cells of a line.
    """
    seconds = found["seconds"]
    sizes = [
        plural(found["documents"], "piece"),
        plural(found["notes"], "note"),
        plural(found["bars"], "bar"),
        plural(round(seconds / 60), "minute") if seconds > 90 else plural(round(seconds), "second"),
    ]
    facts = {
        "splits": ", ".join(f"{name} {count:,}" for name, count in found["splits"].items()),
        "repeated pieces": f"{found['copies']:,}, in any key",
        "instruments": _named(found["instruments"]),
        "metres": _named(found["metres"]) or "none given",
        "keys, estimated": _named(found["keys"]),
        "quarter notes a minute": _range(found["tempo"]) or "none given",
        "length in quarter notes": _range(found["lengths"]),
        "notes per quarter note": f"{found['notes_per_beat']:.2f}",
        "notes that sound together": f"{found['polyphony']:.2f}",
        "notes within one scale": f"{found['scale']:.0%}",
    }
    yield from facts_survey(found, width, sizes, facts, found["remarks"])


def _named(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:MOST])
    rest = len(counts) - MOST
    return f"{shown} and {rest:,} others" if rest > 0 else shown


def _range(spread: Sequence[float] | None) -> str:
    return (
        "" if spread is None else f"{spread[0]:,.4g} to {spread[2]:,.4g}, median {spread[1]:,.4g}"
    )
