"""Input modules: what is read, to features."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from msgspec import Meta
from torch import Tensor, nn

from rhapsode.config import Registry

Vocabulary = Annotated[int, Meta(ge=1, le=1 << 31)]
Width = Annotated[int, Meta(ge=1, le=1 << 20)]


class InputModule(nn.Module, ABC):
    """Ids (B, T) or values (B, T, K) to features (B, T, output_size)."""

    Config: ClassVar[type[Any]]
    output_size: int

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Features of the inputs."""


INPUTS: Registry[type[InputModule]] = Registry("input module")


@dataclass(frozen=True)
class TableConfig:
    """Settings of `table.v1`."""

    vocab_size: Vocabulary
    """Elements, V."""
    embedding_size: Width = 64
    """Features per element."""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Share of features dropped in training, the same ones over a window."""
    init_std: Annotated[float, Meta(ge=0.0, le=10.0)] = 1.0
    """Deviation of the normal weights that training starts from."""


@INPUTS.register("table.v1")
class Table(InputModule):
    """A learnt vector per element."""

    Config = TableConfig

    def __init__(self, config: TableConfig) -> None:
        super().__init__()
        self.config = config
        self.output_size = config.embedding_size
        self.weight = nn.Parameter(torch.empty(config.vocab_size, config.embedding_size))
        # On the meta device torch would import its compiler, two seconds, to draw nothing.
        if not self.weight.is_meta:
            nn.init.normal_(self.weight, std=config.init_std)

    def forward(self, inputs: Tensor) -> Tensor:
        x_BTD = nn.functional.embedding(inputs, self.weight)
        if self.training and self.config.dropout:
            keep = 1 - self.config.dropout
            x_BTD = x_BTD * torch.empty_like(x_BTD[:, :1]).bernoulli_(keep).div_(keep)
        return x_BTD


@dataclass(frozen=True)
class OneHotConfig:
    """Settings of `onehot.v1`."""

    vocab_size: Vocabulary
    """Elements, V, and features."""


@INPUTS.register("onehot.v1")
class OneHot(InputModule):
    """The unit vector of each element."""

    Config = OneHotConfig

    def __init__(self, config: OneHotConfig) -> None:
        super().__init__()
        self.output_size = config.vocab_size
        self.like: Tensor
        self.register_buffer("like", torch.zeros(0), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.one_hot(inputs, self.output_size).to(self.like.dtype)


@dataclass(frozen=True)
class LinearConfig:
    """Settings of `linear.v1`."""

    value_size: Width
    """Values per observation, K."""
    embedding_size: Width = 64
    """Features per observation."""


@INPUTS.register("linear.v1")
class Linear(InputModule):
    """An affine map of real values."""

    Config = LinearConfig

    def __init__(self, config: LinearConfig) -> None:
        super().__init__()
        self.output_size = config.embedding_size
        self.weight = nn.Parameter(torch.empty(config.embedding_size, config.value_size))
        self.bias = nn.Parameter(torch.zeros(config.embedding_size))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.linear(inputs, self.weight, self.bias)


@dataclass(frozen=True)
class ValuesConfig:
    """Settings of `values.v1`."""

    value_size: Width
    """Values per observation, K, and features."""


@INPUTS.register("values.v1")
class Values(InputModule):
    """Real values as they are."""

    Config = ValuesConfig

    def __init__(self, config: ValuesConfig) -> None:
        super().__init__()
        self.output_size = config.value_size

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs
