"""A sequence model that attends to sources, its context fed back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rhapsode.models.attention.attentive import Attentive, AttentiveState
from rhapsode.models.contract import State, state_dataclass

if TYPE_CHECKING:
    from rhapsode.models.attention.contract import Attention
    from rhapsode.models.attention.source_encoders import SourceEncoder
    from rhapsode.models.contract import SequenceModel


@state_dataclass
class LastContext(State):
    """The context that is fed back next."""

    fed_BH: Tensor


def _fed(state: AttentiveState) -> Tensor:
    assert isinstance(state.fed, LastContext)
    return state.fed.fed_BH


class FedBack(Attentive):
    """A decoder whose lower layers also read what was last attended to.

    After Graves 2013, figure 12. The lower layers and the mechanism take one step after another,
    the layers above read a stretch at once.

    Arguments:
        below: layers whose features are the queries; they read inputs and context.
        encoder: as in `Attentive`.
        attention: the mechanism.
        above: as in `Attentive`.
    """

    def __init__(
        self,
        below: SequenceModel,
        encoder: SourceEncoder,
        attention: Attention,
        above: SequenceModel | None = None,
    ) -> None:
        super().__init__(below, encoder, attention, above)
        self.input_size = below.input_size - encoder.value_size

    def nothing_fed(self, zeros_BH: Tensor) -> State:
        return LastContext(zeros_BH)

    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, AttentiveState]:
        known = self.begun(state, len(x_BTD), AttentiveState)
        both_BTH, _, after = self._walk(x_BTD, known, reset_BT)
        y_BTH, above = self._after(both_BTH, known.above, reset_BT)
        return y_BTH, replace(after, above=above)

    def _walk(
        self, x_BTD: Tensor, known: AttentiveState, reset_BT: Tensor | None
    ) -> tuple[Tensor, Tensor, AttentiveState]:
        """Features and contexts (B, T, H), weights (B, T, S), and the state after them."""
        memory = known.memory.of(known.source_B)
        below, attention, fed_BH = known.below, known.attention, _fed(known)
        resets = set()
        if reset_BT is not None:
            resets = set(torch.nonzero(reset_BT.any(dim=0)).flatten().tolist())
        queries, contexts, weights = [], [], []
        for time, x_BD in enumerate(x_BTD.unbind(1)):
            reset_B = reset_BT[:, time] if reset_BT is not None and time in resets else None
            reset_B1 = None
            if reset_B is not None:
                reset_B1 = reset_B[:, None]
                fed_BH = fed_BH * ~reset_B1
            fed_BD = torch.cat((x_BD, fed_BH.to(x_BD.dtype)), dim=-1)
            query_BH, below = self.below.step(fed_BD, below, reset_B=reset_B)
            context_B1H, attention, weights_B1S = self.attention(
                query_BH[:, None], memory, attention, reset_BT=reset_B1
            )
            fed_BH = context_B1H[:, 0]
            queries.append(query_BH)
            contexts.append(fed_BH)
            weights.append(weights_B1S[:, 0])
        query_BTH, context_BTH = torch.stack(queries, dim=1), torch.stack(contexts, dim=1)
        after = replace(known, below=below, attention=attention, fed=LastContext(fed_BH))
        both_BTH = torch.cat((query_BTH, context_BTH.to(query_BTH.dtype)), dim=-1)
        return both_BTH, torch.stack(weights, dim=1), after

    def step(
        self, x_BD: Tensor, state: State, *, reset_B: Tensor | None = None
    ) -> tuple[Tensor, AttentiveState]:
        known = self.begun(state, len(x_BD), AttentiveState)
        reset_B1 = None if reset_B is None else reset_B[:, None]
        both_B1H, _, after = self._walk(x_BD[:, None], known, reset_B1)
        if self.above is not None:
            y_BH, above = self.above.step(both_B1H[:, 0], known.above, reset_B=reset_B)
        else:
            y_B1H, above = self._after(both_B1H, known.above, None)
            y_BH = y_B1H[:, 0]
        return y_BH, replace(after, above=above)

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """The weights: `attention` (B, T, S)."""
        known = self.begun(state, len(x_BTD), AttentiveState)
        training = self.below.training
        self.below.eval()
        try:
            _, weights_BTS, _ = self._walk(x_BTD, known, None)
        finally:
            self.below.train(training)
        return {"attention": weights_BTS}
