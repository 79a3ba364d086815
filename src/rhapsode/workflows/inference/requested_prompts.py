"""Prompts of one request: typed, read from a file, or taken from held-out data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rhapsode.config import GenerateSettings, RequestSettings
from rhapsode.errors import SettingsError
from rhapsode.workflows import AnyModel

__all__ = ["requested_prompts"]


def requested_prompts(
    model: AnyModel,
    prompt: str,
    request: RequestSettings,
    settings: GenerateSettings,
    *,
    read_stdin: Callable[[], str],
) -> Sequence[Any]:
    """The values to continue, as the model's `prompt` takes them.

    Arguments:
        model: continues them.
        prompt: as typed; "-" is standard input.
        request: other places of prompts.
        settings: the seed draws passages of held-out data.
        read_stdin: gives all of standard input.

    Raises:
        SettingsError: prompts from more than one place.
    """
    places = (prompt, request.prompts, request.prompt_from_data)
    if sum(place not in ("", None) for place in places) > 1:
        raise SettingsError(
            "prompts from more than one place",
            hint="give one of PROMPT, --prompts and --prompt-from-data",
        )
    if request.prompt_from_data is not None:
        passages: Sequence[Any] = model.held_out(request.prompt_from_data, settings)
        return passages
    if request.prompts is None:
        return [read_stdin() if prompt == "-" and model.prompts_are_text else prompt]
    from rhapsode.workflows.inference.prompt_files import parse_prompts, read_prompts

    return (
        parse_prompts(read_stdin(), "-")
        if request.prompts == "-"
        else read_prompts(request.prompts)
    )
