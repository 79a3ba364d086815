"""Inputs of a model of pairs as prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rhapsode.bundle import Predictor
from rhapsode.data import Condition
from rhapsode.encoding import END_ID, Encoder
from rhapsode.modalities.ids.prompts import IdPrompt
from rhapsode.modalities.text.pairs.pair_answering import condition_of

if TYPE_CHECKING:
    from rhapsode.modalities.text.model import TextModel


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
