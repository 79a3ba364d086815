"""The textbook decoder block: learned positions, post-normalisation, ReLU feed-forward.

Weights have the names and shapes of `torch.nn.TransformerEncoderLayer`, which with a causal mask is
this block.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from rhapsode.errors import SettingsError
from rhapsode.models.contract import Between, SegmentedModel, State, segments, state_dataclass
from rhapsode.models.transformer.network import attention_reference, split_heads, write_slots
from rhapsode.models.transformer_classic.config import TransformerClassicConfig


@state_dataclass
class TransformerClassicState(State):
    """Keys and values of all positions so far, and their number.

    The rest of the buffers is unused.
    """

    k_BLANC: Tensor
    v_BLANC: Tensor
    next_B: Tensor


class Block(nn.Module):
    """One block, its parameters as in `torch.nn.TransformerEncoderLayer`."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads)
        self.linear1 = nn.Linear(width, inner)
        self.linear2 = nn.Linear(inner, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)


class TransformerClassic(SegmentedModel):
    """Decoder block of Vaswani et al. 2017 without cross-attention, positions learned.

    A row can read `length` elements from its start or its last reset, no more; it is trained and
    used in a `window:N` context.
    """

    Config = TransformerClassicConfig
    norm_first = False
    Carried = TransformerClassicState

    def __init__(self, config: TransformerClassicConfig) -> None:
        super().__init__()
        if config.input_size % config.num_heads:
            raise SettingsError(
                f"a width of {config.input_size} does not divide into {config.num_heads} heads",
                where="[network] num_heads",
            )
        self.config = config
        self.input_size = self.output_size = config.input_size
        inner = config.feedforward_size or 4 * config.input_size
        self.position = nn.Embedding(config.length, config.input_size)
        nn.init.normal_(self.position.weight, std=0.02)
        blocks = nn.ModuleList(
            Block(config.input_size, config.num_heads, inner) for _ in range(config.num_layers)
        )
        self.layers = cast("Sequence[Block]", blocks)

    def zero_state(
        self,
        batch: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> TransformerClassicState:
        config = self.config
        width = config.input_size // config.num_heads
        size = (batch, config.num_layers, config.num_heads, config.length, width)
        cache = self.position.weight.new_zeros(size, device=device, dtype=dtype)
        counter = torch.zeros(batch, dtype=torch.int64, device=cache.device)
        return TransformerClassicState(cache, cache.clone(), counter)

    def restarted(self, state: State, keep_B: Tensor) -> TransformerClassicState:
        known = self.begun(state, len(keep_B), TransformerClassicState)
        return TransformerClassicState(known.k_BLANC, known.v_BLANC, known.next_B * keep_B)

    def read(
        self,
        x_BTD: Tensor,
        state: State | None,
        reset_BT: Tensor | None,
        *,
        between: Between | None = None,
    ) -> tuple[Tensor, State]:
        """Read a window as `forward` does, with a function inside each block.

        Arguments:
            x_BTD: features.
            state: after the previous elements.
            reset_BT: rows that are reset before a position.
            between: function of layer and features, after self-attention; None: nothing.
        """
        known: State = self.begun(state, len(x_BTD), TransformerClassicState)
        outputs: list[Tensor] = []
        bounds = [(0, x_BTD.shape[1])] if reset_BT is None else segments(reset_BT)
        for start, end in bounds:
            if reset_BT is not None:
                known = self.restarted(known, ~reset_BT[:, start])
            piece: Any = known
            y_BTH, known = self.window(x_BTD[:, start:end], piece, None, between=between)
            outputs.append(y_BTH)
        return torch.cat(outputs, dim=1), known

    def window(
        self,
        x_BTD: Tensor,
        state: TransformerClassicState,
        drawn: None,
        trace: dict[str, Tensor] | None = None,
        between: Between | None = None,
    ) -> tuple[Tensor, TransformerClassicState]:
        """Read a piece without a reset; see the contract.

        Raises:
            ValueError: a row would read more than `length` elements since its start.
        """
        time = x_BTD.shape[1]
        position_BT = state.next_B[:, None] + torch.arange(time, device=x_BTD.device)
        last = _furthest(position_BT)
        if last >= self.config.length:
            raise ValueError(f"position {last} is past the length of {self.config.length}")
        dropping = self.training and trace is None

        def drop(x: Tensor) -> Tensor:
            return nn.functional.dropout(x, self.config.dropout, dropping)

        slots_N = torch.arange(self.config.length, device=x_BTD.device)
        mask_B1TN = (slots_N <= position_BT[..., None])[:, None]
        x_BTD = x_BTD + self.position(position_BT)
        ks, vs = [], []
        for layer, block in enumerate(self.layers):
            attention = block.self_attn
            projected = nn.functional.linear(
                x_BTD, attention.in_proj_weight, attention.in_proj_bias
            )
            q, k, v = (split_heads(p, self.config.num_heads) for p in projected.chunk(3, dim=-1))
            k_BANC = write_slots(state.k_BLANC[:, layer], k, position_BT)
            v_BANC = write_slots(state.v_BLANC[:, layer], v, position_BT)
            mixed = nn.functional.scaled_dot_product_attention(
                q,
                k_BANC.to(q.dtype),
                v_BANC.to(q.dtype),
                attn_mask=mask_B1TN,
                dropout_p=self.config.dropout if dropping else 0.0,
            )
            branch = attention.out_proj(mixed.transpose(1, 2).flatten(2))
            x_BTD = block.norm1(x_BTD + drop(branch))
            if between is not None:
                x_BTD = between(layer, x_BTD)
            inner = drop(block.linear1(x_BTD).relu())
            x_BTD = block.norm2(x_BTD + drop(block.linear2(inner)))
            ks.append(k_BANC)
            vs.append(v_BANC)
            if trace is not None:
                weights, _ = attention_reference(q, k_BANC, v_BANC, mask_B1TN[:, 0])
                trace[f"layer{layer}.attention"] = weights
                trace[f"layer{layer}.output"] = x_BTD
        after = TransformerClassicState(
            torch.stack(ks, dim=1), torch.stack(vs, dim=1), state.next_B + time
        )
        return x_BTD, after

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Attention weights and outputs of every layer.

        Weights are (B, A, T, length), outputs (B, T, D).
        """
        known = self.begun(state, len(x_BTD), TransformerClassicState)
        trace: dict[str, Tensor] = {}
        self.window(x_BTD, known, None, trace)
        return trace


def _furthest(position_BT: Tensor) -> int:
    return int(position_BT.max())
