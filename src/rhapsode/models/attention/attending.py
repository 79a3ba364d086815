"""Base of models over a memory of encoded sources."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch

from rhapsode.errors import SettingsError
from rhapsode.models.attention.contract import Memory
from rhapsode.models.attention.source_encoders import EncodedSources, SourceEncoder
from rhapsode.models.contract import SequenceModel, State

if TYPE_CHECKING:
    from torch import Tensor

    from rhapsode.data import Condition


class Attending(SequenceModel):
    """A model whose rows attend to sources.

    The memory is made once, by `init_state`, and a reset keeps it. Without a condition it is one
    zero element.
    """

    uses_condition = True
    source_encoder: SourceEncoder

    def init_state(
        self,
        batch: int,
        *,
        condition: Condition | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Initial state of rows, under a condition.

        Raises:
            SettingsError: the encoder cannot use it, or it has neither one source nor B.
        """
        state: Any = self.zero_state(batch, device=device, dtype=dtype)
        if condition is None:
            return state  # type: ignore[no-any-return]
        if condition.rows not in {1, batch}:
            raise SettingsError(
                f"the condition has {condition.rows} rows for {batch} sequences",
                hint="give one for all of them, or one for each",
            )
        like = state.memory.values_MSH
        memory = self.memory_of(self.source_encoder(condition))
        memory = Memory(
            memory.keys_MSD.to(like.device, like.dtype),
            memory.values_MSH.to(like.device, like.dtype),
            memory.summary_MC.to(like.device, like.dtype),
            memory.lengths_M.to(like.device),
        )
        source_B = state.source_B
        if condition.rows == batch:
            source_B = torch.arange(batch, device=source_B.device)
        return self.over(state, memory, source_B)

    @abstractmethod
    def memory_of(self, sources: EncodedSources) -> Memory:
        """The memory of encoded sources: keys and values, made once."""

    @abstractmethod
    def over(self, state: Any, memory: Memory, source_B: Tensor) -> State:
        """The zero state of rows over a memory.

        Arguments:
            state: zero state over another memory.
            memory: the sources.
            source_B: the source of each row.
        """
