"""Elements to text as it streams: whole characters, and nothing of a stop string."""

from collections.abc import Sequence

from rhapsode.encoding import IncrementalDecoder

__all__ = ["StopText"]


class StopText:
    """Decodes the elements of one continuation, holding back what may begin a stop string.

    Arguments:
        decoder: a fresh decoder of the encoder.
        stops: texts before which the continuation ends.
    """

    def __init__(self, decoder: IncrementalDecoder, stops: Sequence[str]) -> None:
        self._decoder = decoder
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def feed(self, element: int) -> str:
        """The text that is certain after this element; "" once a stop string has appeared."""
        return self._release(self._decoder.feed((element,)))

    def finish(self) -> str:
        """What was held back, when no stop string came of it."""
        text = self._release(self._decoder.finish())
        held, self._held = self._held, ""
        return text + ("" if self.stopped else held)

    def _release(self, piece: str) -> str:
        if self.stopped:
            return ""
        text = self._held + piece
        # The stop that is complete first counts, so that it does not matter how the text arrives.
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)[1]]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
