"""One text with its provenance."""

from dataclasses import dataclass

__all__ = ["Document"]


@dataclass(frozen=True)
class Document:
    """A text to learn from or to evaluate on.

    Arguments:
        text: the whole text.
        name: where it came from.
        complete: whether the text ends here; False for the first part of a text that a split cut.
    """

    text: str
    name: str
    complete: bool = True
