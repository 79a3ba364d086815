"""The works of a request: prompts read, seeds drawn, limits checked."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rhapsode.config import GenerateSettings
from rhapsode.encoding import END_ID
from rhapsode.errors import RhapsodeError
from rhapsode.modalities.opened import Prompt
from rhapsode.serving.serve_settings import DEFAULT_TOKENS, PROMPTS, ServeSettings
from rhapsode.serving.served_model import ServedModel
from rhapsode.serving.states.state_store import StoredState
from rhapsode.serving.wire.api_errors import ApiError, of_problem, refused
from rhapsode.serving.wire.fields import Asked, sampling_fields
from rhapsode.serving.writing.work import Inbox, Resumption, Work


@dataclass(frozen=True)
class PromptFile:
    """The content of a file as a prompt.

    Arguments:
        content: its bytes.
        suffix: of its name, as ".mid".
    """

    content: bytes
    suffix: str


PromptValue = str | list[int] | PromptFile


@dataclass(frozen=True)
class RequestWorks:
    """The works of a request.

    Arguments:
        served: the model.
        asked: fields of the request.
        settings: of the continuations, with seed and length.
        works: one for each prompt.
        inbox: takes the reports of all of them.
        state: that the prompts continue.
    """

    served: ServedModel
    asked: Asked
    settings: GenerateSettings
    works: tuple[Work, ...]
    inbox: Inbox
    state: StoredState | None = None

    @property
    def prompt_elements(self) -> int:
        """Elements of all prompts."""
        return sum(
            len(work.elements)
            + work.after_end
            + (0 if self.state is not None else source_elements(work.prompt))
            for work in self.works
        )


def prompt_values(value: Any) -> list[PromptValue]:
    """The prompts of a request: texts, lists of ids, or files.

    Raises:
        ApiError: something else, or too many.
    """
    if value is None:
        return [""]
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [_file(value)]
    if not isinstance(value, list) or not value:
        raise refused(
            "prompt is a text, a list of texts, of ids or of lists of ids", param="prompt"
        )
    if all(_is_id(each) for each in value):
        return [value]
    if len(value) > PROMPTS:
        raise refused(f"at most {PROMPTS} prompts", param="prompt")
    prompts: list[PromptValue] = []
    for each in value:
        if isinstance(each, str) or (isinstance(each, list) and each and all(map(_is_id, each))):
            prompts.append(each)
        elif isinstance(each, dict):
            prompts.append(_file(each))
        else:
            raise refused("a prompt is a text or a list of ids", param="prompt")
    return prompts


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _file(value: dict[str, Any]) -> PromptFile:
    """A prompt `{"base64": ..., "suffix": ".mid"}`.

    Raises:
        ApiError: it is malformed.
    """
    import base64
    import binascii

    content, suffix = value.get("base64"), value.get("suffix")
    if not isinstance(content, str) or not isinstance(suffix, str) or len(value) != 2:
        raise refused('a file is {"base64": ..., "suffix": ".mid"}', param="prompt")
    if not suffix.startswith(".") or not suffix[1:].isalnum() or len(suffix) > 16:
        raise refused("a suffix is a point with letters, as .mid", param="prompt")
    try:
        return PromptFile(base64.b64decode(content, validate=True), suffix.lower())
    except (binascii.Error, ValueError):
        raise refused("the file is not base64", param="prompt") from None


def prepare_works(
    served: ServedModel,
    asked: Asked,
    values: Sequence[PromptValue],
    limits: ServeSettings,
    state: StoredState | None = None,
) -> RequestWorks:
    """Read the prompts of a request, and complete its settings.

    Arguments:
        served: the model.
        asked: fields of the request.
        values: the prompts.
        limits: of the server.
        state: that the prompts continue; None for beginnings of texts.

    Raises:
        ApiError: a prompt or setting that does not fit the model.
    """
    settings = _completed(asked, served, state)
    names = sampling_fields(served.model.generation)
    inbox = Inbox()
    try:
        served.model.refuse(
            [name for name in names if getattr(settings, name) != _default(settings, name)]
        )
        chain = served.model.chain(settings)
        works = []
        for value in values:
            if state is not None and served.answers_inputs:
                if value not in ("", []):
                    raise refused("the answer to an input goes on without a prompt", param="prompt")
                prompt, after_end = served.model.prompt("", settings), False
            else:
                prompt, after_end = _prompt(served, value, settings)
            own = prompt.opening.elements
            begin = None if state is None else state.snapshot
            elements = own if begin is None else (*begin.elements, *own)
            _check_length(len(elements) + source_elements(prompt), settings, limits)
            resumes = state is not None and not own and not asked.seeded
            works.append(
                Work(
                    prompt=prompt,
                    elements=elements,
                    settings=settings,
                    chain=chain,
                    count=asked.n,
                    top=asked.logprobs,
                    mode=asked.logprobs_mode,
                    begin=begin,
                    resumption=_resumption(state) if resumes else None,
                    keep=asked.save_state is not None,
                    after_end=after_end,
                    inbox=inbox,
                )
            )
    except RhapsodeError as problem:
        raise of_problem(problem, names=names | {"prompt"}) from None
    return RequestWorks(served, asked, settings, tuple(works), inbox, state)


def _resumption(state: StoredState | None) -> Resumption | None:
    return None if state is None else Resumption(state.written, state.sequence)


def _default(settings: GenerateSettings, name: str) -> Any:
    return type(settings).__dataclass_fields__[name].default


def _completed(asked: Asked, served: ServedModel, state: StoredState | None) -> GenerateSettings:
    settings = served.model.with_defaults(asked.settings)
    if settings.length is None and served.has_ids:
        settings = replace(settings, length=DEFAULT_TOKENS)
    if settings.seed is None:
        drawn = secrets.randbits(32) if served.model.seed is None else served.model.seed
        settings = replace(settings, seed=drawn if state is None else state.seed)
    if state is not None and state.adapt != settings.adapt:
        raise refused(
            f"the state was stored with adapt = {str(state.adapt).lower()}", param="adapt"
        )
    return settings


def _prompt(
    served: ServedModel, value: PromptValue, settings: GenerateSettings
) -> tuple[Prompt, bool]:
    """A prompt, and whether it was sent with the end of a text before it."""
    model = served.model
    if isinstance(value, PromptFile):
        return model.prompt_of_file(value.content, value.suffix, settings), False
    if isinstance(value, str):
        return model.prompt_of_text(value, settings), False
    if served.answers_inputs:
        raise refused(f"{served.name} answers inputs: send them as texts", param="prompt")
    after_end = value[:1] == [END_ID]
    return model.prompt_of_elements(value[after_end:], settings), after_end


def source_elements(prompt: Prompt) -> int:
    """Elements of what the whole document depends on."""
    condition = prompt.condition
    if condition is None or condition.lengths_B is None:
        return 0
    return int(condition.lengths_B.sum())


def _check_length(elements: int, settings: GenerateSettings, limits: ServeSettings) -> None:
    length = settings.length or 0
    if elements > limits.max_prompt:
        raise ApiError(
            400,
            "context_length_exceeded",
            f"the prompt has {elements:,} elements, and the server reads at most "
            f"{limits.max_prompt:,}; {length:,} more were asked for",
            param="prompt",
            n_prompt_tokens=elements,
            n_ctx=limits.max_prompt,
        )
