"""Settings of training on texts."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.config.source import SourceSettings
from rhapsode.config.train import IdSettings
from rhapsode.modalities.ids.contract import IdEvaluationSettings

Share = Annotated[float, Meta(ge=0.0, le=0.5)]


@dataclass(frozen=True)
class DataSettings:
    """Splits of the text."""

    test_share: Share = 0.1
    """Fraction of the text in the test split, which is scored once, at the end of the run; at most
    a million characters."""
    validation_share: Share = 0.05
    """Fraction of the rest in the validation split, which selects the best weights; at most half a
    million characters, in eight slices."""
    split: Literal["tail", "documents"] = "tail"
    """tail: the end of the corpus is the test split; documents: a hash of each document selects its
    split, so that a document stays in its split when others are added."""
    duplicates: Literal["keep", "drop"] = "keep"
    """Documents that occur more than once: keep trains on all copies, drop on only one copy."""


@dataclass(frozen=True)
class TrainSettings(IdSettings):
    """Settings of training on texts."""

    source: SourceSettings = field(default_factory=SourceSettings)
    data: DataSettings = field(default_factory=DataSettings)


@dataclass(frozen=True)
class TextComparisonSettings(SourceSettings):
    """Settings of a comparison of models of text.

    Records are read as in the training of the first model.
    """

    adapt: bool = False
    """Let the counts of every model go on counting over what is read, in order. Every loss is then
    one of counts that adapt, and a model whose counts cannot is refused. With --blind, the
    continuations are written so."""


@dataclass(frozen=True)
class TextEvaluationSettings(IdEvaluationSettings, SourceSettings):
    """Settings of an evaluation of a model of text.

    Records are read as in training.
    """
