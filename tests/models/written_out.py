"""The equations of networks written out: slow and obvious, a position at a time and without dropout."""

import torch
from torch import Tensor
from torch.nn import functional

from rhapsode.models import State
from rhapsode.models.gru.network import GRU
from rhapsode.models.lstm.network import LSTM
from rhapsode.models.recurrent import Gates, Memory, Recurrent
from rhapsode.models.rnn.network import RNN


def remember(model: Recurrent, gates: Gates, memory: Memory) -> Memory:
    """The new memory of one layer and position."""
    if isinstance(model, LSTM):
        c_BH = gates["forget_gate"] * memory[1] + gates["input_gate"] * gates["cell_gate"]
        return gates["output_gate"] * c_BH.tanh(), c_BH
    if isinstance(model, GRU):
        update = gates["update_gate"]
        return ((1 - update) * gates["new_gate"] + update * memory[0],)
    assert isinstance(model, RNN)
    total = gates["input"] + gates["past"]
    return (total.tanh() if model.config.nonlinearity == "tanh" else total.relu(),)


def recurrent_reference(
    model: Recurrent, x_BTD: Tensor, state: State | None = None, reset_BT: Tensor | None = None
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """Outputs (B, T, H), the state behind them, and the gates under the names of `probe`."""
    begun = model.zero_state(len(x_BTD)) if state is None else state
    memory = begun.tensors().values()
    layers = [tuple(t[:, layer] for t in memory) for layer in range(model.config.num_layers)]
    names = ("hidden", "cell")[: len(memory)]
    outputs: list[Tensor] = []
    traces: dict[str, list[Tensor]] = {}
    for t in range(x_BTD.shape[1]):
        below = x_BTD[:, t]
        for layer in range(model.config.num_layers):
            own = layers[layer]
            if reset_BT is not None:
                own = tuple(tensor * ~reset_BT[:, t, None] for tensor in own)
            weight_ih, weight_hh, bias_ih, bias_hh = model.weights_of(layer)
            gates = model.gates_of(below @ weight_ih.T + bias_ih, own[0] @ weight_hh.T + bias_hh)
            own = remember(model, gates, own)
            layers[layer], below = own, own[0]
            for name, value in {**gates, **dict(zip(names, own, strict=True))}.items():
                traces.setdefault(f"layer{layer}.{name}", []).append(value)
        outputs.append(below)
    stacked = {name: torch.stack(values, dim=1) for name, values in traces.items()}
    after = type(begun)(*(torch.stack(parts, dim=1) for parts in zip(*layers, strict=True)))
    return torch.stack(outputs, dim=1), after, stacked


def convolution_reference(x_BHT: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """A causal dilated convolution over nothing before the first position."""
    outputs: list[Tensor] = []
    taps = weight.shape[2]
    for t in range(x_BHT.shape[2]):
        total = bias.expand(len(x_BHT), -1)
        for tap in range(taps):
            source = t - (taps - 1 - tap) * dilation
            if source >= 0:
                total = total + functional.linear(x_BHT[:, :, source], weight[:, :, tap])
        outputs.append(total)
    return torch.stack(outputs, dim=2)
