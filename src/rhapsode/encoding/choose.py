"""Which encoding suits a corpus, with the reason."""

from collections.abc import Iterable

__all__ = ["choose_encoding"]

_MOST_CHARACTERS = 12_000


def choose_encoding(texts: Iterable[str]) -> tuple[str, str]:
    """The registered name of an encoding, and why, for `--encoding auto`."""
    distinct: set[str] = set()
    for text in texts:
        distinct.update(text)
        if len(distinct) > _MOST_CHARACTERS:
            return "bytes.v1", f"more than {_MOST_CHARACTERS:,} distinct characters"
    return "characters.v1", f"{len(distinct):,} distinct characters"
