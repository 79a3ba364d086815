"""Settings of training on music, of its evaluation, and of its continuations."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.config.train import IdSettings

Share = Annotated[float, Meta(ge=0.0, le=0.5)]


@dataclass(frozen=True)
class MusicSettings:
    """Reading and transposition of music."""

    transpose: Literal["auto", "none", "all"] = "auto"
    """Keys of the training split: all adds every piece in eleven other keys, from six semitones
    down to five up, where its notes keep within the range of the encoding; none keeps the original
    keys; auto adds them if the encoding can transpose. Validation and test split keep their
    keys."""
    pedal: Literal["extend", "keep", "drop"] = "extend"
    """Sustain pedal of MIDI files: extend lengthens notes until it is released, keep keeps it apart
    for the encoding performance, drop leaves it out."""
    repeats: bool = True
    """Play repeats of ABC and MusicXML out."""
    step: Annotated[int, Meta(ge=0, le=96)] = 0
    """For piano rolls: steps of a quarter note; 0 reads it from the name of the file (quarter, 8th,
    16th), and takes sixteenth notes otherwise."""


@dataclass(frozen=True)
class MusicDataSettings:
    """Splits of the music."""

    split: Literal["auto", "source", "documents"] = "auto"
    """source: the splits that the source names (train, valid, test); documents: a hash of each
    piece, equal for its transpositions, selects its split; auto: source if it names any."""
    test_share: Share = 0.1
    """Fraction of the music in the test split, which is scored once, at the end of the run."""
    validation_share: Share = 0.1
    """Fraction of the rest in the validation split, which selects the best weights."""
    duplicates: Literal["keep", "drop"] = "drop"
    """Pieces that occur more than once, also in another key: drop trains on only one copy, keep on
    all."""


@dataclass(frozen=True)
class MusicTrainSettings(IdSettings):
    """Settings of training on music."""

    music: MusicSettings = field(default_factory=MusicSettings)
    data: MusicDataSettings = field(default_factory=MusicDataSettings)
