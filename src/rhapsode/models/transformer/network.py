"""A transformer decoder with rotary positions and attention over the last `window` positions.

Weights carry the names and shapes of the layers of the Llama architecture in `transformers`.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rhapsode.errors import SettingsError
from rhapsode.models.contract import SequenceModel, State, state_dataclass
from rhapsode.models.transformer.config import TransformerConfig


@state_dataclass
class TransformerState(State):
    """A ring buffer of keys and values, and where each row stands.

    The element read as number n of a row lies in slot n % window. `next_B` is the number of the next element,
    `start_B` that of the first element of the row's current document; both int64.
    """

    k_BLAWC: Tensor
    v_BLAWC: Tensor
    next_B: Tensor
    start_B: Tensor


class _Places(NamedTuple):
    """What all layers of one window share."""

    cos_BTC: Tensor
    sin_BTC: Tensor
    mask_BTS: Tensor | None
    keep_T: slice
    slots_BT: Tensor


class RMSNorm(nn.Module):
    """x / rms(x) * weight (Zhang and Sennrich 2019), in the precision of the weights."""

    def __init__(self, size: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return functional.rms_norm(
            x.to(self.weight.dtype), self.weight.shape, self.weight, self.epsilon
        )


class Attention(nn.Module):
    """Causal self-attention with rotary positions (Su et al. 2021) over cached and new keys."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        width = config.input_size
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def keys(self, x_BTD: Tensor, places: _Places) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys (both turned to their positions) and values, each (B, A, T, C)."""
        batch, time, _ = x_BTD.shape

        def heads(projected_BTD: Tensor) -> Tensor:
            return projected_BTD.view(batch, time, self.num_heads, -1).transpose(1, 2)

        q, k = heads(self.q_proj(x_BTD)), heads(self.k_proj(x_BTD))
        v = heads(self.v_proj(x_BTD))
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
        """Features to features."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to its input."""

    def __init__(self, config: TransformerConfig, inner: int) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = FeedForward(config.input_size, inner)
        self.input_layernorm = RMSNorm(config.input_size)
        self.post_attention_layernorm = RMSNorm(config.input_size)


class Transformer(SequenceModel):
    """Decoder of the Llama architecture (Touvron et al. 2023) whose positions look back `window` elements.

    Because only distances matter and the cache is a ring, sequences may be of any length.
    """

    Config = TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        if config.input_size % (2 * config.num_heads):
            raise SettingsError(
                f"a width of {config.input_size} does not divide into {config.num_heads} heads of even size",
                where="[network] num_heads",
            )
        self.config = config
        self.input_size = self.output_size = config.input_size
        inner = config.feedforward_size or 16 * math.ceil(config.input_size / 6)
        self.layers = nn.ModuleList(Block(config, inner) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.input_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal weights of deviation 0.02; branches that are added are scaled by the depth (GPT-2)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                branch = name.endswith(("o_proj.weight", "down_proj.weight"))
                scale = math.sqrt(2 * self.config.num_layers) if branch else 1.0
                nn.init.normal_(parameter, std=0.02 / scale)

    def _blocks(self) -> list[Block]:
        return cast("list[Block]", list(self.layers))

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
        batch, time, _ = x_BTD.shape
        known = self.begun(state, batch, TransformerState)
        start_BT = _starts(known, reset_BT, time)
        # Without a past, a reset, or a window to end, the plain causal kernel is the same and faster.
        plain = state is None and reset_BT is None and time <= self.config.window
        places = self._places(known, start_BT, plain)
        ks, vs = [], []
        for layer, block in enumerate(self._blocks()):
            attention = block.self_attn
            q, k, v = attention.keys(block.input_layernorm(x_BTD), places)
            old_k, old_v = known.k_BLAWC[:, layer], known.v_BLAWC[:, layer]
            if plain:
                mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                mixed = functional.scaled_dot_product_attention(
                    q,
                    torch.cat((old_k.to(k.dtype), k), dim=2),
                    torch.cat((old_v.to(v.dtype), v), dim=2),
                    attn_mask=None if places.mask_BTS is None else places.mask_BTS[:, None],
                )
            x_BTD = x_BTD + self._drop(attention.o_proj(mixed.transpose(1, 2).flatten(2)))
            x_BTD = x_BTD + self._drop(block.mlp(block.post_attention_layernorm(x_BTD)))
            ks.append(_write(old_k, k, places))
            vs.append(_write(old_v, v, places))
        after = TransformerState(
            torch.stack(ks, dim=1), torch.stack(vs, dim=1), known.next_B + time, start_BT[:, -1]
        )
        return self.norm(x_BTD), after

    def _places(self, state: TransformerState, start_BT: Tensor, plain: bool) -> _Places:
        """Angles, mask and slots of a window; `start_BT` is the number of each element's document start."""
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

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.config.dropout, self.training)

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Per layer the attention weights and the features behind the layer.

        Weights are (B, A, T, S), over the cache's slots and then the new positions; features (B, T, D).
        """
        batch, time, _ = x_BTD.shape
        known = self.begun(state, batch, TransformerState)
        places = self._places(known, _starts(known, None, time), plain=False)
        found: dict[str, Tensor] = {}
        for layer, block in enumerate(self._blocks()):
            attention = block.self_attn
            q, k, v = attention.keys(block.input_layernorm(x_BTD), places)
            weights, mixed = attention_reference(
                q,
                torch.cat((known.k_BLAWC[:, layer], k), dim=2),
                torch.cat((known.v_BLAWC[:, layer], v), dim=2),
                places.mask_BTS,
            )
            x_BTD = x_BTD + attention.o_proj(mixed.transpose(1, 2).flatten(2))
            x_BTD = x_BTD + block.mlp(block.post_attention_layernorm(x_BTD))
            found[f"layer{layer}.attention"] = weights
            found[f"layer{layer}.output"] = x_BTD
        return found


def attention_reference(
    q: Tensor, k: Tensor, v: Tensor, mask_BTS: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Softmax attention written out: weights (B, A, T, S) and mixed values (B, A, T, C)."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if mask_BTS is not None:
        scores = scores.masked_fill(~mask_BTS[:, None], -math.inf)
    weights = scores.softmax(dim=-1)
    return weights, weights @ v


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


def _starts(state: TransformerState, reset_BT: Tensor | None, time: int) -> Tensor:
    """The number of the element that each position's document starts with, (B, T)."""
    if reset_BT is None:
        return state.start_B[:, None].expand(-1, time)
    number_BT = state.next_B[:, None] + torch.arange(time, device=reset_BT.device)
    resets_BT = torch.where(reset_BT, number_BT, state.start_B[:, None])
    return torch.cummax(resets_BT, dim=1).values


def _write(cache: Tensor, new: Tensor, places: _Places) -> Tensor:
    """The ring buffer (B, A, W, C) with the new entries (B, A, T, C) in their slots."""
    new = new[:, :, places.keep_T].to(cache.dtype)
    index = places.slots_BT[:, None, :, None].expand_as(new)
    return cache.scatter(2, index, new)
