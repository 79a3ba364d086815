"""The text of a chat by templates of our own."""

from __future__ import annotations

from typing import Any

from rhapsode.serving.wire.api_errors import refused, unsupported

ROLES = ("system", "developer", "user", "assistant")


def chat_text(messages: Any, template: str) -> tuple[str, list[str]]:
    """The text that the model continues, and texts that end its answer.

    Arguments:
        messages: of the request.
        template: "plain" joins the messages by blank lines; "speakers" begins each with its role.

    Raises:
        ApiError: something else than messages of text.
    """
    if not isinstance(messages, list) or not messages:
        raise refused("messages is a list of messages", param="messages")
    spoken = [_message(message) for message in messages]
    if template == "speakers":
        lines = [f"{role}: {content}" for role, content in spoken]
        stops = [f"\n{role}:" for role in ("user", "system", "developer")]
        if spoken[-1][0] == "assistant":
            return "\n".join(lines), stops
        return "\n".join([*lines, "assistant:"]), stops
    text = "\n\n".join(content for _, content in spoken)
    # A last message of the assistant is a beginning of its own, and goes on as it is.
    return text if spoken[-1][0] == "assistant" else f"{text}\n\n", []


def _message(message: Any) -> tuple[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise refused("a message has a role and a content", param="messages")
    role = message["role"]
    if role not in ROLES:
        raise unsupported("messages", f"the role {role[:32]!r} is not supported")
    for name in ("tool_calls", "function_call", "audio"):
        if message.get(name):
            raise unsupported("messages", f"{name} of a message is not supported")
    content = message.get("content")
    if isinstance(content, str):
        return role, content
    if isinstance(content, list) and content:
        return role, "".join(map(_part, content))
    raise refused("the content of a message is a text", param="messages")


def _part(part: Any) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        text: str = part["text"]
        return text
    raise unsupported("messages", "only text is supported as the content of a message")
