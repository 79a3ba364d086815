"""Branches of a session: turns, and model states between them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from rhapsode.config import GenerateSettings, to_mapping
from rhapsode.generation import Chain, Rows
from rhapsode.generation.loop import DrawKey, Step, forced, run
from rhapsode.modalities.opened import Document, Prompt
from rhapsode.modalities.saved_session import Turn

if TYPE_CHECKING:
    from rhapsode.modalities.model import Model

# Continuations of one place whose draws are told apart.
ATTEMPTS = 1024


@dataclass(frozen=True)
class _Place:
    """A state of the model, and elements it has yet to read."""

    state: Any
    waiting: tuple[Any, ...]


class Branch:
    """Turns of a document, with the model's places between them.

    There is a place before each turn and after the last. A place that is not known yet, as in a
    loaded session, is computed when it is needed: the turns are read in exactly the steps in which
    they were written.

    Arguments:
        model: what writes.
        prompt: what the document begins with.
        turns: so far.
        adapt: whether the counts of the model adapt to the document.
    """

    def __init__(
        self,
        model: "Model[Any]",
        prompt: Prompt,
        turns: Sequence[Turn] = (),
        *,
        adapt: bool = False,
    ) -> None:
        self.model, self.prompt, self.adapt = model, prompt, adapt
        self.turns = list(turns)
        self._places: list[_Place | None] = [None] * (len(self.turns) + 1)

    def fork(self, turns: int) -> "Branch":
        """The first turns as a branch of its own."""
        branch = Branch(self.model, self.prompt, self.turns[:turns], adapt=self.adapt)
        branch._places = [
            None if place is None else _Place(place.state.fork(), place.waiting)
            for place in self._places[: turns + 1]
        ]
        return branch

    @property
    def _predictor(self) -> Any:
        return self.model.predictor_of(adapt=self.adapt)

    def append(self, turn: Turn, place: _Place | None = None) -> None:
        """Add a turn, and the place after it where that is known."""
        self.turns.append(turn)
        self._places.append(place)

    def undo(self, number: int) -> int:
        """Take back steps, and return their number.

        Each step is a continuation and the line before it.
        """
        done = 0
        while self.turns and done < number:
            written = self.turns.pop().kind == "written"
            if written and self.turns and self.turns[-1].kind == "given":
                self.turns.pop()
            done += 1
        del self._places[len(self.turns) + 1 :]
        return done

    def elements(self, turns: int | None = None) -> list[Any]:
        """The elements of the first turns; None for all."""
        return [element for turn in self.turns[:turns] for element in turn.elements]

    def ends_document(self, turn: Turn) -> bool:
        """True if the model has ended a document with a turn."""
        end = self.prompt.end
        return end is not None and turn.kind == "written" and turn.elements[-1:] == (end,)

    def texts(self) -> list[str]:
        """The texts of the turns, cut where the model ended one."""
        texts, ended = [self.prompt.head], False
        for turn in self.turns:
            if ended:
                texts.append(self.prompt.head)
            texts[-1] += turn.text
            ended = self.ends_document(turn)
        return texts

    def documents(self) -> list[Document]:
        """The documents that are not empty."""
        parts: list[tuple[list[Any], list[str]]] = [([], [])]
        for turn in self.turns:
            elements, texts = parts[-1]
            elements += turn.elements
            texts.append(turn.text)
            if self.ends_document(turn):
                parts.append(([], []))
        documents = (
            self.prompt.document(elements, "".join(texts)) for elements, texts in parts if elements
        )
        return [document for document in documents if document.text().strip()]

    def rows_before(self, at: int, offset: int, chain: Chain, settings: GenerateSettings) -> Rows:
        """The row before an element of a turn, with its original filters.

        Arguments:
            at: which turn.
            offset: elements of the turn before the one.
            chain: filters before the draw.
            settings: of the turn.
        """
        turn, place, before = self.turns[at], self._place(at), self.elements(at)
        past = turn.elements[:offset]
        if turn.kind == "given":
            place, before, past = _Place(place.state, place.waiting + past), [*before, *past], ()
        keys = self._keys(at, turn.attempt, settings)
        rows = self._rows(place, chain, keys, before, steps=len(past) + 1)
        for _ in run(rows, self._forced(past, filtered=True)):
            pass
        return rows

    def write(self, chain: Chain, settings: GenerateSettings, attempt: int) -> Iterator[str]:
        """Continue the text, piece by piece; closing the iterator keeps the pieces.

        Arguments:
            chain: filters before the draw.
            settings: with a length and a seed.
            attempt: which continuation of this place, from 0.
        """
        length = settings.length
        assert length is not None
        at, before = len(self.turns), self.elements()
        text = self.prompt.fragments(before, settings)
        began = place = self._place(at)
        rows = self._rows(place, chain, self._keys(at, attempt, settings), before, steps=length)
        elements: list[Any] = []
        parts: list[str] = []
        end: Literal["stop", "length", "interrupted"] = "interrupted"
        finished = False
        try:
            for step in run(
                rows,
                lambda rows: rows.draw(settings.temperature) if rows.position < length else None,
            ):
                element = self.prompt.restored(step.elements[0].tolist())
                place = _Place(rows.state, (element,))
                elements.append(element)
                parts.append(text.feed(element))
                if element == self.prompt.end or text.stopped:
                    end = "stop"
                    break
                yield parts[-1]
            else:
                end = "length"
            finished = True
            if not text.stopped:
                parts.append(text.pause())
            yield parts[-1]
        finally:
            if not finished and not text.stopped:
                # What was held back for a stop text has been written all the same.
                parts.append(text.pause())
            if elements:
                turn = Turn(
                    "written", tuple(elements), "".join(parts), end, attempt, to_mapping(settings)
                )
                if text.stopped:
                    turn = replace(turn, elements=self.prompt.cut(turn.elements, turn.text))
                if text.stopped or self._begins_anew(turn):
                    # Without the elements of a stop text, and without a document that has ended.
                    place = self._read(began, turn, before)
                self.append(turn, place)

    def _place(self, number: int) -> _Place:
        # Turns between the last known place and this one are read.
        known = number
        while known > 0 and self._places[known] is None:
            known -= 1
        place = self._places[known]
        if place is None:
            place = self._places[0] = _Place(*self.prompt.start(self._predictor))
        for at in range(known, number):
            place = self._places[at + 1] = self._read(place, self.turns[at], self.elements(at))
        return place

    def _read(self, place: _Place, turn: Turn, before: Sequence[Any]) -> _Place:
        # In the very steps in which the turn was written: sums of other stretches round otherwise.
        if turn.kind == "given":
            return _Place(place.state, place.waiting + turn.elements)
        if self._begins_anew(turn):
            return _Place(*self.prompt.start(self._predictor))
        keys = self.prompt.keys(0, 0)
        rows = self._rows(place, Chain([]), keys, before, steps=len(turn.elements))
        for _ in run(rows, self._forced(turn.elements)):
            pass
        return _Place(rows.state, turn.elements[-1:]) if turn.elements else place

    def _rows(
        self,
        place: _Place,
        chain: Chain,
        keys: tuple[DrawKey, DrawKey],
        before: Sequence[Any],
        *,
        steps: int,
    ) -> Rows:
        waiting = len(place.waiting)
        return Rows(
            self._predictor,
            place.state.fork(),
            chain,
            keys[0],
            unread=self.prompt.stack(place.waiting),
            prompts=(self.prompt.seen(before),),
            filter_key=keys[1],
            known_RHX=self.prompt.known(len(before) - waiting, waiting + max(1, steps)),
        )

    def _keys(self, at: int, attempt: int, settings: GenerateSettings) -> tuple[DrawKey, DrawKey]:
        # Those of the first turn are those of `generate`.
        assert settings.seed is not None
        # A turn of which a stop text has left nothing counts too: continuing it makes a new draw.
        written = sum(
            max(1, len(turn.elements)) for turn in self.turns[:at] if turn.kind == "written"
        )
        return self.prompt.keys(settings.seed, (written * ATTEMPTS + attempt) % (1 << 32))

    def _forced(
        self, elements: Sequence[Any], *, filtered: bool = False
    ) -> Callable[[Rows], Step | None]:
        """Choices that repeat given elements one by one.

        If `filtered`, the filters are applied, too.
        """

        def choose(rows: Rows) -> Step | None:
            if rows.position == len(elements):
                return None
            if filtered and rows.chain.filters:
                rows.filter()
            return forced(rows, self.prompt.stack(elements[rows.position :][:1])[0])

        return choose

    def _begins_anew(self, turn: Turn) -> bool:
        """True if the model starts from the zero state after a turn."""
        return self.ends_document(turn) and self.model.bundle.context.kind == "fresh"
