"""The members of an opened model that each kind of sequence defines."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rhapsode.bundle import Bundle
from rhapsode.config import GenerateSettings
from rhapsode.errors import DataError, SettingsError
from rhapsode.modalities.opened import Answered, Continuation, Following, Piece, Prompt

if TYPE_CHECKING:
    from rhapsode.generation import Chain, Rows
    from rhapsode.views.display import Shown


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

    @property
    def answers_inputs(self) -> bool:
        """True for a model of pairs, whose prompts are inputs."""
        return False

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
