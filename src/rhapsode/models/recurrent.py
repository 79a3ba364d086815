"""What recurrent families share: layers over torch's fused kernels, resets, locked dropout, one-position steps.

A family says how its gates are stacked, which kernel and which cell compute it, and what its state is.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from rhapsode.models.contract import SequenceModel, State
from rhapsode.models.recurrent_config import RecurrentConfig


def open_memory(keep: Tensor, write: Tensor | None, positions: int) -> None:
    """Biases of gates in place, so that units forget over times spread evenly in log up to `positions`.

    A unit whose gate keeps the share f forgets over 1 / (1 - f) positions; f = sigmoid(log(t - 1)) makes that t, for t
    drawn from 2 to `positions` (Tallec and Ollivier 2018, "Can recurrent neural networks warp time?", section 3).

    Arguments:
        keep: biases of the gates that keep, one a unit.
        write: biases of the gates that write, which become the opposite, or None.
        positions: 2 or more.
    """
    keep.uniform_(1.0, max(1.0 + 1e-6, positions - 1.0)).log_()
    if write is not None:
        write.copy_(-keep)


class Recurrent(SequenceModel):
    """Stacked layers of one cell. Parameters have the names, shapes and gate order of torch.nn's module."""

    Config = RecurrentConfig
    gates: ClassVar[int]
    """Gates stacked in the rows of a layer's weights."""
    Carried: ClassVar[type[State]]
    """Its tensors are (B, L, H), the hidden values first."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        self.input_size = config.input_size
        self.output_size = config.hidden_size
        rows = self.gates * config.hidden_size
        for layer in range(config.num_layers):
            width = config.input_size if layer == 0 else config.hidden_size
            for name, shape in (
                ("weight_ih", (rows, width)),
                ("weight_hh", (rows, config.hidden_size)),
                ("bias_ih", (rows,)),
                ("bias_hh", (rows,)),
            ):
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform weights, as in torch.nn."""
        bound = 1 / math.sqrt(self.config.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    @abstractmethod
    def kernel(
        self, x_BTD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer over a window by the fused kernel; `memory` tensors are (1, B, H)."""

    @abstractmethod
    def cell(
        self, x_BD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """One layer over one position; `memory` tensors are (B, H), the hidden values first."""

    @abstractmethod
    def probe_layer(
        self, x_BTD: Tensor, y_BTH: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> dict[str, Tensor]:
        """The gates of one layer, for all positions at once, from its inputs and the kernel's outputs."""

    @abstractmethod
    def reference_cell(
        self, x_BD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """The equations of one layer and position written out: new memory, and the gates as `probe_layer` names them."""

    def weights_of(self, layer: int) -> list[Tensor]:
        """Input weights, hidden weights and their biases of a layer."""
        return [
            self.get_parameter(f"{name}_l{layer}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]

    def read_with(self) -> list[list[Tensor]]:
        """The weights of all layers that one call of `forward` or `step` uses throughout."""
        return [self.weights_of(layer) for layer in range(self.config.num_layers)]

    def zero_state(
        self,
        batch: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        size = (batch, self.config.num_layers, self.config.hidden_size)
        zeros = self.get_parameter("weight_ih_l0").new_zeros(size, device=device, dtype=dtype)
        fields = self.Carried.__dataclass_fields__  # type: ignore[attr-defined]
        return self.Carried(*(zeros.clone() for _ in fields))

    def _memory(self, state: State | None, batch: int) -> tuple[Tensor, ...]:
        return tuple(self.begun(state, batch, self.Carried).tensors().values())

    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, State]:
        memory = self._memory(state, len(x_BTD))
        masks, weights = self._masks(x_BTD), self.read_with()
        if reset_BT is None:
            y_BTH, memory = self._window(x_BTD, memory, masks, weights)
            return y_BTH, self.Carried(*memory)
        outputs: list[Tensor] = []
        for start, end in segments(reset_BT):
            keep_B11 = ~reset_BT[:, start, None, None]
            kept = tuple(tensor * keep_B11 for tensor in memory)
            y_BTH, memory = self._window(x_BTD[:, start:end], kept, masks, weights)
            outputs.append(y_BTH)
        whole = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
        return whole, self.Carried(*memory)

    def _window(
        self,
        x_BTD: Tensor,
        memory: tuple[Tensor, ...],
        masks: list[Tensor] | None,
        weights: list[list[Tensor]],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        after: list[tuple[Tensor, ...]] = []
        for layer in range(self.config.num_layers):
            before = tuple(tensor[:, layer].unsqueeze(0).contiguous() for tensor in memory)
            x_BTD, kept = self.kernel(x_BTD, before, weights[layer])
            if masks is not None:
                x_BTD = x_BTD * masks[layer].to(x_BTD.dtype)
            after.append(tuple(tensor[0] for tensor in kept))
        return x_BTD, tuple(torch.stack(layers, dim=1) for layers in zip(*after, strict=True))

    def _masks(self, x_BTD: Tensor) -> list[Tensor] | None:
        """What dropout keeps of every layer's outputs, scaled, (B, 1, H): one draw for a whole window."""
        if not self.training or self.config.dropout == 0.0:
            return None
        keep = 1 - self.config.dropout
        shape = (len(x_BTD), 1, self.config.hidden_size)
        return [
            torch.empty(shape, device=x_BTD.device).bernoulli_(keep).div_(keep)
            for _ in range(self.config.num_layers)
        ]

    def step(
        self, x_BD: Tensor, state: State, *, reset_B: Tensor | None = None
    ) -> tuple[Tensor, State]:
        # The fused kernels lay their weights out anew at every call, ruinous for one position: cells are 1.5-3 x faster.
        memory = self._memory(state, len(x_BD))
        if reset_B is not None:
            memory = tuple(tensor * ~reset_B[:, None, None] for tensor in memory)
        after: list[tuple[Tensor, ...]] = []
        masks, weights = self._masks(x_BD[:, None]), self.read_with()
        for layer in range(self.config.num_layers):
            kept = self.cell(x_BD, tuple(t[:, layer] for t in memory), weights[layer])
            after.append(kept)
            x_BD = kept[0] if masks is None else kept[0] * masks[layer][:, 0]
        joined = (torch.stack(layers, dim=1) for layers in zip(*after, strict=True))
        return x_BD, self.Carried(*joined)

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Per layer its gates and its hidden values, each (B, T, H).

        The gates are computed for all positions at once, from the inputs and the fused kernel's own hidden values.
        """
        memory = self._memory(state, len(x_BTD))
        found: dict[str, Tensor] = {}
        for layer in range(self.config.num_layers):
            weights = self.weights_of(layer)
            own = tuple(tensor[:, layer] for tensor in memory)
            y_BTH, _ = self.kernel(x_BTD, tuple(t.unsqueeze(0).contiguous() for t in own), weights)
            gates = self.probe_layer(x_BTD, y_BTH, own, weights)
            found |= {f"layer{layer}.{name}": value for name, value in gates.items()}
            found[f"layer{layer}.hidden"] = y_BTH
            x_BTD = y_BTH
        return found

    def reference(
        self, x_BTD: Tensor, state: State | None = None, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """The slow reference of `forward` and `probe`, a position at a time and without dropout.

        Returns:
            Outputs (B, T, H), the state behind them, and the gates under the names of `probe`.
        """
        memory = self._memory(state, len(x_BTD))
        layers = [tuple(t[:, layer] for t in memory) for layer in range(self.config.num_layers)]
        outputs: list[Tensor] = []
        trace: dict[str, list[Tensor]] = {}
        for t in range(x_BTD.shape[1]):
            below = x_BTD[:, t]
            for layer in range(self.config.num_layers):
                own = layers[layer]
                if reset_BT is not None:
                    own = tuple(tensor * ~reset_BT[:, t, None] for tensor in own)
                own, gates = self.reference_cell(below, own, self.weights_of(layer))
                layers[layer], below = own, own[0]
                for name, value in {**gates, "hidden": below}.items():
                    trace.setdefault(f"layer{layer}.{name}", []).append(value)
            outputs.append(below)
        after = self.Carried(*(torch.stack(parts, dim=1) for parts in zip(*layers, strict=True)))
        stacked = {name: torch.stack(values, dim=1) for name, values in trace.items()}
        return torch.stack(outputs, dim=1), after, stacked


def segments(reset_BT: Tensor) -> Iterator[tuple[int, int]]:
    """The stretches of a window in which no row is reset but at the first position."""
    time = reset_BT.shape[1]
    inside_T = reset_BT.any(dim=0)
    starts = [0, *(torch.nonzero(inside_T[1:]).flatten() + 1).tolist(), time]
    yield from pairwise(starts)


def shifted(y_BTH: Tensor, before_BH: Tensor) -> Tensor:
    """The hidden values that each position of a layer saw: those one position earlier."""
    return torch.cat((before_BH[:, None], y_BTH[:, :-1]), dim=1)
