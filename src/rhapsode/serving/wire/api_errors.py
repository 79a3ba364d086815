"""Errors in the shape of the OpenAI interface."""

from __future__ import annotations

from typing import Any, Literal, get_args

from rhapsode.errors import BundleError, EncodingError, RhapsodeError, SettingsError

Code = Literal[
    "body_too_large",
    "context_length_exceeded",
    "header_invalid",
    "host_not_allowed",
    "internal_error",
    "invalid_api_key",
    "invalid_json",
    "invalid_prompt",
    "invalid_value",
    "loading",
    "method_not_allowed",
    "model_not_found",
    "not_found",
    "origin_not_allowed",
    "queue_full",
    "rate_limited",
    "shutting_down",
    "state_exists",
    "state_mismatch",
    "state_not_found",
    "state_too_large",
    "states_full",
    "time_limit_exceeded",
    "token_required",
    "unknown_character",
    "unsupported_media_type",
    "unsupported_parameter",
]
CODES: tuple[str, ...] = get_args(Code)

_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An error that a client sees.

    Arguments:
        status: of the answer.
        code: from the fixed list.
        message: for people; it holds no path of this machine.
        param: the field of the request at fault.
        retry_after: seconds after which the same request may succeed; None if it never does.
        more: further plain values of the error.
    """

    def __init__(
        self,
        status: int,
        code: Code,
        message: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.param, self.retry_after, self.more = param, retry_after, more

    def to_mapping(self) -> dict[str, Any]:
        """The error as clients of the OpenAI interface read it."""
        kind = _TYPES.get(self.status)
        if kind is None:
            kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": {**error, **self.more}}

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Headers that tell clients whether to try again."""
        if self.retry_after is not None:
            return [("retry-after", str(self.retry_after))]
        if self.status in {408, 409, 429} or self.status >= 500:
            return [("x-should-retry", "false")]
        return []


def refused(message: str, *, param: str | None, code: Code = "invalid_value") -> ApiError:
    """A request that cannot be fulfilled, status 400."""
    return ApiError(400, code, message, param=param)


def unsupported(param: str, message: str) -> ApiError:
    """A field whose meaning this server does not offer."""
    return refused(message, param=param, code="unsupported_parameter")


def of_problem(problem: RhapsodeError, *, names: frozenset[str] = frozenset()) -> ApiError:
    """The error of a request that the package refuses.

    Arguments:
        problem: as the package raised it.
        names: fields of requests; any other place may be a path, and is left out.
    """
    if isinstance(problem, BundleError):
        return ApiError(500, "internal_error", "the model cannot be used", retry_after=None)
    place = (problem.where or "").removeprefix("--").replace("-", "_")
    param = place if place in names else None
    message = problem.what if problem.hint is None else f"{problem.what}; {_plain(problem.hint)}"
    if isinstance(problem, EncodingError):
        return refused(message, param="prompt", code="unknown_character")
    if isinstance(problem, SettingsError):
        return refused(message, param=param)
    return refused(message, param=param or "prompt", code="invalid_prompt")


def _plain(hint: str) -> str:
    """A hint without the spelling of command-line flags."""
    return " ".join(
        word[2:].replace("-", "_") if word.startswith("--") else word for word in hint.split()
    )
