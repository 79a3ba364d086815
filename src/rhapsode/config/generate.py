"""Every option of generation, declared once."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.config.options import option
from rhapsode.config.sampling import ControlSettings, SamplingSettings
from rhapsode.config.search import SearchSettings


@dataclass(frozen=True)
class LengthSettings:
    """Length of the continuation."""

    length: Annotated[
        Annotated[int, Meta(ge=0)] | None, option("N", "until end-of-sequence, at most 400")
    ] = None
    """Maximum number of new elements."""


@dataclass(frozen=True)
class DeliverySettings:
    """Number, seed, output format and inference engine."""

    count: Annotated[Annotated[int, Meta(ge=1, le=100000)], option("N")] = 1
    """Number of independent continuations of each prompt, generated in a batch."""
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None, option("N", "random, printed on stderr")
    ] = None
    """Random seed; the same seed produces the same text."""
    unknown: Literal["error", "skip"] = "error"
    """Characters of the prompt that the model has never seen: error stops, skip drops them. A word
    model reads unseen words as its unknown element, with a warning, unless skip is set."""
    format: Literal["text", "jsonl"] = "text"
    """text prints the prompt and the continuation; jsonl prints one JSON object for each
    continuation, with the prompt and the continuation in separate keys."""
    engine: Literal["auto", "torch", "compiled"] = "auto"
    """Inference engine. compiled is much faster and does not load torch; torch supports every
    model; auto uses compiled if it supports the model."""
    device: Annotated[str | None, option("NAME", "the CPU")] = None
    """Device that generates in torch, for many continuations at once: cuda, cuda:N or mps. One
    text is usually generated faster by the compiled engine, which runs on CPUs only."""
    weights: Literal["float32", "bf16", "int8"] = "float32"
    """Number format of the weights in the compiled engine. bf16 and int8 are faster to read and
    slightly less accurate; the measured difference is printed on stderr."""
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | None, option("N", "as many as make it faster")
    ] = None
    """Maximum number of cores for the compiled engine; the text does not depend on it."""


@dataclass(frozen=True)
class GenerateSettings(
    DeliverySettings, SearchSettings, ControlSettings, SamplingSettings, LengthSettings
):
    """Settings of a continuation."""


Temperature = Annotated[float, Meta(ge=0.0, le=1e6)]


@dataclass(frozen=True)
class RequestSettings:
    """Prompts and temperatures of one request."""

    prompts: Annotated[str | None, option("FILE", "none")] = None
    """File of prompts, with one prompt or one JSON string on each line; - reads standard input."""
    prompt_from_data: Annotated[
        Annotated[int, Meta(ge=1, le=100000)] | None, option("N", "none")
    ] = None
    """Continue N passages from the held-out data of the run, drawn with the seed."""
    input: Annotated[str | None, option("FILE", "none")] = None
    """For models of pairs: answer every line of this file; - reads standard input. Each line gives
    one line of output, a blank line a blank one."""
    n_best: Annotated[Annotated[int, Meta(ge=1, le=4096)], option("N")] = 1
    """For --input: the N best answers to each line, by beams. With more than one, a line of output
    holds the number of the input from 1, an answer and its log-probability in nats, separated by
    tabs."""
    temperatures: Annotated[tuple[Temperature, ...], option("T", "none")] = ()
    """Generate at each of these temperatures with the same random numbers, in place of
    --temperature."""
