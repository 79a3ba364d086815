"""`/tokenize`, `/detokenize` and `/tokenizer_info`, as vLLM and llama.cpp name them."""

from __future__ import annotations

import asyncio
from typing import Any

from rhapsode.encoding import END_ID
from rhapsode.serving.http.exchange import Exchange
from rhapsode.serving.served_model import ServedModel
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import refused

END_TEXT = "<end>"
"""Name of the element that ends a text; alone in a request it stands for that element."""


class Tokens:
    """Handlers about elements.

    Arguments:
        server: what the handlers share.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def info(self, exchange: Exchange) -> None:
        """Answer `/tokenizer_info`."""
        served = self._served({})
        await exchange.answer(
            {
                "tokenizer_class": served.model.bundle.encoder.name,
                "eos_token": END_TEXT,
                "bos_token": None,
                "pad_token": END_TEXT,
                "unk_token": served.model.name_of(1),
                "chat_template": None,
                "vocab_size": served.model.bundle.encoder.vocab_size,
                "model_max_length": self._server.settings.max_prompt,
            }
        )

    async def tokenize(self, exchange: Exchange) -> None:
        """Answer `/tokenize`: ids of a text; unseen characters become the unknown element."""
        body = await exchange.json()
        served = self._served(body)
        text = body.get("prompt", body.get("content"))
        if not isinstance(text, str):
            raise refused("prompt is a text", param="prompt")
        if text == END_TEXT:
            tokens = [END_ID]
        else:
            encoder = served.model.bundle.encoder
            tokens = (await asyncio.to_thread(encoder.encode, text)).tolist()
        answer: dict[str, Any] = {
            "tokens": tokens,
            "count": len(tokens),
            "max_model_len": self._server.settings.max_prompt,
        }
        if body.get("return_token_strs") or body.get("with_pieces"):
            answer["token_strs"] = [served.model.name_of(each) for each in tokens]
        await exchange.answer(answer)

    async def detokenize(self, exchange: Exchange) -> None:
        """Answer `/detokenize`: the text of ids."""
        body = await exchange.json()
        served = self._served(body)
        tokens = body.get("tokens")
        size = served.model.bundle.encoder.vocab_size
        if not isinstance(tokens, list) or not all(
            isinstance(each, int) and not isinstance(each, bool) and 0 <= each < size
            for each in tokens
        ):
            raise refused(f"tokens is a list of numbers from 0 to {size - 1}", param="tokens")
        text = await asyncio.to_thread(served.model.bundle.encoder.decode, tokens)
        await exchange.answer({"prompt": text, "content": text})

    def _served(self, body: dict[str, Any]) -> ServedModel:
        served = self._server.models.get(body.get("model"))
        if not served.has_ids:
            raise refused(
                "elements of this model have no numbers",
                param="model",
                code="unsupported_parameter",
            )
        return served
