"""Contracts of generation: prompts, documents, and pieces of text."""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import GenerateSettings
from rhapsode.errors import DataError, SettingsError
from rhapsode.files import write_atomically
from rhapsode.views.display import Shown

if TYPE_CHECKING:
    from rhapsode.bundle import Elements, Predictor
    from rhapsode.generation import Trace
    from rhapsode.generation.loop import DrawKey

__all__ = [
    "Answered",
    "Continuation",
    "Document",
    "Following",
    "Fragments",
    "Given",
    "Piece",
    "Prompt",
    "Shown",
    "append_texts",
    "changed",
    "check_single",
    "collect",
    "old_content",
    "with_seed",
]


@dataclass(frozen=True)
class Piece:
    """A piece of generated text.

    Arguments:
        index: which continuation.
        text: the text that is certain now; may be empty.
        end: "stop" or "length" with the last piece, else None.
        elements: new elements so far.
        prompt: which prompt it continues, from 0.
        trace: how the element was chosen, if requested.
        chosen: the elements of this piece, end-of-sequence left out.
    """

    index: int
    text: str
    end: str | None
    elements: int
    prompt: int = 0
    trace: Trace | None = None
    chosen: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Continuation:
    """One finished continuation.

    Arguments:
        index: which one; with the seed it decides the draw.
        prompt: what it continues.
        text: the generated text.
        elements: how many elements that took.
        finish_reason: "stop" (end-of-sequence or a stop text) or "length".
        seed: of the draw.
        temperature: of the draw; None if it was not given.
        trace: how every element was chosen, end-of-sequence included, if requested.
        chosen: the elements, end-of-sequence left out.
    """

    index: int
    prompt: str
    text: str
    elements: int
    finish_reason: str
    seed: int
    temperature: float | None = None
    trace: tuple[Trace, ...] | None = None
    chosen: tuple[Any, ...] = ()


def with_seed(settings: GenerateSettings) -> GenerateSettings:
    """The settings with a fresh seed where none was given."""
    return settings if settings.seed is not None else replace(settings, seed=secrets.randbits(32))


def check_single(settings: GenerateSettings) -> None:
    """Refuse settings that request several documents.

    Raises:
        SettingsError: several documents are requested.
    """
    if settings.count != 1:
        raise SettingsError(
            "generate gives one document", where="count", hint="use continuations(count=...)"
        )


def changed(settings: Any) -> list[str]:
    """Names of the settings that differ from their defaults."""
    return [each.name for each in fields(settings) if getattr(settings, each.name) != each.default]


def collect(
    pieces: Iterable[Piece], prompts: Sequence[str], settings: GenerateSettings
) -> Iterator[Continuation]:
    """Finished continuations in order of prompts and indices, as soon as possible.

    Arguments:
        pieces: from `Model.write` with the same prompts and settings.
        prompts: texts of the prompts.
        settings: how, with a seed.
    """
    written: dict[tuple[int, int], list[Piece]] = defaultdict(list)
    finished: dict[tuple[int, int], Continuation] = {}
    order = ((number, index) for number in range(len(prompts)) for index in range(settings.count))
    following = next(order, None)
    for piece in pieces:
        key = (piece.prompt, piece.index)
        written[key].append(piece)
        if piece.end is None:
            continue
        finished[key] = _joined(written.pop(key), prompts[piece.prompt], settings)
        while following in finished:
            yield finished.pop(following)
            following = next(order, None)
    # A search may find fewer than were asked for, so that the order has gaps.
    yield from (finished[key] for key in sorted(finished))


def _joined(pieces: Sequence[Piece], prompt: str, settings: GenerateSettings) -> Continuation:
    last = pieces[-1]
    assert last.end is not None
    assert settings.seed is not None
    traces = tuple(piece.trace for piece in pieces if piece.trace is not None)
    return Continuation(
        last.index,
        prompt,
        "".join(piece.text for piece in pieces),
        last.elements,
        last.end,
        settings.seed,
        settings.temperature,
        traces if settings.trace is not None else None,
        tuple(element for piece in pieces for element in piece.chosen),
    )


class Answered(Protocol):
    """An output that a model of pairs gives for an input."""

    @property
    def text(self) -> str:
        """The output."""

    @property
    def log_prob(self) -> float:
        """Log-probability (nats) of the output with its end, under the model."""

    @property
    def score(self) -> float:
        """Number by which the answers to an input are ranked."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""


class Document(Protocol):
    """A finished sequence."""

    @property
    def value(self) -> Any:
        """The document as a Python value: text or set of series."""

    @property
    def elements(self) -> tuple[Any, ...]:
        """Ids, or steps as tuples of numbers."""

    @property
    def seed(self) -> int | None:
        """Seed of the draw; None if nothing was drawn."""

    @property
    def finish_reason(self) -> str | None:
        """Reason for the end: "stop" or "length"; None if unknown."""

    def text(self) -> str:
        """The document for a terminal."""

    def save(self, path: str | Path) -> None:
        """Write it into a file, in the format of its suffix.

        Raises:
            SettingsError: a suffix that it has no format for.
            RunError: it cannot be written.
        """


class Fragments(ABC):
    """The text of a document, element by element."""

    stopped: bool = False
    """True once a stop text has appeared."""

    @abstractmethod
    def feed(self, element: Any) -> str:
        """Add an element, and return the text that is certain."""

    def extend(self, elements: Sequence[Any]) -> tuple[str, int]:
        """Add elements until a stop text appears.

        Returns:
            The text that is certain, and the number of elements that were added.
        """
        parts = []
        for element in elements:
            parts.append(self.feed(element))
            if self.stopped:
                break
        return "".join(parts), len(parts)

    def pause(self) -> str:
        """Return the text that was held back, before a pause in generation."""
        return ""


@dataclass(frozen=True)
class Given:
    """An addition of a user to a document.

    Arguments:
        elements: ids, or steps as tuples of numbers.
        text: as the document shows it.
        notes: lines to print.
    """

    elements: tuple[Any, ...]
    text: str
    notes: tuple[str, ...] = ()


class Prompt(ABC):
    """The beginning of documents, and what they depend on.

    An element is an id, or a tuple of the numbers of one step.
    """

    text: str = ""
    """The prompt as it is printed before the generated text."""
    head: str = ""
    """Beginning of the text of every document."""
    end: int | None = None
    """The element that ends a document; None without one."""
    condition: Any = None
    """What the whole document depends on; None: nothing."""
    picture_hint: str = ""
    """How to get the text or a file, where a picture stands for the text on a terminal; empty where
    the text is printed."""

    @property
    @abstractmethod
    def opening(self) -> Given:
        """Elements of the prompt, without those that `start` has read."""

    @abstractmethod
    def start(self, predictor: Predictor) -> tuple[Any, tuple[Any, ...]]:
        """State of one row after the beginning, and elements left to read."""

    @abstractmethod
    def stack(self, elements: Sequence[Any]) -> Elements:
        """Elements as a predictor reads them, one row."""

    @abstractmethod
    def restored(self, plain: Any) -> Any:
        """Restore an element from JSON.

        Raises:
            DataError: the model has no such element.
        """

    def log_probs(self, predictor: Predictor, elements: Sequence[Any]) -> NDArray[np.float64]:
        """Log-probability or density of each element, given those before it."""
        state, unread = self.start(predictor)
        log_probs = np.empty(len(elements))
        for place, element in enumerate(elements):
            first = max(0, place - 1)
            known = self.known(first, place - first + 1)
            following, state = predictor.advance(self.stack(unread), state, known)
            unread = (element,)
            log_probs[place] = following.log_prob(self.stack(unread)[:, 0])[0]
        return log_probs

    def seen(self, elements: Sequence[Any]) -> NDArray[np.int64]:
        """Identifiers that filters read."""
        return np.zeros(0, dtype=np.int64)

    def known(self, first: int, count: int) -> NDArray[np.float32] | None:
        """Covariates (1, count, X) of steps from the start; None without any.

        Raises:
            DataError: covariates that must be known ahead are missing.
        """
        return None

    @abstractmethod
    def keys(self, seed: int, sequence: int) -> tuple[DrawKey, DrawKey]:
        """Names of the draws of elements and of filters.

        Arguments:
            seed: of the request.
            sequence: index of the continuation.
        """

    @abstractmethod
    def fragments(self, before: Sequence[Any], settings: GenerateSettings) -> Fragments:
        """The text that follows some elements, element by element."""

    @abstractmethod
    def given(self, text: str, settings: GenerateSettings) -> Given:
        """The elements of a text that a user types.

        Raises:
            EncodingError: the model cannot read it.
        """

    def cut(self, elements: tuple[Any, ...], text: str) -> tuple[Any, ...]:
        """The elements of a document that a stop text has cut."""
        return elements

    @abstractmethod
    def document(self, elements: Sequence[Any], text: str = "", **made: Any) -> Document:
        """The document of some elements, after what `start` has read.

        Arguments:
            elements: those of `opening` among them.
            text: of the elements, as typed and generated, if elements do not determine it.
            made: `seed` and `finish_reason` of the draw.
        """

    def continued(self, elements: Sequence[Any], text: str = "", **made: Any) -> Document:
        """The document of new elements alone, without those of `opening`.

        Arguments:
            elements: the new ones.
            text: as in `document`, of the new elements.
            made: `seed` and `finish_reason` of the draw.
        """
        return self.document(elements, text, **made)

    def picture(self, elements: Sequence[Any], new: int, width: int) -> Any:
        """A picture of elements for a terminal, as a `rich` renderable.

        None if their text is enough.

        Arguments:
            elements: those of `opening` among them.
            new: number of the last ones that are new.
            width: cells there are.
        """
        return None

    def saved(self) -> dict[str, Any]:
        """Plain values from which `Model.restored` restores it."""
        return {}


@dataclass(frozen=True, repr=False)
class Following(Shown):
    """Expectations of a model after prompts, or after each of their sequences.

    Arguments:
        tables: for each prompt or sequence, one for each temperature.
    """

    tables: Sequence[Sequence[Any]]

    @property
    def chains(self) -> list[str]:
        """The filters in words, for each temperature."""
        return [table.chain for table in self.tables[0]]

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values for JSON, one entry for each table."""
        return [table.to_mapping() for row in self.tables for table in row]

    def to_mapping(self) -> dict[str, Any]:
        return {"next": self.to_list()}


def append_texts(path: Path, texts: Sequence[str]) -> int:
    """Append texts to training data; return the number of characters.

    Raises:
        DataError: the file cannot be read.
        RunError: it cannot be written.
    """
    old = old_content(path)
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        added = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
        between = b"\n" if old and not old.endswith(b"\n") else b""
    else:
        added = "\n".join(text.removesuffix("\n") + "\n" for text in texts)
        between = b"" if not old else b"\n" if old.endswith(b"\n") else b"\n\n"
    write_atomically(path, old + between + added.encode("utf-8", "surrogateescape"))
    return sum(map(len, texts))


def old_content(path: Path) -> bytes:
    """Contents of a file, empty where there is none.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as problem:
        raise DataError(f"cannot read: {problem.strerror}", where=str(path)) from None
