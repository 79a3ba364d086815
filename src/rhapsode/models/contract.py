"""The contract of a sequence model: features in, features out, the past carried in a state."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

import torch
from torch import Tensor, nn

__all__ = ["SequenceModel", "State", "state_dataclass"]

S = TypeVar("S")


class State:
    """What a model remembers: a dataclass of tensors whose first axis is the batch row.

    States are values: no operation changes one in place, so a state may be kept, shared and continued twice.
    """

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return type(self)(*(change(getattr(self, field.name)) for field in fields))

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    @property
    def rows(self) -> int:
        """B, the number of rows."""
        return next(iter(self.tensors().values())).shape[0]

    def select(self, rows_R: Tensor) -> Self:
        """The state of some rows, in the order of `rows_R` (int64); a row may occur twice."""
        return self._map(lambda tensor: tensor.index_select(0, rows_R.to(tensor.device)))

    def fork(self) -> Self:
        """A state of its own that goes on from here."""
        return self._map(torch.clone)

    @classmethod
    def join(cls, states: Sequence[Self]) -> Self:
        """The rows of several states, in order."""
        if len(states) == 1:
            return states[0]
        tensors = [state.tensors() for state in states]
        return cls(**{name: torch.cat([each[name] for each in tensors]) for name in tensors[0]})

    def detach(self) -> Self:
        """The same values, cut from the graph that made them."""
        return self._map(torch.Tensor.detach)

    def to(self, device: torch.device | str) -> Self:
        """The same values on another device."""
        return self._map(lambda tensor: tensor.to(device))


@dataclass_transform(frozen_default=True)
def state_dataclass(cls: type[S]) -> type[S]:
    """Make a subclass of `State` a frozen dataclass and a pytree node."""
    made = dataclasses.dataclass(frozen=True)(cls)
    torch.export.register_dataclass(made, serialized_type_name=f"rhapsode.{made.__name__}")
    return made


class SequenceModel(nn.Module, ABC):
    """Features (B, T, input_size) to features (B, T, output_size), causally.

    The law: `forward(cat(a, b))` equals `forward(a)` followed by `forward(b)` from the state behind a, in values and
    in gradients, for every split. Rows never see each other, and nothing sees what comes after it.
    """

    Config: ClassVar[type[Any]]
    """The frozen dataclass of this family's settings."""
    sees_inputs: ClassVar[bool] = False
    """Whether the features hold the inputs, as `Family.sees_inputs` says."""
    input_size: int
    output_size: int

    @abstractmethod
    def init_state(
        self,
        batch: int,
        *,
        condition: Tensor | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """The state of `batch` rows that have seen nothing."""

    @abstractmethod
    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read a window.

        Arguments:
            x_BTD: features, T at least 1.
            state: what came before; None for nothing.
            reset_BT: bool; where True, the row starts afresh before reading that position. A reset inside a window
                is exact, and costs a recurrent family one more kernel call for each distinct position.

        Returns:
            Features (B, T, output_size) and the state behind the window.
        """

    def step(
        self, x_BD: Tensor, state: State, *, reset_B: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read one position: `forward` at T = 1, without the time axis."""
        reset_BT = None if reset_B is None else reset_B[:, None]
        y_BTH, state = self.forward(x_BD[:, None], state, reset_BT=reset_BT)
        return y_BTH[:, 0], state

    @abstractmethod
    def probe(self, x_BTD: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """What goes on inside over a window: named tensors (gates, attention), B first."""
