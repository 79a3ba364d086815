"""One text with its provenance."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """A text to learn from or to evaluate on.

    Arguments:
        text: the whole text.
        name: where it came from.
        complete: whether the text ends here; False for a part that another one follows.
        opening: whether the text begins here; False for a part that follows another one.
        prompt: number of first characters that are a prompt, neither learnt nor scored.
    """

    text: str
    name: str
    complete: bool = True
    opening: bool = True
    prompt: int = 0
