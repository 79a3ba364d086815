"""A sequence model that attends to the source of each row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rhapsode.models.attention.attending import Attending
from rhapsode.models.attention.contract import Attention, Memory, NoState
from rhapsode.models.attention.source_encoders import EncodedSources, SourceEncoder
from rhapsode.models.contract import SequenceModel, State, shared, state_dataclass


@state_dataclass
class AttentiveState(State):
    """States of layers, mechanism and feedback, and the memory of the rows."""

    below: State
    attention: State
    above: State
    source_B: Tensor
    fed: State
    memory: Memory = shared()


class Attentive(Attending):
    """A decoder that attends to the source of each row.

    It does so between its layers, or after them.

    The layers below read the inputs with a projection of the summary of the source added. Their
    features are the queries. The layers above read features and context; without such layers, a
    layer of tanh joins them (Luong, Pham and Manning 2015, equation 5). The context is not fed
    back, so that a mechanism without feedback is parallel over time.

    Arguments:
        below: layers whose features are the queries.
        encoder: a condition to features of its elements.
        attention: the mechanism.
        above: layers after the attention; None: a layer of tanh.
    """

    def __init__(
        self,
        below: SequenceModel,
        encoder: SourceEncoder,
        attention: Attention,
        above: SequenceModel | None = None,
    ) -> None:
        super().__init__()
        self.input_size = below.input_size
        self.below, self.source_encoder, self.attention = below, encoder, attention
        self.summary: nn.Linear | None = None
        if encoder.summary_size:
            self.summary = nn.Linear(encoder.summary_size, below.input_size, bias=False)
        joined = below.output_size + encoder.value_size
        if above is not None and above.input_size != joined:
            raise ValueError(f"the layers above read {above.input_size} features, not {joined}")
        self.above = above
        self.output_size = below.output_size if above is None else above.output_size
        self.joint = nn.Linear(joined, below.output_size) if above is None else None

    def memory_of(self, sources: EncodedSources) -> Memory:
        values_MSH, summary_MC, lengths_M = sources
        return Memory(self.attention.keys(values_MSH), values_MSH, summary_MC, lengths_M)

    def over(self, state: AttentiveState, memory: Memory, source_B: Tensor) -> AttentiveState:
        attention = self.attention.zero_state(len(source_B), memory)
        return AttentiveState(state.below, attention, state.above, source_B, state.fed, memory)

    def zero_state(
        self,
        batch: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> AttentiveState:
        """The zero states, over one source of one zero element."""
        encoder = self.source_encoder
        own_11H = next(self.attention.parameters()).new_zeros(1, 1, encoder.value_size)
        zeros_11H = own_11H.to(device, dtype)
        summary_1C = zeros_11H.new_zeros(1, encoder.summary_size)
        lengths_1 = torch.ones(1, dtype=torch.int64, device=zeros_11H.device)
        keys_11D = self.attention.keys(own_11H)
        memory = Memory(keys_11D.to(zeros_11H), zeros_11H, summary_1C, lengths_1)
        source_B = torch.zeros(batch, dtype=torch.int64, device=zeros_11H.device)
        attention = self.attention.zero_state(batch, memory)
        above: State = NoState()
        if self.above is not None:
            above = self.above.zero_state(batch, device=device, dtype=dtype)
        below = self.below.zero_state(batch, device=device, dtype=dtype)
        fed = self.nothing_fed(zeros_11H.expand(batch, 1, -1)[:, 0])
        return AttentiveState(below, attention, above, source_B, fed, memory)

    def nothing_fed(self, zeros_BH: Tensor) -> State:
        """The context that is fed back at first: none."""
        return NoState()

    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, AttentiveState]:
        known = self.begun(state, len(x_BTD), AttentiveState)
        memory = known.memory.of(known.source_B)
        query_BTH, below = self.below(self._added(memory, x_BTD), known.below, reset_BT=reset_BT)
        context_BTH, attention, _ = self.attention(
            query_BTH, memory, known.attention, reset_BT=reset_BT
        )
        both_BTH = torch.cat((query_BTH, context_BTH.to(query_BTH.dtype)), dim=-1)
        y_BTH, above = self._after(both_BTH, known.above, reset_BT)
        return y_BTH, AttentiveState(
            below, attention, above, known.source_B, known.fed, known.memory
        )

    def step(
        self, x_BD: Tensor, state: State, *, reset_B: Tensor | None = None
    ) -> tuple[Tensor, AttentiveState]:
        known = self.begun(state, len(x_BD), AttentiveState)
        memory = known.memory.of(known.source_B)
        added_BD = self._added(memory, x_BD[:, None])[:, 0]
        query_BH, below = self.below.step(added_BD, known.below, reset_B=reset_B)
        reset_B1 = None if reset_B is None else reset_B[:, None]
        context_B1H, attention, _ = self.attention(
            query_BH[:, None], memory, known.attention, reset_BT=reset_B1
        )
        both_BH = torch.cat((query_BH, context_B1H[:, 0].to(query_BH.dtype)), dim=-1)
        above: State = known.above
        if self.above is not None:
            y_BH, above = self.above.step(both_BH, known.above, reset_B=reset_B)
        else:
            y_BH, above = self._after(both_BH[:, None], known.above, None)
            y_BH = y_BH[:, 0]
        return y_BH, AttentiveState(
            below, attention, above, known.source_B, known.fed, known.memory
        )

    def _after(
        self, both_BTH: Tensor, above: State, reset_BT: Tensor | None
    ) -> tuple[Tensor, State]:
        if self.above is not None:
            return self.above(both_BTH, above, reset_BT=reset_BT)  # type: ignore[no-any-return]
        assert self.joint is not None
        return torch.tanh(self.joint(both_BTH)), above

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """The probe of the layers below, and `attention` (B, T, S)."""
        known = self.begun(state, len(x_BTD), AttentiveState)
        memory = known.memory.of(known.source_B)
        x_BTD = self._added(memory, x_BTD)
        # Nothing is dropped in a probe.
        training = self.below.training
        self.below.eval()
        try:
            query_BTH, _ = self.below(x_BTD, known.below)
        finally:
            self.below.train(training)
        _, _, weights_BTS = self.attention(query_BTH, memory, known.attention)
        return {"attention": weights_BTS, **self.below.probe(x_BTD, known.below)}

    def _added(self, memory: Memory, x_BTD: Tensor) -> Tensor:
        """Inputs with the projection of the summary of each row's source added."""
        if self.summary is None:
            return x_BTD
        added_BD: Tensor = self.summary(memory.summary_MC.to(self.summary.weight.dtype))
        return x_BTD + added_BD[:, None].to(x_BTD.dtype)
