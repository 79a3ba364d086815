"""Fields of requests: what is known, what is supported, what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rhapsode.config import GenerateSettings, from_mapping
from rhapsode.errors import RhapsodeError
from rhapsode.serving.serve_settings import (
    BEAMS,
    CHOICES,
    LOGPROBS,
    STOP_CHARACTERS,
    STOPS,
)
from rhapsode.serving.wire.api_errors import ApiError, of_problem, refused, unsupported

# Settings of `generate` that a request names otherwise, or that belong to the server.
ELSEWHERE: Mapping[str, str] = {
    "length": "use max_tokens",
    "count": "use n",
    "format": "the answer is JSON",
    "explain": "use trace",
    "engine": "the server decides it",
    "device": "the server decides it",
    "weights": "it is set when the server starts",
    "threads": "it is set when the server starts",
}
# Fields of the OpenAI interface that this server reads itself.
OURS = frozenset(
    {
        "model",
        "prompt",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "echo",
        "logprobs",
        "top_logprobs",
        "logprobs_mode",
        "stream",
        "stream_options",
        "logit_bias",
        "save_state",
        "continue_from",
        "document",
        "id",
    }
)
# Fields that say who asks; they change no answer.
NAMES = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key"})
# Values by which a known field asks for what happens anyway.
USUAL: Mapping[str, tuple[Any, ...]] = {
    "suffix": ("",),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "parallel_tool_calls": (True, False),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "add_special_tokens": (True, False),
    "skip_special_tokens": (True,),
    "ignore_eos": (False,),
    "use_beam_search": (False,),
    "include_stop_str_in_output": (False,),
    "cache_prompt": (True,),
    "spaces_between_special_tokens": (True,),
}
# Known fields of the OpenAI interface and of other servers whose meaning is not offered.
UNSUPPORTED = frozenset(
    {
        *USUAL,
        "audio",
        "allowed_token_ids",
        "bad_words",
        "detokenize",
        "dynatemp_range",
        "grammar",
        "guided_choice",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "id_slot",
        "json_schema",
        "length_bias",
        "min_keep",
        "min_tokens",
        "mirostat",
        "prediction",
        "prompt_logprobs",
        "reasoning_effort",
        "repeat_last_n",
        "repeat_penalty",
        "samplers",
        "stop_token_ids",
        "structured_outputs",
        "tfs_z",
        "truncate_prompt_tokens",
        "verbosity",
        "web_search_options",
    }
)
# What to use instead of some of them.
INSTEAD: Mapping[str, str] = {
    "min_tokens": "min_length",
    "guided_regex": "regex",
    "bad_words": "ban",
    "repeat_penalty": "repetition_penalty",
    "repeat_last_n": "penalty_range",
    "mirostat": "mirostat_tau and mirostat_eta",
    "dynatemp_range": "dynatemp_low and dynatemp_high",
    "samplers": "order",
}
# Names of `sampling_fields` that were asked for.
_SAMPLING: dict[type[GenerateSettings], frozenset[str]] = {}


@dataclass(frozen=True)
class Asked:
    """Fields of a request, checked.

    Arguments:
        settings: of the continuations; without a seed where none was named.
        seeded: True if the request names a seed.
        n: continuations of each prompt.
        echo: True if the answer begins with the prompt.
        logprobs: number of likeliest elements to list; None without log-probabilities.
        logprobs_mode: "raw", "processed" or "network".
        stream: True for server-sent events.
        include_usage: True if the last event tells the usage.
        save_state: name under which the state at the end is stored.
        continue_from: name of the state to begin with.
        document: suffix of the document to attach, as ".mid".
        unknown: fields that this server does not know.
    """

    settings: GenerateSettings
    seeded: bool
    n: int = 1
    echo: bool = False
    logprobs: int | None = None
    logprobs_mode: str = "raw"
    stream: bool = False
    include_usage: bool = False
    save_state: str | None = None
    continue_from: str | None = None
    document: str | None = None
    unknown: tuple[str, ...] = ()


def sampling_fields(generation: type[GenerateSettings]) -> frozenset[str]:
    """Names of the settings that a request may name.

    Arguments:
        generation: settings of a model's continuations.
    """
    names = _SAMPLING.get(generation)
    if names is None:
        names = frozenset(each.name for each in fields(generation)) - frozenset(ELSEWHERE)
        _SAMPLING[generation] = names
    return names


def read_fields(
    body: Mapping[str, Any],
    generation: type[GenerateSettings],
    *,
    most_tokens: int,
    chat: bool = False,
) -> Asked:
    """Check the fields of a request for continuations.

    Arguments:
        body: of the request; null stands for an absent field.
        generation: settings of the model's continuations.
        most_tokens: that one continuation may have.
        chat: True for a chat, whose log-probabilities are asked for in two fields.

    Raises:
        ApiError: a field that is out of range, or of a meaning that is not offered.
    """
    given = {name: value for name, value in body.items() if value is not None}
    known = sampling_fields(generation)
    unknown = []
    for name, value in given.items():
        if name in known or name in OURS or name in NAMES:
            continue
        if name in ELSEWHERE:
            raise unsupported(name, f"{name} is not a field of requests; {ELSEWHERE[name]}")
        if name in UNSUPPORTED:
            if value in USUAL.get(name, ()):
                continue
            hint = f"; use {INSTEAD[name]}" if name in INSTEAD else ""
            raise unsupported(name, f"{name} is not supported{hint}")
        unknown.append(name)
    n = _whole(given, "n", 1, CHOICES, default=1)
    listed = _logprobs(given, chat=chat)
    sampling = {name: given[name] for name in known if name in given}
    _shape_stops(sampling)
    _shape_bias(sampling, given)
    _shape_best_of(sampling, n)
    sampling["count"] = n
    sampling["length"] = _length(given, most_tokens, echo=bool(given.get("echo")))
    try:
        settings = from_mapping(generation, sampling, where="request")
    except RhapsodeError as problem:
        raise error_of_settings(problem, known) from None
    if settings.beams is not None and settings.beams > BEAMS:
        raise refused(f"at most {BEAMS} beams", param="beams")
    options = given.get("stream_options", {})
    if not isinstance(options, dict):
        raise refused("stream_options is an object", param="stream_options")
    stream = _flag(given, "stream")
    if options and not stream:
        raise refused("stream_options needs stream", param="stream_options")
    mode = given.get("logprobs_mode", "raw")
    if mode not in ("raw", "processed", "network"):
        raise refused("logprobs_mode is raw, processed or network", param="logprobs_mode")
    if settings.searching or settings.best_of is not None:
        for name in ("logprobs", "save_state", "continue_from", "echo"):
            if given.get(name) not in (None, False):
                raise unsupported(name, f"{name} does not go with a search")
    if given.get("continue_from") is not None and _flag(given, "echo"):
        raise unsupported("echo", "echo does not go with continue_from")
    return Asked(
        settings,
        settings.seed is not None,
        n=n,
        echo=_flag(given, "echo"),
        logprobs=listed,
        logprobs_mode=mode,
        stream=stream,
        include_usage=bool(options.get("include_usage", False)),
        save_state=_text(given, "save_state"),
        continue_from=_text(given, "continue_from"),
        document=_text(given, "document"),
        unknown=tuple(unknown),
    )


def error_of_settings(problem: RhapsodeError, known: frozenset[str]) -> ApiError:
    """The error of refused settings, with the name of the field."""
    error = of_problem(problem, names=known)
    if error.param is None:
        error.param = next((name for name in known if f"'{name}" in problem.what), None)
    return error


def _whole(
    given: Mapping[str, Any], name: str, least: int, most: int, *, default: int | None
) -> Any:
    value = given.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refused(f"{name} is a whole number from {least} to {most:,}", param=name)
    return value


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise refused(f"{name} is true or false", param=name)
    return value


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise refused(f"{name} is a text", param=name)
    return value


def _logprobs(given: Mapping[str, Any], *, chat: bool) -> int | None:
    if not chat:
        if isinstance(given.get("logprobs"), bool):
            raise refused(f"logprobs is a whole number from 0 to {LOGPROBS}", param="logprobs")
        listed: int | None = _whole(given, "logprobs", 0, LOGPROBS, default=None)
        return listed
    wanted = _flag(given, "logprobs")
    top: int | None = _whole(given, "top_logprobs", 0, LOGPROBS, default=None)
    if top is not None and not wanted:
        raise refused("top_logprobs needs logprobs", param="top_logprobs")
    return (top or 0) if wanted else None


def _length(given: Mapping[str, Any], most: int, *, echo: bool) -> int | None:
    """Number of new elements; None for the model's own default."""
    name = "max_completion_tokens" if "max_completion_tokens" in given else "max_tokens"
    if name not in given:
        return None
    length: int = _whole(given, name, 0, most, default=None)
    if length == 0 and not echo:
        raise refused(f"{name} is 0, which needs echo", param=name)
    return length


def _shape_stops(sampling: dict[str, Any]) -> None:
    """Let a stop text stand alone, and check the number of them."""
    for name in ("stop", "ban", "dry_breakers", "penalty_spare"):
        value = sampling.get(name)
        if value is None:
            continue
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise refused(f"{name} is a text or a list of texts", param=name)
        if len(texts) > STOPS or any(len(text) > STOP_CHARACTERS for text in texts):
            raise refused(
                f"{name} is at most {STOPS} texts of {STOP_CHARACTERS} characters", param=name
            )
        if name == "stop":
            texts = [text for text in texts if text]
        sampling[name] = texts


def _shape_bias(sampling: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Read `logit_bias`, by number of the element, as `bias`."""
    table = given.get("logit_bias")
    if not table:
        return
    numbers = isinstance(table, dict) and all(
        key.isdecimal()
        and len(key) < 10
        and isinstance(value, int | float)
        and -100 <= value <= 100
        for key, value in table.items()
    )
    if not numbers or len(table) > 1024:
        raise refused(
            "logit_bias gives numbers from -100 to 100 by number of the element",
            param="logit_bias",
        )
    own = sampling.get("bias", [])
    if not isinstance(own, list):
        raise refused("bias is a list of texts", param="bias")
    sampling["bias"] = [*own, *(f"#{key}={value}" for key, value in table.items())]


def _shape_best_of(sampling: dict[str, Any], n: int) -> None:
    """Drop `best_of` where it chooses nothing."""
    best = sampling.get("best_of")
    if best is None:
        return
    if best == n:
        del sampling["best_of"]
    elif n != 1:
        raise unsupported("best_of", "best_of goes with n = 1, or equals n")
