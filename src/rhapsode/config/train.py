"""Every option of training, declared once: a field here is the flag, the TOML name and the help."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from rhapsode.config.durations import parse_duration
from rhapsode.config.options import option
from rhapsode.errors import SettingsError

__all__ = [
    "DEFAULT_BUDGET",
    "IdSettings",
    "OptimisationSettings",
    "ReadingSettings",
    "RunSettings",
    "SampleSettings",
    "TrackSettings",
    "TrainingSettings",
]

DEFAULT_BUDGET = "3m"
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
# Never gt=0.0: that is stored as the least denormal, which training flushes to zero.
Rate = Annotated[float, Meta(ge=1e-9, le=10.0)]


@dataclass(frozen=True)
class ReadingSettings:
    """How the model sees its past, and in which order it reads."""

    context: str | None = None
    """carried: documents joined by end-of-sequence, the state carried through; fresh: every document from the zero
    state; window:N: only the last N elements count. [default: carried; fresh for many short documents; window:N for
    transformer_classic]"""
    stride: Count | None = None
    """For window:N: elements between two windows; unset, windows lie end to end."""
    shuffle: bool = True
    """For window:N: another order at every pass."""
    drop_last: bool = False
    """For window:N: leave out a last batch that is not full."""
    loss: Literal["all", "last"] = "all"
    """For window:N: learn from what follows every input, or only from what follows the window."""


@dataclass(frozen=True)
class OptimisationSettings:
    """How the weights are fitted. What is left unset is planned from the corpus and the budget."""

    batch_size: Count | None = None
    """Rows read side by side."""
    window: Count | None = None
    """Elements per row and step: gradients reach back this far."""
    accumulate: Annotated[int, Meta(ge=1, le=1 << 16)] = 1
    """Batches whose gradients are added up for one update."""
    optimiser: Literal["adamw", "adam", "rmsprop", "sgd"] = "adamw"
    """What turns gradients into updates; sgd has momentum beta1, rmsprop decays squares by beta2."""
    learning_rate: Rate | None = None
    """Peak learning rate."""
    weight_decay: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.01
    """Weight decay: decoupled for adamw, off for adam and rmsprop, in the gradient for sgd; matrices only."""
    beta1: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.9
    """Decay of the gradient mean."""
    beta2: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.99
    """Decay of the squared gradient mean."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls behind the warm-up, to `final_rate`; constant keeps the peak."""
    warmup: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.03
    """Share of the run in which the learning rate rises."""
    final_rate: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.03
    """Learning rate at the end, as a share of the peak."""
    averaging: Annotated[float, Meta(ge=0.0, lt=1.0)] | None = None
    """Decay of a moving average of the weights, which is what is validated, sampled from and kept; 0 takes none."""
    clip: Annotated[float, Meta(ge=1e-9)] = 1.0
    """Largest norm of the gradient."""
    counts_share: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    """What of every probability the n-gram model gives when the run is finished, 0 to 1; 0 leaves it out. [default: what
    the validation slice likes best]"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward and backward pass; auto measures for two seconds."""
    evaluations: Annotated[int, Meta(ge=1, le=10000)] = 10
    """How often the validation slice is swept over the run."""
    patience: Annotated[int, Meta(ge=0, le=10000)] = 4
    """Sweeps in a row that find nothing better behind which the run is stopped early; 0 never stops it."""


@dataclass(frozen=True)
class SampleSettings:
    """What is written while training."""

    temperatures: Annotated[
        tuple[Annotated[float, Meta(ge=0.0, le=100.0)], ...], Meta(max_length=8)
    ] = (
        0.5,
        0.8,
        1.1,
    )
    """A sample at each of these, at every evaluation."""
    length: Annotated[int, Meta(ge=0, le=100000)] = 160
    """Elements per sample; 0 writes none."""
    prompt: str = ""
    """What every sample continues."""
    passage: Annotated[int, Meta(ge=0, le=10000)] = 0
    """Elements of a passage, taken anywhere in the training text, that the samples continue in place of a prompt."""


@dataclass(frozen=True)
class TrackSettings:
    """Where a run can be watched beside its own files."""

    tensorboard: bool = False
    """Write the folder `tensorboard` into the run, for `tensorboard --logdir` (extra `track`)."""


@dataclass(frozen=True)
class RunSettings:
    """Length, network and data of a run."""

    budget: Annotated[str | None, option("TIME", "3m")] = None
    """Time for the whole run, from the start of the program to the last update, as 90s, 3m or 1h30m."""
    epochs: Annotated[
        Annotated[float, Meta(ge=1e-9, le=1e9)] | None, option("N", "the budget rules")
    ] = None
    """Passes over the training share, in place of a budget."""
    steps: Annotated[Count | None, option("N", "the budget rules")] = None
    """Updates of the weights, in place of a budget."""
    model: Annotated[
        str,
        option(
            "NAME",
            help="Family: {families}; lstm_skip where numbers are learnt and nothing else is said.",
        ),
    ] = "lstm"
    """Family of the network by its name, as `rhapsode train --help` lists them."""
    encoding: Annotated[str, option("NAME")] = "auto"
    """What an element is: characters, words, bytes, bpe, wordpiece, unigram, jieba, tokenizer for a ready
    tokenizer.json, or auto to choose by the text."""
    modality: Annotated[
        str, option("NAME", help="Kind of the sources: {modalities}, or auto to look at them.")
    ] = "auto"
    """Kind of the sources by its name; auto looks at them."""
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**63 - 1)], option("N")] = 0
    """Seed of everything random in the run."""

    def budget_seconds(self) -> float | None:
        """Seconds of the budget; None when epochs or steps rule.

        Raises:
            SettingsError: more than one of budget, epochs and steps, or a budget that is no time.
        """
        given = [name for name in ("budget", "epochs", "steps") if getattr(self, name) is not None]
        if len(given) > 1:
            raise SettingsError(
                f"{' and '.join(given)} cannot be given together", hint="choose one"
            )
        if self.epochs is not None or self.steps is not None:
            return None
        return parse_duration(self.budget if self.budget is not None else DEFAULT_BUDGET)


@dataclass(frozen=True)
class TrainingSettings(RunSettings):
    """The settings of a run on sequences of any kind."""

    training: OptimisationSettings = field(default_factory=OptimisationSettings)
    samples: SampleSettings = field(default_factory=SampleSettings)
    track: TrackSettings = field(default_factory=TrackSettings)
    network: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the model's family, as hidden_size; what is unset is planned."""
    encoder: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the encoding; what is unset is found out."""


@dataclass(frozen=True)
class IdSettings(TrainingSettings):
    """The settings of a run on sequences of identifiers."""

    reading: ReadingSettings = field(default_factory=ReadingSettings)
