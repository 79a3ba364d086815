"""The routes of llama.cpp's server that story editors use: `/completion` and `/props`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rhapsode import __version__
from rhapsode.serving.http.exchange import Exchange
from rhapsode.serving.routes.completions import Completions
from rhapsode.serving.serve_settings import DEFAULT_TOKENS
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import refused, unsupported
from rhapsode.serving.wire.json_text import event
from rhapsode.serving.wire.shapes import Choice, Shape, Usage, finite
from rhapsode.serving.writing.choice_text import Delta, Entry
from rhapsode.serving.writing.request_works import prompt_values

# Names of llama.cpp for fields of ours.
NAMES: Mapping[str, str] = {
    "n_predict": "max_tokens",
    "n_probs": "logprobs",
    "repeat_penalty": "repetition_penalty",
    "repeat_last_n": "penalty_range",
    "dry_sequence_breakers": "dry_breakers",
}
# Values of llama.cpp's fields that ask for nothing.
IDLE: Mapping[str, tuple[Any, ...]] = {
    "mirostat": (0,),
    "tfs_z": (1, 1.0),
    "min_keep": (0,),
    "dynatemp_range": (0, 0.0),
    "grammar": ("",),
    "id_slot": (-1,),
    "top_n_sigma": (-1, -1.0),
    "dry_penalty_last_n": (-1, 0),
    "min_p": (-1, -1.0),
    "n_keep": (0,),
    "typical_p": (0,),
    "post_sampling_probs": (False,),
    "penalize_nl": (False,),
}


class LlamaShape(Shape):
    """Answers of `/completion`."""

    done = b""

    def delta(self, index: int, delta: Delta, own: Mapping[str, Any] | None) -> bytes:
        plain = self._plain(index, delta.text, delta.entries, delta.end, own)
        return event(plain)

    def usage_event(self, usage: Usage) -> bytes:
        return b""

    def choice(self, choice: Choice) -> dict[str, Any]:
        own = {**self.own, **choice.own}
        return self._plain(choice.index, choice.text, choice.entries or (), choice.end, own)

    def answer(self, choices: Sequence[Choice], usage: Usage) -> dict[str, Any]:
        return {
            **self.choice(choices[0]),
            "tokens_predicted": usage.completion,
            "tokens_evaluated": usage.prompt,
            "tokens_cached": usage.cached,
        }

    def _plain(
        self,
        index: int,
        text: str,
        entries: Sequence[Entry],
        end: str | None,
        own: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        plain: dict[str, Any] = {"index": index, "content": text, "stop": end is not None}
        if entries:
            plain["completion_probabilities"] = [self._probabilities(each) for each in entries]
        if end is not None:
            plain["stop_type"] = "limit" if end == "length" else "eos"
            plain["stopped_limit"], plain["stopped_eos"] = end == "length", end == "stop"
            plain["truncated"] = False
            plain["model"] = self.head("")["model"]
            plain["rhapsode"] = dict(own or {})
        return plain

    def _probabilities(self, entry: Entry) -> dict[str, Any]:
        name, _ = self.keys(entry)
        top = () if entry.scored is None else entry.scored.top
        own = None if entry.scored is None else finite(entry.scored.log_prob)
        return {
            **self._one(entry.element, name, own),
            "top_logprobs": [
                self._one(element, self._name_of(element), finite(log_prob))
                for element, log_prob in top
            ],
        }

    @staticmethod
    def _one(element: int, name: str, log_prob: float | None) -> dict[str, Any]:
        code = list(name.encode("utf-8", "surrogatepass"))
        return {"id": element, "token": name, "bytes": code, "logprob": log_prob}


class LlamaRoutes:
    """Handlers with the names of llama.cpp.

    Arguments:
        server: what the handlers share.
        completions: answers requests for continuations.
    """

    def __init__(self, server: ServerState, completions: Completions) -> None:
        self._server, self._completions = server, completions

    async def props(self, exchange: Exchange) -> None:
        """Answer `/props`."""
        served = self._server.models.get(None)
        scheduler = served.scheduler
        await exchange.answer(
            {
                "default_generation_settings": {
                    "n_ctx": self._server.settings.max_prompt,
                    "n_predict": DEFAULT_TOKENS,
                    "temperature": 1.0,
                },
                "total_slots": scheduler.slots,
                "model_path": served.name,
                "model_alias": served.name,
                "chat_template": "",
                "build_info": f"rhapsode {__version__}",
                "modalities": {"vision": False, "audio": False},
            }
        )

    async def completion(self, exchange: Exchange) -> None:
        """Answer `/completion`."""
        body = translated(await exchange.json())
        values = prompt_values(body.get("prompt"))
        if len(values) != 1:
            raise refused("one prompt", param="prompt")
        if body.get("n", 1) != 1:
            raise unsupported("n", "one continuation")
        await self._completions.answer(exchange, body, values, LlamaShape)


def translated(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of llama.cpp by the names of this server."""
    plain: dict[str, Any] = {}
    for name, value in body.items():
        if value is None or value in IDLE.get(name, ()):
            continue
        plain[NAMES.get(name, name)] = value
    if plain.get("max_tokens") == -1:
        del plain["max_tokens"]
    if plain.get("logprobs") == 0:
        del plain["logprobs"]
    if plain.get("penalty_range") == -1:
        plain["penalty_range"] = 0
    if plain.get("seed") == -1:
        del plain["seed"]
    bias = plain.get("logit_bias")
    if isinstance(bias, list):
        pairs = [entry for entry in bias if isinstance(entry, list) and len(entry) == 2]
        if len(pairs) != len(bias):
            raise refused("logit_bias is a list of pairs", param="logit_bias")
        plain["logit_bias"] = {str(element): value for element, value in pairs}
    return plain
