"""A transformer whose layers attend to the source of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from rhapsode.errors import SettingsError
from rhapsode.models.attention.attending import Attending
from rhapsode.models.attention.contract import Memory
from rhapsode.models.attention.source_encoders import EncodedSources, SourceEncoder
from rhapsode.models.contract import Between, SequenceModel, State, shared, state_dataclass
from rhapsode.models.transformer.network import attention_reference, split_heads

if TYPE_CHECKING:
    from collections.abc import Sequence


class Layered(Protocol):
    """A model of layers that run a function inside each layer."""

    norm_first: ClassVar[bool]
    """True if a branch is normalised before it, False if after its sum."""
    config: Any
    """With `num_layers`, `num_heads` and `dropout`."""

    def read(
        self,
        x_BTD: Tensor,
        state: State | None,
        reset_BT: Tensor | None,
        *,
        between: Between | None = None,
    ) -> tuple[Tensor, Any]:
        """Read a window as `forward` does, with a function inside each block."""


@state_dataclass
class CrossedState(State):
    """State of the layers, and the memory shared by the rows.

    Keys and values of the memory are those of all layers, side by side.
    """

    inner: State
    source_B: Tensor
    memory: Memory = shared()


class Cross(nn.Module):
    """Projections by which one layer attends to a source.

    Keys and values are made once.
    """

    def __init__(self, width: int, value_size: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(value_size, width)
        self.v_proj = nn.Linear(value_size, width)
        self.out_proj = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)


class Crossed(Attending):
    """A transformer with attention to a source in every layer.

    With the layers of `transformer_classic.v1` it computes what `torch.nn.TransformerDecoder`
    computes.

    Arguments:
        inner: layers of self-attention.
        encoder: a condition to features of its elements.

    Raises:
        SettingsError: the layers have no self-attention.
    """

    def __init__(self, inner: SequenceModel, encoder: SourceEncoder) -> None:
        super().__init__()
        if not callable(getattr(inner, "read", None)):
            raise SettingsError(
                "attention in the layers needs a transformer",
                where="[pairs] attention",
                hint="use dot, or --model transformer",
            )
        self.input_size, self.output_size = inner.input_size, inner.output_size
        self.inner, self.source_encoder = inner, encoder
        self._layered = cast("Layered", inner)
        config = self._layered.config
        crosses = (Cross(inner.input_size, encoder.value_size) for _ in range(config.num_layers))
        self.crosses = nn.ModuleList(crosses)

    def _crosses(self) -> Sequence[Cross]:
        return cast("Sequence[Cross]", self.crosses)

    def memory_of(self, sources: EncodedSources) -> Memory:
        values_MSH, summary_MC, lengths_M = sources
        keys_MSD = torch.cat([cross.k_proj(values_MSH) for cross in self._crosses()], dim=-1)
        all_MSH = torch.cat([cross.v_proj(values_MSH) for cross in self._crosses()], dim=-1)
        places_S = torch.arange(values_MSH.shape[1], device=lengths_M.device)
        inside_MS1 = (places_S < lengths_M[:, None])[..., None].to(keys_MSD.dtype)
        return Memory(keys_MSD * inside_MS1, all_MSH * inside_MS1, summary_MC, lengths_M)

    def over(self, state: CrossedState, memory: Memory, source_B: Tensor) -> CrossedState:
        return CrossedState(state.inner, source_B, memory)

    def zero_state(
        self,
        batch: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> CrossedState:
        """The zero state, over one source of one zero element."""
        encoder, weight = self.source_encoder, self._crosses()[0].k_proj.weight
        width = len(self.crosses) * self.input_size
        zeros_11H = weight.new_zeros((1, 1, width), device=device, dtype=dtype)
        summary_1C = zeros_11H.new_zeros(1, encoder.summary_size)
        lengths_1 = torch.ones(1, dtype=torch.int64, device=zeros_11H.device)
        memory = Memory(zeros_11H, zeros_11H, summary_1C, lengths_1)
        source_B = torch.zeros(batch, dtype=torch.int64, device=zeros_11H.device)
        inner = self.inner.zero_state(batch, device=device, dtype=dtype)
        return CrossedState(inner, source_B, memory)

    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, CrossedState]:
        known = self.begun(state, len(x_BTD), CrossedState)
        between = self._between(known.memory.of(known.source_B), None)
        y_BTH, inner = self._layered.read(x_BTD, known.inner, reset_BT, between=between)
        return y_BTH, CrossedState(inner, known.source_B, known.memory)

    def _between(self, memory: Memory, trace: dict[str, Tensor] | None) -> Between:
        """Attention to the sources of rows, inside each layer.

        Arguments:
            memory: the sources of the rows, one a row.
            trace: receives the mean weights over heads and layers.
        """
        heads, dropout = self._layered.config.num_heads, self._layered.config.dropout
        dropping, first = self.training and trace is None, self._layered.norm_first
        mask_B11S = memory.inside_MS[:, None, None]
        size = self.input_size

        def attend(layer: int, x_BTD: Tensor) -> Tensor:
            cross, place = self._crosses()[layer], slice(layer * size, (layer + 1) * size)
            query = split_heads(cross.q_proj(cross.norm(x_BTD) if first else x_BTD), heads)
            keys = split_heads(memory.keys_MSD[..., place].to(query.dtype), heads)
            values = split_heads(memory.values_MSH[..., place].to(query.dtype), heads)
            mixed = nn.functional.scaled_dot_product_attention(
                query, keys, values, attn_mask=mask_B11S
            )
            if trace is not None:
                mask_BTS = mask_B11S[:, 0].expand(-1, x_BTD.shape[1], -1)
                weights, _ = attention_reference(query, keys, values, mask_BTS)
                share_BTS = weights.mean(dim=1) / len(self.crosses)
                trace["attention"] = trace.get("attention", torch.zeros_like(share_BTS)) + share_BTS
            branch = cross.out_proj(mixed.transpose(1, 2).flatten(2))
            x_BTD = x_BTD + nn.functional.dropout(branch, dropout, dropping)
            attended: Tensor = x_BTD if first else cross.norm(x_BTD)
            return attended

        return attend

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Mean weights over heads and layers, `attention` (B, T, S)."""
        known = self.begun(state, len(x_BTD), CrossedState)
        trace: dict[str, Tensor] = {}
        between = self._between(known.memory.of(known.source_B), trace)
        training = self.inner.training
        self.inner.eval()
        try:
            self._layered.read(x_BTD, known.inner, None, between=between)
        finally:
            self.inner.train(training)
        return trace
