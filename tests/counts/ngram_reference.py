"""The n-gram model once more, slow and obvious: dictionaries of tuples, sums over the whole vocabulary."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

Gram = tuple[int, ...]


def documents_of(elements: Sequence[int], starts: Sequence[int] | None) -> list[Gram]:
    """The texts that elements are cut into."""
    cuts = sorted({0, len(elements), *(starts or ())})
    return [tuple(elements[a:b]) for a, b in pairwise(cuts)]


class Reference:
    """Interpolated n-grams. `once_lost` leaves out the longest sequences that occur once."""

    def __init__(
        self,
        documents: Sequence[Gram],
        vocab_size: int,
        order: int,
        smoothing: str,
        *,
        once_lost: bool = False,
        opening: int | None = None,
    ) -> None:
        self.vocab_size = vocab_size
        self.order = order
        self.smoothing = smoothing
        self.lost = once_lost
        self.opened = len(documents) if opening is not None else 0
        self.opening = opening
        self.raw: Counter[Gram] = Counter()
        before: dict[Gram, set[int]] = defaultdict(set)
        for number, document in enumerate(documents):
            if opening is not None:
                document = (opening, *document)  # noqa: PLW2901
            for at in range(len(document)):
                for size in range(1, order + 1):
                    if at + size <= len(document):
                        gram = document[at : at + size]
                        self.raw[gram] += 1
                        if at or size > 1 or opening is None:
                            before[gram].add(document[at - 1] if at else -1 - number)
        self.endings = {gram: len(found) for gram, found in before.items()}
        self.discounts = {size: self._discounts(size) for size in range(1, order + 1)}

    def used(self, gram: Gram) -> int:
        if self.smoothing == "kneser_ney" and len(gram) < self.order:
            return self.endings.get(gram, 0)
        return self.raw[gram] - (self.opened if gram == (self.opening,) else 0)

    def _discounts(self, size: int) -> list[float]:
        n = Counter(self.used(gram) for gram in list(self.raw) if len(gram) == size)
        first = n[1] / (n[1] + 2 * n[2]) if n[1] > 0 and n[2] > 0 else 0.5
        if self.smoothing == "absolute":
            return [first, first, first]
        second = 2 - 3 * first * n[3] / n[2] if n[2] else -1
        if not 0 < second < 2:
            second = first
        third = 3 - 4 * first * n[4] / n[3] if n[3] else -1
        if not 0 < third < 3:
            third = second
        return [first, second, third]

    def discounted(self, gram: Gram) -> float:
        count = self.used(gram)
        if count == 0 or (self.lost and len(gram) == self.order and count == 1):
            return 0.0
        return count - self.discounts[len(gram)][min(count, 3) - 1]

    def probability(self, history: Gram, element: int) -> float:
        """P(element | history), of which the last order - 1 elements count."""
        return self._below(history[max(0, len(history) - self.order + 1) :], element)

    def _below(self, history: Gram, element: int) -> float:
        shorter = self._below(history[1:], element) if history else 1 / self.vocab_size
        grams = [(*history, other) for other in range(self.vocab_size)]
        total = sum(self.used(gram) for gram in grams)
        if self.lost and len(history) == self.order - 1:
            total = self.raw[history]
        if total == 0:
            return shorter
        kept = sum(self.discounted(gram) for gram in grams)
        return (self.discounted((*history, element)) + (total - kept) * shorter) / total
