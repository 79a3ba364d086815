"""Models that the server offers, by name."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import rhapsode as rh
from rhapsode.bundle import Predictor
from rhapsode.compiling import cores
from rhapsode.errors import RhapsodeError, SettingsError
from rhapsode.log import log
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.states.prefix_cache import PrefixCache
from rhapsode.serving.wire.api_errors import ApiError
from rhapsode.serving.writing.scheduler import Scheduler
from rhapsode.serving.writing.work import Work

MODEL_FILE = "model.safetensors"


class ServedModel:
    """An opened model, and what writes for it.

    Arguments:
        name: by which requests call it.
        model: the opened model.
        settings: of the server.
    """

    def __init__(self, name: str, model: rh.Model[Any], settings: ServeSettings) -> None:
        self.name, self.model, self._settings = name, model, settings
        self.created = int(_modified(model.path))
        self.writes_text = model.prompts_are_text
        self.has_ids = self.writes_text and model.elements_have_ids
        self.answers_inputs = model.answers_inputs
        """True if a prompt is an input, and not the beginning of the answer."""
        self._ready = False
        self.problem: str | None = None
        """Why it cannot be used; None otherwise."""
        self.fingerprint = ""
        threads = settings.threads or cores()
        self.scheduler = Scheduler(
            self.predictor_of,
            PrefixCache(int(settings.prefix_mb * 1e6)),
            workers=min(threads, 8),
            slots=settings.slots,
            queue=settings.queue,
        )

    @property
    def is_ready(self) -> bool:
        """True once it has made a real step."""
        return self._ready

    def warm(self) -> None:
        """Load the predictor and make a step."""
        try:
            beginning = self.model.generation()
            if self.writes_text:
                beginning = replace(beginning, weights=self._settings.weights)
            self.model.ready(beginning)
            if self.has_ids:
                prompt = self.model.prompt("", beginning)
                predictor = self.predictor(adapt=False)
                state, waiting = prompt.start(predictor)
                predictor.advance(prompt.stack(waiting), state)
            self.fingerprint = self._fingerprint()
            self._ready = True
        except RhapsodeError as problem:
            self.problem = str(problem)
            log.warning(f"{self.name}: {problem}")
        except Exception as problem:  # the other models must not wait for this one
            self.problem = type(problem).__name__
            log.exception(f"{self.name} cannot be loaded")

    def _fingerprint(self) -> str:
        """Hash of what decides the text: bundle, counts, engine and its weights."""
        kind = type(self.predictor(adapt=False)).__name__ if self.has_ids else ""
        parts = (self.model.fingerprint(), kind, self._settings.weights, rh.__version__)
        return "fp_" + hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]

    def predictor(self, *, adapt: bool) -> Predictor:
        """The predictor of this server, whose counts adapt if wanted.

        Raises:
            SettingsError: the model cannot adapt.
        """
        settings = replace(
            self.model.generation(),
            weights=self._settings.weights,
            adapt=adapt,
            threads=self._settings.threads,
        )
        predictor: Predictor = self.model.writer_for(settings)
        return predictor

    def predictor_of(self, work: Work) -> Predictor:
        """The predictor of a work."""
        return self.predictor(adapt=work.settings.adapt)

    def card(self) -> dict[str, Any]:
        """The entry of `/v1/models`."""
        kinds = {"elements": self.model.bundle.encoder.vocab_size} if self.has_ids else {}
        return {
            **kinds,
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "rhapsode",
            "modality": self.model.modality,
            "status": "failed" if self.problem else "ready" if self._ready else "loading",
        }


class ModelTable:
    """The models of a server, by name.

    Arguments:
        models: in the order of the list; the first one is the default.
    """

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._models = {one.name: one for one in models}

    def __iter__(self) -> Any:
        return iter(list(self._models.values()))

    def __len__(self) -> int:
        return len(self._models)

    def add(self, served: ServedModel) -> None:
        """Offer a further model, in place of one of its name."""
        earlier = self._models.get(served.name)
        self._models[served.name] = served
        if earlier is not None:
            earlier.scheduler.close()

    def get(self, name: Any) -> ServedModel:
        """The model of a name, or the first one for None.

        Raises:
            ApiError: there is none, or it is not ready.
        """
        if name is None and self._models:
            served = next(iter(self._models.values()))
        elif isinstance(name, str) and name in self._models:
            served = self._models[name]
        else:
            known = ", ".join(self._models) or "none"
            raise ApiError(
                404,
                "model_not_found",
                f"there is no model {str(name)[:64]!r}; models: {known}",
                param="model",
            )
        if served.problem is not None:
            raise ApiError(
                500, "internal_error", f"the model {served.name} cannot be used", param="model"
            )
        if not served.is_ready:
            raise ApiError(503, "loading", f"{served.name} is loading", retry_after=1)
        return served


def models_in(folder: Path) -> list[Path]:
    """Run folders with a model, the newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if (path / MODEL_FILE).is_file()]
    return sorted(found, key=lambda path: (-_modified(path / MODEL_FILE), path.name))


def open_models(
    paths: Sequence[str | Path], settings: ServeSettings, *, found: bool = False
) -> ModelTable:
    """Open models, named after their folders.

    Arguments:
        paths: run folders or model files.
        settings: of the server.
        found: whether nobody has named them; those that cannot be opened are told and left out.

    Raises:
        RhapsodeError: a model that cannot be opened.
    """
    opened: list[ServedModel] = []
    names: set[str] = set()
    for path in paths:
        try:
            model = rh.load(path)
        except RhapsodeError as problem:
            if not found:
                raise
            log.warning(f"{path} is not served: {problem}")
            continue
        stem = model.path.parent.name if model.path.name == MODEL_FILE else model.path.stem
        name, number = stem or "model", 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.add(name)
        opened.append(ServedModel(name, model, settings))
    return ModelTable(opened)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def check_address(settings: ServeSettings, *, keys: bool) -> None:
    """Refuse to listen beyond this machine without keys.

    Raises:
        SettingsError: it would.
    """
    import ipaddress

    try:
        local = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        local = settings.host == "localhost"
    if not local and not keys:
        raise SettingsError(
            "an address beyond this machine needs keys",
            where="--host",
            hint="name a file of keys with --key-file",
        )
