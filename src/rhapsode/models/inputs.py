"""Input modules and conditioners.

An input module maps elements to features. A conditioner maps the condition of a sequence to a
memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from msgspec import Meta
from torch import Tensor, nn

from rhapsode.config import Registry
from rhapsode.errors import SettingsError
from rhapsode.models.contract import SequenceModel, State, shared, state_dataclass

if TYPE_CHECKING:
    from rhapsode.data import Condition

Vocabulary = Annotated[int, Meta(ge=1, le=1 << 31)]
Width = Annotated[int, Meta(ge=1, le=1 << 20)]


class InputModule(nn.Module, ABC):
    """Map of ids or values to features.

    Ids are (B, T), values (B, T, K), features (B, T, output_size).
    """

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
        return _locked_dropout(x_BTD, self.config.dropout if self.training else 0.0)


@dataclass(frozen=True, kw_only=True)
class AdaptiveTableConfig(TableConfig):
    """Settings of `adaptive_table.v1`."""

    shortlist: Annotated[int, Meta(ge=1, le=1 << 31)]
    """Number of frequent elements, those with the lowest ids."""
    tail_size: Width
    """Width of the vectors of the other elements, which are projected."""


@INPUTS.register("adaptive_table.v1")
class AdaptiveTable(InputModule):
    """A learnt vector per element, narrow for rare elements.

    Narrow vectors are projected to full width (adaptive input, Baevski and Auli 2019).
    """

    Config = AdaptiveTableConfig

    def __init__(self, config: AdaptiveTableConfig) -> None:
        super().__init__()
        self.config = config
        self.output_size = config.embedding_size
        narrow, rare = config.tail_size, config.vocab_size - config.shortlist
        if rare < 1:
            raise SettingsError(
                f"a shortlist of {config.shortlist} leaves none of {config.vocab_size} elements",
                where="[network] shortlist",
            )
        self.weight = nn.Parameter(torch.empty(config.shortlist, config.embedding_size))
        self.tail_weight = nn.Parameter(torch.empty(rare, narrow))
        self.project = nn.Parameter(torch.empty(narrow, config.embedding_size))
        if not self.weight.is_meta:
            nn.init.normal_(self.weight, std=config.init_std)
            nn.init.normal_(self.tail_weight, std=config.init_std)
            nn.init.normal_(self.project, std=narrow**-0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        short = self.config.shortlist
        x_BTD = nn.functional.embedding(inputs.clamp(max=short - 1), self.weight)
        rare = nn.functional.embedding((inputs - short).clamp(min=0), self.tail_weight)
        x_BTD = torch.where((inputs < short)[..., None], x_BTD, rare @ self.project)
        return _locked_dropout(x_BTD, self.config.dropout if self.training else 0.0)


def _locked_dropout(x_BTD: Tensor, share: float) -> Tensor:
    """Drop a share of the features, the same ones over a window."""
    if not share:
        return x_BTD
    return x_BTD * torch.empty_like(x_BTD[:, :1]).bernoulli_(1 - share).div_(1 - share)


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


class Conditioner(nn.Module, ABC):
    """A map of a condition to a memory (M, memory_size)."""

    Config: ClassVar[type[Any]]
    """The frozen dataclass of its settings."""
    memory_size: int

    @abstractmethod
    def forward(self, condition: Condition) -> Tensor:
        """The memory of M sources.

        Raises:
            SettingsError: the condition lacks what this conditioner reads, or holds something else.
        """


CONDITIONERS: Registry[type[Conditioner]] = Registry("conditioner")


@dataclass(frozen=True)
class StaticConfig:
    """Settings of `static.v1`."""

    static_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    """Attributes of a sequence."""
    condition_size: Annotated[int, Meta(ge=1, le=1 << 20)] = 32
    """Numbers of the memory of a source."""


@CONDITIONERS.register("static.v1")
class Static(Conditioner):
    """An affine map of static attributes and their missing indicators.

    A missing attribute is 0 beside an indicator of 1, so that the map learns what to put there.
    """

    Config = StaticConfig

    def __init__(self, config: StaticConfig) -> None:
        super().__init__()
        self.config = config
        self.memory_size = config.condition_size
        self.linear = nn.Linear(2 * config.static_size, config.condition_size)

    def forward(self, condition: Condition) -> Tensor:
        static = condition.static_BK
        if static is None:
            raise SettingsError("the condition has no static attributes, which this model reads")
        if condition.lengths_B is not None:
            raise SettingsError(
                "the condition has a sequence, and this model reads attributes only"
            )
        if static.shape[1] != self.config.static_size:
            raise SettingsError(
                f"the condition has {static.shape[1]} static attributes, "
                f"the model reads {self.config.static_size}"
            )
        like = self.linear.weight
        static_MK = torch.tensor(static, device=like.device, dtype=like.dtype)
        missing_MK = static_MK.isnan()
        features_MD = torch.cat((static_MK.nan_to_num(0.0), missing_MK.to(like.dtype)), dim=1)
        memory_MC: Tensor = self.linear(features_MD)
        return memory_MC


@state_dataclass
class ConditionedState(State):
    """State of the inner model, and the memory shared by its rows."""

    inner: State
    source_B: Tensor
    memory_MC: Tensor = shared()


class Conditioned(SequenceModel):
    """A model whose input features have a projection of the condition added.

    It works for every family, through the contract alone. The memory is made once, by `init_state`,
    and a reset keeps it: the row begins again under the same condition. Without a condition the
    memory is zeros, of which the projection is 0: only the inner model remains. That differs from a
    condition whose attributes are all missing.

    Its features do not contain the original inputs, even if those of the inner model contain
    theirs.

    Arguments:
        model: the inner model.
        conditioner: maps a condition to the memory.
    """

    uses_condition = True

    def __init__(self, model: SequenceModel, conditioner: Conditioner) -> None:
        super().__init__()
        self.input_size = model.input_size
        self.output_size = model.output_size
        self.inner = model
        self.conditioner = conditioner
        self.projection = nn.Linear(conditioner.memory_size, model.input_size, bias=False)

    def init_state(
        self,
        batch: int,
        *,
        condition: Condition | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ConditionedState:
        """Initial state of rows, under a condition.

        Raises:
            SettingsError: the conditioner cannot use it, or it has neither one source nor B.
        """
        state = self.zero_state(batch, device=device, dtype=dtype)
        if condition is None:
            return state
        if condition.rows not in {1, batch}:
            raise SettingsError(
                f"the condition has {condition.rows} rows for {batch} sequences",
                hint="give one for all of them, or one for each",
            )
        memory_MC = self.conditioner(condition)
        memory_MC = memory_MC.to(state.memory_MC.device, state.memory_MC.dtype)
        source_B = state.source_B
        if condition.rows == batch:
            source_B = torch.arange(batch, device=source_B.device)
        return ConditionedState(state.inner, source_B, memory_MC)

    def zero_state(
        self,
        batch: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ConditionedState:
        """The zero state of the inner model, over one source of zeros."""
        size = (1, self.conditioner.memory_size)
        memory_MC = self.projection.weight.new_zeros(size, device=device, dtype=dtype)
        source_B = torch.zeros(batch, dtype=torch.int64, device=memory_MC.device)
        inner = self.inner.zero_state(batch, device=device, dtype=dtype)
        return ConditionedState(inner, source_B, memory_MC)

    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, ConditionedState]:
        known = self.begun(state, len(x_BTD), ConditionedState)
        added_B1D = self._added(known)[:, None].to(x_BTD.dtype)
        y_BTH, inner = self.inner(x_BTD + added_B1D, known.inner, reset_BT=reset_BT)
        return y_BTH, ConditionedState(inner, known.source_B, known.memory_MC)

    def step(
        self, x_BD: Tensor, state: State, *, reset_B: Tensor | None = None
    ) -> tuple[Tensor, ConditionedState]:
        known = self.begun(state, len(x_BD), ConditionedState)
        added_BD = self._added(known).to(x_BD.dtype)
        y_BH, inner = self.inner.step(x_BD + added_BD, known.inner, reset_B=reset_B)
        return y_BH, ConditionedState(inner, known.source_B, known.memory_MC)

    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """The probe of the inner model, and `condition` (B, D).

        The condition is added to each input.
        """
        known = self.begun(state, len(x_BTD), ConditionedState)
        added_BD = self._added(known)
        shown = self.inner.probe(x_BTD + added_BD[:, None].to(x_BTD.dtype), known.inner)
        return {"condition": added_BD, **shown}

    def _added(self, state: ConditionedState) -> Tensor:
        memory_BC = state.memory_MC.index_select(0, state.source_B)
        added_BD: Tensor = self.projection(memory_BC.to(self.projection.weight.dtype))
        return added_BD
