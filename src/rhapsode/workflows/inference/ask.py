"""Functions of models: open, describe, predict, encode and write in turns."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rhapsode.bundle import modality_of, read_bundle
from rhapsode.config import GenerateSettings, from_mapping, to_mapping
from rhapsode.errors import SettingsError
from rhapsode.modalities import MODALITIES, MODELS
from rhapsode.modalities.model import Model
from rhapsode.modalities.opened import Following, Shown, changed

if TYPE_CHECKING:
    from rhapsode.keywords import GenerateOptions
    from rhapsode.modalities.choose import AnyModality
    from rhapsode.workflows.inference.session import PlaySession

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


def as_model(model: str | Path | AnyModel | None) -> Any:
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


@dataclass(frozen=True, repr=False)
class Info(Shown):
    """Components, layers, encoder and provenance of a model.

    Arguments:
        facts: plain values.
    """

    facts: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        return self.facts

    def shown(self, width: int) -> Sequence[Any]:
        from rhapsode.views.terminal.model_tables import arrays_table, parts_table

        return [parts_table(self.facts), arrays_table(self.facts)]


def info(model: str | Path | AnyModel) -> Info:
    """Describe a model.

    Arguments:
        model: a run folder or model file, or an open model.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    from rhapsode.engine.forms import unsupported_form

    opened = as_model(model)
    bundle = opened.bundle
    reason, mixture = unsupported_form(bundle), bundle.calibration.mixture
    provenance = asdict(bundle.provenance)
    if mixture is not None:
        provenance["mixture"] = mixture.to_mapping()
    facts = {
        "path": str(opened.path),
        "bytes": opened.path.stat().st_size,
        "modality": bundle.modality,
        "parameters": sum(int(array.size) for array in bundle.arrays.values()),
        "config": None if bundle.network is None else to_mapping(bundle.network),
        **({"members": list(bundle.weights)} if len(bundle.members) > 1 else {}),
        **bundle.facts.described(bundle.encoder),
        "arrays": {name: list(array.shape) for name, array in bundle.arrays.items()},
        "engine": {"name": "compiled" if reason is None else "torch", "reason": reason},
        "provenance": {n: value for n, value in provenance.items() if value not in (None, ())},
    }
    return Info(facts)


def next_elements(
    model: str | Path | AnyModel,
    *prompts: Any,
    top: int = 5,
    temperatures: float | Sequence[float] = (),
    **options: Unpack["GenerateOptions"],
) -> Following:
    """The likeliest elements after prompts, or quantiles of series' next steps.

    Arguments:
        model: a run folder or model file, or an open model.
        prompts: texts, or tables of series; none for the beginning of a document.
        top: elements or steps to name, 1 or more.
        temperatures: in place of `temperature`, side by side.
        options: samplers by name, as in `Model.generate`.

    Raises:
        RhapsodeError: a model, prompt or option that does not fit.
    """
    opened = as_model(model)
    several = (temperatures,) if isinstance(temperatures, int | float) else tuple(temperatures)
    if top < 1:
        raise SettingsError(f"{top} is too small", where="top", hint="1 or more")
    for temperature in several:
        from_mapping(GenerateSettings, {"temperature": temperature}, where="temperatures")
    settings = from_mapping(GenerateSettings, options, where="next")
    opened.refuse(changed(settings))
    usable = [opened.prompt(value, settings) for value in prompts or ("",)]
    opened.tell_notes(usable)
    following: Following = opened.following(usable, settings, temperatures=several, top=top)
    return following


def encode(model: str | Path | AnyModel, value: Any) -> Shown:
    """A document as a model reads it: elements and unknown parts.

    Arguments:
        model: a run folder or model file, or an open model.
        value: a text, or a table of series.

    Raises:
        RhapsodeError: a model or document that does not fit.
    """
    opened = as_model(model)
    seen: Shown = opened.encoded(value)
    return seen


def session(
    model: str | Path | AnyModel, prompt: Any = "", **options: Unpack["GenerateOptions"]
) -> "PlaySession":
    """A document that a person and a model write in turns.

    Arguments:
        model: a run folder or model file, or an open model.
        prompt: the beginning: a text, or a series in a table.
        options: samplers by name, as in `Model.generate`.

    Raises:
        RhapsodeError: a model, prompt or option that does not fit.
    """
    from rhapsode.workflows.inference.session import PlaySession

    opened = as_model(model)
    settings = from_mapping(GenerateSettings, options, where="session")
    return PlaySession(opened, settings, prompt=prompt)
