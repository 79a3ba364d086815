"""Pairs of texts to choose from, and the score of the votes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

__all__ = ["pair_panels", "score_line"]


def pair_panels(title: str, prompt: str, texts: Sequence[str]) -> Iterator[RenderableType]:
    """A prompt and its numbered continuations.

    Arguments:
        title: of the pair.
        prompt: what all texts continue.
        texts: from number 1.
    """
    yield Rule(title, style="dim")
    yield Text(prompt, style="italic")
    for number, text in enumerate(texts, 1):
        yield Panel(Text(text), title=str(number), title_align="left")


def score_line(models: Sequence[str], wins: Sequence[int], ties: int, p_value: float) -> Text:
    """The votes for two models on one line.

    Arguments:
        models: the two.
        wins: of each.
        ties: votes for neither.
        p_value: of the sign test.
    """
    return Text.assemble(
        (f"{models[0]} {wins[0]}", "bold"),
        "  :  ",
        (f"{wins[1]} {models[1]}", "bold"),
        (f"   no difference {ties}; p = {p_value:.3f}", "dim"),
    )
