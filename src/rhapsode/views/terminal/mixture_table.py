"""Contributions of network and counts, as tables and lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import visible
from rhapsode.views.tables import bare_table, number_column

# Columns of the table, and the groups of experts that each adds up; contexts by their length.
SUMS = {
    "weight": ("network",),
    "0-2": ("frequency", "context_1", "context_2"),
    "3-4": ("context_3", "context_4"),
    "5+": ("context_5", "context_6", "context_7", "context_8"),
    "word": ("word", "word_before"),
    "read": ("read",),
    "begin": ("beginning",),
}
NUMBER, NATS = 8, 7
MOST_NAME = 16


@dataclass(frozen=True)
class Parts:
    """Contributions to the probability of an element.

    Arguments:
        network: probability by the network alone, 0 to 1.
        counts: by the counts alone.
        mixture: by both.
        nats: what each group of experts adds to the log-probability of the network, by name.
    """

    network: float
    counts: float
    mixture: float
    nats: Mapping[str, float]


def share_in_words(share: float) -> str:
    """A probability in per cent."""
    if share <= 0:
        return "–"
    return "<0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def name_of_group(group: str) -> str:
    """The name of a group of experts for people."""
    length = group.removeprefix("context_")
    if length != group:
        return f"last {length}" if length != "1" else "last element"
    names = {
        "network": "network's weight",
        "word": "word so far",
        "word_before": "with the word before",
        "read": "elements read",
        "beginning": "words that begin it",
    }
    return names.get(group, group)


def summed(nats: Mapping[str, float]) -> dict[str, float]:
    """Contributions by columns of the table.

    Columns without experts are left out.
    """
    return {
        name: sum(nats[group] for group in groups if group in nats)
        for name, groups in SUMS.items()
        if any(group in nats for group in groups)
    }


def parts_table(rows: Sequence[tuple[int, str, Parts]], rank: int, width: int) -> Table:
    """Probabilities by network, counts and both, and contributions of groups.

    Arguments:
        rows: rank, name and parts of each element.
        rank: cells of the ranks.
        width: cells of the table; contributions are left out where they do not fit.
    """
    parts = [each for _, _, each in rows]
    names = min(MOST_NAME, max(cell_len(visible(name)) for _, name, _ in rows))
    columns = [
        Column("", justify="right", style="dim", width=rank - 1),
        Column("", width=names + 1, no_wrap=True, overflow="ellipsis"),
    ]
    columns += [
        number_column(name, width=NUMBER, no_wrap=True) for name in ("network", "counts", "both")
    ]
    nats = 1 + NATS * len(summed(parts[0].nats))
    has_nats = rank + names + 1 + 3 * NUMBER + nats <= width
    if has_nats:
        columns += [
            number_column(name, width=NATS + (not number), no_wrap=True)
            for number, name in enumerate(summed(parts[0].nats))
        ]

    def cells(number: int, name: str, one: Parts) -> Iterator[Text | str]:
        yield f"{number}"
        yield Text(f" {visible(name)}", style="bold")
        for share in (one.network, one.counts, one.mixture):
            yield share_in_words(share)
        if has_nats:
            yield from map(nats_text, summed(one.nats).values())

    told = "probabilities by network, counts and both"
    if has_nats:
        told += "; nats that groups of experts add: contexts by their length, words, elements read"
    return bare_table(
        *columns,
        rows=(cells(*row) for row in rows),
        caption=Text(told, style="dim"),
        caption_justify="left",
        padding=(0, 0, 0, 0),
        pad_edge=False,
    )


def nats_text(nats: float) -> Text:
    """A contribution with its sign, green or red."""
    if abs(nats) < 0.005:
        return Text("0", style="dim")
    return Text(f"{nats:+.2f}", style="green" if nats > 0 else "red")


def largest_line(nats: Mapping[str, float]) -> str:
    """The largest contributions to one element in words.

    The text is empty where all are small.
    """
    largest = sorted(nats.items(), key=lambda pair: -abs(pair[1]))[:5]
    added = [f"{name_of_group(name)} {each:+.2f}" for name, each in largest if abs(each) >= 0.005]
    return f"nats added by {', '.join(added)}" if added else ""


def nearer_line(found: Mapping[str, Any]) -> str:
    """How often network and counts are each nearer to the truth.

    Arguments:
        found: as in `MixtureParts.to_mapping`.
    """
    return (
        f"nearer to the truth: the network {found['network_nearer']:.0%}, the counts "
        f"{found['counts_nearer']:.0%}, equal {found['equal']:.0%} of "
        f"{found['elements']:,} elements"
    )


def lost_line(found: Mapping[str, Any]) -> str:
    """Nats that would be lost without each group of experts.

    Arguments:
        found: as in `MixtureParts.to_mapping`.
    """
    lost = sorted(found["lost_without"].items(), key=lambda pair: -pair[1])
    named = (f"{_OF_LOSS.get(name, name_of_group(name))} {nats:.4f}" for name, nats in lost)
    return f"nats lost without: {', '.join(named)}"


_OF_LOSS = {"network": "the network"}
