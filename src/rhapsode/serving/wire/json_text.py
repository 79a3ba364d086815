"""JSON of requests, answers and events."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from rhapsode.serving.wire.api_errors import refused

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"


def encode_json(value: Any) -> bytes:
    """A plain value as JSON; halves of surrogate pairs become escapes."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        ApiError: it is not a JSON object.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise refused(f"the body is not JSON: {problem}", param=None, code="invalid_json") from None
    if not isinstance(value, dict):
        raise refused("the body is not a JSON object", param=None, code="invalid_json")
    return value


def event(value: Any) -> bytes:
    """A server-sent event."""
    return b"data: " + encode_json(value) + b"\n\n"
