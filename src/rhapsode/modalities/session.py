"""Writing in turns with a model: a growing document and its branches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rhapsode.config import GenerateSettings, apply_assignments, from_mapping, to_mapping
from rhapsode.config.search import SearchSettings
from rhapsode.errors import DataError, RhapsodeError, SettingsError
from rhapsode.modalities.branch import Branch
from rhapsode.modalities.opened import Given, Prompt, Shown, changed, with_seed
from rhapsode.modalities.saved_session import (
    SavedBranch,
    SavedModel,
    SavedSession,
    Turn,
    read_session,
    write_session,
)

if TYPE_CHECKING:
    from rhapsode.modalities.model import Model

# Settings that ask for what a session does not give.
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


class BranchView(NamedTuple):
    """One branch, for a list.

    Arguments:
        name: its number, from 1.
        current: True for the one being written.
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


class PlaySession:
    """A document that a person and a model write in turn.

    What the model writes depends on the document, the settings, the seed and the attempt alone: a
    session that is saved and loaded goes on bit for bit. Every turn of the model is a request of
    its own: its filters begin again.

    Arguments:
        model: what writes.
        settings: how; without a seed one is drawn, without a length the model decides.
        prompt: what the document begins with: a text, or a series in a table.

    Raises:
        SettingsError: a setting that has no meaning here.
    """

    def __init__(
        self, model: "Model[Any]", settings: GenerateSettings | None = None, prompt: Any = ""
    ) -> None:
        self.model = model
        self._refuse(changed(settings or model.generation()))
        self.settings = self._complete(settings or model.generation())
        self.model.chain(self.settings)  # refuses what does not fit this model
        self.prompt: Prompt = model.begin(prompt, self.settings)
        if model.answers_inputs:
            model.tell_notes([self.prompt], self.settings)
        self.current = 1
        """Number of the current branch."""
        self._branches = {1: Branch(model, self.prompt, adapt=self.settings.adapt)}
        opening = self.prompt.opening
        if opening.elements:
            self._branch.append(Turn("given", opening.elements, opening.text))

    # What there is

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns of the current branch."""
        return tuple(self._branch.turns)

    @property
    def elements(self) -> list[Any]:
        """The elements of the current branch."""
        return self._branch.elements()

    @property
    def text(self) -> str:
        """The text of the current branch.

        Blank lines separate the texts that the model ended.
        """
        return "\n\n".join(self.documents)

    @property
    def documents(self) -> list[str]:
        """The texts of the current branch, cut where the model ended one."""
        return self._branch.texts()

    def ends_document(self, turn: Turn) -> bool:
        """True if the model has ended a document with a turn."""
        return self._branch.ends_document(turn)

    def branches(self) -> list[BranchView]:
        """All branches, in order of their making."""
        return [
            BranchView(name, name == self.current, len(b.elements()), "\n\n".join(b.texts()))
            for name, b in sorted(self._branches.items())
        ]

    # What can be done

    def add(self, text: str) -> Given:
        """Append what a person types; return what the model reads of it.

        Raises:
            EncodingError: the model cannot read it.
        """
        given = self.prompt.given(text, self.settings)
        if given.elements and not given.text:
            fragments = self.prompt.fragments(self.elements, GenerateSettings())
            given = replace(given, text="".join(map(fragments.feed, given.elements)))
        if given.elements:
            self._branch.append(Turn("given", given.elements, given.text))
        return given

    def edit(self, text: str) -> Given:
        """Replace the last continuation by a typed text.

        The old one stays as a branch.

        Raises:
            SettingsError: the model has not written last.
            EncodingError: it cannot read this.
        """
        turns = self._written("edit")
        before = self.current
        self.fork(len(turns) - 1)
        try:
            return self.add(text)
        except RhapsodeError:
            del self._branches[self.current]
            self.current = before
            raise

    def write(self) -> Iterator[str]:
        """Continue the text, piece by piece; closing the iterator keeps the pieces."""
        yield from self._branch.write(self.model.chain(self.settings), self.settings, 0)

    def again(self) -> Iterator[str]:
        """Write another continuation; the last one stays as a branch.

        Raises:
            SettingsError: the model has not written last.
        """
        before = self._written("write again")[:-1]
        attempts = [
            turn.attempt
            for branch in self._branches.values()
            for turn in branch.turns[len(before) : len(before) + 1]
            if turn.kind == "written" and branch.turns[: len(before)] == before
        ]
        self.fork(len(before))
        chain = self.model.chain(self.settings)
        yield from self._branch.write(chain, self.settings, max(attempts) + 1)

    def undo(self, number: int = 1) -> int:
        """Take back steps, and return their number.

        Each step is a continuation and the line before it.
        """
        return self._branch.undo(number)

    def fork(self, turns: int | None = None) -> int:
        """Begin a branch after the first turns, and return its name.

        The new branch becomes the current one. By default it keeps all turns.
        """
        branch = self._branch.fork(len(self.turns) if turns is None else turns)
        self.current = max(self._branches) + 1
        self._branches[self.current] = branch
        return self.current

    def switch(self, name: int) -> None:
        """Go to another branch.

        Raises:
            SettingsError: there is none of that name.
        """
        if name not in self._branches:
            known = ", ".join(str(known) for known in sorted(self._branches))
            raise SettingsError(f"there is no branch {name}", hint=f"there are: {known}")
        self.current = name

    def set(self, name: str, value: str) -> GenerateSettings:
        """Change a setting for all that is written from now on.

        Arguments:
            name: a field of the model's `generation`.
            value: as on the command line; "none" takes the default.

        Raises:
            SettingsError: no such setting, a value out of range, or one that has no meaning here.
        """
        name = name.replace("-", "_")
        self._refuse([name])
        mapping = to_mapping(self.settings)
        default = getattr(self.model.generation, name, None)
        mapping.pop(name, None)
        if value.lower() != "none":
            parsed: Any = apply_assignments({}, [f"{name}={value}"])[name]
            if isinstance(default, str) or name == "regex":
                parsed = value
            elif isinstance(default, tuple) and not isinstance(parsed, list):
                parsed = [value]
            mapping[name] = parsed
        settings = self._complete(from_mapping(self.model.generation, mapping, where="/set"))
        if settings.adapt != self.settings.adapt:
            raise SettingsError(
                "a session adapts from its beginning or never", hint="start one with --adapt"
            )
        self.model.chain(settings)
        self.settings = settings
        return settings

    def why(self, number: int | None = None, *, top: int = 5) -> Why:
        """The distribution in which an element of the current branch was chosen.

        Arguments:
            number: its place in the text, from 1; negative ones count from the end; None for the
                last.
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
            settings = from_mapping(self.model.generation, turn.settings, where="turn")
        chain = self.model.chain(settings)
        rows = self._branch.rows_before(at, offset, chain, settings)
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
        """Append the documents to a file; return their size.

        See `Model.keep`.

        Raises:
            SettingsError: there is nothing to keep.
            DataError: the file cannot be read.
            RunError: it cannot be written.
        """
        if not any(text.strip() for text in self.documents):
            raise SettingsError("there is nothing to keep yet")
        return self.model.keep(path, self._branch.documents())

    def picture(self, width: int) -> Any:
        """A picture of the last document, for a terminal; None without one.

        Arguments:
            width: cells there are.
        """
        elements: list[Any] = []
        new = 0
        for turn in self._branch.turns:
            if elements and elements[-1] == self.prompt.end:
                elements = []
            elements += turn.elements
            new = len(turn.elements) if turn.kind == "written" else 0
        return self.prompt.picture(elements, new, width)

    def save(self, path: Path) -> None:
        """Write the session into a file.

        Raises:
            RunError: it cannot be written.
        """
        session = SavedSession(
            model=SavedModel(str(self.model.path.resolve()), self.model.fingerprint()),
            prompt=self.prompt.saved(),
            settings=to_mapping(self.settings),
            current=self.current,
            branches=tuple(
                SavedBranch(name, tuple(branch.turns))
                for name, branch in sorted(self._branches.items())
            ),
        )
        write_session(path, session)

    def load(self, path: Path) -> None:
        """Continue a saved session; on an error this one is unchanged.

        Raises:
            DataError: the file cannot be read, is damaged, or is of another model.
        """
        saved = read_session(path, self.model.fingerprint())
        if saved.current not in [kept.name for kept in saved.branches]:
            raise DataError(f"there is no branch {saved.current}", where=str(path))
        try:
            prompt = self.model.restored(saved.prompt)
            settings = from_mapping(self.model.generation, saved.settings, where=str(path))
            branches = {
                kept.name: Branch(
                    self.model,
                    prompt,
                    [_restored(prompt, turn) for turn in kept.turns],
                    adapt=settings.adapt,
                )
                for kept in saved.branches
            }
            for turn in (turn for kept in saved.branches for turn in kept.turns):
                from_mapping(self.model.generation, turn.settings, where=str(path))
            self.model.chain(settings)
        except RhapsodeError as problem:
            raise DataError(problem.what, where=str(path), hint=problem.hint) from None
        self._branches, self.current, self.prompt = branches, saved.current, prompt
        self.settings = self._complete(settings)

    # How it is done

    def _written(self, verb: str) -> list[Turn]:
        """The turns of the current branch, the last one by the model."""
        turns = self._branch.turns
        if not turns or turns[-1].kind != "written":
            raise SettingsError(f"there is nothing to {verb}", hint="press Enter to continue")
        return turns

    def _refuse(self, names: Sequence[str]) -> None:
        for name in NOT_HERE:
            if name in names:
                raise SettingsError(
                    f"{name} cannot be set in a session", hint="see rhapsode generate"
                )
        self.model.refuse(names)

    def _complete(self, settings: GenerateSettings) -> GenerateSettings:
        length = self.model.turn_length if settings.length is None else settings.length
        return with_seed(replace(settings, length=length))

    @property
    def _branch(self) -> Branch:
        return self._branches[self.current]


def _restored(prompt: Prompt, turn: Turn) -> Turn:
    try:  # what stands for bytes that were never UTF-8 can be written
        turn.text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise DataError("a text with half of a surrogate pair") from None
    return replace(turn, elements=tuple(prompt.restored(each) for each in turn.elements))
