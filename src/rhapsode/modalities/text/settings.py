"""Settings of training on texts."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.config.source import SourceSettings
from rhapsode.config.train import IdSettings
from rhapsode.modalities.ids.contract import IdEvaluationSettings

__all__ = ["DataSettings", "TextEvaluationSettings", "TrainSettings"]

Share = Annotated[float, Meta(ge=0.0, le=0.5)]


@dataclass(frozen=True)
class DataSettings:
    """How the text is divided."""

    test_share: Share = 0.1
    """Share held out to the very end and swept once; at most a million characters."""
    validation_share: Share = 0.05
    """Share of the rest that chooses the best weights; at most half a million characters."""
    split: Literal["tail", "documents"] = "tail"
    """tail: the end of the corpus is held out; documents: the hash of a document decides, and it stays where it is
    when others are added."""
    duplicates: Literal["keep", "drop"] = "keep"
    """Whether documents that occur more than once are learnt from as often."""


@dataclass(frozen=True)
class TrainSettings(IdSettings):
    """Everything that decides training on texts."""

    source: SourceSettings = field(default_factory=SourceSettings)
    data: DataSettings = field(default_factory=DataSettings)


@dataclass(frozen=True)
class TextEvaluationSettings(IdEvaluationSettings, SourceSettings):
    """Settings of an evaluation of a model of text; records are read as in training."""
