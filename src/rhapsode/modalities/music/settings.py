"""Settings of training on music, of its evaluation, and of its continuations."""

from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.config import GenerateSettings, Repeated, option
from rhapsode.config.train import IdSettings

Share = Annotated[float, Meta(ge=0.0, le=0.5)]


@dataclass(frozen=True)
class MusicSettings:
    """Reading and transposition of music."""

    transpose: Literal["auto", "none", "all"] = "auto"
    """Keys of the training split: all adds every piece in eleven other keys, from six semitones
    down to five up, where its notes keep within the range of the encoding; none keeps the original
    keys; auto adds them to a training split of fewer than 500,000 elements, if the encoding can
    transpose. Validation and test split keep their keys."""
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


@dataclass(frozen=True)
class MusicLimitSettings:
    """Constraints on generated music."""

    key: Annotated[str | None, option("KEY", "any")] = None
    """Only notes of this key: G, Gm, F#-minor, "Bb major" or D-dorian; minor keys have the raised
    seventh degree too."""
    pitch_range: Annotated[str | None, option("LOW:HIGH", "any", name="range")] = None
    """Only pitches in this range, as MIDI numbers or names: 48:84 or C3:C6."""
    metre: Annotated[str | None, option("N/M", "any")] = None
    """Only bars of this metre, for example 6/8."""
    tracks: Annotated[Repeated[tuple[str, ...]], option("NAME", "all")] = ()
    """Only tracks of this instrument, by a part of its name or its program number, or drums; may be
    repeated."""
    tempo: Annotated[Annotated[float, Meta(ge=5, le=1000)] | None, option("N", "any")] = None
    """Tempo in quarter notes a minute."""
    bars: Annotated[Annotated[int, Meta(ge=1, le=10_000)] | None, option("N", "any")] = None
    """End the piece after so many new bars, not earlier and not later."""
    max_polyphony: Annotated[Annotated[int, Meta(ge=1, le=64)] | None, option("N", "any")] = None
    """Maximum number of notes that sound together."""

    @property
    def limited(self) -> bool:
        """True if anything is constrained."""
        return any(getattr(self, each.name) != each.default for each in fields(MusicLimitSettings))


@dataclass(frozen=True)
class MusicGenerateSettings(MusicLimitSettings, GenerateSettings):
    """Settings of a continuation of music."""
