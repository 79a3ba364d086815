"""A head over two numbers and a pen of three places, for the toy modality of values."""

from dataclasses import dataclass
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from rhapsode.heads import DensityHead


@dataclass(frozen=True)
class PenConfig:
    feature_size: Annotated[int, Meta(ge=1)]
    target_size: int = 3


class PenHead(DensityHead):
    """Two Gaussian numbers and a categorical pen: three parameters each."""

    Config = PenConfig

    def __init__(self, config: PenConfig) -> None:
        super().__init__(config.feature_size, 3, 3)

    def _link(self, raw: Tensor) -> Tensor:
        return raw

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        mean, log_width = parameters[..., :2, 0], parameters[..., :2, 1]
        moves = -0.5 * ((x[..., :2] - mean) / log_width.exp()).square() - log_width - 0.9189385
        pens = parameters[..., 2:, :].log_softmax(-1)
        return torch.cat((moves, pens.gather(-1, x[..., 2:, None].long())[..., 0]), -1)

    def _quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return self._draw(parameters, levels, 1.0)

    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        mean, width = parameters[..., :2, 0], parameters[..., :2, 1].exp()
        moves = mean + temperature * width * torch.special.ndtri(uniforms[..., :2])
        pens = (parameters[..., 2:, :] / max(temperature, 1e-6)).softmax(-1).cumsum(-1)
        pen = (uniforms[..., 2:, None] > pens[..., :2]).sum(-1)
        return torch.cat((moves, pen.double()), -1)

    def _mean(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0]

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        return parameters
