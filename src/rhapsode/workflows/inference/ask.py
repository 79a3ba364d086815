"""Questions to a model: what follows, what it sees, and a text written in turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rhapsode.config import GenerateSettings, from_mapping
from rhapsode.errors import SettingsError
from rhapsode.modalities.opened import Following, Shown, changed
from rhapsode.workflows import AnyModel, open_model

if TYPE_CHECKING:
    from rhapsode.keywords import GenerateOptions
    from rhapsode.workflows.inference.session import PlaySession

__all__ = ["encode", "next_elements", "session"]


def next_elements(
    model: str | Path | AnyModel,
    *prompts: Any,
    top: int = 5,
    temperatures: float | Sequence[float] = (),
    **options: Unpack[GenerateOptions],
) -> Following:
    """The likeliest elements after prompts, or quantiles of the next steps of series.

    Arguments:
        model: a run folder or model file, or an open model.
        prompts: texts, or tables of series; none for the beginning of a document.
        top: elements or steps to name, 1 or more.
        temperatures: in place of `temperature`, side by side.
        options: samplers by name, as in `Model.generate`.

    Raises:
        RhapsodeError: a model, prompt or option that does not fit.
    """
    _, opened = open_model(model)
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
    """A document as a model sees it: its elements, and what is unknown.

    Arguments:
        model: a run folder or model file, or an open model.
        value: a text, or a table of series.

    Raises:
        RhapsodeError: a model or document that does not fit.
    """
    _, opened = open_model(model)
    seen: Shown = opened.encoded(value)
    return seen


def session(
    model: str | Path | AnyModel, prompt: Any = "", **options: Unpack[GenerateOptions]
) -> PlaySession:
    """A document that a person and a model write in turns.

    Arguments:
        model: a run folder or model file, or an open model.
        prompt: the beginning: a text, or a series in a table.
        options: samplers by name, as in `Model.generate`.

    Raises:
        RhapsodeError: a model, prompt or option that does not fit.
    """
    from rhapsode.workflows.inference.session import PlaySession

    _, opened = open_model(model)
    settings = from_mapping(GenerateSettings, options, where="session")
    return PlaySession(opened, settings, prompt=prompt)
