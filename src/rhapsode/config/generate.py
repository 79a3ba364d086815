"""Every option of generation, declared once."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.config.options import option
from rhapsode.config.sampling import ControlSettings, SamplingSettings
from rhapsode.config.search import SearchSettings

__all__ = ["GenerateSettings", "RequestSettings"]


@dataclass(frozen=True)
class LengthSettings:
    """Length of the continuation."""

    length: Annotated[
        Annotated[int, Meta(ge=0)] | None, option("N", "until end-of-sequence, at most 400")
    ] = None
    """New elements to write."""


@dataclass(frozen=True)
class DeliverySettings:
    """Number, seed, form and computation of continuations."""

    count: Annotated[Annotated[int, Meta(ge=1, le=100000)], option("N")] = 1
    """Independent continuations of each prompt, written side by side."""
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None, option("N", "a new one, told on stderr")
    ] = None
    """Seed of the draw: the same seed writes the same text."""
    unknown: Literal["error", "skip"] = "error"
    """What to do with characters of the prompt that the model has never seen; skip drops them. A word model reads its
    unknown element for unseen words, with a warning, unless they are to be skipped."""
    format: Literal["text", "jsonl"] = "text"
    """text prints prompt and continuation; jsonl one object a continuation, the two apart."""
    engine: Literal["auto", "torch", "compiled"] = "auto"
    """What computes: compiled needs no torch and is many times as fast; torch can do whatever a model may be made of;
    auto takes compiled where it can."""
    weights: Literal["float32", "bf16", "int8"] = "float32"
    """What the compiled engine keeps weights as: fewer bits are read faster and cost a little, which is told on
    stderr."""
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | None, option("N", "as many as pay, up to the cores")
    ] = None
    """Cores that the compiled engine may use; the text does not depend on it."""


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
    """Continue every line of a file, or every text of a file of JSON strings, one a line; - reads standard input."""
    prompt_from_data: Annotated[
        Annotated[int, Meta(ge=1, le=100000)] | None, option("N", "none")
    ] = None
    """Continue N passages, drawn by the seed, of what the run held out of its sources."""
    temperatures: Annotated[tuple[Temperature, ...], option("T", "none")] = ()
    """Write at each of these temperatures, with the same draws, in place of one."""
