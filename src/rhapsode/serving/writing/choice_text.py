"""The text of one continuation as it grows, with its log-probabilities."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from rhapsode.generation import Trace
from rhapsode.serving.writing.work import Scored, Work, Written

# Last elements of a prompt that a decoder reads before the text of a continuation.
BEFORE = 16


@dataclass(frozen=True)
class Entry:
    """An element with its log-probabilities.

    Arguments:
        element: the id.
        scored: its log-probabilities; None for the first element of a text.
        offset: code points before its text, from the start of the choice.
        text: what it adds.
    """

    element: int
    scored: Scored | None
    offset: int
    text: str = ""


@dataclass
class Delta:
    """New parts of a continuation since the last event.

    Arguments:
        text: that is certain.
        entries: of the elements of that text.
        elements: number of new elements.
        traces: of the elements.
        end: "stop" or "length" with the last one.
    """

    text: str = ""
    entries: list[Entry] = field(default_factory=list)
    elements: int = 0
    traces: list[Trace] = field(default_factory=list)
    end: str | None = None

    def add(self, other: Delta) -> None:
        """Add what came after."""
        self.text += other.text
        self.entries += other.entries
        self.elements += other.elements
        self.traces += other.traces
        self.end = self.end or other.end


class ChoiceText:
    """The text of one continuation.

    Arguments:
        work: of the continuation.
        index: which of its continuations.
        offset: code points of the choice before this text.
    """

    def __init__(self, work: Work, index: int, offset: int = 0) -> None:
        prompt, before = work.prompt, work.elements[-BEFORE:]
        self.work, self.index = work, index
        self._fragments = prompt.fragments(before, work.settings)
        self._plain = None
        if work.top is not None:
            self._plain = prompt.fragments(before, replace(work.settings, stop=(), min_length=0))
        self._shown = self._decoded = self._start = offset
        self._waiting: deque[Entry] = deque()
        self.elements: list[Any] = []
        """All elements, the one that ends a document left out."""
        self.text = ""
        self.traces: list[Trace] = []
        self.end: str | None = None
        """"stop" or "length" once it is over."""

    @property
    def count(self) -> int:
        """Number of elements."""
        return len(self.elements)

    def take(self, report: Written) -> Delta:
        """The text that is certain after further elements."""
        delta = Delta()
        if self.end is not None:
            return delta
        end = report.last
        ends_itself = bool(report.elements) and report.elements[-1] == self.work.prompt.end
        elements = report.elements[:-1] if ends_itself else report.elements
        text, used = self._fragments.extend(elements)
        self.elements += elements[:used]
        delta.elements = used
        delta.traces = list(report.traces[:used] if self._fragments.stopped else report.traces)
        self.traces += delta.traces
        self._score(report, used, ends_itself=ends_itself)
        if not self._fragments.stopped and end is not None:
            text += self._fragments.pause()
        if self._fragments.stopped:
            end = "stop"
        self._shown += len(text)
        delta.text, delta.end, self.end = text, end, end
        self.text += text
        whole = end is not None and not self._fragments.stopped
        while self._waiting:
            entry = self._waiting[0]
            if not whole and entry.offset + len(entry.text) > self._shown:
                break
            delta.entries.append(self._waiting.popleft())
        return delta

    def _score(self, report: Written, used: int, *, ends_itself: bool) -> None:
        if self._plain is None:
            return
        for place, scored in enumerate(report.scored):
            if place > used or (place == used and not ends_itself):
                break
            element = report.elements[place]
            text = self._plain.feed(element)
            self._waiting.append(Entry(element, scored, self._decoded, text))
            self._decoded += len(text)

    def final_elements(self) -> tuple[Any, ...]:
        """The elements of the text, without those of a stop text."""
        elements = tuple(self.elements)
        return self.work.prompt.cut(elements, self.text) if self._fragments.stopped else elements
