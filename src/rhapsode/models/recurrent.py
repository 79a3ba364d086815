"""Recurrent layers over torch's fused kernels.

The recurrent families share resets, locked dropout and steps of one position. A family defines how
its gates are stacked, which kernel and which cell compute it, its equations, and its state.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from rhapsode.models.contract import SegmentedModel, State, state_dataclass
from rhapsode.models.recurrent_config import GatedConfig, RecurrentConfig

Memory = tuple[Tensor, ...]
"""Values that a layer carries, the hidden ones first."""
Gates = dict[str, Tensor]
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@state_dataclass
class HiddenState(State):
    """Hidden values of every layer."""

    h_BLH: Tensor


class Recurrent(SegmentedModel):
    """Stacked layers of one cell.

    Parameters have the names, shapes and gate order of torch.nn's module.
    """

    Config = RecurrentConfig
    config: RecurrentConfig
    gates: ClassVar[int]
    """Gates stacked in the rows of a layer's weights."""
    fused: Callable[..., Any]
    """Torch's fused kernel of a layer."""
    Carried: ClassVar[type[State]]
    """Its tensors are (B, L, H), the hidden values first."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.input_size = config.input_size
        self.output_size = config.hidden_size
        rows = self.gates * config.hidden_size
        for layer in range(config.num_layers):
            width = config.input_size if layer == 0 else config.hidden_size
            shapes = ((rows, width), (rows, config.hidden_size), (rows,), (rows,))
            for name, shape in zip(NAMES, shapes, strict=True):
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(torch.empty(shape)))
        bound = 1 / math.sqrt(config.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def kernel(self, x_BTD: Tensor, memory: Memory, weights: list[Tensor]) -> tuple[Tensor, Memory]:
        """One layer over a window by the fused kernel.

        Tensors of `memory` are (1, B, H).
        """
        carried = memory if len(memory) > 1 else memory[0]
        # Autocast would run cuDNN's layers in float16, whose gradients would have to be scaled.
        exact = torch.autocast(x_BTD.device.type, enabled=False) if x_BTD.is_cuda else nullcontext()
        with exact:
            x_BTD = x_BTD.float() if x_BTD.is_cuda else x_BTD
            y_BTH, *after = self.fused(
                x_BTD, carried, weights, True, 1, 0.0, self.training, False, True
            )
        return y_BTH, tuple(after)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.pack()
        return self

    @torch.no_grad()
    def pack(self) -> None:
        """Lay the weights of each layer end to end for cuDNN.

        Otherwise it copies them together at every call. Every way to another device calls this.
        """
        cudnn: Any = torch.backends.cudnn
        for layer in range(self.config.num_layers):
            weights = self.weights_of(layer)
            if cudnn.is_acceptable(weights[0]):
                width, size = weights[0].shape[1], self.config.hidden_size
                mode = cudnn.rnn.get_cudnn_mode(self.fused.__name__.upper())
                torch._cudnn_rnn_flatten_weight(
                    weights, len(weights), width, mode, size, 0, 1, True, False
                )

    @abstractmethod
    def cell(self, x_BD: Tensor, memory: Memory, weights: list[Tensor]) -> Memory:
        """One layer over one position; `memory` tensors are (B, H)."""

    @abstractmethod
    def gates_of(self, new: Tensor, past: Tensor) -> Gates:
        """Gates by name.

        `new` are the products with the inputs, `past` those with the previous hidden values.
        """

    def weights_of(self, layer: int) -> list[Tensor]:
        """Input weights, hidden weights and their biases of a layer."""
        return [self.get_parameter(f"{name}_l{layer}") for name in NAMES]

    def read_with(self) -> list[list[Tensor]]:
        """Weights of all layers for one call of `forward` or `step`."""
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

    def _memory(self, state: State | None, batch: int) -> Memory:
        return tuple(self.begun(state, batch, self.Carried).tensors().values())

    def drawn(self, x_BTD: Tensor) -> tuple[list[Tensor] | None, list[list[Tensor]]]:
        """Dropout masks and weights of one call."""
        return self._masks(x_BTD), self.read_with()

    def window(self, x_BTD: Tensor, state: State, drawn: Any) -> tuple[Tensor, State]:
        masks, weights = drawn
        memory = state.tensors().values()
        after: list[Memory] = []
        for layer in range(self.config.num_layers):
            before = tuple(tensor[:, layer].unsqueeze(0).contiguous() for tensor in memory)
            x_BTD, kept = self.kernel(x_BTD, before, weights[layer])
            if masks is not None:
                x_BTD = x_BTD * masks[layer].to(x_BTD.dtype)
            after.append(tuple(tensor[0] for tensor in kept))
        return x_BTD, self._stacked(after)

    def _stacked(self, layers: list[Memory]) -> State:
        return self.Carried(*(torch.stack(parts, dim=1) for parts in zip(*layers, strict=True)))

    def _masks(self, x_BTD: Tensor) -> list[Tensor] | None:
        """Scaled dropout masks (B, 1, H) of every layer's outputs.

        They are drawn once for a window.
        """
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
        # The fused kernels rearrange their weights at every call, which is slow for one position:
        # cells are 1.5-3 x faster.
        memory = self._memory(state, len(x_BD))
        if reset_B is not None:
            memory = tuple(tensor * ~reset_B[:, None, None] for tensor in memory)
        after: list[Memory] = []
        masks, weights = self.drawn(x_BD[:, None])
        for layer in range(self.config.num_layers):
            kept = self.cell(x_BD, tuple(t[:, layer] for t in memory), weights[layer])
            after.append(kept)
            x_BD = kept[0] if masks is None else kept[0] * masks[layer][:, 0]
        return x_BD, self._stacked(after)

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Per layer its gates and its hidden values, each (B, T, H).

        The gates are computed for all positions at once, from the inputs and the fused kernel's own
        hidden values.
        """
        memory = self._memory(state, len(x_BTD))
        traces: dict[str, Tensor] = {}
        for layer in range(self.config.num_layers):
            weights = self.weights_of(layer)
            own = tuple(tensor[:, layer] for tensor in memory)
            y_BTH, _ = self.kernel(x_BTD, tuple(t.unsqueeze(0).contiguous() for t in own), weights)
            # The hidden values that each position saw are those one position earlier.
            seen_BTH = torch.cat((own[0][:, None], y_BTH[:, :-1]), dim=1)
            gates = self.gates_of(
                nn.functional.linear(x_BTD, weights[0], weights[2]),
                nn.functional.linear(seen_BTH, weights[1], weights[3]),
            )
            named = {**gates, **self.inner_values(gates, own), "hidden": y_BTH}
            traces |= {f"layer{layer}.{name}": values for name, values in named.items()}
            x_BTD = y_BTH
        return traces

    def inner_values(self, gates: Gates, memory: Memory) -> dict[str, Tensor]:
        """Values (B, T, H) of the memory tensors besides the hidden ones."""
        return {}


class Gated(Recurrent):
    """Recurrent layers with a gate that keeps memory.

    With `chrono` gates start by keeping, and not writing. Units forget over times spread evenly in
    log up to `chrono`. A unit whose gate keeps the fraction f forgets over 1 / (1 - f) positions; f
    = sigmoid(log(t - 1)) makes that t, for t drawn from 2 to `chrono` (Tallec and Ollivier 2018,
    "Can recurrent neural networks warp time?", section 3).
    """

    Config = GatedConfig
    config: GatedConfig
    keeps: ClassVar[int]
    """Index of the gate that keeps, among the stacked ones."""
    writes: ClassVar[int | None] = None
    """Index of the gate that writes; None without one of its own."""

    # Opening all units alike (a bias of 1), or all by `chrono`, learns prose more slowly: hence
    # `chrono_share`.
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        size, some, longest = config.hidden_size, config.remembering, config.chrono
        for layer in range(config.num_layers if some else 0):
            bias_ih, bias_hh = (weights.detach() for weights in self.weights_of(layer)[2:])
            keep = slice(self.keeps * size, self.keeps * size + some)
            bias_hh[keep] = 0.0
            bias_ih[keep].uniform_(1.0, max(1.0 + 1e-6, longest - 1.0)).log_()
            if self.writes is not None:
                write = slice(self.writes * size, self.writes * size + some)
                bias_hh[write] = 0.0
                bias_ih[write] = -bias_ih[keep]
