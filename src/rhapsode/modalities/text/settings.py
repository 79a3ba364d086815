"""Settings of training on texts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from rhapsode.config.options import option
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
class PairSettings:
    """Learning to write one text from another, with --pairs."""

    source_encoding: str = "auto"
    """Kind of element of the inputs, with the names of --encoding, which is that of the outputs.
    auto takes symbols between spaces for elements where they are few, otherwise characters."""
    source_encoder: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the encoding of the inputs; unset values are detected."""
    attention: str = "auto"
    """How the output attends to the input: dot, additive, location (sees where it attended before),
    gaussian_window (moves forward only) or layers (in every layer of a transformer); auto is layers
    for --model transformer, otherwise gaussian_window where outputs follow the order of inputs, and
    dot where they do not."""
    attention_size: Annotated[int, Meta(ge=1, le=1 << 16)] = 128
    """Features in which attention compares output and input, except for gaussian_window."""
    source_model: Literal["auto", "bidirectional", "transformer"] = "auto"
    """Encoder of the input: recurrent layers in both directions, or a transformer; auto is that of
    --model."""
    source_size: Annotated[int, Meta(ge=1, le=1 << 16)] | None = None
    """Units of the encoder of the input in each direction; of a transformer, its features.
    [default: half of network.hidden_size; the width of the transformer]"""
    source_layers: Annotated[int, Meta(ge=1, le=64)] | None = None
    """Layers of the encoder of the input. [default: 1; as many as a transformer has]"""
    layers_above: Annotated[int, Meta(ge=0, le=64)] = 0
    """Layers of the output after attention; 0 joins output and input in a layer of tanh."""
    select: Literal["error_rate", "symbol_error_rate", "loss"] = "error_rate"
    """Validation measure that selects the best weights: error_rate, the fraction of inputs whose
    answer is wrong; symbol_error_rate, wrong elements; or the loss."""
    answers: Annotated[int, Meta(ge=0, le=100_000)] = 300
    """Number of validation inputs that are answered at each evaluation; 0 selects by the loss."""


@dataclass(frozen=True)
class TrainSettings(IdSettings):
    """Settings of training on texts."""

    source: SourceSettings = field(default_factory=SourceSettings)
    data: DataSettings = field(default_factory=DataSettings)
    pairs: PairSettings = field(default_factory=PairSettings)


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

    beams: Annotated[Annotated[int, Meta(ge=1, le=4096)], option("N")] = 1
    """For models of pairs: number of beams of the search for answers; 1 always takes the likeliest
    element."""
    alignment: Annotated[str | None, option("FILE.svg", "none")] = None
    """For models of pairs: draw which elements of the input each element of the right answer
    attends to, for the first eight pairs."""
