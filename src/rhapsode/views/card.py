"""The card of a run: its data, figures, limits and use."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Card:
    """Contents of a card.

    Arguments:
        title: of the page.
        summary: kind of the model, and time of training.
        data: lines on the data.
        figures: lines on the measures.
        limits: lines on the limits.
        use: commands.
        made_of: components, an entry a line.
        sections: lines of further ones, by title.
    """

    title: str
    summary: str
    data: Sequence[str]
    figures: Sequence[str]
    limits: Sequence[str]
    use: Sequence[str]
    made_of: Sequence[str] = ()
    sections: dict[str, Sequence[str]] = field(default_factory=dict)


def card_text(card: Card) -> str:
    """The Markdown text of a run folder's README.md."""
    parts: dict[str, Sequence[str]] = {"Data": card.data}
    if card.made_of:
        parts["Made of"] = [f"- {entry}" for entry in card.made_of]
    parts |= {"Figures": card.figures, **card.sections, "Limits": card.limits}
    parts["Use"] = ["```sh", *card.use, "```"]
    lines = [f"# {card.title}", "", card.summary]
    for title, content in parts.items():
        lines += ["", f"## {title}", "", *content]
    return "\n".join([*lines, ""])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown lines of a table: a text column, then numbers."""
    return [
        f"| {' | '.join(header)} |",
        f"|---|{'--:|' * (len(header) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
