"""Every option of generation, declared once."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

__all__ = ["GenerateSettings"]


@dataclass(frozen=True)
class GenerateSettings:
    """How a model continues a prompt."""

    length: Annotated[int, Meta(ge=0)] | None = None
    """New elements to write [default: until end-of-sequence, at most 400]."""
    temperature: Annotated[float, Meta(ge=0.0, le=1e6)] = 1.0
    """Divides the logits: below 1 safer, above 1 wilder, 0 always takes the likeliest element."""
    top_k: Annotated[int, Meta(ge=0)] = 0
    """Choose among the K likeliest elements only; 0 is off."""
    top_p: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0
    """Choose among the smallest set of elements with this much probability; 1 is off."""
    count: Annotated[int, Meta(ge=1, le=100000)] = 1
    """Independent continuations."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """Seed of the draw; the same seed writes the same text [default: a new one, told on stderr]."""
    stop: tuple[str, ...] = ()
    """End before this text; may be repeated."""
    unknown: Literal["error", "skip"] = "error"
    """What to do with characters of the prompt that the model has never seen."""
    format: Literal["text", "jsonl"] = "text"
    """text prints prompt and continuation; jsonl one object a continuation, the two apart."""
