"""Long short-term memory. Parameters are those of `torch.nn.LSTM`: names, shapes, gate order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from rhapsode.models.contract import MODELS, SequenceModel, State, state_dataclass

__all__ = ["LSTM", "LSTMConfig", "LSTMState", "lstm_reference"]


@dataclass(frozen=True)
class LSTMConfig:
    """Settings of `lstm.v1`."""

    input_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    """Features coming in."""
    hidden_size: Annotated[int, Meta(ge=1, le=1 << 16)] = 512
    """Units of each layer."""
    num_layers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Layers, each reading the one below."""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Share of every layer's outputs dropped in training, the same ones over a window (locked dropout)."""


@state_dataclass
class LSTMState(State):
    """Hidden and cell values of every layer, float32."""

    h_BLH: Tensor
    c_BLH: Tensor


@MODELS.register("lstm.v1")
class LSTM(SequenceModel):
    """LSTM (Hochreiter and Schmidhuber 1997; forget gates as in Gers et al. 2000).

    Gates are stacked input, forget, cell, output. `load_state_dict` takes that of a `torch.nn.LSTM`.
    """

    Config = LSTMConfig

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__()
        self.config = config
        self.input_size = config.input_size
        self.output_size = config.hidden_size
        hidden = config.hidden_size
        for layer in range(config.num_layers):
            width = config.input_size if layer == 0 else hidden
            for name, shape in (
                ("weight_ih", (4 * hidden, width)),
                ("weight_hh", (4 * hidden, hidden)),
                ("bias_ih", (4 * hidden,)),
                ("bias_hh", (4 * hidden,)),
            ):
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform weights, as in torch.nn."""
        # Forget gates that start open (a bias of 1) were tried: slower to learn, by 0.05 nats after half a minute.
        bound = 1 / math.sqrt(self.config.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def _weights(self, layer: int) -> list[Tensor]:
        return [
            self.get_parameter(f"{name}_l{layer}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]

    def init_state(
        self,
        batch: int,
        *,
        condition: Tensor | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> LSTMState:
        shape = (batch, self.config.num_layers, self.config.hidden_size)
        like = self.get_parameter("weight_ih_l0")
        zeros = torch.zeros(
            shape,
            device=device if device is not None else like.device,
            dtype=dtype if dtype is not None else like.dtype,
        )
        return LSTMState(zeros, zeros.clone())

    def _check(self, state: State | None, batch: int) -> LSTMState:
        if state is None:
            return self.init_state(batch)
        if not isinstance(state, LSTMState):
            raise TypeError(f"an LSTM's state is an LSTMState, not a {type(state).__name__}")
        return state

    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, LSTMState]:
        batch = len(x_BTD)
        known = self._check(state, batch)
        if reset_BT is None:
            return self._window(x_BTD, known)
        outputs: list[Tensor] = []
        for start, end in segments(reset_BT):
            keep_B = ~reset_BT[:, start]
            known = known._map(lambda tensor, keep_B=keep_B: tensor * keep_B[:, None, None])  # type: ignore[misc]
            y_BTH, known = self._window(x_BTD[:, start:end], known)
            outputs.append(y_BTH)
        return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)), known

    def _window(self, x_BTD: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        hs, cs = [], []
        for layer in range(self.config.num_layers):
            h_1BH = state.h_BLH[:, layer].unsqueeze(0).contiguous()
            c_1BH = state.c_BLH[:, layer].unsqueeze(0).contiguous()
            x_BTD, h_1BH, c_1BH = torch.lstm(
                x_BTD,
                (h_1BH, c_1BH),
                self._weights(layer),
                True,
                1,
                0.0,
                self.training,
                False,
                True,
            )
            x_BTD = self._drop(x_BTD)
            hs.append(h_1BH[0])
            cs.append(c_1BH[0])
        return x_BTD, LSTMState(torch.stack(hs, dim=1), torch.stack(cs, dim=1))

    def _drop(self, y_BTH: Tensor) -> Tensor:
        if not self.training or self.config.dropout == 0.0:
            return y_BTH
        mask_B1H = torch.empty_like(y_BTH[:, :1]).bernoulli_(1 - self.config.dropout)
        return y_BTH * mask_B1H.div_(1 - self.config.dropout)

    def step(
        self, x_BD: Tensor, state: State, *, reset_B: Tensor | None = None
    ) -> tuple[Tensor, LSTMState]:
        # torch.lstm lays its weights out anew at every call, ruinous for one position: the cell is 1.5-3 x faster.
        known = self._check(state, len(x_BD))
        if reset_B is not None:
            known = known._map(lambda tensor: tensor * ~reset_B[:, None, None])
        hs, cs = [], []
        for layer in range(self.config.num_layers):
            h_BH, c_BH = torch.lstm_cell(
                x_BD, (known.h_BLH[:, layer], known.c_BLH[:, layer]), *self._weights(layer)
            )
            hs.append(h_BH)
            cs.append(c_BH)
            x_BD = self._drop(h_BH[:, None])[:, 0]
        return x_BD, LSTMState(torch.stack(hs, dim=1), torch.stack(cs, dim=1))

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Per layer: input, forget, cell and output gate, cell and hidden values, each (B, T, H).

        The gates are computed for all positions at once, from the inputs and the fused kernel's own hidden states.
        """
        known = self._check(state, len(x_BTD))
        found: dict[str, Tensor] = {}
        for layer in range(self.config.num_layers):
            h0_BH, c_BH = known.h_BLH[:, layer], known.c_BLH[:, layer]
            weight_ih, weight_hh, bias_ih, bias_hh = self._weights(layer)
            y_BTH, _, _ = torch.lstm(
                x_BTD,
                (h0_BH.unsqueeze(0).contiguous(), c_BH.unsqueeze(0).contiguous()),
                self._weights(layer), True, 1, 0.0, False, False, True,
            )  # fmt: skip
            before_BTH = torch.cat((h0_BH[:, None], y_BTH[:, :-1]), dim=1)
            gates_BTG = functional.linear(x_BTD, weight_ih, bias_ih)
            gates_BTG = gates_BTG + functional.linear(before_BTH, weight_hh, bias_hh)
            raw_i, raw_f, raw_g, raw_o = gates_BTG.chunk(4, dim=-1)
            i_BTH, f_BTH, g_BTH = raw_i.sigmoid(), raw_f.sigmoid(), raw_g.tanh()
            cells: list[Tensor] = []
            for t in range(x_BTD.shape[1]):
                c_BH = f_BTH[:, t] * c_BH + i_BTH[:, t] * g_BTH[:, t]
                cells.append(c_BH)
            found |= {
                f"layer{layer}.input_gate": i_BTH,
                f"layer{layer}.forget_gate": f_BTH,
                f"layer{layer}.cell_gate": g_BTH,
                f"layer{layer}.output_gate": raw_o.sigmoid(),
                f"layer{layer}.cell": torch.stack(cells, dim=1),
                f"layer{layer}.hidden": y_BTH,
            }
            x_BTD = y_BTH
        return found


def segments(reset_BT: Tensor) -> Iterator[tuple[int, int]]:
    """The stretches of a window in which no row is reset but at the first position."""
    time = reset_BT.shape[1]
    inside = reset_BT.any(dim=0)
    starts = [0, *(torch.nonzero(inside[1:]).flatten() + 1).tolist(), time]
    yield from pairwise(starts)


def lstm_reference(
    model: LSTM, x_BTD: Tensor, state: LSTMState, reset_BT: Tensor | None = None
) -> tuple[Tensor, LSTMState, dict[str, Tensor]]:
    """The equations written out, a position at a time: the slow reference of `LSTM`, without dropout.

    Returns:
        Outputs (B, T, H), the state behind them, and the gates under the names of `LSTM.probe`.
    """
    h = list(state.h_BLH.unbind(1))
    c = list(state.c_BLH.unbind(1))
    outputs: list[Tensor] = []
    trace: dict[str, list[Tensor]] = {}
    for t in range(x_BTD.shape[1]):
        below = x_BTD[:, t]
        for layer in range(model.config.num_layers):
            weight_ih, weight_hh, bias_ih, bias_hh = model._weights(layer)
            if reset_BT is not None:
                keep_B1 = ~reset_BT[:, t, None]
                h[layer], c[layer] = h[layer] * keep_B1, c[layer] * keep_B1
            gates = below @ weight_ih.T + bias_ih + h[layer] @ weight_hh.T + bias_hh
            raw_i, raw_f, raw_g, raw_o = gates.chunk(4, dim=-1)
            i, f, g, o = raw_i.sigmoid(), raw_f.sigmoid(), raw_g.tanh(), raw_o.sigmoid()
            c[layer] = f * c[layer] + i * g
            h[layer] = o * c[layer].tanh()
            below = h[layer]
            for name, value in (
                ("input_gate", i), ("forget_gate", f), ("cell_gate", g), ("output_gate", o),
                ("cell", c[layer]), ("hidden", h[layer]),
            ):  # fmt: skip
                trace.setdefault(f"layer{layer}.{name}", []).append(value)
        outputs.append(below)
    stacked = {name: torch.stack(values, dim=1) for name, values in trace.items()}
    return torch.stack(outputs, 1), LSTMState(torch.stack(h, 1), torch.stack(c, 1)), stacked
