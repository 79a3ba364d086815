"""The public model: generation, prediction and evaluation with a model file."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Bundle, write_bundle
from rhapsode.config import GenerateSettings, from_mapping
from rhapsode.errors import DataError, SettingsError
from rhapsode.log import log
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.opened import (
    Answered,
    Continuation,
    Document,
    Following,
    Piece,
    Prompt,
    append_texts,
    changed,
    check_single,
    collect,
    with_seed,
)

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.generation import Chain, Rows
    from rhapsode.keywords import GenerateOptions
    from rhapsode.modalities.info import Info
    from rhapsode.modalities.scoring import Metrics
    from rhapsode.modalities.session import PlaySession
    from rhapsode.views.display import Shown
    from rhapsode.views.history import History


B = TypeVar("B", bound=Bundle[Any, Any])


class OpenedModel(ABC, Generic[B]):
    """Members of an opened model that each kind of sequence defines."""

    path: Path
    """The model file."""
    bundle: B
    """Contents of the file."""
    elements_have_ids: ClassVar[bool] = True
    """False if elements are tuples of numbers."""
    prompts_are_text: ClassVar[bool] = True
    """True if a prompt is the text itself, False if it names a file."""
    generation: ClassVar[type[GenerateSettings]] = GenerateSettings
    """Dataclass of the settings of its continuations."""
    seed: ClassVar[int | None] = None
    """Default seed of the draw; None for a random one, which is printed."""
    turn_length: int = 200
    """Default number of elements of a turn of a session."""
    kept: ClassVar[str] = "kept.jsonl"
    """File beside the model for saved documents of sessions."""
    kept_unit: ClassVar[str] = "characters"
    """Unit of the numbers that `keep` returns."""

    @abstractmethod
    def __init__(self, path: str | Path) -> None:
        """Open the model in a run folder or model file.

        Raises:
            BundleError: missing, damaged, or of another version.
        """

    @property
    def modality(self) -> str:
        """The registered name of its kind of sequence."""
        return self.bundle.modality

    @property
    def folder(self) -> Path:
        """The folder of the model file.

        For a model of a run this is the run folder.
        """
        return self.path.parent

    def described(self, continuation: Continuation) -> dict[str, Any]:
        """A continuation as plain values."""
        plain = asdict(continuation)
        del plain["trace"], plain["chosen"]
        return plain

    def insights(self) -> dict[str, Any]:
        """Further plain values for `info`, read from the weights.

        "linear" holds the linear part of a network; see `views.terminal.model_tables`.
        """
        return {}

    def check_output(self, path: Path) -> None:
        """Check that documents can be written into a file.

        It is called before anything is generated.

        Raises:
            SettingsError: a suffix that documents have no format for, or a missing folder.
            MissingExtraError: a package is missing that writes the format.
        """
        if not path.parent.is_dir():
            raise SettingsError("there is no such folder", where=str(path.parent))

    def refuse(self, names: Iterable[str]) -> None:
        """Refuse settings that do not apply to this kind of model.

        Raises:
            SettingsError: a setting does not apply.
        """

    @property
    @abstractmethod
    def predictor(self) -> Any:
        """The predictor of the model; made on first use."""

    def predictor_of(self, *, adapt: bool) -> Any:
        """The predictor, or the one whose counts adapt to what is read.

        Raises:
            SettingsError: it cannot adapt.
        """
        return self.predictor

    def writer_for(self, settings: GenerateSettings) -> Any:
        """The predictor that settings ask for.

        Raises:
            SettingsError: there is none.
        """
        return self.predictor_of(adapt=settings.adapt)

    @abstractmethod
    def ready(self, settings: GenerateSettings) -> None:
        """Load the predictor before anything is printed.

        Raises:
            RhapsodeError: it cannot be loaded.
        """

    @abstractmethod
    def prompt(self, value: Any, settings: GenerateSettings) -> Prompt:
        """Make a prompt of a value, path or text.

        An empty text begins a new document.

        Raises:
            RhapsodeError: the model cannot read it.
        """

    def begin(self, value: Any, settings: GenerateSettings) -> Prompt:
        """Make a prompt that the model continues; see `without_open_space`."""
        return self.prompt(self.without_open_space(value), settings)

    def prompt_of_text(self, text: str, settings: GenerateSettings) -> Prompt:
        """Make a prompt of a text that never names a file.

        Raises:
            RhapsodeError: the model cannot read it.
        """
        return self.begin(text, settings)

    def prompt_of_file(self, content: bytes, suffix: str, settings: GenerateSettings) -> Prompt:
        """Make a prompt of the content of a file.

        Arguments:
            content: bytes of the file.
            suffix: of its name, as ".mid".
            settings: how it is continued.

        Raises:
            RhapsodeError: the model cannot read it.
        """
        try:
            return self.prompt_of_text(content.decode(), settings)
        except UnicodeDecodeError:
            raise DataError("this is not UTF-8", where="prompt") from None

    def prompt_of_elements(self, elements: Sequence[int], settings: GenerateSettings) -> Prompt:
        """Make a prompt of numbers of elements.

        Raises:
            SettingsError: elements of this model have no numbers.
            DataError: a number that stands for no element.
        """
        raise SettingsError("elements of this model have no numbers", where="prompt")

    def without_open_space(self, value: Any) -> Any:
        """A prompt without a last space that the next element contains.

        The model writes that space. Prompts of models whose elements contain no space stay.
        """
        return value

    def with_defaults(self, settings: GenerateSettings) -> GenerateSettings:
        """The settings with defaults that only this kind of model has."""
        return settings

    def typed(self, text: str) -> str:
        r"""The text that somebody typed in a shell.

        Escapes such as `\n` are read if the training text has no backslash, and this is logged. No
        other method reads escapes.
        """
        return text

    @abstractmethod
    def restored(self, saved: Mapping[str, Any]) -> Prompt:
        """Restore a prompt from the plain values of `Prompt.saved`.

        Raises:
            DataError: the values are not those of a prompt.
        """

    def held_out(self, number: int, settings: GenerateSettings) -> list[Any]:
        """Prompts from the held-out data of the run, drawn by the seed.

        Raises:
            RhapsodeError: there is no held-out data.
        """
        raise SettingsError("this kind of model cannot draw prompts from its data")

    def tell_notes(self, prompts: Sequence[Prompt], settings: GenerateSettings) -> None:
        """Log unseen parts of prompts and settings without effect."""

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
        """Continue prompts, and yield text as it is generated.

        Arguments:
            prompts: of this model.
            settings: how, with a seed.
        """

    def answers(
        self, inputs: Sequence[str], settings: GenerateSettings, *, n_best: int = 1
    ) -> Iterator[Sequence[Answered]]:
        """Answer inputs, the best answers of each first.

        A blank input has none.

        Arguments:
            inputs: texts of inputs.
            settings: of the search: beams, length penalty, length.
            n_best: number of answers to each.

        Raises:
            SettingsError: the model is not one of pairs.
        """
        raise SettingsError(
            "this model continues a text and answers no inputs",
            where="--input",
            hint="train a model of pairs with --pairs, or use --prompts",
        )

    @abstractmethod
    def name_of(self, element: Any) -> str:
        """The name of an element, for tables."""

    @abstractmethod
    def why(self, rows: Rows, element: Any, top: int) -> Shown:
        """The distribution in which an element was chosen.

        Arguments:
            rows: the only row, before the element.
            element: the chosen element.
            top: number of likeliest elements to name.
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
        """Predictions of the model after prompts; nothing is generated.

        Arguments:
            prompts: of this model.
            settings: the filters.
            temperatures: in place of the settings' own.
            top: how many elements, or steps, to name.
        """

    @abstractmethod
    def encoded(self, value: Any) -> Shown:
        """A value, path or text as the model sees it."""

    @abstractmethod
    def identity(self) -> Iterator[bytes]:
        """Everything that determines the generated text."""

    def fingerprint(self) -> str:
        """Hash of everything that determines the generated text."""
        digest = hashlib.sha256()
        for part in self.identity():
            digest.update(part)
        return digest.hexdigest()


class Model(OpenedModel[B], Generic[B]):
    """An opened model file.

    Networks are loaded at the first prediction.
    """

    @property
    def summary(self) -> dict[str, Any] | None:
        """Contents of the run's `summary.json`; None without a finished run."""
        file = self.folder / "summary.json"
        try:
            return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        except (OSError, ValueError):
            log.warning(f"{file}: damaged, left out")
            return None

    @property
    def history(self) -> History:
        """Losses by evaluation of the run that made the model, possibly none."""
        from rhapsode.views.history import read_history

        return read_history(self.folder / "metrics.jsonl", self.folder / "curve.svg")

    def copies(self, text: str, least: int = 20) -> list[dict[str, Any]] | None:
        """Stretches of a text that occur in the training data.

        Arguments:
            text: the text.
            least: characters of the shortest stretch to report.

        Returns:
            Plain values in the order of the text; None without an index of the training data.
        """
        return None

    @cached_property
    def network(self) -> Network:
        """The network in torch, in evaluation mode; the first one of several."""
        from rhapsode.bundle.network import load_network

        return load_network(self.bundle)

    def __repr__(self) -> str:
        from rhapsode.views.display import as_text
        from rhapsode.views.terminal.model_tables import model_blocks  # loads rich

        return as_text(model_blocks(self.path, self.bundle, self.summary))

    def _repr_html_(self) -> str:
        from rhapsode.views.display import as_html
        from rhapsode.views.terminal.model_tables import model_blocks

        blocks = model_blocks(self.path, self.bundle, self.summary)
        return as_html(blocks) + (self.history.curve or "")

    def save(self, path: str | Path) -> None:
        """Write the model file to another place.

        Raises:
            RunError: it cannot be written.
        """
        write_bundle(Path(path), self.bundle)

    def encode(self, value: Any) -> NDArray[Any]:
        """Elements of a document: ids (N,), or values (T, K)."""
        return np.array(self.prompt(value, self.generation()).opening.elements)

    def decode(self, elements: Sequence[Any]) -> Document:
        """The document of some elements."""
        beginning = self.prompt("", self.generation())
        return beginning.document(list(map(beginning.restored, np.asarray(elements).tolist())))

    def generate(
        self,
        prompt: Any = "",
        settings: GenerateSettings | None = None,
        **options: Unpack[GenerateOptions],
    ) -> Document:
        """Continue a prompt.

        Arguments:
            prompt: any value that `prompt` takes.
            settings: how.
            options: those of `generation` by name, in place of `settings`.

        Returns:
            Prompt and continuation: for text a `str`, with `elements`, `seed` and `finish_reason`.

        Raises:
            EncodingError: the prompt has elements that the model has never seen.
            SettingsError: an option out of range.
        """
        settings = self.request(settings, options)
        check_single(settings)
        beginning = self._begin(prompt, settings)
        written = next(collect(self.write([beginning], settings), [beginning.text], settings))
        return beginning.document(
            (*beginning.opening.elements, *written.chosen),
            beginning.text + written.text,
            seed=settings.seed,
            finish_reason=written.finish_reason,
        )

    def continuations(
        self,
        prompt: Any = "",
        settings: GenerateSettings | None = None,
        **options: Unpack[GenerateOptions],
    ) -> list[Continuation]:
        """Continue a prompt `count` times; see `stream`. A search may find fewer."""
        settings = self.request(settings, options)
        beginning = self._begin(prompt, settings)
        return list(collect(self.write([beginning], settings), [beginning.text], settings))

    def stream(
        self,
        prompt: Any = "",
        settings: GenerateSettings | None = None,
        **options: Unpack[GenerateOptions],
    ) -> Iterator[Piece]:
        """Continue a prompt, and yield text as it is generated.

        Arguments:
            prompt: any value that `prompt` takes.
            settings: how.
            options: those of `generation` by name, in place of `settings`: length=100,
                temperature=0.8, ...

        Raises:
            EncodingError: the prompt has elements that the model has never seen.
            SettingsError: an option out of range.
        """
        settings = self.request(settings, options)
        return self.write([self._begin(prompt, settings)], settings)

    def next(
        self,
        *prompts: Any,
        top: int = 5,
        temperatures: float | Sequence[float] = (),
        **options: Unpack[GenerateOptions],
    ) -> Following:
        """The likeliest elements after prompts, or quantiles of the next steps.

        Arguments:
            prompts: any values that `prompt` takes; none for the beginning of a document.
            top: elements or steps to name, 1 or more.
            temperatures: in place of `temperature`, side by side.
            options: samplers by name, as in `generate`.

        Raises:
            RhapsodeError: a prompt or option that does not fit.
        """
        several = (temperatures,) if isinstance(temperatures, int | float) else tuple(temperatures)
        if top < 1:
            raise SettingsError(f"{top} is too small", where="top", hint="1 or more")
        for temperature in several:
            from_mapping(self.generation, {"temperature": temperature}, where="temperatures")
        settings = from_mapping(self.generation, options, where="next")
        self.refuse(changed(settings))
        usable = [self.begin(value, settings) for value in prompts or ("",)]
        self.tell_notes(usable, settings)
        return self.following(usable, settings, temperatures=several, top=top)

    def session(self, prompt: Any = "", **options: Unpack[GenerateOptions]) -> PlaySession:
        """A document that a person and the model write in turns.

        Arguments:
            prompt: the beginning: any value that `prompt` takes.
            options: samplers by name, as in `generate`.

        Raises:
            RhapsodeError: a prompt or option that does not fit.
        """
        from rhapsode.modalities.session import PlaySession

        return PlaySession(self, from_mapping(self.generation, options, where="session"), prompt)

    def info(self) -> Info:
        """Components, layers, encoder and provenance."""
        from rhapsode.modalities.info import info_of

        return info_of(self)

    def evaluate(self, *sources: Any, **asked: Any) -> Metrics:
        """Measure the model.

        Arguments:
            sources: data to score; by name, by path, or in memory.
            asked: settings of the modality's evaluation by name.

        Raises:
            DataError: the sources cannot be read, or hold nothing to score.
        """
        modality = MODALITIES.get(self.bundle.modality)
        settings = from_mapping(modality.evaluation, asked, where="evaluate")
        return modality.metrics(self, modality.to_score(self, sources, asked), settings)

    def log_prob(
        self, value: Any = "", *, elements: Sequence[Any] | None = None
    ) -> NDArray[np.float64]:
        """Natural-log probability or density of each element, given those before it.

        Arguments:
            value: the document, as `prompt` takes it; for series, the history before `elements`.
            elements: ids (N,), or values (T, K), in place of those of a text.

        Returns:
            One number for each element: (N,) or (T,), the end of the document left out.

        Raises:
            EncodingError: the model cannot read the document.
            DataError: the model has no such elements.
        """
        beginning = self.prompt(value, self.generation())
        plain = beginning.opening.elements if elements is None else np.asarray(elements).tolist()
        return beginning.log_probs(self.predictor, list(map(beginning.restored, plain)))

    def request(
        self, settings: GenerateSettings | None, options: Mapping[str, Any]
    ) -> GenerateSettings:
        """The settings of a request, with a seed.

        Raises:
            SettingsError: both settings and options, or an option that is out of range or has no
                meaning.
        """
        if settings is not None and options:
            raise SettingsError("give settings or single options, not both")
        asked = settings or from_mapping(self.generation, options, where="generate")
        self.refuse([name for name in changed(asked) if name in options])
        asked = self.with_defaults(asked)
        if asked.seed is None and self.seed is not None:
            asked = replace(asked, seed=self.seed)
        return with_seed(asked)

    def _begin(self, prompt: Any, settings: GenerateSettings) -> Prompt:
        beginning = self.begin(prompt, settings)
        self.tell_notes([beginning], settings)
        return beginning

    def keep(self, path: Path, documents: Sequence[Document]) -> int:
        """Append documents to training data; return their size in `kept_unit`.

        A `.jsonl` file gets one object for each document, which `train --field text` reads; any
        other file gets the texts with a blank line between.

        Raises:
            DataError: the file cannot be read.
            RunError: it cannot be written.
        """
        return append_texts(path, [document.text() for document in documents])


def array_bytes(arrays: Mapping[str, NDArray[Any]]) -> Iterator[bytes]:
    """Names and contents of arrays, by name."""
    for name, array in sorted(arrays.items()):
        yield name.encode() + np.ascontiguousarray(array).tobytes()
