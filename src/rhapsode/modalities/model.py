"""The public model: generation, prediction and evaluation with a model file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Unpack

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import write_bundle
from rhapsode.config import GenerateSettings, from_mapping
from rhapsode.errors import SettingsError
from rhapsode.log import log
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.opened import (
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
from rhapsode.modalities.opened_model import B, OpenedModel

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.keywords import GenerateOptions
    from rhapsode.modalities.info import Info
    from rhapsode.modalities.scoring import Metrics
    from rhapsode.modalities.session import PlaySession
    from rhapsode.views.history import History


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
