"""Dilated causal convolutions with an explicit buffer of past inputs."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rhapsode.models.contract import SegmentedModel, State, state_dataclass
from rhapsode.models.tcn.config import TCNConfig


@state_dataclass
class TCNState(State):
    """Last inputs of every convolution, concatenated.

    There are `(kernel_size - 1) * dilation` of each.
    """

    buffer_BWH: Tensor


class Block(nn.Module):
    """Two convolutions of one dilation, each with ReLU, added to the input."""

    def __init__(self, channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.reach = (kernel_size - 1) * dilation
        self.conv1 = nn.Conv1d(channels, channels, kernel_size, dilation=dilation)
        self.conv2 = nn.Conv1d(channels, channels, kernel_size, dilation=dilation)


class TCN(SegmentedModel):
    """Temporal convolutional network (Bai et al. 2018).

    The inputs are projected to the channels first. There is no weight norm.

    A position sees `1 + 2 (kernel_size - 1) (2**num_layers - 1)` inputs.
    """

    Config = TCNConfig
    Carried = TCNState

    def __init__(self, config: TCNConfig) -> None:
        super().__init__()
        self.config = config
        self.input_size = config.input_size
        self.output_size = config.hidden_size
        self.project = nn.Linear(config.input_size, config.hidden_size)
        blocks = nn.ModuleList(
            Block(config.hidden_size, config.kernel_size, 2**layer)
            for layer in range(config.num_layers)
        )
        self.blocks = cast("Sequence[Block]", blocks)
        for name, parameter in self.named_parameters():
            if "conv" in name and name.endswith("weight"):
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
                # Branches that are added start small, so that depth does not raise the variance.
                if "conv2" in name:
                    with torch.no_grad():
                        parameter.mul_(config.num_layers**-0.5)

    def zero_state(
        self,
        batch: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> TCNState:
        width = sum(2 * block.reach for block in self.blocks)
        size = (batch, width, self.config.hidden_size)
        return TCNState(self.project.weight.new_zeros(size, device=device, dtype=dtype))

    def window(
        self,
        x_BTD: Tensor,
        state: TCNState,
        drawn: list[Tensor] | None,
        trace: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, TCNState]:
        # Convolutions take channels before time.
        x = self.project(x_BTD).transpose(1, 2)
        buffer = state.buffer_BWH.transpose(1, 2)
        kept: list[Tensor] = []
        masks = iter(drawn or ())
        at = 0
        for layer, block in enumerate(self.blocks):
            branch = x
            for convolution in (block.conv1, block.conv2):
                past = buffer[:, :, at : at + block.reach].to(branch.dtype)
                at += block.reach
                seen = torch.cat((past, branch), dim=2)
                kept.append(seen[:, :, seen.shape[2] - block.reach :].to(buffer.dtype))
                branch = convolution(seen).relu()
                if drawn is not None:
                    branch = branch * next(masks)
            x = x + branch
            if trace is not None:
                trace[f"layer{layer}.branch"] = branch.transpose(1, 2)
                trace[f"layer{layer}.output"] = x.transpose(1, 2)
        return x.transpose(1, 2), TCNState(torch.cat(kept, dim=2).transpose(1, 2))

    def drawn(self, x_BTD: Tensor) -> list[Tensor] | None:
        """Scaled dropout masks (B, H, 1) of every convolution's channels.

        They are drawn once for a window.
        """
        if not self.training or self.config.dropout == 0.0:
            return None
        keep = 1 - self.config.dropout
        shape = (len(x_BTD), self.config.hidden_size, 1)
        return [
            torch.empty(shape, device=x_BTD.device).bernoulli_(keep).div_(keep).to(x_BTD.dtype)
            for _ in range(2 * self.config.num_layers)
        ]

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Branch and output of every layer, each (B, T, H)."""
        known = self.begun(state, len(x_BTD), TCNState)
        trace: dict[str, Tensor] = {}
        self.window(x_BTD, known, None, trace)
        return trace
