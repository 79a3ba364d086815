"""Batches, conditions and masks, from loaders to networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError

END = 0
"""The id of end-of-sequence."""
_ARRAYS = {
    "ids_BS": (2, np.int64), "values_BSK": (3, np.float32),
    "lengths_B": (1, np.int64), "static_BK": (2, np.float32),
}  # fmt: skip
"""Axes and type of the arrays of a condition."""


@dataclass(frozen=True)
class Condition:
    """Sources that whole sequences are conditioned on, one per row.

    It holds identifiers or values, or static attributes, or both a sequence and attributes.

    Arguments:
        ids_BS: identifiers, int64, 0 or more; after the length of a row they are padding.
        values_BSK: values instead of identifiers, float32; NaN where missing.
        lengths_B: elements of each row, int64, 1 to S; given with identifiers or values only.
        static_BK: attributes of the whole sequence, float32; NaN where missing.

    Raises:
        DataError: an array is of another type or size, or holds an impossible number.
    """

    ids_BS: NDArray[np.int64] | None = None
    values_BSK: NDArray[np.float32] | None = None
    lengths_B: NDArray[np.int64] | None = None
    static_BK: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit one another."""
        rows: dict[str, int] = {}
        for name, (axes, dtype) in _ARRAYS.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.ndim != axes or array.dtype != dtype:
                raise DataError(
                    f"{name} of a condition is {array.dtype} of {array.ndim} axes, "
                    f"not {np.dtype(dtype)} of {axes}"
                )
            if array.dtype == np.float32 and np.isinf(array).any():
                raise DataError(f"{name} of a condition holds infinite numbers")
            rows[name] = len(array)
        if self.ids_BS is not None and self.values_BSK is not None:
            raise DataError("a condition has identifiers or values, not both")
        sequence = self.values_BSK if self.ids_BS is None else self.ids_BS
        if sequence is None and self.static_BK is None:
            raise DataError("a condition holds no identifiers, no values and no attributes")
        if (sequence is None) != (self.lengths_B is None):
            raise DataError(
                "a condition needs lengths if it has identifiers or values, "
                "and no lengths otherwise"
            )
        if len(set(rows.values())) > 1:
            listing = ", ".join(f"{name} {count}" for name, count in rows.items())
            raise DataError(f"the arrays of a condition differ in their rows: {listing}")
        if sequence is not None and self.lengths_B is not None:
            longest = sequence.shape[1]
            if not ((self.lengths_B >= 1) & (self.lengths_B <= longest)).all():
                raise DataError(f"lengths of a condition are 1 to {longest}, the width of its rows")
        if self.ids_BS is not None and (self.ids_BS < 0).any():
            raise DataError("identifiers of a condition are 0 or more")

    @property
    def rows(self) -> int:
        """B, the number of rows."""
        arrays = (self.ids_BS, self.values_BSK, self.static_BK)
        return next(len(array) for array in arrays if array is not None)

    @classmethod
    def join(cls, conditions: Sequence[Condition]) -> Condition:
        """The rows of several conditions, in order; shorter sequences are padded.

        Raises:
            DataError: they hold arrays of different kinds or sizes.
        """
        joined: dict[str, NDArray[Any]] = {}
        for name in _ARRAYS:
            arrays = [getattr(each, name) for each in conditions]
            missing = sum(array is None for array in arrays)
            if missing == len(arrays):
                continue
            if not missing and name in {"ids_BS", "values_BSK"}:
                longest = max(array.shape[1] for array in arrays)
                arrays = [_padded(array, longest) for array in arrays]
            if missing or len({array.shape[1:] for array in arrays}) > 1:
                raise DataError(f"the conditions of a batch differ in kind or size: {name}")
            joined[name] = np.concatenate(arrays)
        return cls(**joined)

    def select(self, rows_R: NDArray[np.int64] | slice) -> Condition:
        """Rows of the condition, in the given order.

        A row may occur more than once.
        """
        return Condition(**_picked(self, rows_R))

    def trimmed(self) -> Condition:
        """The condition without elements that are padding in every row."""
        if self.lengths_B is None or not len(self.lengths_B):
            return self
        longest = int(self.lengths_B.max())
        ids, values = self.ids_BS, self.values_BSK
        return replace(
            self,
            ids_BS=None if ids is None else ids[:, :longest],
            values_BSK=None if values is None else values[:, :longest],
        )


@dataclass(frozen=True)
class Batch:
    """One window of B rows by T steps.

    Arguments:
        inputs: (B, T) ids, int64; or (B, T, K) values, float32.
        targets: the element after each input, of the same shape.
        weights_BT: float32; 0 where a target is padding, a prompt, missing or not scored.
        reset_BT: bool; True where the state of a row is reset before that input. None: nowhere.
        known_BTK: float32 covariates known ahead, for series.
        log_jacobian_BT: float32, nats: the encoder's change of units, for series.
        log_scale_BK: float32: natural logarithm of what the mean of each target is multiplied by,
            for counts.
        positions_BT: position of each target in the array of elements, int64; None: unknown.
        condition: condition of each row, B rows: of rows that begin with the batch, and again of
            those that continue, so that gradients of every window reach its encoder. None: rows
            that continue keep theirs.
        allowed_BTV: bool, for ids: which elements may follow each input; distributions are
            normalised over them. None: all.
        evidence_BTV: float32, for ids: what counts add to the logits in training. None: nothing.
    """

    inputs: NDArray[np.int64] | NDArray[np.float32]
    targets: NDArray[np.int64] | NDArray[np.float32]
    weights_BT: NDArray[np.float32]
    reset_BT: NDArray[np.bool_] | None = None
    known_BTK: NDArray[np.float32] | None = None
    log_jacobian_BT: NDArray[np.float32] | None = None
    log_scale_BK: NDArray[np.float32] | None = None
    positions_BT: NDArray[np.int64] | None = None
    condition: Condition | None = None
    allowed_BTV: NDArray[np.bool_] | None = None
    evidence_BTV: NDArray[np.float32] | None = None

    @property
    def rows(self) -> int:
        """B, the number of rows."""
        return len(self.inputs)

    def select(self, rows_R: NDArray[np.int64] | slice) -> Batch:
        """Some rows of the batch, in that order."""
        return Batch(**_picked(self, rows_R))

    def mask(self) -> NDArray[np.bool_] | None:
        """Checked mask of the batch; None if every element is allowed.

        Raises:
            DataError: a target of a weight above 0 is not allowed.
            ValueError: the mask does not fit the targets, or allows nothing somewhere.
        """
        allowed_BTV = self.allowed_BTV
        if allowed_BTV is None or allowed_BTV.all():
            return None
        if allowed_BTV.ndim != 3 or allowed_BTV.shape[:2] != self.targets.shape:
            raise ValueError(f"a mask {allowed_BTV.shape} does not fit {self.targets.shape} ids")
        if not allowed_BTV.any(axis=-1).all():
            raise ValueError("at least one element must be allowed after every input")
        wrong_BT = self.forbidden_targets() & (self.weights_BT > 0)
        if wrong_BT.any():
            row, time = (int(place) for place in np.argwhere(wrong_BT)[0])
            raise DataError(
                f"element {int(self.targets[row, time])} is not allowed by the grammar",
                where=f"row {row}, position {time} of a batch",
                hint="check that the text and the grammar belong together",
            )
        return allowed_BTV

    def forbidden_targets(self) -> NDArray[np.bool_]:
        """Targets that the mask does not allow, (B, T).

        All are False without a mask.
        """
        if self.allowed_BTV is None:
            return np.zeros(self.targets.shape[:2], dtype=np.bool_)
        ids_BT1 = np.asarray(self.targets, dtype=np.int64)[..., None]
        return ~np.take_along_axis(self.allowed_BTV, ids_BT1, axis=-1)[..., 0]


def _padded(sources: NDArray[Any], longest: int) -> NDArray[Any]:
    room = [(0, 0), (0, longest - sources.shape[1]), (0, 0)][: sources.ndim]
    return np.pad(sources, room)


def _picked(whole: Batch | Condition, rows_R: NDArray[np.int64] | slice) -> dict[str, Any]:
    parts = {name: getattr(whole, name) for name in whole.__dataclass_fields__}
    return {
        name: part.select(rows_R) if isinstance(part, Condition) else part[rows_R]
        for name, part in parts.items()
        if part is not None
    }


def lay_out(
    elements_N: NDArray[np.unsignedinteger],
    positions_BT: NDArray[np.int64],
    *,
    inside_BT: NDArray[np.bool_],
    read_BT: NDArray[np.bool_],
    weights_BT: NDArray[Any],
    reset_BT: NDArray[np.bool_] | None = None,
) -> Batch:
    """Batch of ids at given positions as targets, with shifted inputs.

    The input of a target is the id one position before it.

    Arguments:
        elements_N: ids, at least one.
        positions_BT: positions of the targets.
        inside_BT: True where a target exists; elsewhere it is end-of-sequence.
        read_BT: True where the input is the previous element; elsewhere it is end-of-sequence.
        weights_BT: weights of the targets.
        reset_BT: True where the state of a row is reset.
    """
    last = len(elements_N) - 1
    targets_BT = np.where(inside_BT, elements_N[np.clip(positions_BT, 0, last)], END)
    inputs_BT = np.where(read_BT, elements_N[np.clip(positions_BT - 1, 0, last)], END)
    return Batch(
        inputs_BT.astype(np.int64),
        targets_BT.astype(np.int64),
        weights_BT.astype(np.float32),
        reset_BT,
        positions_BT=positions_BT,
    )


def lay_out_spans(
    elements_N: NDArray[np.unsignedinteger],
    spans_B2: NDArray[np.int64],
    *,
    offset: int,
    width: int,
    scored_N: NDArray[np.bool_] | None = None,
) -> Batch:
    """One window of several spans side by side, as a batch.

    Every span is read from end-of-sequence.

    Arguments:
        elements_N: ids.
        spans_B2: begin and end of each span; an end after the text means the end of the text.
        offset: the first column.
        width: the number of columns.
        scored_N: False for elements of prompts, which are not scored; None if all are scored.
    """
    starts_B1, ends_B1 = spans_B2[:, :1], spans_B2[:, 1:]
    positions_BT = starts_B1 + np.arange(offset, offset + width, dtype=np.int64)
    inside_BT = (positions_BT < ends_B1) & (positions_BT < len(elements_N))
    weights_BT = inside_BT
    if scored_N is not None:
        weights_BT = inside_BT & scored_N[np.minimum(positions_BT, len(scored_N) - 1)]
    return lay_out(
        elements_N,
        positions_BT,
        inside_BT=inside_BT,
        read_BT=inside_BT & (positions_BT > starts_B1),
        weights_BT=weights_BT,
    )


class Stream(Protocol):
    """Batches by step number, which is the only cursor."""

    @property
    def batch_size(self) -> int:
        """B, rows of a batch.

        The last batch of an epoch may have fewer if no state is carried.
        """

    @property
    def carries(self) -> bool:
        """True if states carry over from one batch to the next."""

    @property
    def elements_per_epoch(self) -> int:
        """Elements scored in one pass."""

    def batch(self, step: int) -> Batch:
        """The batch of `step` (0, 1, 2, ...)."""

    def scored(self, steps: int) -> int:
        """Elements scored by the first `steps` steps."""

    def steps(self, epochs: float) -> int:
        """Number of steps in `epochs` passes, at least 1."""


@dataclass(frozen=True)
class AllowedElements:
    """Allowed elements at each position of an array of ids.

    Positions often share a mask, so that each distinct mask is stored once.

    Arguments:
        masks_MV: the distinct masks, bool.
        which_N: index of the mask of each position.
    """

    masks_MV: NDArray[np.bool_]
    which_N: NDArray[np.int64]

    def fill(self, batch: Batch) -> Batch:
        """Add the mask to a batch.

        Every element is allowed where nothing is scored.

        Arguments:
            batch: a batch with `positions_BT`.
        """
        assert batch.positions_BT is not None, "the batch must give the positions of its targets"
        positions_BT, last = batch.positions_BT, len(self.which_N) - 1
        inside_BT = (positions_BT >= 0) & (positions_BT <= last)
        allowed_BTV = self.masks_MV[self.which_N[np.clip(positions_BT, 0, last)]]
        allowed_BTV[~inside_BT] = True
        return replace(batch, allowed_BTV=allowed_BTV)


class FilledStream:
    """A stream whose batches are completed.

    Arguments:
        stream: the stream.
        fill: completes a batch.
    """

    def __init__(self, stream: Stream, fill: Callable[[Batch], Batch]) -> None:
        self._stream = stream
        self._fill = fill
        self.batch_size, self.carries = stream.batch_size, stream.carries
        self.elements_per_epoch = stream.elements_per_epoch
        self.scored, self.steps = stream.scored, stream.steps

    def batch(self, step: int) -> Batch:
        """The batch of a step, completed."""
        return self._fill(self._stream.batch(step))


class MaskedStream(FilledStream):
    """A stream whose batches hold the mask of allowed elements.

    Arguments:
        stream: stream of ids; its batches have `positions_BT`.
        allowed: masks for the array that the stream reads.
    """

    def __init__(self, stream: Stream, allowed: AllowedElements) -> None:
        super().__init__(stream, allowed.fill)
