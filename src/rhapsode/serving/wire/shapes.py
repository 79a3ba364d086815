"""Answers and events in the shapes of the OpenAI interface."""

from __future__ import annotations

import math
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rhapsode.serving.wire.json_text import DONE, encode_json, event
from rhapsode.serving.writing.choice_text import Delta, Entry

NameOf = Callable[[int], str]


@dataclass
class Choice:
    """A finished continuation.

    Arguments:
        index: among all of the request.
        text: with the prompt, if that is echoed.
        entries: of the elements, if log-probabilities are wanted.
        end: "stop" or "length".
        own: further plain values, such as a document.
    """

    index: int
    text: str
    entries: Sequence[Entry] | None
    end: str
    own: dict[str, Any] = field(default_factory=dict)


@dataclass
class Usage:
    """Elements of a request.

    Arguments:
        prompt: of all prompts, each counted once.
        completion: written.
        cached: of the prompts, not read again.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def to_mapping(self) -> dict[str, Any]:
        """Plain values with the names of the OpenAI interface."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


class Shape(ABC):
    """The shape of the answers to one request.

    Arguments:
        model: its name.
        fingerprint: of what decides the text.
        name_of: names of elements.
        own: plain values under `rhapsode`.
    """

    prefix = "cmpl-"
    kind = "text_completion"
    chunk_kind = "text_completion"
    done: bytes = DONE

    def __init__(
        self, model: str, fingerprint: str, name_of: NameOf, own: Mapping[str, Any]
    ) -> None:
        self.id = self.prefix + uuid.uuid4().hex
        self._created, self._model, self._fingerprint = int(time.time()), model, fingerprint
        self._name_of, self.own = name_of, dict(own)

    def head(self, kind: str) -> dict[str, Any]:
        """Fields that all answers and events have."""
        return {
            "id": self.id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": self._fingerprint,
        }

    def opening(self, index: int) -> bytes:
        """The event before the text of a choice; empty for none."""
        return b""

    @abstractmethod
    def delta(self, index: int, delta: Delta, own: Mapping[str, Any] | None) -> bytes:
        """The event of a piece of a choice.

        Arguments:
            index: of the choice.
            delta: the piece.
            own: plain values under `rhapsode`, with the last one.
        """

    def usage_event(self, usage: Usage) -> bytes:
        """The event of the usage, without choices."""
        return event(
            {**self.head(self.chunk_kind), "choices": [], "usage": usage.to_mapping(),
             "rhapsode": self.own}
        )  # fmt: skip

    @abstractmethod
    def choice(self, choice: Choice) -> dict[str, Any]:
        """A choice of a whole answer."""

    def answer(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        """The whole answer."""
        return {
            **self.head(self.kind),
            "choices": [self.choice(each) for each in choices],
            "usage": usage.to_mapping(),
            "rhapsode": self.own,
        }

    def keys(self, entry: Entry) -> tuple[str, dict[str, float | None]]:
        """The name of an element, and log-probabilities by name, each name once."""
        name = self._name_of(entry.element)
        if entry.scored is None:
            return name, {}
        pairs = list(entry.scored.top)
        if entry.element not in dict(pairs):
            pairs.append((entry.element, entry.scored.log_prob))
        names: dict[str, float | None] = {}
        own = name
        for element, log_prob in pairs:
            key = self._name_of(element)
            if key in names:
                key = f"token_id:{element}"
            if element == entry.element:
                own = key
            names[key] = finite(log_prob)
        return own, names


class TextShape(Shape):
    """Answers of `/v1/completions`."""

    def __init__(
        self, model: str, fingerprint: str, name_of: NameOf, own: Mapping[str, Any]
    ) -> None:
        super().__init__(model, fingerprint, name_of, own)
        head = encode_json(self.head(self.chunk_kind))[:-1]
        self._before = b"data: " + head + b',"choices":[{"index":'
        self._after = b',"logprobs":null,"finish_reason":null}],"usage":null}\n\n'

    def delta(self, index: int, delta: Delta, own: Mapping[str, Any] | None) -> bytes:
        if delta.end is None and not delta.entries and own is None:
            text = encode_json(delta.text)
            return b"%s%d%s%s%s" % (self._before, index, b',"text":', text, self._after)
        logprobs = self.logprobs(delta.entries) if delta.entries else None
        choice = {
            "index": index,
            "text": delta.text,
            "logprobs": logprobs,
            "finish_reason": delta.end,
        }
        value = {**self.head(self.chunk_kind), "choices": [choice], "usage": None}
        return event({**value, "rhapsode": own} if own is not None else value)

    def choice(self, choice: Choice) -> dict[str, Any]:
        plain = {
            "index": choice.index,
            "text": choice.text,
            "logprobs": None if choice.entries is None else self.logprobs(choice.entries),
            "finish_reason": choice.end,
        }
        return {**plain, "rhapsode": choice.own} if choice.own else plain

    def logprobs(self, entries: Sequence[Entry]) -> dict[str, Any]:
        """Log-probabilities in the shape of the completions interface."""
        named = [self.keys(entry) for entry in entries]
        return {
            "tokens": [name for name, _ in named],
            "token_logprobs": [
                None if entry.scored is None else finite(entry.scored.log_prob) for entry in entries
            ],
            "top_logprobs": [
                None if entry.scored is None else top
                for entry, (_, top) in zip(entries, named, strict=True)
            ],
            "text_offset": [entry.offset for entry in entries],
        }


class ChatShape(Shape):
    """Answers of `/v1/chat/completions`."""

    prefix = "chatcmpl-"
    kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"

    def opening(self, index: int) -> bytes:
        return self._chunk(index, {"role": "assistant", "content": ""}, None, None, None)

    def delta(self, index: int, delta: Delta, own: Mapping[str, Any] | None) -> bytes:
        logprobs = self.logprobs(delta.entries) if delta.entries else None
        content = {"content": delta.text} if delta.text or delta.end is None else {}
        return self._chunk(index, content, logprobs, delta.end, own)

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: Any,
        end: str | None,
        own: Mapping[str, Any] | None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": end}
        value = {**self.head(self.chunk_kind), "choices": [choice], "usage": None}
        return event({**value, "rhapsode": own} if own is not None else value)

    def choice(self, choice: Choice) -> dict[str, Any]:
        plain = {
            "index": choice.index,
            "message": {"role": "assistant", "content": choice.text, "refusal": None},
            "logprobs": None if choice.entries is None else self.logprobs(choice.entries),
            "finish_reason": choice.end,
        }
        return {**plain, "rhapsode": choice.own} if choice.own else plain

    def logprobs(self, entries: Sequence[Entry]) -> dict[str, Any]:
        """Log-probabilities in the shape of the chat interface."""
        content = []
        for entry in entries:
            name, top = self.keys(entry)
            own = None if entry.scored is None else finite(entry.scored.log_prob)
            listed = [_named(key, value) for key, value in top.items()]
            content.append({**_named(name, own), "top_logprobs": listed})
        return {"content": content, "refusal": None}


def _named(name: str, log_prob: float | None) -> dict[str, Any]:
    code = list(name.encode("utf-8", "surrogatepass"))
    return {"token": name, "logprob": log_prob, "bytes": code}


def finite(value: float) -> float | None:
    """The number; None where JSON has none."""
    return value if math.isfinite(value) else None
