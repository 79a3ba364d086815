"""The contract of an opened model: prompts, documents, and everything that uses them."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, Unpack

from rhapsode.bundle import Bundle
from rhapsode.config import GenerateSettings, from_mapping
from rhapsode.errors import SettingsError
from rhapsode.log import log
from rhapsode.views.display import Shown

if TYPE_CHECKING:  # what draws takes longer to load than a text to write
    import numpy as np
    from numpy.typing import NDArray

    from rhapsode.bundle import Elements, Predictor
    from rhapsode.bundle.network import Network
    from rhapsode.generation import Chain, Rows, Trace
    from rhapsode.generation.loop import DrawKey
    from rhapsode.keywords import GenerateOptions
    from rhapsode.modalities.scoring import Metrics
    from rhapsode.views.history import History

__all__ = [
    "Continuation",
    "Document",
    "Following",
    "Fragments",
    "Given",
    "Model",
    "Piece",
    "Prompt",
    "Shown",
    "changed",
    "check_single",
    "collect",
    "old_content",
    "with_seed",
]

B = TypeVar("B", bound=Bundle[Any, Any])


@dataclass(frozen=True)
class Piece:
    """Text as it comes.

    Arguments:
        index: which continuation.
        text: what is certain now; may be empty.
        end: "stop" or "length" with the last piece, else None.
        elements: new elements so far.
        prompt: which prompt it continues, from 0.
        trace: how the element was chosen, where that was asked for.
        chosen: the elements that came with this piece, end-of-sequence left out.
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
        text: what was written.
        elements: how many elements that took.
        finish_reason: "stop" (end-of-sequence or a stop text) or "length".
        seed: of the draw.
        temperature: it was written at; None where nobody said.
        trace: how every element was chosen, end-of-sequence included, where that was asked for.
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
    """Refuse settings that ask for several documents where one is given.

    Raises:
        SettingsError: they do.
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
    """Finished continuations, in order of prompts and indices, each as soon as all before it are.

    Arguments:
        pieces: what `Model.write` gives for the same prompts and settings.
        prompts: texts of what is continued.
        settings: how, with a seed.
    """
    assert settings.seed is not None
    parts: dict[tuple[int, int], list[str]] = {}
    traces: dict[tuple[int, int], list[Trace]] = {}
    chosen: dict[tuple[int, int], list[Any]] = {}
    finished: dict[tuple[int, int], Continuation] = {}
    order = ((number, index) for number in range(len(prompts)) for index in range(settings.count))
    following = next(order, None)
    for piece in pieces:
        key = (piece.prompt, piece.index)
        parts.setdefault(key, []).append(piece.text)
        chosen.setdefault(key, []).extend(piece.chosen)
        if piece.trace is not None:
            traces.setdefault(key, []).append(piece.trace)
        if piece.end is None:
            continue
        finished[key] = Continuation(
            piece.index,
            prompts[piece.prompt],
            "".join(parts.pop(key)),
            piece.elements,
            piece.end,
            settings.seed,
            settings.temperature,
            tuple(traces.pop(key, ())) if settings.trace is not None else None,
            tuple(chosen.pop(key)),
        )
        while following in finished:
            yield finished.pop(following)
            following = next(order, None)
    # A search may find fewer than were asked for, so that the order has gaps.
    yield from (finished[key] for key in sorted(finished))


class Document(Protocol):
    """A finished sequence."""

    @property
    def value(self) -> Any:
        """Its Python value: a text, a set of series."""
        ...

    @property
    def elements(self) -> tuple[Any, ...]:
        """Ids, or steps as tuples of numbers."""
        ...

    @property
    def seed(self) -> int | None:
        """Of the draw; None if nothing was drawn."""
        ...

    @property
    def finish_reason(self) -> str | None:
        """The reason for its end: "stop" or "length"; None if it is not known."""
        ...

    def text(self) -> str:
        """The document for a terminal."""
        ...

    def save(self, path: str | Path) -> None:
        """Write it into a file, in the format of its suffix.

        Raises:
            SettingsError: a suffix that it has no format for.
            RunError: it cannot be written.
        """
        ...


class Fragments(ABC):
    """The text of a document as it grows."""

    stopped: bool = False
    """True once a stop text has appeared."""

    @abstractmethod
    def feed(self, element: Any) -> str:
        """The text that is certain after an element."""

    def pause(self) -> str:
        """The text that was held back, where writing stops and may go on later."""
        return ""


@dataclass(frozen=True)
class Given:
    """An addition of a person to a document.

    Arguments:
        elements: it is made of.
        text: as the document shows it.
        notes: lines to tell.
    """

    elements: tuple[Any, ...]
    text: str
    notes: tuple[str, ...] = ()


class Prompt(ABC):
    """The beginning of documents, and what they depend on.

    An element is an id, or a tuple of the numbers of one step.
    """

    text: str = ""
    """As it is printed before what is written."""
    head: str = ""
    """What the text of a document begins with."""
    end: int | None = None
    """The element that ends a document; None where none does."""

    @property
    @abstractmethod
    def opening(self) -> Given:
        """The elements that it holds; what `start` has read already is not among them."""

    @abstractmethod
    def start(self, predictor: Predictor) -> tuple[Any, tuple[Any, ...]]:
        """The state of one row behind the beginning, and elements that it has still to read."""

    @abstractmethod
    def stack(self, elements: Sequence[Any]) -> Elements:
        """Elements as a predictor reads them, one row."""

    @abstractmethod
    def restored(self, plain: Any) -> Any:
        """An element off its JSON.

        Raises:
            DataError: the model has no such element.
        """

    def seen(self, elements: Sequence[Any]) -> NDArray[np.int64]:
        """Identifiers that filters look at."""
        import numpy as np

        return np.zeros(0, dtype=np.int64)

    def known(self, first: int, count: int) -> NDArray[np.float32] | None:
        """Covariates (1, count, X) of some steps, counted from the start; None where there are none.

        Raises:
            DataError: they must be known ahead, and are not.
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
        """The text of what follows some elements."""

    @abstractmethod
    def given(self, text: str, settings: GenerateSettings) -> Given:
        """The elements of a text that a person types.

        Raises:
            EncodingError: the model cannot read it.
        """

    def cut(self, elements: tuple[Any, ...], text: str) -> tuple[Any, ...]:
        """The elements of what a stop text has left of a document."""
        return elements

    @abstractmethod
    def document(self, elements: Sequence[Any], text: str = "", **made: Any) -> Document:
        """The document of some elements, after what `start` has read.

        Arguments:
            elements: those of `opening` among them.
            text: theirs, as it was typed and written, where elements may not tell it.
            made: `seed` and `finish_reason` of what was drawn.
        """

    def saved(self) -> dict[str, Any]:
        """Plain values from which `Model.restored` makes it again."""
        return {}


class Model(ABC, Generic[B]):
    """A model file, opened; networks are loaded when the first prediction is asked for."""

    path: Path
    """The model file."""
    bundle: B
    """Contents of the file."""
    prompts_are_text: ClassVar[bool] = True
    """True if a prompt is the text itself, False if it names a file."""
    seed: ClassVar[int | None] = None
    """Of the draw where none is asked for; None for a fresh one, which is told."""
    turn_length: int = 200
    """Elements of a turn of a session, where no length is set."""
    kept: ClassVar[str] = "kept.jsonl"
    """File beside the model for documents of sessions that are kept."""

    @property
    def modality(self) -> str:
        """The registered name of its kind of sequence."""
        return self.bundle.modality

    @property
    def folder(self) -> Path:
        """The folder of the model file: the run folder, if a run has made it."""
        return self.path.parent

    @property
    def summary(self) -> dict[str, Any] | None:
        """Contents of the run's `summary.json`; None if the run is not finished, or there is none."""
        import json

        file = self.folder / "summary.json"
        try:
            return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        except (OSError, ValueError):
            log.warning(f"{file}: damaged, left out")
            return None

    @property
    def history(self) -> History:
        """Losses by evaluation of the run that made the model; empty if there is none."""
        from rhapsode.views.history import read_history

        return read_history(self.folder / "metrics.jsonl", self.folder / "curve.svg")

    @cached_property
    def network(self) -> Network:
        """The network in torch, in evaluation mode; the first one of several."""
        from rhapsode.bundle.network import load_network

        return load_network(self.bundle)

    def save(self, path: str | Path) -> None:
        """Write the model file to another place.

        Raises:
            RunError: it cannot be written.
        """
        from rhapsode.bundle import write_bundle

        write_bundle(Path(path), self.bundle)

    def encode(self, value: Any) -> NDArray[Any]:
        """Elements of a document: ids (N,), or values (T, K)."""
        import numpy as np

        return np.array(self.prompt(value, GenerateSettings()).opening.elements)

    def decode(self, elements: Sequence[Any]) -> Document:
        """The document of some elements."""
        import numpy as np

        beginning = self.prompt("", GenerateSettings())
        plain = np.asarray(elements).tolist() if len(elements) else []
        return beginning.document([beginning.restored(element) for element in plain])

    def __repr__(self) -> str:
        from rhapsode.views.display import as_text
        from rhapsode.views.terminal.model_tables import model_blocks

        return as_text(model_blocks(self.path, self.bundle, self.summary))

    def _repr_html_(self) -> str:
        from rhapsode.views.display import as_html
        from rhapsode.views.terminal.model_tables import model_blocks

        page = as_html(model_blocks(self.path, self.bundle, self.summary))
        return page + (self.history.curve or "")

    @abstractmethod
    def __init__(self, path: str | Path) -> None:
        """Open the model in a run folder or model file.

        Raises:
            BundleError: missing, damaged, or of another version.
        """

    def refuse(self, names: Iterable[str]) -> None:
        """Refuse settings of a request that have no meaning for this kind of model.

        Raises:
            SettingsError: there is one.
        """

    @property
    @abstractmethod
    def predictor(self) -> Any:
        """The predictor of the model; made on first use."""

    @abstractmethod
    def ready(self, settings: GenerateSettings) -> None:
        """Load what writes, so that nothing is printed of a model that cannot be used.

        Raises:
            RhapsodeError: it cannot.
        """

    @abstractmethod
    def prompt(self, value: Any, settings: GenerateSettings) -> Prompt:
        """The beginning that a value, path or text is; "" for a new document.

        Raises:
            RhapsodeError: the model cannot read it.
        """

    @abstractmethod
    def restored(self, saved: Mapping[str, Any]) -> Prompt:
        """A beginning off what `Prompt.saved` gave.

        Raises:
            DataError: it is none.
        """

    def held_out(self, number: int, settings: GenerateSettings) -> list[Any]:
        """Prompts from what the run held out of its sources, drawn by the seed.

        Raises:
            RhapsodeError: there are none.
        """
        raise SettingsError("this kind of model draws no prompts from its data")

    def tell_notes(self, prompts: Sequence[Prompt]) -> None:
        """Log parts of prompts that the model does not see."""

    @abstractmethod
    def chain(self, settings: GenerateSettings) -> Chain:
        """The filters between the model and the draw.

        Raises:
            SettingsError: they do not go with this model.
        """

    @abstractmethod
    def explained(self, settings: GenerateSettings) -> str:
        """The filters and the draw in words."""

    @abstractmethod
    def write(self, prompts: Sequence[Prompt], settings: GenerateSettings) -> Iterator[Piece]:
        """Continue prompts, giving text as it comes.

        Arguments:
            prompts: of this model.
            settings: how, with a seed.
        """

    def stream(
        self,
        prompt: Any = "",
        settings: GenerateSettings | None = None,
        **options: Unpack[GenerateOptions],
    ) -> Iterator[Piece]:
        """Continue a prompt, giving text as it comes.

        Arguments:
            prompt: what to continue, as `prompt` takes it.
            settings: how.
            options: those of `GenerateSettings` by name, in place of `settings`: length=100, temperature=0.8, ...

        Raises:
            EncodingError: the prompt has elements that the model has never seen.
            SettingsError: an option out of range.
        """
        settings = self.request(settings, options)
        usable = self.prompt(prompt, settings)
        self.tell_notes([usable])
        return self.write([usable], settings)

    def request(
        self, settings: GenerateSettings | None, options: Mapping[str, Any]
    ) -> GenerateSettings:
        """The settings of a request, with a seed.

        Raises:
            SettingsError: both settings and options, or an option that is out of range or has no meaning.
        """
        if settings is not None and options:
            raise SettingsError("give settings or single options, not both")
        asked = settings or from_mapping(GenerateSettings, options, where="generate")
        self.refuse([name for name in changed(asked) if name in options])
        if asked.seed is None and self.seed is not None:
            asked = replace(asked, seed=self.seed)
        return with_seed(asked)

    def generate(
        self,
        prompt: Any = "",
        settings: GenerateSettings | None = None,
        **options: Unpack[GenerateOptions],
    ) -> Document:
        """Continue a prompt.

        Arguments:
            prompt: what to continue, as `prompt` takes it.
            settings: how.
            options: those of `GenerateSettings` by name, in place of `settings`.

        Returns:
            Prompt and continuation: for text a `str`, with `elements`, `seed` and `finish_reason`.

        Raises:
            EncodingError: the prompt has elements that the model has never seen.
            SettingsError: an option out of range.
        """
        asked = self.request(settings, options)
        check_single(asked)
        usable = self.prompt(prompt, asked)
        self.tell_notes([usable])
        found = next(collect(self.write([usable], asked), [usable.text], asked))
        return usable.document(
            (*usable.opening.elements, *found.chosen),
            usable.text + found.text,
            seed=asked.seed,
            finish_reason=found.finish_reason,
        )

    def continuations(
        self,
        prompt: Any = "",
        settings: GenerateSettings | None = None,
        **options: Unpack[GenerateOptions],
    ) -> list[Continuation]:
        """Continue a prompt `count` times; see `stream`. A search may find fewer."""
        settings = self.request(settings, options)
        usable = self.prompt(prompt, settings)
        self.tell_notes([usable])
        return list(collect(self.write([usable], settings), [usable.text], settings))

    def described(self, continuation: Continuation) -> dict[str, Any]:
        """A continuation as plain values."""
        plain = asdict(continuation)
        del plain["trace"], plain["chosen"]
        return plain

    @abstractmethod
    def name_of(self, element: Any) -> str:
        """The name of an element, for tables."""

    @abstractmethod
    def why(self, rows: Rows, element: Any, top: int) -> Shown:
        """The distribution in which an element was chosen.

        Arguments:
            rows: the only row, before the element.
            element: what was chosen.
            top: how many likeliest ones to name.
        """

    @abstractmethod
    def following(
        self,
        prompts: Sequence[Prompt],
        settings: GenerateSettings,
        *,
        temperatures: Sequence[float] = (),
        top: int = 5,
    ) -> Following:
        """Expectations of the model after prompts; nothing is written.

        Arguments:
            prompts: of this model.
            settings: the filters.
            temperatures: in place of the settings' own.
            top: how many elements, or steps, to name.
        """

    @abstractmethod
    def encoded(self, value: Any) -> Shown:
        """A value, path or text as the model sees it."""

    def evaluate(self, *sources: Any, **asked: Any) -> Metrics:
        """Measure the model.

        Arguments:
            sources: what to score; by name, by path, or in memory.
            asked: settings of the modality's evaluation by name.

        Raises:
            DataError: the sources cannot be read, or hold nothing to score.
        """
        from rhapsode.modalities import MODALITIES

        modality = MODALITIES.get(self.bundle.modality)
        settings = from_mapping(modality.evaluation, asked, where="evaluate")
        return modality.metrics(self, modality.to_score(self, sources, asked), settings)

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of all that decides what the model writes."""

    def keep(self, path: Path, documents: Sequence[Document]) -> int:
        """Append documents to a file from which a model can learn; how many characters that was.

        A `.jsonl` file gets an object a document, which `train --field text` reads; any other file
        gets the texts with a blank line between.

        Raises:
            DataError: the file cannot be read.
            RunError: it cannot be written.
        """
        import json

        from rhapsode.files import write_atomically

        texts = [document.text() for document in documents]
        old = old_content(path)
        if path.suffix.lower() in {".jsonl", ".ndjson"}:
            added = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
            between = b"\n" if old and not old.endswith(b"\n") else b""
        else:
            added = "\n".join(text.removesuffix("\n") + "\n" for text in texts)
            between = b"" if not old else b"\n" if old.endswith(b"\n") else b"\n\n"
        write_atomically(path, old + between + added.encode("utf-8", "surrogateescape"))
        return sum(map(len, texts))


@dataclass(frozen=True, repr=False)
class Following(Shown):
    """Expectations of a model after prompts, or after each of their sequences.

    Arguments:
        tables: for each of them, one a temperature.
    """

    tables: Sequence[Sequence[Any]]

    @property
    def chains(self) -> list[str]:
        """The filters in words, for each temperature."""
        return [table.chain for table in self.tables[0]]

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values for JSON, an entry a table."""
        return [table.to_mapping() for row in self.tables for table in row]

    def to_mapping(self) -> dict[str, Any]:
        return {"next": self.to_list()}


def old_content(path: Path) -> bytes:
    """Contents of a file, empty where there is none.

    Raises:
        DataError: it cannot be read.
    """
    from rhapsode.errors import DataError

    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as problem:
        raise DataError(f"cannot read: {problem.strerror}", where=str(path)) from None
