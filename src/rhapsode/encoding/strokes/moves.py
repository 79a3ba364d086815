"""Moves of a pen to features and targets, and back."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.config import from_mapping, to_mapping
from rhapsode.encoding.strokes.drawing import DRAWS, PEN_STATES
from rhapsode.encoding.vectors import FARTHEST, EncodedValues, Floats, Singles
from rhapsode.errors import BundleError, EncodingError

FEATURES = 17
# Column of the features at which the state of the pen begins.
_PEN_AT = 6
# Entries of the memory of a path.
_X, _Y, _START_X, _START_Y, _LEAST, _PEN, _STROKES, _MOVES = range(8)
_MEMORY = 8
# Without a grid, lengths are distinguished down to this fraction of the scale.
_FINEST = 0.02


@dataclass(frozen=True)
class StrokeEncoderSettings:
    """Settings of the encoding of moves."""

    scale: Annotated[float, Meta(gt=0.0, le=1e30)] = 1.0
    """Standard deviation of the moves, by which they are divided."""
    extent: Annotated[float, Meta(gt=0.0, le=1e30)] = 1.0
    """Root mean square of x in a drawing, relative to its origin."""
    grid: Annotated[float, Meta(ge=0.0, le=1e30)] = 0.0
    """Step of the grid that coordinates lie on; 0 without one."""
    height: Annotated[float, Meta(gt=0.0, le=1e30)] | None = None
    """Root mean square of y in a drawing; None: `extent`."""
    stroke: Annotated[float, Meta(gt=0.0, le=1e30)] | None = None
    """Root mean square of positions relative to the beginning of their stroke; None: `extent`."""


class StrokeEncoder:
    """Encoder of moves: dx, dy, and the state of the pen.

    Features describe the move before: its length and direction, the state of the pen, the
    position in the drawing and in the stroke, the shortest step so far, and the numbers of
    strokes and moves.

    Arguments:
        settings: scales and grid.
    """

    name = "moves.v1"
    span = 1
    counts = False
    spans_gaps = False
    target_size = 3
    feature_size = FEATURES

    def __init__(self, settings: StrokeEncoderSettings) -> None:
        self.settings = settings
        self.unit = settings.grid or _FINEST * settings.scale
        self.height = settings.height or settings.extent
        self.stroke = settings.stroke or settings.extent

    @classmethod
    def learn(cls, moves: Sequence[Floats], grid: float) -> StrokeEncoder:
        """An encoder for drawings like these.

        Arguments:
            moves: (T, 3) of each drawing.
            grid: step of the grid that coordinates lie on; 0 without one.
        """
        moves_N3 = np.concatenate(moves)
        memory_NC = _memories(moves_N3, np.cumsum([0, *map(len, moves)]))
        places_N2 = memory_NC[:, _X : _Y + 1]
        inside_N2 = places_N2 - memory_NC[:, _START_X : _START_Y + 1]
        # About 0, as the features are. A line of text is many times as long as high: its position
        # between the lines would be lost beside its length.
        scale, extent, height, stroke = (
            float(np.sqrt((part**2).mean())) or 1.0
            for part in (moves_N3[:, :2], places_N2[:, 0], places_N2[:, 1], inside_N2)
        )
        return cls(StrokeEncoderSettings(scale, extent, grid, height, stroke))

    def to_mapping(self) -> dict[str, Any]:
        """Plain values that `from_mapping` reads back."""
        return {"name": self.name, "settings": to_mapping(self.settings)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> StrokeEncoder:
        """The encoder written by `to_mapping`.

        Raises:
            BundleError: the mapping is malformed.
        """
        settings = mapping.get("settings")
        if mapping.get("name") != cls.name or not isinstance(settings, dict):
            raise BundleError("the encoder's description is malformed")
        return cls(
            from_mapping(StrokeEncoderSettings, settings, where="encoder", error=BundleError)
        )

    def stats(self, history_TK: Any) -> None:
        """Nothing: the scale is the same for all drawings."""

    def encode(self, values_TK: Any, stats: None = None) -> EncodedValues:
        """A drawing from its beginning on.

        Arguments:
            values_TK: moves (T, 3).
            stats: nothing.

        Raises:
            EncodingError: a number that is not finite, or a state of the pen that there is not.
        """
        return self.encode_all([values_TK])

    def encode_all(self, drawings: Sequence[Any]) -> EncodedValues:
        """Drawings from their beginnings on, one after another.

        Arguments:
            drawings: moves (T, 3) of each.

        Raises:
            EncodingError: a number that is not finite, or a state of the pen that there is not.
        """
        moves_N3 = self.checked(np.concatenate([np.zeros((0, 3)), *drawings]))
        offsets = np.cumsum([0, *map(len, drawings)])
        after_ND = self.features_after(moves_N3, _memories(moves_N3, offsets))
        features_ND = np.zeros_like(after_ND)
        features_ND[1:] = after_ND[:-1]
        features_ND[offsets[:-1][np.diff(offsets) > 0]] = 0.0
        return EncodedValues(
            features_ND,
            self.targets(moves_N3),
            np.ones(len(moves_N3), dtype=np.float32),
            self.log_jacobian(len(moves_N3)),
        )

    def paths(self, stats: None = None, copies: int = 1) -> StrokePaths:
        """Paths that have read nothing."""
        return StrokePaths(
            self, np.zeros((copies, FEATURES), dtype=np.float32), np.zeros((copies, _MEMORY))
        )

    def paths_after(self, values_TK: Any, stats: None = None) -> StrokePaths:
        """A path that has read moves."""
        moves_T3 = self.checked(values_TK)
        if not len(moves_T3):
            return self.paths()
        memory_1C = _memories(moves_T3, np.array([0, len(moves_T3)]))[-1:]
        return StrokePaths(self, self.features_after(moves_T3[-1:], memory_1C), memory_1C)

    def checked(self, values_BK: Any) -> Floats:
        """Moves as float64.

        Raises:
            EncodingError: a number that is not finite, or a state of the pen that there is not.
        """
        moves_B3 = np.array(values_BK, dtype=np.float64)
        if moves_B3.ndim != 2 or moves_B3.shape[1] != 3:
            raise ValueError(f"moves of shape {moves_B3.shape}")
        broken_B = ~np.isfinite(moves_B3).all(axis=1)
        if broken_B.any():
            raise EncodingError(
                "a move holds a number that is missing or infinite",
                where=f"move {int(np.flatnonzero(broken_B)[0]) + 1}",
            )
        wrong_B = ~np.isin(moves_B3[:, 2], range(PEN_STATES))
        if wrong_B.any():
            row = int(np.flatnonzero(wrong_B)[0])
            raise EncodingError(
                f"{moves_B3[row, 2]:g} is no state of the pen",
                where=f"move {row + 1}",
                hint="0 draws on, 1 lifts the pen, 2 ends the drawing",
            )
        return moves_B3

    def targets(self, moves_B3: Floats) -> Floats:
        """Targets (B, 3) of moves."""
        scale = self.settings.scale
        return np.asarray(moves_B3 / np.array([scale, scale, 1.0]))

    def log_jacobian(self, rows: int) -> Floats:
        """Log-Jacobians (B,) of that many moves."""
        return np.full(rows, -2 * np.log(self.settings.scale))

    def features_after(self, moves_B3: Floats, memory_BC: Floats) -> Singles:
        """Features (B, D) after moves.

        Arguments:
            moves_B3: the moves.
            memory_BC: of the paths after them.
        """
        delta_B2 = moves_B3[:, :2]
        length_B1 = np.hypot(delta_B2[:, :1], delta_B2[:, 1:])
        place_B2 = memory_BC[:, _X : _Y + 1]
        jumped_B = (memory_BC[:, _PEN] > DRAWS).astype(np.float64)
        columns = (
            delta_B2 / self.settings.scale,
            np.arcsinh(delta_B2 / self.unit) / 3,
            delta_B2 / np.maximum(length_B1, 1e-9 * self.unit),
            moves_B3[:, 2:] == np.arange(PEN_STATES),
            jumped_B[:, None],
            place_B2 / np.array([self.settings.extent, self.height]),
            (place_B2 - memory_BC[:, _START_X : _START_Y + 1]) / self.stroke,
            np.log1p(memory_BC[:, _LEAST, None] / self.unit) / 3,
            np.log1p(memory_BC[:, _STROKES, None]) / 3,
            np.log1p(memory_BC[:, _MOVES, None]) / 5,
        )
        features_BD = np.concatenate(columns, axis=1)
        return np.asarray(np.clip(features_BD, -FARTHEST, FARTHEST), dtype=np.float32)


def _memories(moves_N3: Floats, offsets: NDArray[np.int64]) -> Floats:
    """Memory (N, C) of each drawing after each of its moves, from its beginning.

    The pen of the memory is the state before the move.

    Arguments:
        moves_N3: of all drawings.
        offsets: where each drawing begins, and where the last one ends.
    """
    memory_NC = np.zeros((len(moves_N3), _MEMORY))
    bounds = [(low, high) for low, high in itertools.pairwise(offsets.tolist()) if high > low]
    if not bounds:
        return memory_NC
    firsts, lengths = np.array([(low, high - low) for low, high in bounds]).T
    least_N = _least_steps(moves_N3)
    for low, high in bounds:
        np.cumsum(moves_N3[low:high, :2], axis=0, out=memory_NC[low:high, : _Y + 1])
        np.minimum.accumulate(least_N[low:high], out=least_N[low:high])
    memory_NC[:, _LEAST] = np.where(np.isinf(least_N), 0.0, least_N)
    before_N = np.roll(moves_N3[:, 2], 1)
    before_N[firsts] = DRAWS
    memory_NC[:, _PEN] = before_N
    # The move after a lift leads to the start of the next stroke.
    lifted_N, places_N = before_N > DRAWS, np.arange(len(moves_N3))
    begins_N = lifted_N.copy()
    begins_N[firsts] = True
    starts_N = np.maximum.accumulate(np.where(begins_N, places_N, 0))
    begun_N = lifted_N[starts_N]
    memory_NC[begun_N, _START_X : _START_Y + 1] = memory_NC[starts_N[begun_N], : _Y + 1]
    strokes_N = np.cumsum(lifted_N)
    memory_NC[:, _STROKES] = strokes_N - np.repeat(strokes_N[firsts], lengths)
    memory_NC[:, _MOVES] = places_N - np.repeat(firsts, lengths) + 1
    return memory_NC


def _least_steps(moves_B3: Floats) -> Floats:
    """The shorter step of each move in x or y that is not 0, (B,); infinite without one."""
    steps_B2 = np.abs(moves_B3[:, :2])
    return np.asarray(np.where(steps_B2 > 0, steps_B2, np.inf).min(axis=1))


@dataclass
class StrokePaths:
    """Drawings that grow, each with the features of its last move.

    Arguments:
        encoder: the encoder.
        last_BD: features.
        memory_BC: position, start of the stroke, shortest step, pen before the last move, numbers
            of strokes and moves.
    """

    encoder: StrokeEncoder
    last_BD: Singles
    memory_BC: Floats

    def __len__(self) -> int:
        """B, the number of paths."""
        return len(self.last_BD)

    def features(self) -> Singles:
        """Features (B, D) before the next move."""
        return self.last_BD

    def log_scale(self) -> Floats:
        """Zeros (B, K): no number is a count."""
        return np.zeros((len(self), 3))

    def encode_next(self, values_BK: Any) -> tuple[Floats, Floats]:
        """Targets (B, K) and log-Jacobians (B,) of moves, which are not read."""
        moves_B3 = self.encoder.checked(values_BK)
        return self.encoder.targets(moves_B3), self.encoder.log_jacobian(len(moves_B3))

    def decode_next(self, targets_BK: Any) -> Floats:
        """Moves (B, K) of targets, on the grid; nothing is read."""
        settings = self.encoder.settings
        moves_B3 = np.array(targets_BK, dtype=np.float64)
        moves_B3[:, :2] *= settings.scale
        if settings.grid:
            # Adding 0 makes a negative 0 positive.
            moves_B3[:, :2] = np.round(moves_B3[:, :2] / settings.grid) * settings.grid + 0.0
        return moves_B3

    def push(self, values_BK: Any) -> None:
        """Read the next move of every path."""
        moves_B3 = self.encoder.checked(values_BK)
        memory_BC = self.memory_BC.copy()
        before_B = self.last_pen()
        memory_BC[:, : _Y + 1] += moves_B3[:, :2]
        lifted_B = before_B > DRAWS
        memory_BC[lifted_B, _START_X : _START_Y + 1] = memory_BC[lifted_B, : _Y + 1]
        least_B = np.where(memory_BC[:, _LEAST] > 0, memory_BC[:, _LEAST], np.inf)
        least_B = np.minimum(least_B, _least_steps(moves_B3))
        memory_BC[:, _LEAST] = np.where(np.isinf(least_B), 0.0, least_B)
        memory_BC[:, _PEN] = before_B
        memory_BC[:, _STROKES] += lifted_B
        memory_BC[:, _MOVES] += 1
        self.memory_BC = memory_BC
        self.last_BD = self.encoder.features_after(moves_B3, memory_BC)

    def last_pen(self) -> Floats:
        """State of the pen (B,) after the last move, 0 at first."""
        pen_B: Floats = self.last_BD[:, _PEN_AT : _PEN_AT + PEN_STATES].argmax(axis=1).astype(float)
        return pen_B

    def select(self, rows_R: NDArray[np.int64]) -> StrokePaths:
        """Some of the paths, in that order; a row may occur twice."""
        return StrokePaths(self.encoder, self.last_BD[rows_R], self.memory_BC[rows_R])

    @classmethod
    def join(cls, parts: Sequence[StrokePaths]) -> StrokePaths:
        """The paths of several, in order."""
        return cls(
            parts[0].encoder,
            np.concatenate([part.last_BD for part in parts]),
            np.concatenate([part.memory_BC for part in parts]),
        )
