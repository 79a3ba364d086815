"""Elements to text as it streams: whole characters, and nothing of a stop string."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

from rhapsode.encoding import IncrementalDecoder


class StopText:
    """Decodes the elements of one continuation, holding back what may begin a stop string.

    A character costs the same whether there is one stop or ten thousand.

    Arguments:
        decoder: a fresh decoder of the encoder.
        stops: texts before which the continuation ends.
        after: so many first elements are shown whatever stops their text holds: a stop counts when all of it is text
            of later ones.
    """

    def __init__(
        self, decoder: IncrementalDecoder, stops: Sequence[str], *, after: int = 0
    ) -> None:
        self._decoder = decoder
        self._stops = _automaton(tuple(dict.fromkeys(stop for stop in stops if stop)))
        self._held = ""
        self._node = 0
        self._after = after
        self.stopped = False

    def feed(self, element: int) -> str:
        """The text that is certain after this element; "" once a stop string has appeared."""
        piece = self._decoder.feed((element,))
        if self._after > 0:
            self._after -= 1
            return piece
        return self._release(piece)

    def finish(self) -> str:
        """What was held back, when no stop string came of it."""
        text = self._release(self._decoder.finish())
        held, self._held = self._held, ""
        return text + ("" if self.stopped else held)

    def _release(self, piece: str) -> str:
        if self.stopped:
            return ""
        text = self._held + piece
        for place, character in enumerate(piece, len(self._held) + 1):
            self._node = self._stops.follow(self._node, character)
            # The stop that is complete first counts, so that it does not matter how the text arrives.
            if complete := self._stops.complete[self._node]:
                self.stopped = True
                self._held = ""
                return text[: place - complete]
        shown = len(text) - self._stops.depths[self._node]
        self._held = text[shown:]
        return text[:shown]


class _Stops:
    """All stops at once: every node is a beginning of some stop, 0 the empty one.

    Aho and Corasick, "Efficient string matching: an aid to bibliographic search", CACM 18(6), 1975.

    Arguments:
        stops: texts that are not empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._children: list[dict[str, int]] = [{}]
        self.depths = [0]
        # Characters of the longest stop that ends at a node; 0 for none.
        self.complete = [0]
        for stop in stops:
            node = 0
            for character in stop:
                child = self._children[node].get(character)
                if child is None:
                    child = len(self.depths)
                    self._children[node][character] = child
                    self._children.append({})
                    self.depths.append(self.depths[node] + 1)
                    self.complete.append(0)
                node = child
            self.complete[node] = len(stop)
        # The longest proper end of a node that is a node itself, found from the shorter ones on.
        self._fallback = [0] * len(self.depths)
        waiting = deque(self._children[0].values())
        while waiting:
            node = waiting.popleft()
            for character, child in self._children[node].items():
                self._fallback[child] = self.follow(self._fallback[node], character)
                self.complete[child] = self.complete[child] or self.complete[self._fallback[child]]
                waiting.append(child)

    def follow(self, node: int, character: str) -> int:
        """The longest beginning of a stop that the text ends with, one character on."""
        while True:
            child = self._children[node].get(character)
            if child is not None:
                return child
            if not node:
                return 0
            node = self._fallback[node]


@lru_cache(maxsize=8)
def _automaton(stops: tuple[str, ...]) -> _Stops:
    """Shared by the rows of a request."""
    return _Stops(stops)
