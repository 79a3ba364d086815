"""The contract of a sequence model: features in, features out, explicit state."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rhapsode.errors import SettingsError

if TYPE_CHECKING:
    from rhapsode.data import Condition

S = TypeVar("S")
Kind = TypeVar("Kind", bound="State")

Between = Callable[[int, Tensor], Tensor]
"""A function of the number of a layer and its features (B, T, D), inside the layer."""

_SHARED = "rhapsode.shared"


def shared() -> Any:
    """Declare a field of a state as memory shared by its rows.

    The first axis of a shared field is the source, not the row. The state has a field `source_B`
    (int64), which holds the source of each row and is selected like any other. Selecting and
    forking do not copy the memory.
    """
    return dataclasses.field(metadata={_SHARED: True})


def is_shared(field: dataclasses.Field[Any]) -> bool:
    """True if a field of a state is shared."""
    return _SHARED in field.metadata


class State:
    """The memory of a model: tensors whose first axis is the row.

    A subclass is a dataclass (`state_dataclass`), whose fields are tensors or states and may be
    `shared`. States are values: no operation changes one in place, so a state may be kept, shared
    and continued twice.
    """

    @classmethod
    def _names(cls, *, memory: bool) -> list[str]:
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        return [field.name for field in fields if is_shared(field) == memory]

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The state with a function applied to every tensor."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        parts = (getattr(self, field.name) for field in fields)
        return type(self)(
            *(part.map(change) if isinstance(part, State) else change(part) for part in parts)
        )

    def tensors(self) -> dict[str, Tensor]:
        """Tensors by name; those of a nested state as "name.tensor"."""
        tensors: dict[str, Tensor] = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            part = getattr(self, field.name)
            if isinstance(part, State):
                tensors |= {f"{field.name}.{n}": tensor for n, tensor in part.tensors().items()}
            else:
                tensors[field.name] = part
        return tensors

    def rebuild(self, tensors: Mapping[str, Tensor]) -> Self:
        """The state with other tensors, named as in `tensors()`.

        Raises:
            KeyError: a tensor is missing, or there is one too many.
        """
        names = list(self.tensors())
        if sorted(names) != sorted(tensors):
            raise KeyError(f"the tensors are {sorted(tensors)}, not {sorted(names)}")
        ordered = iter([tensors[name] for name in names])
        return self.map(lambda _: next(ordered))

    @property
    def rows(self) -> int:
        """B, the number of rows."""
        return _length(getattr(self, self._names(memory=False)[0]))

    def select(self, rows_R: Tensor | NDArray[np.int64]) -> Self:
        """State of the rows `rows_R` (int64), in that order.

        A row may occur twice.
        """
        rows_R = torch.as_tensor(rows_R)
        names = self._names(memory=False)
        parts = {name: _selected(getattr(self, name), rows_R) for name in names}
        return dataclasses.replace(self, **parts)  # type: ignore[type-var]

    def fork(self) -> Self:
        """An independent copy of the state; memories stay shared."""
        own = {name: getattr(self, name) for name in self._names(memory=False)}
        parts = {
            n: part.fork() if isinstance(part, State) else part.clone() for n, part in own.items()
        }
        return dataclasses.replace(self, **parts)  # type: ignore[type-var]

    @classmethod
    def join(cls, states: Sequence[Self]) -> Self:
        """The rows of several states, in order.

        A memory that several of them share stays one where it is the same object; different
        memories are concatenated.
        """
        if len(states) == 1:
            return states[0]
        names = cls._names(memory=False)
        columns: dict[str, Sequence[Any]] = {
            name: [getattr(state, name) for state in states] for name in names
        }
        memory_names = cls._names(memory=True)
        if memory_names:
            memories = [tuple(getattr(state, name) for name in memory_names) for state in states]
            keys = [tuple(map(id, memory)) for memory in memories]
            distinct = dict(zip(keys, memories, strict=True))
            lengths = (_length(memory[0]) for memory in distinct.values())
            offsets = dict(zip(distinct, accumulate(lengths, initial=0), strict=False))
            rows = zip(columns["source_B"], keys, strict=True)
            columns["source_B"] = [source_B + offsets[key] for source_B, key in rows]
            columns |= dict(zip(memory_names, zip(*distinct.values(), strict=True), strict=True))
        return cls(**{name: _joined(parts) for name, parts in columns.items()})

    def under(self, begun: Self) -> Self:
        """The same rows over the memories of another state.

        Both states have the same number of rows.
        """
        names = self._names(memory=True)
        if not names:
            return self
        parts = {name: getattr(begun, name) for name in (*names, "source_B")}
        return dataclasses.replace(self, **parts)  # type: ignore[type-var]

    def unshared(self, first: int = 0) -> Self:
        """The same values, every row with a source of its own.

        Arguments:
            first: number of the first source.
        """
        names = self._names(memory=True)
        if not names:
            return self
        source_B = vars(self)["source_B"]
        own_B = torch.arange(first, first + len(source_B), device=source_B.device)
        own = {name: _selected(getattr(self, name), source_B) for name in names}
        return dataclasses.replace(self, source_B=own_B, **own)  # type: ignore[type-var]

    def detach(self) -> Self:
        """The same values, detached from the autograd graph."""
        return self.map(torch.Tensor.detach)

    def to(self, device: torch.device | str) -> Self:
        """The same values on another device."""
        return self.map(lambda tensor: tensor.to(device))


def _length(part: Tensor | State) -> int:
    return part.rows if isinstance(part, State) else part.shape[0]


def _selected(part: Any, rows_R: Tensor) -> Any:
    if isinstance(part, State):
        return part.select(rows_R)
    return part.index_select(0, rows_R.to(part.device))


def _joined(parts: Sequence[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return type(parts[0]).join(parts) if isinstance(parts[0], State) else torch.cat(tuple(parts))


@dataclass_transform(frozen_default=True, field_specifiers=(shared,))
def state_dataclass(cls: type[S]) -> type[S]:
    """Make a subclass of `State` a frozen dataclass and a pytree node.

    Raises:
        TypeError: it has a shared field, and no `source_B` that points into it.
    """
    made = dataclasses.dataclass(frozen=True)(cls)
    fields = {field.name: field for field in dataclasses.fields(made)}  # type: ignore[arg-type]
    if any(map(is_shared, fields.values())) and "source_B" not in fields:
        raise TypeError(f"{made.__name__} has a shared field and needs source_B")
    torch.export.register_dataclass(made, serialized_type_name=f"rhapsode.{made.__name__}")
    return made


class SequenceModel(nn.Module, ABC):
    """Features (B, T, input_size) to features (B, T, output_size), causally.

    The law: `forward(cat(a, b))` equals `forward(a)` followed by `forward(b)` from the state after
    a, in values and in gradients, for every split. Rows are independent, and no position depends on
    later ones.
    """

    Config: ClassVar[type[Any]]
    """The frozen dataclass of this family's settings."""
    sees_inputs: ClassVar[bool] = False
    """True if the features contain the inputs; see `Family.sees_inputs`."""
    uses_condition: ClassVar[bool] = False
    """True if a state can begin from a condition; otherwise `init_state` refuses one."""
    input_size: int
    output_size: int

    def init_state(
        self,
        batch: int,
        *,
        condition: Condition | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Initial state of `batch` rows.

        Arguments:
            batch: B.
            condition: one source that all rows share, or one a row; None for no condition.
            device: None for that of the weights.
            dtype: of floating tensors; None for that of the weights.

        Raises:
            SettingsError: this model cannot use a condition, or not this one.
        """
        if condition is not None:
            raise SettingsError(
                "this model cannot use a condition", hint="it needs a network with a conditioner"
            )
        return self.zero_state(batch, device=device, dtype=dtype)

    @abstractmethod
    def zero_state(
        self,
        batch: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Initial state of `batch` rows, without a condition."""

    def begun(self, state: State | None, batch: int, kind: type[Kind]) -> Kind:
        """The given state, or the zero state; checks its type.

        Arguments:
            state: state after the previous elements; None for the zero state.
            batch: B.
            kind: the states of this family.

        Raises:
            TypeError: the state is of another family.
        """
        state = self.zero_state(batch) if state is None else state
        if not isinstance(state, kind):
            raise TypeError(
                f"the state is a {type(state).__name__}, this family's is a {kind.__name__}"
            )
        return state

    @abstractmethod
    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read a window.

        Arguments:
            x_BTD: features, T at least 1.
            state: state after the previous elements; None for the zero state.
            reset_BT: bool; where True, the row is reset before that position is read. A reset
                inside a window is exact, and costs a recurrent family one more kernel call for each
                distinct position.

        Returns:
            Features (B, T, output_size) and the state after the window.
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
        """Inner values over a window: named tensors (gates, attention), B first."""


class SegmentedModel(SequenceModel):
    """A model that reads a window in pieces between resets."""

    Carried: ClassVar[type[State]]
    """The states of this family."""

    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, State]:
        known: State = self.begun(state, len(x_BTD), self.Carried)
        drawn = self.drawn(x_BTD)
        if reset_BT is None:
            return self.window(x_BTD, known, drawn)
        outputs: list[Tensor] = []
        for start, end in segments(reset_BT):
            known = self.restarted(known, ~reset_BT[:, start])
            y_BTH, known = self.window(x_BTD[:, start:end], known, drawn)
            outputs.append(y_BTH)
        return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)), known

    def drawn(self, x_BTD: Tensor) -> Any:
        """Random numbers of a call, the same for all its pieces."""
        return None

    def restarted(self, state: State, keep_B: Tensor) -> State:
        """The state with all rows reset that are not kept."""
        return state.map(lambda tensor: tensor * keep_B[:, None, None])

    @abstractmethod
    def window(self, x_BTD: Tensor, state: Any, drawn: Any) -> tuple[Tensor, State]:
        """Features of a piece without a reset, and the state after it."""


def segments(reset_BT: Tensor) -> Iterator[tuple[int, int]]:
    """Pieces of a window between its resets."""
    resets_T = torch.nonzero(reset_BT.any(dim=0)[1:]).flatten() + 1
    return pairwise([0, *resets_T.tolist(), reset_BT.shape[1]])
