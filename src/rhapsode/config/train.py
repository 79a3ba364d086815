"""Options of training, each declared once as a settings field.

A field defines the flag, the name in TOML and the help.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from rhapsode.config.notation import parse_duration
from rhapsode.config.options import option
from rhapsode.errors import SettingsError

DEFAULT_BUDGET = "3m"
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
# Never gt=0.0: that is stored as the least denormal, which training flushes to zero.
Rate = Annotated[float, Meta(ge=1e-9, le=10.0)]


@dataclass(frozen=True)
class ReadingSettings:
    """Context of the model, and the order of training data."""

    context: str | None = None
    """carried: stateful; documents are joined by end-of-sequence and the state continues across
    them. fresh: per document; every document begins with the zero state. window:N: only the last N
    elements are seen. [default: carried; fresh for many short documents; window:N for
    transformer_classic]"""
    stride: Count | None = None
    """For window:N: number of elements between the starts of consecutive windows. [default: N, so
    that windows do not overlap]"""
    shuffle: bool = True
    """For window:N: shuffle the windows before every pass."""
    drop_last: bool = False
    """For window:N: drop the last batch if it is incomplete."""
    loss: Literal["all", "last"] = "all"
    """For window:N: all predicts the next element at every position; last predicts only the element
    after the window."""


@dataclass(frozen=True)
class OptimisationSettings:
    """Optimisation of weights; unset values are planned from data and budget."""

    batch_size: Count | None = None
    """Number of rows in a batch."""
    window: Count | None = None
    """Number of elements of each row in one update; backpropagation through time is truncated at
    this length."""
    accumulate: Annotated[int, Meta(ge=1, le=1 << 16)] = 1
    """Number of batches whose gradients are accumulated for one update."""
    optimiser: Literal["adamw", "adam", "rmsprop", "sgd"] = "adamw"
    """Optimisation algorithm. sgd uses beta1 as its momentum; rmsprop uses beta2 as the decay of
    squared gradients."""
    learning_rate: Rate | None = None
    """Peak learning rate."""
    weight_decay: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.01
    """Weight decay of matrices: decoupled for adamw, added to the gradient for sgd, ignored by adam
    and rmsprop."""
    beta1: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.9
    """Decay of the moving average of gradients."""
    beta2: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.99
    """Decay of the moving average of squared gradients."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Shape of the decay of the learning rate from its peak to `final_rate`, after the warm-up;
    constant keeps the peak."""
    warmup: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.03
    """Fraction of the run in which the learning rate rises to its peak (warm-up)."""
    final_rate: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.03
    """Learning rate at the end, as a fraction of the peak."""
    averaging: Annotated[float, Meta(ge=0.0, lt=1.0)] | None = None
    """Decay of the moving average of the weights, which is used for evaluations, samples and the
    saved model; 0 disables it."""
    clip: Annotated[float, Meta(ge=1e-9)] = 1.0
    """Maximum norm of the gradient; larger gradients are scaled down to it."""
    counts_share: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    """One weight for all counts in the predictions of the finished run, the rest being the
    network's [0 to 1]; 0 leaves the counts out. [default: weights with the lowest loss on the
    validation split]"""
    beside_counts: Literal["auto", "on", "off"] = "auto"
    """Train the network beside the counts of the training split, so that it learns what they do not
    know; each element is taken out of the counts that predict it. auto does so on a CPU, for up to
    8 million elements. Needs a validation split."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the forward and backward pass; auto times float32 and bfloat16 for up to two
    seconds and chooses the faster one."""
    compile: Literal["off", "on"] = "off"
    """Compile the network with torch.compile before training. It takes up to a minute of the run,
    and pays for long runs on a GPU, if at all. Families of recurrent layers cannot be compiled."""
    evaluations: Annotated[int, Meta(ge=1, le=10000)] = 10
    """Number of evaluations on the validation split during the run."""
    patience: Annotated[int, Meta(ge=0, le=10000)] = 4
    """Stop the run after this many evaluations in a row without improvement (early stopping); 0
    disables it."""


@dataclass(frozen=True)
class SampleSettings:
    """Samples generated during training."""

    temperatures: Annotated[
        tuple[Annotated[float, Meta(ge=0.0, le=100.0)], ...], Meta(max_length=8)
    ] = (
        0.5,
        0.8,
        1.1,
    )
    """Temperatures of the samples; at every evaluation one sample is generated for each."""
    length: Annotated[int, Meta(ge=0, le=100000)] = 160
    """Number of elements of a sample; 0 disables samples."""
    prompt: str = ""
    """Prompt of every sample."""
    passage: Annotated[int, Meta(ge=0, le=10000)] = 0
    """Length, in elements, of a random training passage that the samples continue in place of
    `prompt`; 0 disables it."""


@dataclass(frozen=True)
class TrackSettings:
    """Monitoring of a run."""

    tensorboard: bool = False
    """Write TensorBoard logs to the folder `tensorboard` of the run (extra `track`)."""


@dataclass(frozen=True)
class RunSettings:
    """Duration, model and data of a run."""

    budget: Annotated[str | None, option("TIME", "3m")] = None
    """Time for the whole run, from the start of the program to the last update, for example 90s, 3m
    or 1h30m."""
    epochs: Annotated[Annotated[float, Meta(ge=1e-9, le=1e9)] | None, option("N", "none")] = None
    """Number of passes over the training split, in place of a budget."""
    steps: Annotated[Count | None, option("N", "none")] = None
    """Number of weight updates, in place of a budget."""
    model: Annotated[
        str,
        option(
            "NAME",
            help="Model family: {families}; for series of numbers, lstm_skip is the default.",
        ),
    ] = "lstm"
    """Name of the model family; `rhapsode train --help` lists the names."""
    encoding: Annotated[str, option("NAME")] = "auto"
    """Kind of element: characters, words, bytes, bpe, wordpiece, unigram, jieba, or tokenizer for
    an existing tokenizer.json; auto chooses by the text."""
    modality: Annotated[
        str, option("NAME", help="Kind of the sources: {modalities}, or auto to detect it.")
    ] = "auto"
    """Kind of the sources, series or text; auto detects it."""
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**63 - 1)], option("N")] = 0
    """Seed of all random numbers in the run."""

    members: Annotated[Annotated[int, Meta(ge=1, le=64)], option("N")] = 1
    """Number of networks that are trained one after the other, with different random weights, and
    whose probabilities are averaged. They share the budget, epochs or steps evenly. Models of
    identifiers only, such as text."""
    device: Annotated[str, option("NAME")] = "auto"
    """Device on which the network is trained: cpu, cuda, cuda:N or mps; auto uses cuda or mps if
    PyTorch has it and it can run the network, otherwise cpu."""

    def budget_seconds(self) -> float | None:
        """Budget in seconds; None if epochs or steps are set.

        Raises:
            SettingsError: more than one of budget, epochs and steps, or no valid budget.
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
    """Settings of the model family, for example hidden_size; unset values are planned."""
    encoder: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the encoding; unset values are detected."""


@dataclass(frozen=True)
class IdSettings(TrainingSettings):
    """The settings of a run on sequences of identifiers."""

    reading: ReadingSettings = field(default_factory=ReadingSettings)
