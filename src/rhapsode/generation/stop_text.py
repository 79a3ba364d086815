"""Streamed text of elements: whole characters, without stop strings."""

from collections.abc import Sequence

from rhapsode.encoding import IncrementalDecoder


class StopText:
    """Decoder of one continuation that holds back possible stop strings.

    Arguments:
        decoder: a fresh decoder of the encoder.
        stops: texts before which the continuation ends.
        after: number of first elements that are shown even if their text contains stops; a stop
            counts if all of it is text of later elements.
    """

    def __init__(
        self, decoder: IncrementalDecoder, stops: Sequence[str], *, after: int = 0
    ) -> None:
        self._decoder = decoder
        self._stops = {stop for stop in stops if stop}
        self._sizes = sorted(set(map(len, self._stops)), reverse=True)
        self._beginnings = {stop[:size] for stop in self._stops for size in range(1, len(stop))}
        self._held, self._after = "", after
        self.stopped = False

    def feed(self, element: int) -> str:
        """The text that is certain after this element.

        It is "" once a stop string has appeared.
        """
        piece = self._decoder.feed((element,))
        if self._after > 0:
            self._after -= 1
            return piece
        return self._release(piece)

    def extend(self, elements: Sequence[int]) -> tuple[str, int]:
        """The text that is certain after some elements.

        The number of elements that were read is returned, too.
        Elements after a stop string are not read.
        """
        if not self._stops:
            return self._decoder.feed(elements), len(elements)
        parts: list[str] = []
        for element in elements:
            parts.append(self.feed(element))
            if self.stopped:
                break
        return "".join(parts), len(parts)

    def finish(self) -> str:
        """The text held back, if it did not become a stop string."""
        text = self._release(self._decoder.finish())
        held, self._held = self._held, ""
        return text + ("" if self.stopped else held)

    def _release(self, piece: str) -> str:
        if self.stopped:
            return ""
        text = self._held + piece
        for end in range(len(self._held) + 1, len(text) + 1):
            for size in self._sizes:
                # The stop that is complete first counts, so that it does not matter how the text
                # arrives.
                if size <= end and text[end - size : end] in self._stops:
                    self.stopped, self._held = True, ""
                    return text[: end - size]
        longest = min(self._sizes[0], len(text)) if self._sizes else 0
        begun = (size for size in range(longest, 0, -1) if text[-size:] in self._beginnings)
        shown = len(text) - next(begun, 0)
        self._held = text[shown:]
        return text[:shown]
