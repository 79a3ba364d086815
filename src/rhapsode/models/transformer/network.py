"""Transformer decoder with rotary positions and windowed attention.

A position attends to the last `window` positions. Weights have the names and shapes of the layers
of the Llama architecture in `transformers`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from rhapsode.errors import SettingsError
from rhapsode.models.contract import Between, SequenceModel, State, state_dataclass
from rhapsode.models.transformer.config import TransformerConfig


@state_dataclass
class TransformerState(State):
    """Ring buffer of keys and values, and the position of each row.

    The element read as number n of a row lies in slot n % window. `next_B` is the number of the
    next element, `start_B` that of the first element of the row's current document; both int64.
    """

    k_BLAWC: Tensor
    v_BLAWC: Tensor
    next_B: Tensor
    start_B: Tensor


class _Places(NamedTuple):
    cos_BTC: Tensor
    sin_BTC: Tensor
    mask_BTS: Tensor | None
    keep_T: slice
    slots_BT: Tensor


class RMSNorm(nn.Module):
    """RMS normalisation (Zhang and Sennrich 2019): x / rms(x) * weight.

    It is computed in the precision of the weights.
    """

    def __init__(self, size: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(
            x.to(self.weight.dtype), self.weight.shape, self.weight, self.epsilon
        )


class Attention(nn.Module):
    """Causal self-attention with rotary positions (Su et al. 2021).

    Queries attend to cached and new keys.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        width = config.input_size
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def keys(self, x_BTD: Tensor, places: _Places) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, A, T, C).

        Queries and keys are rotated by their positions.
        """
        projections = (self.q_proj(x_BTD), self.k_proj(x_BTD), self.v_proj(x_BTD))
        q, k, v = (split_heads(projected_BTD, self.num_heads) for projected_BTD in projections)
        cos, sin = places.cos_BTC[:, None], places.sin_BTC[:, None]
        return _rotate(q, cos, sin), _rotate(k, cos, sin), v


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(size, inner, bias=False)
        self.up_proj = nn.Linear(size, inner, bias=False)
        self.down_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(  # type: ignore[no-any-return]
            nn.functional.silu(self.gate_proj(x)) * self.up_proj(x)
        )


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to its input."""

    def __init__(self, config: TransformerConfig, inner: int) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = FeedForward(config.input_size, inner)
        self.input_layernorm = RMSNorm(config.input_size)
        self.post_attention_layernorm = RMSNorm(config.input_size)


class Transformer(SequenceModel):
    """Decoder of the Llama architecture (Touvron et al. 2023).

    A position attends to the last `window` elements. Because only distances matter and the cache is
    a ring, sequences may be of any length.
    """

    Config = TransformerConfig
    norm_first = True

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        if config.input_size % (2 * config.num_heads):
            raise SettingsError(
                f"a width of {config.input_size} does not divide into {config.num_heads} heads "
                "of even size",
                where="[network] num_heads",
            )
        self.config = config
        self.input_size = self.output_size = config.input_size
        inner = config.feedforward_size or 16 * math.ceil(config.input_size / 6)
        blocks = nn.ModuleList(Block(config, inner) for _ in range(config.num_layers))
        self.layers = cast("Sequence[Block]", blocks)
        self.norm = RMSNorm(config.input_size)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # Branches that are added are scaled by the depth (GPT-2).
                branch = name.endswith(("o_proj.weight", "down_proj.weight"))
                scale = math.sqrt(2 * config.num_layers) if branch else 1.0
                nn.init.normal_(parameter, std=0.02 / scale)

    def zero_state(
        self,
        batch: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> TransformerState:
        config = self.config
        width = config.input_size // config.num_heads
        size = (batch, config.num_layers, config.num_heads, config.window, width)
        cache = self.norm.weight.new_zeros(size, device=device, dtype=dtype)
        counter = torch.zeros(batch, dtype=torch.int64, device=cache.device)
        return TransformerState(cache, cache.clone(), counter, counter.clone())

    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, TransformerState]:
        return self.read(x_BTD, state, reset_BT)

    def read(
        self,
        x_BTD: Tensor,
        state: State | None,
        reset_BT: Tensor | None,
        *,
        between: Between | None = None,
    ) -> tuple[Tensor, TransformerState]:
        """Read a window as `forward` does, with a function inside each block.

        Arguments:
            x_BTD: features.
            state: after the previous elements.
            reset_BT: rows that are reset before a position.
            between: function of layer and features, after self-attention; None: nothing.
        """
        # Without a past, a reset or a full window, the plain causal kernel is equal and faster.
        plain = state is None and reset_BT is None and x_BTD.shape[1] <= self.config.window
        return self._read(x_BTD, state, reset_BT, plain=plain, between=between)

    def _read(
        self,
        x_BTD: Tensor,
        state: State | None,
        reset_BT: Tensor | None,
        *,
        plain: bool,
        trace: dict[str, Tensor] | None = None,
        between: Between | None = None,
    ) -> tuple[Tensor, TransformerState]:
        time = x_BTD.shape[1]
        known = self.begun(state, len(x_BTD), TransformerState)
        start_BT = _starts(known, reset_BT, time)
        places = self._places(known, start_BT, plain)
        dropping = self.training and trace is None
        ks, vs = [], []
        for layer, block in enumerate(self.layers):
            q, k, v = block.self_attn.keys(block.input_layernorm(x_BTD), places)
            old_k, old_v = known.k_BLAWC[:, layer], known.v_BLAWC[:, layer]
            if places.mask_BTS is None:
                mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                all_k = torch.cat((old_k.to(k.dtype), k), dim=2)
                all_v = torch.cat((old_v.to(v.dtype), v), dim=2)
                mask = places.mask_BTS[:, None]
                mixed = nn.functional.scaled_dot_product_attention(q, all_k, all_v, attn_mask=mask)
                if trace is not None:
                    weights, _ = attention_reference(q, all_k, all_v, places.mask_BTS)
                    trace[f"layer{layer}.attention"] = weights
            branch = block.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
            x_BTD = x_BTD + nn.functional.dropout(branch, self.config.dropout, dropping)
            if between is not None:
                x_BTD = between(layer, x_BTD)
            branch = block.mlp(block.post_attention_layernorm(x_BTD))
            x_BTD = x_BTD + nn.functional.dropout(branch, self.config.dropout, dropping)
            if trace is not None:
                trace[f"layer{layer}.output"] = x_BTD
            ks.append(write_slots(old_k, k[:, :, places.keep_T], places.slots_BT))
            vs.append(write_slots(old_v, v[:, :, places.keep_T], places.slots_BT))
        after = TransformerState(
            torch.stack(ks, dim=1), torch.stack(vs, dim=1), known.next_B + time, start_BT[:, -1]
        )
        return self.norm(x_BTD), after

    def _places(self, state: TransformerState, start_BT: Tensor, plain: bool) -> _Places:
        """Angles, mask and slots of a window.

        `start_BT` is the number of the first element of each position's document.
        """
        window = self.config.window
        device = start_BT.device
        time = start_BT.shape[1]
        number_BT = state.next_B[:, None] + torch.arange(time, device=device)
        width = self.config.input_size // self.config.num_heads
        exponents_C = torch.arange(0, width, 2, device=device, dtype=torch.float64) / width
        # In float64: a float32 angle is off by a tenth of a turn after a million elements.
        angles_BTC = (number_BT - start_BT).double()[
            ..., None
        ] * self.config.rope_base**-exponents_C
        angles_BTC = torch.cat((angles_BTC, angles_BTC), dim=-1)
        mask_BTS = None
        if not plain:
            slots_W = torch.arange(window, device=device)
            last_B1 = state.next_B[:, None] - 1
            cached_BW = last_B1 - (last_B1 - slots_W) % window  # the number that lies in each slot
            key_BS = torch.cat((cached_BW, number_BT), dim=1)
            query = number_BT[..., None]
            mask_BTS = (
                (key_BS[:, None] <= query)
                & (key_BS[:, None] > query - window)
                & (key_BS[:, None] >= start_BT[..., None])
            )
        keep_T = slice(max(0, time - window), time)
        dtype = self.norm.weight.dtype
        return _Places(
            angles_BTC.cos().to(dtype),
            angles_BTC.sin().to(dtype),
            mask_BTS,
            keep_T,
            number_BT[:, keep_T] % window,
        )

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Attention weights and output features of every layer.

        Weights are (B, A, T, S), over the cache's slots and then the new positions; features (B, T,
        D).
        """
        trace: dict[str, Tensor] = {}
        self._read(x_BTD, state, None, plain=False, trace=trace)
        return trace


def split_heads(x_BTD: Tensor, heads: int) -> Tensor:
    """Split features into A heads, (B, A, T, C)."""
    return x_BTD.view(*x_BTD.shape[:2], heads, -1).transpose(1, 2)


def attention_reference(
    q: Tensor, k: Tensor, v: Tensor, mask_BTS: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Softmax attention in plain tensor operations.

    Returns the weights (B, A, T, S) and the mixed values (B, A, T, C).
    """
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if mask_BTS is not None:
        scores = scores.masked_fill(~mask_BTS[:, None], -math.inf)
    weights = scores.softmax(dim=-1)
    return weights, weights @ v


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


def _starts(state: TransformerState, reset_BT: Tensor | None, time: int) -> Tensor:
    """Number of the first element of each position's document, (B, T)."""
    if reset_BT is None:
        return state.start_B[:, None].expand(-1, time)
    number_BT = state.next_B[:, None] + torch.arange(time, device=reset_BT.device)
    resets_BT = torch.where(reset_BT, number_BT, state.start_B[:, None])
    return torch.cummax(resets_BT, dim=1).values


def write_slots(cache: Tensor, new: Tensor, slots_BT: Tensor) -> Tensor:
    """Write new entries (B, A, T, C) into slots of a cache.

    The cache is (B, A, N, C). A new one is returned.
    """
    index = slots_BT[:, None, :, None].expand_as(new)
    return cache.scatter(2, index, new.to(cache.dtype))
