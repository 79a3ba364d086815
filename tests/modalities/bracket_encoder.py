"""Brackets and letters to identifiers, for the toy modality of identifiers."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding import Encoder, IncrementalDecoder, JoiningDecoder

NAME = "brackets.v1"
SIGNS = "()abc"


class BracketEncoder(Encoder):
    name = NAME
    round_trip = "lossless"
    unknown_prompt = "error"

    def __init__(self) -> None:
        super().__init__(SIGNS, {})

    @classmethod
    def learn(cls, texts: Iterable[str], settings: Mapping[str, Any]) -> "BracketEncoder":
        return cls()

    @classmethod
    def from_tokenizer_json(cls, text: str, settings: Mapping[str, Any]) -> "BracketEncoder":
        return cls()

    def to_tokenizer_json(self) -> str:
        return json.dumps(SIGNS)

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        return np.array([SIGNS.find(sign) + 2 for sign in text], dtype=np.uint8)

    def decoder(self) -> IncrementalDecoder:
        return JoiningDecoder(("", "\ufffd", *SIGNS))

    def unknown_pieces(self, text: str) -> list[str]:
        return [sign for sign in text if sign not in SIGNS]

    def without_unknown(self, text: str) -> str:
        return "".join(sign for sign in text if sign in SIGNS)
