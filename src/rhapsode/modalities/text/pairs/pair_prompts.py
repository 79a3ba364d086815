"""Inputs of a model of pairs as prompts."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Literal

from rhapsode.bundle import Predictor
from rhapsode.data import Condition
from rhapsode.encoding import END_ID, Encoder
from rhapsode.modalities.ids.prompts import IdPrompt
from rhapsode.modalities.text.pairs.pair_answering import condition_of

if TYPE_CHECKING:
    from rhapsode.modalities.text.model import TextModel

_FORMS: tuple[Literal["NFC", "NFD", "NFKC"], ...] = ("NFC", "NFD", "NFKC")


def input_text(text: str, encoder: Encoder) -> str:
    """An input as training would have read it.

    A byte order mark goes, and so do line ends behind it, where no training input had any. Among
    Unicode forms that with the fewest unknown elements is taken, the given one first.

    Arguments:
        text: as it was given.
        encoder: of the inputs.
    """
    text = text.removeprefix("\N{BYTE ORDER MARK}")
    bare = text.rstrip("\r\n")
    if bare != text and encoder.unknown(text[len(bare) :]):
        text = bare
    if text.isascii() or not encoder.unknown(text):
        return text
    forms = [text, *(unicodedata.normalize(form, text) for form in _FORMS)]
    return min(forms, key=lambda form: len(encoder.unknown_pieces(form)))


class PairPrompt(IdPrompt):
    """An input, which the model answers with an output.

    Arguments:
        model: answers it.
        source: the input.
        encoder: of the inputs.
    """

    def __init__(self, model: TextModel, source: str, encoder: Encoder) -> None:
        super().__init__(model, "")
        self.source = source
        self.condition: Condition = condition_of([source], encoder)

    def start(self, predictor: Predictor) -> tuple[Any, tuple[int, ...]]:
        return predictor.start(1, self.condition), (END_ID,)

    def saved(self) -> dict[str, Any]:
        return {"source": self.source}
