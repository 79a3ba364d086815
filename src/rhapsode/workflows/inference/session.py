"""Writing together with a model: a text that grows by turns, its branches, and a state that is never read anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import GenerateSettings, apply_assignments, from_mapping, to_mapping
from rhapsode.config.search import SearchSettings
from rhapsode.encoding import END_ID
from rhapsode.errors import DataError, RhapsodeError, SettingsError
from rhapsode.files import write_atomically
from rhapsode.generation import Chain, Rows, StopText, Trace
from rhapsode.generation.loop import DrawKey, Step, forced, run
from rhapsode.modalities.contract import silent
from rhapsode.modalities.ids.continuation import chain_for, with_seed
from rhapsode.modalities.text.model import TextModel

if TYPE_CHECKING:
    from rhapsode.counts import SuffixIndex  # loads the compiler

__all__ = ["LENGTH", "BranchView", "PlaySession", "Turn", "Why"]

LENGTH = 200
"""Elements of a turn where no length is set."""
FORMAT = "rhapsode play"
VERSION = 1
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
class Turn:
    """What one of the two has added.

    Arguments:
        kind: "given" by the person, or "written" by the model.
        ids: the elements; a text that ended holds its end-of-sequence.
        text: what they say.
        end: why the model stopped: "stop", "length" or "interrupted"; None for what was given.
        attempt: which continuation of what stands before it, from 0.
        settings: it was written with, as plain values.
    """

    kind: Literal["given", "written"]
    ids: tuple[int, ...]
    text: str
    end: Literal["stop", "length", "interrupted"] | None = None
    attempt: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def ends_text(self) -> bool:
        """Whether the model has ended the text here."""
        return self.kind == "written" and bool(self.ids) and self.ids[-1] == END_ID


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
        element: its id.
        kind: who chose it, as in `Turn`.
        before: the end of what stands before it.
        chain: the filters in words.
        trace: ranks, probabilities, and what every filter removed.
        logits_V: of the model.
    """

    number: int
    element: int
    kind: str
    before: str
    chain: str
    trace: Trace
    logits_V: NDArray[np.float32]


@dataclass(frozen=True)
class _Place:
    """Where the model stands: a state, and elements that it has still to read."""

    state: Any
    waiting: tuple[int, ...]


@dataclass
class _Branch:
    """Turns, and the places before each of them and behind the last; None where one is not known yet."""

    turns: list[Turn]
    places: list[_Place | None]


@dataclass(frozen=True)
class _SavedModel:
    path: str
    sha256: str


@dataclass(frozen=True)
class _SavedBranch:
    name: int
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class _Saved:
    """A session as it lies in its file."""

    format: str
    version: int
    model: _SavedModel
    settings: dict[str, Any]
    current: int
    branches: tuple[_SavedBranch, ...]


class PlaySession:
    """A text that a person and a model write in turn.

    What the model writes depends on the text, the settings, the seed and the attempt alone: a session that is saved
    and loaded goes on bit for bit. Every turn of the model is a request of its own: its filters begin anew.

    Arguments:
        model: what writes.
        settings: how; without a seed one is drawn, without a length a turn has 200 elements.
        tell: takes lines of progress.

    Raises:
        SettingsError: a setting that has no meaning here.
    """

    def __init__(
        self,
        model: TextModel,
        settings: GenerateSettings | None = None,
        tell: Callable[[str], None] = silent,
    ) -> None:
        self.model = model
        self._tell = tell
        self.settings = _complete(settings or GenerateSettings())
        self._index: SuffixIndex | None = None
        for name in NOT_HERE:
            known = {entry.name: entry.default for entry in fields(GenerateSettings)}
            if name in known and getattr(self.settings, name) != known[name]:
                raise _not_here(name)
        self._chain(self.settings)  # refuses what does not fit this model
        self._branches = {1: self._fresh()}
        self._current = 1

    # What there is

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns of the current branch."""
        return tuple(self._branch.turns)

    @property
    def ids(self) -> list[int]:
        """The elements of the current branch."""
        return [element for turn in self._branch.turns for element in turn.ids]

    @property
    def text(self) -> str:
        """The text of the current branch; where the model ended a text and went on, a blank line stands between."""
        return "\n\n".join(self.documents)

    @property
    def documents(self) -> list[str]:
        """The texts of the current branch, cut where the model ended one."""
        return _documents(self._branch.turns)

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
                sum(len(turn.ids) for turn in branch.turns),
                "\n\n".join(_documents(branch.turns)),
            )
            for name, branch in sorted(self._branches.items())
        ]

    # What can be done

    def add(self, text: str) -> str:
        """Append a text of the person's; what is left of it where unknown characters are skipped.

        Raises:
            EncodingError: it has characters that the model has never seen.
        """
        text = self.model.usable_prompt(text, self.settings)
        ids = tuple(int(element) for element in self.model.bundle.encoder.encode(text))
        if ids:
            self._append(Turn("given", ids, text))
        return text

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
        changed = _complete(from_mapping(GenerateSettings, mapping, where="/set"))
        self._chain(changed)
        self.settings = changed
        return changed

    def why(self, number: int | None = None, *, top: int = 5) -> Why:
        """What the model thought of an element of the current branch.

        Arguments:
            number: its place in the text, from 1; negative ones count from the end; None for the last.
            top: how many likeliest elements to name.

        Raises:
            SettingsError: there is no such element.
        """
        total = len(self.ids)
        if total == 0:
            raise SettingsError("there is no element yet")
        place = total if number is None else number + total + 1 if number < 0 else number
        if not 1 <= place <= total:
            raise SettingsError(
                f"there is no element {number}", hint=f"the text has {total:,}, from 1"
            )
        offset, at = place - 1, 0
        while offset >= len(self._branch.turns[at].ids):
            offset -= len(self._branch.turns[at].ids)
            at += 1
        turn = self._branch.turns[at]
        settings = self.settings
        if turn.kind == "written":
            settings = from_mapping(GenerateSettings, turn.settings, where="turn")
        chain = self._chain(settings)
        rows = self._before(at, offset, chain, settings)
        return Why(
            number=place,
            element=turn.ids[offset],
            kind=turn.kind,
            before=self.model.bundle.encoder.decode(self.ids[max(0, place - 60) : place - 1]),
            chain=chain.explain(),
            trace=rows.trace(turn.ids[offset], top),
            logits_V=rows.following().logits_BV[0],
        )

    def keep(self, path: Path) -> int:
        """Append the texts of the current branch to a file; how many characters that was.

        A `.jsonl` file gets an object a text, which `train --field text` reads as documents of their own; any other
        file gets the texts with a blank line between.

        Raises:
            SettingsError: there is nothing to keep.
            DataError: the file cannot be read.
            RunError: it cannot be written.
        """
        texts = [text for text in self.documents if text.strip()]
        if not texts:
            raise SettingsError("there is nothing to keep yet")
        try:
            old = path.read_bytes() if path.exists() else b""
        except OSError as problem:
            raise DataError(f"cannot read: {problem.strerror}", where=str(path)) from None
        if path.suffix.lower() in {".jsonl", ".ndjson"}:
            added = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
            between = b"\n" if old and not old.endswith(b"\n") else b""
        else:
            added = "\n".join(text.removesuffix("\n") + "\n" for text in texts)
            between = b"" if not old else b"\n" if old.endswith(b"\n") else b"\n\n"
        write_atomically(path, old + between + added.encode("utf-8", "surrogateescape"))
        return sum(map(len, texts))

    def save(self, path: Path) -> None:
        """Write the session into a file.

        Raises:
            RunError: it cannot be written.
        """
        saved = {
            "format": FORMAT,
            "version": VERSION,
            "model": {"path": str(self.model.path.resolve()), "sha256": _fingerprint(self.model)},
            "settings": to_mapping(self.settings),
            "current": self._current,
            "branches": [
                {"name": name, "turns": [_turn_mapping(turn) for turn in branch.turns]}
                for name, branch in sorted(self._branches.items())
            ],
        }
        # Escapes keep bytes that were never UTF-8.
        write_atomically(path, (json.dumps(saved, indent=1) + "\n").encode())

    def load(self, path: Path) -> None:
        """Take up a saved session; the one at hand stays as it is when that fails.

        Raises:
            DataError: the file cannot be read, is damaged, or is of another model.
        """
        try:
            mapping = json.loads(path.read_bytes())
        except OSError as problem:
            raise DataError(f"cannot read: {problem.strerror}", where=str(path)) from None
        except (ValueError, RecursionError):
            raise DataError("this is not a saved session", where=str(path)) from None
        if not isinstance(mapping, dict) or mapping.get("format") != FORMAT:
            raise DataError("this is not a saved session", where=str(path))
        if mapping.get("version") != VERSION:
            raise DataError(
                f"version {mapping.get('version')!r} of a session cannot be read", where=str(path)
            )
        saved = from_mapping(_Saved, mapping, where=str(path), error=DataError)
        if saved.model.sha256 != _fingerprint(self.model):
            raise DataError(
                "this session was played with another model",
                where=str(path),
                hint=f"that one lay in {saved.model.path}",
            )
        branches: dict[int, _Branch] = {}
        for kept in saved.branches:
            if any(not 0 <= e < self.model.bundle.encoder.vocab_size for e in _ids(kept.turns)):
                raise DataError("an element that the model does not have", where=str(path))
            if any(_half_of_a_pair(turn.text) for turn in kept.turns):
                raise DataError("a text with half of a surrogate pair", where=str(path))
            branch = self._fresh()
            branch.turns += kept.turns
            branch.places += [None] * len(kept.turns)
            branches[kept.name] = branch
        if saved.current not in branches:
            raise DataError(f"there is no branch {saved.current}", where=str(path))
        try:
            settings = from_mapping(GenerateSettings, saved.settings, where=str(path))
            for turn in (turn for branch in branches.values() for turn in branch.turns):
                from_mapping(GenerateSettings, turn.settings, where=str(path))
            self._chain(settings)
        except RhapsodeError as problem:
            raise DataError(problem.what, where=str(path), hint=problem.hint) from None
        self._branches, self._current = branches, saved.current
        self.settings = _complete(settings)

    # How it is done

    def _chain(self, settings: GenerateSettings) -> Chain:
        return chain_for(self.model.bundle, settings, self._open_index)

    def _open_index(self) -> SuffixIndex:
        if self._index is None:
            from rhapsode.modalities.text.elements_index import open_elements_index

            self._index = open_elements_index(self.model.bundle, self.model.path, self._tell)
        return self._index

    @property
    def _branch(self) -> _Branch:
        return self._branches[self._current]

    def _fresh(self) -> _Branch:
        return _Branch([], [None])

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
            place = places[0] = _Place(self.model.predictor.start(1), (END_ID,))
        for at in range(known, number):
            place = places[at + 1] = self._read(place, turns[at])
        return place

    def _read(self, place: _Place, turn: Turn) -> _Place:
        """The place behind a turn, read in the very steps in which it was written."""
        if turn.kind == "given":
            return _Place(place.state, place.waiting + turn.ids)
        if self._anew(turn):
            return _Place(self.model.predictor.start(1), (END_ID,))
        rows = self._rows(place, Chain([]), DrawKey(0, np.zeros(1, dtype=np.int64)))
        for _ in run(rows, _forced_turn(turn.ids)):
            pass
        return _Place(rows.state, turn.ids[-1:]) if turn.ids else place

    def _rows(self, place: _Place, chain: Chain, key: DrawKey, prompt: Sequence[int] = ()) -> Rows:
        """The only row of a session, at a place."""
        return Rows(
            self.model.predictor,
            place.state.fork(),
            chain,
            key,
            unread=np.array([place.waiting], dtype=np.int64),
            prompts=(np.array(prompt, dtype=np.int64),),
        )

    def _sequence(self, at: int, attempt: int) -> int:
        """The index of a turn's draws: 0 for the first turn, so that it equals what `generate` writes."""
        # A turn of which a stop text has left nothing counts too: going on from it draws anew.
        written = sum(
            max(1, len(turn.ids)) for turn in self._branch.turns[:at] if turn.kind == "written"
        )
        return (written * ATTEMPTS + attempt) % (1 << 32)

    def _key(self, at: int, attempt: int, settings: GenerateSettings) -> DrawKey:
        """Names of the draws of a turn."""
        assert settings.seed is not None
        return DrawKey(settings.seed, np.array([self._sequence(at, attempt)], dtype=np.int64))

    def _text_before(self, at: int) -> list[int]:
        """The ids of all turns before one."""
        return [element for turn in self._branch.turns[:at] for element in turn.ids]

    def _before(self, at: int, offset: int, chain: Chain, settings: GenerateSettings) -> Rows:
        """The row of a session before an element of a turn, its filters as they were then."""
        turn, place, before = self._branch.turns[at], self._place(at), self._text_before(at)
        if turn.kind == "given":
            read = turn.ids[:offset]
            place = _Place(place.state, place.waiting + read)
            return self._rows(place, chain, self._key(at, 0, settings), [*before, *read])
        rows = self._rows(place, chain, self._key(at, turn.attempt, settings), before)
        for _ in run(rows, _forced_turn(turn.ids[:offset], filtered=True)):
            pass
        return rows

    def _write(self, attempt: int) -> Iterator[str]:
        settings = self.settings
        length = settings.length
        assert length is not None
        chain = self._chain(settings)
        decoder = self.model.bundle.encoder.decoder()
        decoder.feed(self.ids)  # so that a character or a space between turns comes out whole
        text = StopText(decoder, settings.stop, after=settings.min_length)
        at = len(self._branch.turns)
        began = place = self._place(at)
        rows = self._rows(place, chain, self._key(at, attempt, settings), self._text_before(at))
        ids: list[int] = []
        parts: list[str] = []
        end: Literal["stop", "length", "interrupted"] = "interrupted"
        finished = False
        try:
            for step in run(rows, lambda rows: rows.draw() if rows.position < length else None):
                element = int(step.elements[0])
                place = _Place(rows.state, (element,))
                ids.append(element)
                parts.append(text.feed(element) if element != END_ID else "")
                if element == END_ID or text.stopped:
                    end = "stop"
                    break
                yield parts[-1]
            else:
                end = "length"
            finished = True
            if not text.stopped:
                # Half a character is not shown: the next turn may complete it.
                parts.append(text.finish().removesuffix("\N{REPLACEMENT CHARACTER}"))
            yield parts[-1]
        finally:
            if not finished and not text.stopped:
                # What was held back for a stop text has been written all the same.
                parts.append(text.finish().removesuffix("\N{REPLACEMENT CHARACTER}"))
            if ids:
                self._commit(Turn("written", tuple(ids), "".join(parts), end, attempt,
                                  to_mapping(settings)), began, place, cut=text.stopped)  # fmt: skip

    def _commit(self, turn: Turn, began: _Place, place: _Place, *, cut: bool) -> None:
        """Keep a turn; one that a stop text has cut is read anew, without the elements of that text."""
        if cut:
            encoder = self.model.bundle.encoder
            kept = len(turn.ids)
            while kept and not turn.text.startswith(encoder.decode(turn.ids[:kept])):
                kept -= 1
            rest = turn.text[len(encoder.decode(turn.ids[:kept])) :]
            ids = turn.ids[:kept] + tuple(int(element) for element in encoder.encode(rest))
            turn = replace(turn, ids=ids)
            place = self._read(began, turn)
        elif self._anew(turn):
            place = self._read(began, turn)
        self._append(turn, place)

    def _anew(self, turn: Turn) -> bool:
        """Whether the model forgets what was before, since each text was learnt from the zero state."""
        return turn.ends_text and self.model.bundle.context.kind == "fresh"


def _forced_turn(ids: Sequence[int], *, filtered: bool = False) -> Callable[[Rows], Step | None]:
    """Choices that repeat a turn element by element, with `filtered` through the filters, too."""

    def choose(rows: Rows) -> Step | None:
        if rows.position == len(ids):
            return None
        if filtered:
            rows.filter()
        return forced(rows, np.array(ids[rows.position :][:1], dtype=np.int64))

    return choose


def _complete(settings: GenerateSettings) -> GenerateSettings:
    """The settings with a length and a seed."""
    length = LENGTH if settings.length is None else settings.length
    return with_seed(replace(settings, length=length))


def _not_here(name: str) -> SettingsError:
    return SettingsError(f"{name} has no meaning while playing", hint="see rhapsode generate")


def _documents(turns: Sequence[Turn]) -> list[str]:
    texts = [""]
    ended = False
    for turn in turns:
        if ended:
            texts.append("")
        texts[-1] += turn.text
        ended = turn.ends_text
    return texts


def _ids(turns: Sequence[Turn]) -> Iterator[int]:
    for turn in turns:
        yield from turn.ids


def _half_of_a_pair(text: str) -> bool:
    """Whether a text cannot be written; what stands for bytes that were never UTF-8 can."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return True
    return False


def _turn_mapping(turn: Turn) -> Mapping[str, Any]:
    return {entry.name: getattr(turn, entry.name) for entry in fields(turn)}


def _fingerprint(model: TextModel) -> str:
    """A hash of all that decides what a model writes."""
    digest = hashlib.sha256(model.bundle.encoder.fingerprint.encode())
    network = model.bundle.network
    if network is not None:
        digest.update(json.dumps(to_mapping(network), sort_keys=True).encode())
    elif model.bundle.facts.ngram is not None:
        digest.update(json.dumps(dict(model.bundle.facts.ngram.numbers), sort_keys=True).encode())
        for name, array in sorted(model.bundle.facts.ngram.arrays.items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    if len(model.bundle.members) > 1:
        digest.update(repr(model.bundle.weights).encode())
    for name, array in sorted(model.bundle.arrays.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    mixture = model.bundle.mixture
    if mixture is not None and model.alone is None:
        digest.update(f"{mixture.share!r} of {mixture.ngram}".encode())
    return digest.hexdigest()
