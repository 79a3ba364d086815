"""Writing together with a model: a document that grows by turns, its branches, and a state never read anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from rhapsode.config import GenerateSettings, apply_assignments, from_mapping, to_mapping
from rhapsode.config.search import SearchSettings
from rhapsode.errors import DataError, RhapsodeError, SettingsError
from rhapsode.generation import Chain, Rows
from rhapsode.generation.loop import DrawKey, Step, forced, run
from rhapsode.modalities.opened import Document, Given, Prompt, Shown, changed, silent, with_seed
from rhapsode.workflows import AnyModel
from rhapsode.workflows.inference.session_file import (
    SavedBranch,
    SavedModel,
    SavedSession,
    Turn,
    read_session,
    write_session,
)

__all__ = ["BranchView", "PlaySession", "Turn", "Why"]

ATTEMPTS = 1024
NOT_HERE = (
    "count",
    "format",
    "trace",
    "explain",
    "engine",
    "weights",
    "threads",
    *(entry.name for entry in fields(SearchSettings)),
)
"""Settings that ask for what a session does not give."""


@dataclass(frozen=True)
class BranchView:
    """One branch, for a list.

    Arguments:
        name: its number, from 1.
        current: whether it is the one being written.
        elements: how many it has.
        text: all of it.
    """

    name: int
    current: bool
    elements: int
    text: str


@dataclass(frozen=True)
class Why:
    """One element of the text, and what the model thought of it.

    Arguments:
        number: its place in the text, from 1.
        element: its id, or its numbers.
        kind: who chose it, as in `Turn`.
        before: the end of what stands before it.
        name: of the element.
        chain: the filters in words.
        choice: what the model thought, as its kind of model tells it.
    """

    number: int
    element: Any
    kind: str
    before: str
    name: str
    chain: str
    choice: Shown


@dataclass(frozen=True)
class _Place:
    """Where the model stands: a state, and elements that it has still to read."""

    state: Any
    waiting: tuple[Any, ...]


@dataclass
class _Branch:
    """Turns, and the places before each of them and behind the last; None where one is not known yet."""

    turns: list[Turn]
    places: list[_Place | None]


class PlaySession:
    """A document that a person and a model write in turn.

    What the model writes depends on the document, the settings, the seed and the attempt alone: a session that is saved
    and loaded goes on bit for bit. Every turn of the model is a request of its own: its filters begin anew.

    Arguments:
        model: what writes.
        settings: how; without a seed one is drawn, without a length the model decides.
        tell: takes lines of progress.
        prompt: what the document begins with: a text, or a series in a table.

    Raises:
        SettingsError: a setting that has no meaning here.
    """

    def __init__(
        self,
        model: AnyModel,
        settings: GenerateSettings | None = None,
        tell: Callable[[str], None] = silent,
        prompt: Any = "",
    ) -> None:
        self.model = model
        self._tell = tell
        asked = changed(settings or GenerateSettings())
        for name in NOT_HERE:
            if name in asked:
                raise _not_here(name)
        model.refuse(asked)
        self.settings = self._complete(settings or GenerateSettings())
        self._chain(self.settings)  # refuses what does not fit this model
        self.prompt: Prompt = model.prompt(prompt, self.settings)
        self._branches = {1: _fresh()}
        self._current = 1
        opening = self.prompt.opening
        if opening.elements:
            self._append(Turn("given", opening.elements, opening.text))

    # What there is

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns of the current branch."""
        return tuple(self._branch.turns)

    @property
    def elements(self) -> list[Any]:
        """The elements of the current branch."""
        return self._before_turn(len(self._branch.turns))

    @property
    def text(self) -> str:
        """The text of the current branch; where the model ended a text and went on, a blank line stands between."""
        return "\n\n".join(self.documents)

    @property
    def documents(self) -> list[str]:
        """The texts of the current branch, cut where the model ended one."""
        return self._texts(self._branch)

    def ends_document(self, turn: Turn) -> bool:
        """True if the model has ended a document with a turn."""
        end = self.prompt.end
        return end is not None and turn.kind == "written" and turn.elements[-1:] == (end,)

    @property
    def current(self) -> int:
        """The name of the current branch."""
        return self._current

    def branches(self) -> list[BranchView]:
        """All branches, in order of their making."""
        return [
            BranchView(
                name,
                name == self._current,
                sum(len(turn.elements) for turn in branch.turns),
                "\n\n".join(self._texts(branch)),
            )
            for name, branch in sorted(self._branches.items())
        ]

    # What can be done

    def add(self, text: str) -> Given:
        """Append what a person types; what is left of it where unknown characters are skipped.

        Raises:
            EncodingError: the model cannot read it.
        """
        given = self._given(text)
        if given.elements:
            self._append(Turn("given", given.elements, given.text))
        return given

    def edit(self, text: str) -> Given:
        """Put what a person types in place of what the model wrote last, which stays behind as the branch it was.

        Raises:
            SettingsError: the model has not written last.
            EncodingError: it cannot read this.
        """
        turns = self._branch.turns
        if not turns or turns[-1].kind != "written":
            raise SettingsError("there is nothing to edit", hint="an empty line goes on")
        before = self._current
        self._fork(len(turns) - 1)
        try:
            return self.add(text)
        except RhapsodeError:
            del self._branches[self._current]
            self._current = before
            raise

    def _given(self, text: str) -> Given:
        given = self.prompt.given(text, self.settings)
        fragments = self.prompt.fragments(self.elements, GenerateSettings())
        return (
            given
            if given.text or not given.elements
            else replace(given, text="".join(fragments.feed(element) for element in given.elements))
        )

    def write(self) -> Iterator[str]:
        """Let the model go on; text as it comes. Closing the iterator stops the writing, and what is there stays."""
        yield from self._write(0)

    def again(self) -> Iterator[str]:
        """Write another continuation in place of the last one, which stays behind as the branch it was.

        Raises:
            SettingsError: the model has not written last.
        """
        turns = self._branch.turns
        if not turns or turns[-1].kind != "written":
            raise SettingsError("there is nothing to write again", hint="an empty line goes on")
        before = turns[:-1]
        tried = [
            branch.turns[len(before)].attempt
            for branch in self._branches.values()
            if len(branch.turns) > len(before)
            and branch.turns[: len(before)] == before
            and branch.turns[len(before)].kind == "written"
        ]
        self._fork(len(before))
        yield from self._write(max(tried) + 1)

    def undo(self, number: int = 1) -> int:
        """Take back steps, each what the model wrote and the line it followed; how many there were to take back."""
        turns, done = self._branch.turns, 0
        while turns and done < number:
            written = turns.pop().kind == "written"
            if written and turns and turns[-1].kind == "given":
                turns.pop()
            done += 1
        del self._branch.places[len(turns) + 1 :]
        return done

    def fork(self) -> int:
        """Begin a branch here and go there; its name."""
        return self._fork(len(self._branch.turns))

    def switch(self, name: int) -> None:
        """Go to another branch.

        Raises:
            SettingsError: there is none of that name.
        """
        if name not in self._branches:
            known = ", ".join(str(known) for known in sorted(self._branches))
            raise SettingsError(f"there is no branch {name}", hint=f"there are: {known}")
        self._current = name

    def set(self, name: str, value: str) -> GenerateSettings:
        """Change a setting for all that is written from now on.

        Arguments:
            name: a field of `GenerateSettings`.
            value: as on the command line; "none" takes the default.

        Raises:
            SettingsError: no such setting, a value out of range, or one that has no meaning here.
        """
        name = name.replace("-", "_")
        if name in NOT_HERE:
            raise _not_here(name)
        self.model.refuse([name])
        mapping = to_mapping(self.settings)
        default = next((f.default for f in fields(GenerateSettings) if f.name == name), None)
        mapping.pop(name, None)
        if value.lower() != "none":
            kept: Any = apply_assignments({}, [f"{name}={value}"])[name]
            if isinstance(default, str) or name == "regex":
                kept = value
            elif isinstance(default, tuple) and not isinstance(kept, list):
                kept = [value]
            mapping[name] = kept
        settings = self._complete(from_mapping(GenerateSettings, mapping, where="/set"))
        self._chain(settings)
        self.settings = settings
        return settings

    def why(self, number: int | None = None, *, top: int = 5) -> Why:
        """What the model thought of an element of the current branch.

        Arguments:
            number: its place in the text, from 1; negative ones count from the end; None for the last.
            top: how many likeliest elements to name.

        Raises:
            SettingsError: there is no such element.
        """
        elements = self.elements
        total = len(elements)
        if total == 0:
            raise SettingsError("there is no element yet")
        place = total if number is None else number + total + 1 if number < 0 else number
        if not 1 <= place <= total:
            raise SettingsError(
                f"there is no element {number}", hint=f"the text has {total:,}, from 1"
            )
        offset, at = place - 1, 0
        while offset >= len(self._branch.turns[at].elements):
            offset -= len(self._branch.turns[at].elements)
            at += 1
        turn = self._branch.turns[at]
        settings = self.settings
        if turn.kind == "written":
            settings = from_mapping(GenerateSettings, turn.settings, where="turn")
        chain = self._chain(settings)
        rows = self._before(at, offset, chain, settings)
        element = turn.elements[offset]
        begin = max(0, place - 60)
        said = self.prompt.fragments(elements[:begin], GenerateSettings())
        return Why(
            number=place,
            element=element,
            kind=turn.kind,
            before="".join(said.feed(each) for each in elements[begin : place - 1]) + said.pause(),
            name=self.model.name_of(element),
            chain=chain.explain(),
            choice=self.model.why(rows, element, top),
        )

    def keep(self, path: Path) -> int:
        """Append the documents of the current branch to a file; how many characters that was.

        See `Model.keep`.

        Raises:
            SettingsError: there is nothing to keep.
            DataError: the file cannot be read.
            RunError: it cannot be written.
        """
        if not any(text.strip() for text in self.documents):
            raise SettingsError("there is nothing to keep yet")
        return self.model.keep(path, self._documents())

    def _documents(self) -> list[Document]:
        """The documents of the current branch that are not empty."""
        parts: list[tuple[list[Any], list[str]]] = [([], [])]
        for turn in self._branch.turns:
            elements, texts = parts[-1]
            elements += turn.elements
            texts.append(turn.text)
            if self.ends_document(turn):
                parts.append(([], []))
        documents = [
            self.prompt.document(elements, "".join(texts)) for elements, texts in parts if elements
        ]
        return [document for document in documents if document.text().strip()]

    def save(self, path: Path) -> None:
        """Write the session into a file.

        Raises:
            RunError: it cannot be written.
        """
        model = SavedModel(str(self.model.path.resolve()), self.model.fingerprint())
        branches = tuple(
            SavedBranch(name, tuple(branch.turns))
            for name, branch in sorted(self._branches.items())
        )
        settings, prompt = to_mapping(self.settings), self.prompt.saved()
        session = SavedSession(
            model=model,
            prompt=prompt,
            settings=settings,
            current=self._current,
            branches=branches,
        )
        write_session(path, session)

    def load(self, path: Path) -> None:
        """Take up a saved session; the one at hand stays as it is when that fails.

        Raises:
            DataError: the file cannot be read, is damaged, or is of another model.
        """
        saved = read_session(path, self.model.fingerprint())
        try:
            prompt = self.model.restored(saved.prompt)
            branches = {
                kept.name: _fresh([_restored(prompt, turn) for turn in kept.turns])
                for kept in saved.branches
            }
        except RhapsodeError as problem:
            raise DataError(problem.what, where=str(path), hint=problem.hint) from None
        if saved.current not in branches:
            raise DataError(f"there is no branch {saved.current}", where=str(path))
        try:
            settings = from_mapping(GenerateSettings, saved.settings, where=str(path))
            for turn in (turn for branch in branches.values() for turn in branch.turns):
                from_mapping(GenerateSettings, turn.settings, where=str(path))
            self._chain(settings)
        except RhapsodeError as problem:
            raise DataError(problem.what, where=str(path), hint=problem.hint) from None
        self._branches, self._current, self.prompt = branches, saved.current, prompt
        self.settings = self._complete(settings)

    # How it is done

    def _chain(self, settings: GenerateSettings) -> Chain:
        return self.model.chain(settings, self._tell)

    def _complete(self, settings: GenerateSettings) -> GenerateSettings:
        """The settings with a length and a seed."""
        length = self.model.turn_length if settings.length is None else settings.length
        return with_seed(replace(settings, length=length))

    def _texts(self, branch: _Branch) -> list[str]:
        """The texts of a branch, cut where the model ended one."""
        texts = [self.prompt.head]
        ended = False
        for turn in branch.turns:
            if ended:
                texts.append(self.prompt.head)
            texts[-1] += turn.text
            ended = self.ends_document(turn)
        return texts

    @property
    def _branch(self) -> _Branch:
        return self._branches[self._current]

    def _fork(self, turns: int) -> int:
        here = self._branch
        places = [
            None if place is None else _Place(place.state.fork(), place.waiting)
            for place in here.places[: turns + 1]
        ]
        self._current = max(self._branches) + 1
        self._branches[self._current] = _Branch(here.turns[:turns], places)
        return self._current

    def _append(self, turn: Turn, place: _Place | None = None) -> None:
        self._branch.turns.append(turn)
        self._branch.places.append(place)

    def _place(self, number: int) -> _Place:
        """Where the model stands before a turn; turns that a loaded session has not read yet are read as they were."""
        places, turns = self._branch.places, self._branch.turns
        known = number
        while known > 0 and places[known] is None:
            known -= 1
        place = places[known]
        if place is None:
            place = places[0] = _Place(*self.prompt.start(self.model.predictor))
        for at in range(known, number):
            place = places[at + 1] = self._read(place, turns[at], self._size(at))
        return place

    def _read(self, place: _Place, turn: Turn, first: int) -> _Place:
        """The place behind a turn, read in the very steps in which it was written.

        Arguments:
            place: before it.
            turn: what is read.
            first: how many elements stand before it.
        """
        if turn.kind == "given":
            return _Place(place.state, place.waiting + turn.elements)
        if self._anew(turn):
            return _Place(*self.prompt.start(self.model.predictor))
        steps = len(turn.elements)
        rows = self._rows(place, Chain([]), self.prompt.keys(0, 0), first=first, steps=steps)
        for _ in run(rows, self._forced_turn(turn.elements)):
            pass
        return _Place(rows.state, turn.elements[-1:]) if turn.elements else place

    def _rows(
        self,
        place: _Place,
        chain: Chain,
        keys: tuple[DrawKey, DrawKey],
        *,
        first: int,
        steps: int,
        prompt: Sequence[Any] = (),
    ) -> Rows:
        """The only row of a session, at a place.

        Arguments:
            place: where it stands.
            chain: filters before the draw.
            keys: of the draws of elements and of filters.
            first: how many elements stand before what is written.
            steps: to be written, at most.
            prompt: elements that filters see before what is written.
        """
        waiting = len(place.waiting)
        return Rows(
            self.model.predictor,
            place.state.fork(),
            chain,
            keys[0],
            unread=self.prompt.stack(place.waiting),
            prompts=(self.prompt.seen(prompt),),
            filter_key=keys[1],
            known_RHX=self.prompt.known(first - waiting, waiting + max(1, steps)),
        )

    def _sequence(self, at: int, attempt: int) -> int:
        """The index of a turn's draws: 0 for the first turn, so that it equals what `generate` writes."""
        # A turn of which a stop text has left nothing counts too: going on from it draws anew.
        written = sum(
            max(1, len(turn.elements)) for turn in self._branch.turns[:at] if turn.kind == "written"
        )
        return (written * ATTEMPTS + attempt) % (1 << 32)

    def _keys(self, at: int, attempt: int, settings: GenerateSettings) -> tuple[DrawKey, DrawKey]:
        """Names of the draws of a turn."""
        assert settings.seed is not None
        return self.prompt.keys(settings.seed, self._sequence(at, attempt))

    def _before_turn(self, at: int) -> list[Any]:
        """The elements of all turns before one."""
        return [element for turn in self._branch.turns[:at] for element in turn.elements]

    def _size(self, at: int) -> int:
        """How many elements stand before a turn."""
        return sum(len(turn.elements) for turn in self._branch.turns[:at])

    def _before(self, at: int, offset: int, chain: Chain, settings: GenerateSettings) -> Rows:
        """The row of a session before an element of a turn, its filters as they were then."""
        turn, place, before = self._branch.turns[at], self._place(at), self._before_turn(at)
        if turn.kind == "given":
            before += turn.elements[:offset]
            place = _Place(place.state, place.waiting + turn.elements[:offset])
            return self._rows(
                place,
                chain,
                self._keys(at, 0, settings),
                first=len(before),
                steps=1,
                prompt=before,
            )
        keys = self._keys(at, turn.attempt, settings)
        rows = self._rows(place, chain, keys, first=len(before), steps=offset + 1, prompt=before)
        for _ in run(rows, self._forced_turn(turn.elements[:offset], filtered=True)):
            pass
        return rows

    def _forced_turn(
        self, elements: Sequence[Any], *, filtered: bool = False
    ) -> Callable[[Rows], Step | None]:
        """Choices that repeat a turn element by element, with `filtered` through the filters, too."""

        def choose(rows: Rows) -> Step | None:
            if rows.position == len(elements):
                return None
            if filtered and rows.chain.filters:
                rows.filter()
            return forced(rows, self.prompt.stack(elements[rows.position :][:1])[0])

        return choose

    def _write(self, attempt: int) -> Iterator[str]:
        settings = self.settings
        length = settings.length
        assert length is not None
        chain = self._chain(settings)
        at = len(self._branch.turns)
        before = self._before_turn(at)
        text = self.prompt.fragments(before, settings)
        began = place = self._place(at)
        keys = self._keys(at, attempt, settings)
        rows = self._rows(place, chain, keys, first=len(before), steps=length, prompt=before)
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
                turn = Turn("written", tuple(elements), "".join(parts), end, attempt,
                            to_mapping(settings))  # fmt: skip
                self._commit(turn, began, place, cut=text.stopped)

    def _commit(self, turn: Turn, began: _Place, place: _Place, *, cut: bool) -> None:
        """Keep a turn; one that a stop text has cut is read anew, without the elements of that text."""
        first = self._size(len(self._branch.turns))
        if cut:
            turn = replace(turn, elements=self.prompt.cut(turn.elements, turn.text))
            place = self._read(began, turn, first)
        elif self._anew(turn):
            place = self._read(began, turn, first)
        self._append(turn, place)

    def _anew(self, turn: Turn) -> bool:
        """Whether the model forgets what was before, since each text was learnt from the zero state."""
        return self.ends_document(turn) and self.model.bundle.context.kind == "fresh"


def _not_here(name: str) -> SettingsError:
    return SettingsError(f"{name} has no meaning while playing", hint="see rhapsode generate")


def _fresh(turns: Sequence[Turn] = ()) -> _Branch:
    return _Branch(list(turns), [None] * (len(turns) + 1))


def _restored(prompt: Prompt, turn: Turn) -> Turn:
    """A turn off its file.

    Raises:
        DataError: it holds what no turn can.
    """
    if _half_of_a_pair(turn.text):
        raise DataError("a text with half of a surrogate pair")
    return replace(turn, elements=tuple(prompt.restored(each) for each in turn.elements))


def _half_of_a_pair(text: str) -> bool:
    """Whether a text cannot be written; what stands for bytes that were never UTF-8 can."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return True
    return False
