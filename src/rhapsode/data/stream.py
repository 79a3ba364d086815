"""What a training loop knows of its data, whatever the order it is read in."""

from typing import Protocol

from rhapsode.data.batch import Batch


class Stream(Protocol):
    """Batches by step. What a step reads depends on nothing but the step: the whole cursor is one number."""

    @property
    def batch_size(self) -> int:
        """B, rows of a batch; the last of an epoch may have fewer where nothing is carried."""
        ...

    @property
    def carries(self) -> bool:
        """Whether the state behind a batch is the state before the next; if not, each begins afresh."""
        ...

    @property
    def elements_per_epoch(self) -> int:
        """Elements scored in one pass."""
        ...

    def batch(self, step: int) -> Batch:
        """What `step` (0, 1, 2, ...) reads."""
        ...

    def scored(self, steps: int) -> int:
        """Elements scored by the first `steps` steps."""
        ...

    def steps(self, epochs: float) -> int:
        """Steps that make so many passes, at least 1."""
        ...
