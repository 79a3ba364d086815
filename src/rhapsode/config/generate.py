"""Every option of generation, declared once."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta
from tyro.conf import UseAppendAction

from rhapsode.config.options import option

__all__ = ["GenerateSettings"]


@dataclass(frozen=True)
class GenerateSettings:
    """How a model continues a prompt."""

    length: Annotated[
        Annotated[int, Meta(ge=0)] | None, option("N", "until end-of-sequence, at most 400")
    ] = None
    """New elements to write."""
    temperature: Annotated[Annotated[float, Meta(ge=0.0, le=1e6)], option("T")] = 1.0
    """Divides the logits: below 1 safer, above 1 wilder, 0 always takes the likeliest element."""
    top_k: Annotated[Annotated[int, Meta(ge=0)], option("K")] = 0
    """Choose among the K likeliest elements only; 0 is off."""
    top_p: Annotated[Annotated[float, Meta(ge=0.0, le=1.0)], option("P")] = 1.0
    """Choose among the smallest set of elements with this much probability; 1 is off."""
    count: Annotated[Annotated[int, Meta(ge=1, le=100000)], option("N")] = 1
    """Independent continuations."""
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None, option("N", "a new one, told on stderr")
    ] = None
    """Seed of the draw: the same seed writes the same text."""
    stop: Annotated[UseAppendAction[tuple[str, ...]], option("TEXT", "none")] = ()
    """End before this text; may be repeated."""
    unknown: Literal["error", "skip"] = "error"
    """What to do with characters of the prompt that the model has never seen; skip drops them. A word model reads its
    unknown element for unseen words, with a warning, unless they are to be skipped."""
    format: Literal["text", "jsonl"] = "text"
    """text prints prompt and continuation; jsonl one object a continuation, the two apart."""
