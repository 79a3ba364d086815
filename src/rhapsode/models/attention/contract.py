"""The contract of an attention mechanism, and its memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import torch
from msgspec import Meta
from torch import Tensor, nn

from rhapsode.config import Registry
from rhapsode.models.contract import State, segments, state_dataclass

Width = Annotated[int, Meta(ge=1, le=1 << 20)]


@state_dataclass
class NoState(State):
    """The state of a mechanism or layer that carries nothing."""


@state_dataclass
class Memory(State):
    """Encoded sources, one a row.

    What follows the length of a source is padding: its keys and values are zeros.

    Arguments:
        keys_MSD: what queries are compared with.
        values_MSH: what attention returns a weighted sum of.
        summary_MC: features of the whole source.
        lengths_M: elements of each source, int64, at least 1.
    """

    keys_MSD: Tensor
    values_MSH: Tensor
    summary_MC: Tensor
    lengths_M: Tensor

    @property
    def rows(self) -> int:
        """M, the number of sources."""
        return len(self.lengths_M)

    @property
    def longest(self) -> int:
        """S, elements of a source with its padding."""
        return self.values_MSH.shape[1]

    @property
    def inside_MS(self) -> Tensor:
        """True where a source has an element; False on padding."""
        places_S = torch.arange(self.longest, device=self.lengths_M.device)
        return places_S < self.lengths_M[:, None]

    def of(self, source_B: Tensor) -> Memory:
        """The sources of rows, one a row.

        Nothing is copied if there is one source, or each row has its own in order.
        """
        rows = len(source_B)
        if self.rows == 1:
            return self.map(lambda tensor: tensor.expand(rows, *tensor.shape[1:]))
        own_B = torch.arange(self.rows, device=source_B.device)
        if rows == self.rows and not source_B.is_meta and torch.equal(source_B, own_B):
            return self
        return self.select(source_B)

    @classmethod
    def join(cls, states: Sequence[Self]) -> Self:
        """The sources of several memories; shorter ones are padded."""
        longest = max(state.longest for state in states)
        return super().join([state.padded(longest) for state in states])

    def padded(self, longest: int) -> Self:
        """The memory with room for `longest` elements of each source."""
        if longest == self.longest:
            return self
        return type(self)(
            padded_to(self.keys_MSD, longest),
            padded_to(self.values_MSH, longest),
            self.summary_MC,
            self.lengths_M,
        )


def padded_to(rows_MS: Tensor, longest: int) -> Tensor:
    """A tensor with its second axis padded or cut to a length."""
    if rows_MS.shape[1] >= longest:
        return rows_MS[:, :longest]
    room = rows_MS.new_zeros(len(rows_MS), longest - rows_MS.shape[1], *rows_MS.shape[2:])
    return torch.cat((rows_MS, room), dim=1)


@dataclass(frozen=True)
class AttentionConfig:
    """Settings that all mechanisms share."""

    query_size: Width
    """Features of a query."""
    value_size: Width
    """Features of an element of the source."""


class Attention(nn.Module, ABC):
    """A mechanism that weights the elements of a source for each query.

    All that changes with time is in the state of the rows; the memory is constant. The law is that
    of a model: reading two stretches one after the other equals reading them at once, in values and
    in gradients, into the memory too.
    """

    Config: ClassVar[type[Any]]
    """The frozen dataclass of its settings."""
    config: AttentionConfig

    @abstractmethod
    def keys(self, values_MSH: Tensor) -> Tensor:
        """Keys (M, S, D) of the elements of sources, made once."""

    def zero_state(self, rows: int, memory: Memory) -> State:
        """State of rows that have asked nothing.

        Arguments:
            rows: B.
            memory: of any sources; its padded length counts.
        """
        return NoState()

    def fitted(self, state: Any, memory: Memory) -> Any:
        """The state for sources of another padded length."""
        return state

    def forward(
        self,
        query_BTH: Tensor,
        memory: Memory,
        state: State,
        *,
        reset_BT: Tensor | None = None,
    ) -> tuple[Tensor, State, Tensor]:
        """Attend to the sources of rows.

        Arguments:
            query_BTH: queries, T at least 1.
            memory: the sources of the rows, one a row.
            state: after the previous queries.
            reset_BT: bool; where True, the row begins again before that query.

        Returns:
            The weighted sum of the values (B, T, H), the state after the queries, and the weights
            (B, T, S), which are 0 on padding.
        """
        state = self.fitted(state, memory)
        if reset_BT is None or isinstance(state, NoState):
            weights_BTS, state = self.weights(query_BTH, memory, state)
        else:
            parts = []
            for start, end in segments(reset_BT):
                kept_B = ~reset_BT[:, start]
                state = state.map(lambda tensor: tensor * kept_B[:, None])  # noqa: B023
                part_BTS, state = self.weights(query_BTH[:, start:end], memory, state)
                parts.append(part_BTS)
            weights_BTS = torch.cat(parts, dim=1)
        context_BTH = torch.bmm(weights_BTS.to(memory.values_MSH.dtype), memory.values_MSH)
        return context_BTH, state, weights_BTS

    @abstractmethod
    def weights(self, query_BTH: Tensor, memory: Memory, state: Any) -> tuple[Tensor, State]:
        """Weights (B, T, S) of a stretch, and the state after it.

        There is no reset in it.
        """


ATTENTIONS: Registry[type[Attention]] = Registry("attention")
for _name, _place in (
    ("dot.v1", "Dot"),
    ("additive.v1", "Additive"),
    ("location.v1", "Location"),
    ("gaussian_window.v1", "GaussianWindow"),
    ("reading_window.v1", "ReadingWindow"),
):
    ATTENTIONS.register_at(_name, f"rhapsode.models.attention.mechanisms:{_place}")


def masked_softmax(scores_BTS: Tensor, inside_BS: Tensor) -> Tensor:
    """Softmax over the elements of each source, 0 on padding.

    It is computed in float32 at least.
    """
    scores_BTS = scores_BTS.masked_fill(~inside_BS[:, None], -torch.inf)
    precise = scores_BTS.dtype if scores_BTS.dtype == torch.float64 else torch.float32
    return scores_BTS.softmax(-1, dtype=precise)
