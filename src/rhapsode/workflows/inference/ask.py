"""Functions of models, by path or opened."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rhapsode.bundle import modality_of, read_bundle
from rhapsode.errors import SettingsError
from rhapsode.modalities import MODALITIES, MODELS
from rhapsode.modalities.model import Model
from rhapsode.modalities.opened import Following, Shown

if TYPE_CHECKING:
    from rhapsode.keywords import GenerateOptions
    from rhapsode.modalities.choose import AnyModality
    from rhapsode.modalities.info import Info
    from rhapsode.modalities.session import PlaySession

AnyModel = Model[Any]


def load(path: str | Path | None) -> AnyModel:
    """The model in a run folder or model file.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    if not isinstance(path, str | Path):
        raise SettingsError(f"a model is a path, not {type(path).__name__}", where="load")
    name = modality_of(path)
    if name not in MODELS.names():
        read_bundle(path)  # which says what is wrong with it
    return MODELS.get(str(name))(path)


def as_model(model: str | Path | AnyModel | None) -> AnyModel:
    """The model of a path, or the open model itself.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    return load(model) if model is None or isinstance(model, str | Path) else model


def open_model(path: str | Path | AnyModel | None) -> "tuple[AnyModality, Any]":
    """A model and its modality, which loads what evaluating it needs.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    model = as_model(path)
    return MODALITIES.get(model.bundle.modality), model


def info(model: str | Path | AnyModel) -> "Info":
    """Describe a model; see `Model.info`.

    Arguments:
        model: a run folder or model file, or an open model.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    return as_model(model).info()


def next_elements(
    model: str | Path | AnyModel,
    *prompts: Any,
    top: int = 5,
    temperatures: float | Sequence[float] = (),
    **options: Unpack["GenerateOptions"],
) -> Following:
    """The likeliest elements after prompts, or quantiles of next steps; see `Model.next`.

    Arguments:
        model: a run folder or model file, or an open model.
        prompts: texts, or tables of series; none for the beginning of a document.
        top: elements or steps to name, 1 or more.
        temperatures: in place of `temperature`, side by side.
        options: samplers by name, as in `Model.generate`.

    Raises:
        RhapsodeError: a model, prompt or option that does not fit.
    """
    return as_model(model).next(*prompts, top=top, temperatures=temperatures, **options)


def encode(model: str | Path | AnyModel, value: Any) -> Shown:
    """A document as a model reads it: elements and unknown parts.

    Arguments:
        model: a run folder or model file, or an open model.
        value: a text, or a table of series.

    Raises:
        RhapsodeError: a model or document that does not fit.
    """
    return as_model(model).encoded(value)


def session(
    model: str | Path | AnyModel, prompt: Any = "", **options: Unpack["GenerateOptions"]
) -> "PlaySession":
    """A document written in turns with a model; see `Model.session`.

    Arguments:
        model: a run folder or model file, or an open model.
        prompt: the beginning: a text, or a series in a table.
        options: samplers by name, as in `Model.generate`.

    Raises:
        RhapsodeError: a model, prompt or option that does not fit.
    """
    return as_model(model).session(prompt, **options)
