"""What a continuation must and must not hold."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from rhapsode.config.options import Repeated, option

__all__ = ["ControlSettings"]


@dataclass(frozen=True)
class ControlSettings:
    """Limits on what is written."""

    stop: Annotated[Repeated[tuple[str, ...]], option("TEXT", "none")] = ()
    """End before this text; may be repeated."""
    min_length: Annotated[Annotated[int, Meta(ge=0, le=1 << 40)], option("N")] = 0
    """Write at least so many elements: end-of-sequence does not come before, and a stop text that begins before does
    not count."""
    ban: Annotated[Repeated[tuple[str, ...]], option("TEXT|#ID", "none")] = ()
    """Never write this: a text, or an element by its number; may be repeated. A text of several elements is never
    completed. Where elements hold the space before a word, the text is banned with and without it; other spellings
    (case, other elements for the same text) are not. A text that begins with # is written with one # more."""
    bias: Annotated[Repeated[tuple[str, ...]], option("TEXT=X|#ID=X", "none")] = ()
    """Add X to the logit of an element, named by its text or number: above 0 likelier, below 0 less likely, each 0.69
    a factor of two before the rest is weighed anew; may be repeated."""
    prefix: Annotated[str, option("TEXT", "none")] = ""
    """The continuation begins with this text, whatever its probability; it counts as written."""
    regex: Annotated[str | None, option("EXPRESSION", "none")] = None
    """The whole continuation matches this regular expression (of Rust's regex crate: no look-around, no references
    back). What leads nowhere is masked element by element, so that texts do not keep the probabilities that they
    have among the matching ones: beginnings whose continuations seldom match come too often."""
    no_copy: Annotated[Annotated[int, Meta(ge=2, le=1 << 30)] | None, option("N", "off")] = None
    """Never complete a run of N elements that stands in the training data; what the prompt begins counts in. Where
    nothing else may come, generation stops with an error."""
