"""A model of strokes, packed for compiled code. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.config import from_mapping
from rhapsode.data import Condition
from rhapsode.encoding.vectors import FARTHEST, Floats, Singles
from rhapsode.errors import BundleError
from rhapsode.generation.draw import uniforms
from rhapsode.modalities.strokes import compiled_pen as code
from rhapsode.modalities.strokes.facts import StrokeBundle
from rhapsode.models.recurrent_config import GatedConfig

Ints = NDArray[np.int64]
_BELOW, _ABOVE = "model.below.", "model.above."
_WINDOWS = {"gaussian_window.v1": code.GAUSSIAN, "reading_window.v1": code.READING}
# The least and greatest uniform of a normal, as in the head.
_TINY = 2.0**-54
_GREEDY_BELOW = 1e-5
# In place of the length of an axis: any but 0.
_ANY = -1


def unsupported(bundle: StrokeBundle) -> str | None:
    """The reason why compiled code cannot draw; None where it can."""
    config = bundle.config
    if len(bundle.members) != 1:
        return "the model has several networks"
    if config.input.name != "values.v1":
        return f"no implementation of {config.input.name}"
    if config.head.name not in {"pen.v1", "pen"}:
        return f"no implementation of {config.head.name}"
    source = config.source
    families = {config.model.name}
    if source is not None:
        if source.feedback or source.attention is None or source.attention.name not in _WINDOWS:
            return "no implementation of its window"
        if source.encoder.name != "embedded.v1" or source.above is None:
            return "no implementation of its layers above the window"
        families.add(source.above.name)
    strange = families - {"lstm.v1", "lstm"}
    return f"no implementation of {min(strange)}" if strange else None


@dataclass(frozen=True)
class _Head:
    """Settings of the head `pen.v1` that are read here."""

    components: Annotated[int, Meta(ge=1, le=1 << 10)] = 20
    least_scale: Annotated[float, Meta(gt=0.0, le=1.0)] = 1e-4
    by_pen: bool = True

    @property
    def width(self) -> int:
        """Parameters of a move."""
        return 3 + (8 if self.by_pen else 6) * self.components


class _Arrays:
    """Arrays of a network, each taken by name and shape."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._left = dict(arrays)

    def take(self, name: str, *shape: int) -> NDArray[Any]:
        """An array of the file.

        Raises:
            BundleError: it is missing, or of another shape.
        """
        array = self._left.pop(name, None)
        found = None if array is None else array.shape
        if (
            found is None
            or len(found) != len(shape)
            or not all(
                own == size or (size == _ANY and own > 0)
                for own, size in zip(found, shape, strict=True)
            )
        ):
            wanted = tuple("any" if size == _ANY else size for size in shape)
            raise BundleError(
                f"the array {name!r} has shape {found}, its configuration asks for {wanted}"
            )
        return np.asarray(array, dtype=np.float32)

    def finish(self) -> None:
        """Refuse arrays that were not taken.

        Raises:
            BundleError: there are some.
        """
        if self._left:
            raise BundleError(f"its configuration asks for no array {min(self._left)!r}")


@dataclass
class Rows:
    """Rows of drawings that grow.

    Arguments:
        values_BV: hidden and cell values.
        kappa_BK: centres of the window.
        seen_BD: keys of what it last read.
        memory_BM: what the encoder remembers.
        feature_BF: features before the next move.
        past_B: moves since the window has passed the text.
        count_B: moves that were drawn.
        end_B: why a row ended; 0 where it goes on.
    """

    values_BV: Singles
    kappa_BK: Singles
    seen_BD: Singles
    memory_BM: Floats
    feature_BF: Singles
    past_B: Ints
    count_B: Ints
    end_B: Ints


class Pen:
    """A network of LSTM layers that moves a pen.

    Arguments:
        bundle: one that `unsupported` does not object to.

    Raises:
        BundleError: arrays that do not fit the configuration.
    """

    def __init__(self, bundle: StrokeBundle) -> None:
        arrays = _Arrays(bundle.members[0].arrays)
        config, source = bundle.config, bundle.config.source
        letters = bundle.facts.source
        if (source is None) != (letters is None):
            raise BundleError("its network and its encoder of sources do not belong together")
        spec = np.zeros(code.FIRST, dtype=np.int64)
        layers, parts, size = [], [], 0

        def pack(matrix: NDArray[Any]) -> int:
            nonlocal size
            flat = np.ascontiguousarray(matrix, dtype=np.float32).ravel()
            parts.append(flat)
            size += len(flat)
            return size - len(flat)

        def stack(prefix: str, settings: Mapping[str, Any], features: int) -> tuple[int, int]:
            """Number of layers that are packed, and their units."""
            form = from_mapping(
                GatedConfig,
                {**settings, "input_size": features},
                where="[model]",
                error=BundleError,
            )
            units = form.hidden_size
            for layer in range(form.num_layers):
                new = arrays.take(f"{prefix}weight_ih_l{layer}", 4 * units, features)
                past = arrays.take(f"{prefix}weight_hh_l{layer}", 4 * units, units)
                bias = arrays.take(f"{prefix}bias_ih_l{layer}", 4 * units)
                bias = bias + arrays.take(f"{prefix}bias_hh_l{layer}", 4 * units)
                layers.append([features, pack(new.T), pack(past.T), pack(bias), units])
                features = units
            return form.num_layers, units

        spec[code.INPUT] = code.FEATURES
        self._table: NDArray[Any] | None = None
        self._key: NDArray[Any] | None = None
        prefix = "model." if source is None else _BELOW
        spec[code.BELOW], units = stack(prefix, config.model.settings, code.FEATURES)
        spec[code.BELOW_SIZE] = units
        if source is not None and source.attention is not None and source.above is not None:
            window = _WINDOWS[source.attention.name]
            self._table = arrays.take(
                "model.source_encoder.table.weight",
                0 if letters is None else letters.vocab_size,
                _ANY,
            )
            values, read = self._table.shape[1], units
            if window == code.READING:
                query = arrays.take("model.attention.query.weight", _ANY, units)
                read = len(query)
                spec[code.MEETING], spec[code.QUERY] = read, pack(query.T)
                spec[code.QUERY_BIAS] = pack(arrays.take("model.attention.query.bias", read))
                self._key = arrays.take("model.attention.key.weight", read, values)
            bias = arrays.take("model.attention.shape.bias", _ANY)
            if len(bias) % 3:
                raise BundleError("the parameters of its window are not three for each Gaussian")
            shape = arrays.take("model.attention.shape.weight", len(bias), read)
            spec[code.WINDOW], spec[code.VALUES] = window, values
            spec[code.GAUSSIANS] = len(bias) // 3
            spec[code.SHAPE], spec[code.SHAPE_BIAS] = pack(shape.T), pack(bias)
            spec[code.ABOVE], units = stack(_ABOVE, source.above.settings, units + values)
        known = {
            name: value
            for name, value in config.head.settings.items()
            if name in _Head.__dataclass_fields__
        }
        head = from_mapping(_Head, known, where="[head]", error=BundleError)
        spec[code.DEPTH], spec[code.WIDTH] = units, head.width
        spec[code.MIXTURE], spec[code.BY_PEN] = head.components, int(head.by_pen)
        spec[code.HEAD] = pack(arrays.take("head.weight", head.width, units).T)
        spec[code.HEAD_BIAS] = pack(arrays.take("head.bias", head.width))
        arrays.finish()
        self._spec = np.concatenate((spec, np.array(layers, dtype=np.int64).ravel()))
        self._weights = np.concatenate(parts)
        self._state = 2 * sum(layer[-1] for layer in layers)
        encoder = bundle.encoder
        self._numbers = np.zeros(code.NUMBERS)
        self._numbers[code.SCALE] = encoder.settings.scale
        self._numbers[code.EXTENT] = encoder.settings.extent
        self._numbers[code.HEIGHT] = encoder.height
        self._numbers[code.STROKE] = encoder.stroke
        self._numbers[code.GRID] = encoder.settings.grid
        self._numbers[code.UNIT] = encoder.unit
        self._numbers[code.LEAST_LOG] = math.log(head.least_scale)
        self._numbers[code.FARTHEST] = FARTHEST

    def start(self, rows: int) -> Rows:
        """Rows that have read nothing."""
        spec = self._spec
        meeting = max(1, int(spec[code.MEETING]))
        return Rows(
            np.zeros((rows, self._state), dtype=np.float32),
            np.zeros((rows, max(1, int(spec[code.GAUSSIANS]))), dtype=np.float32),
            np.zeros((rows, meeting), dtype=np.float32),
            np.zeros((rows, code.MEMORY)),
            np.zeros((rows, code.FEATURES), dtype=np.float32),
            *(np.zeros(rows, dtype=np.int64) for _ in range(3)),
        )

    def memory(self, condition: Condition | None) -> tuple[Singles, Singles]:
        """Keys and features of the characters of a text, made once."""
        spec = self._spec
        if condition is None or self._table is None or condition.ids_BS is None:
            none = np.zeros((0, max(1, int(spec[code.MEETING]))), dtype=np.float32)
            return none, np.zeros((0, max(1, int(spec[code.VALUES]))), dtype=np.float32)
        value_SE = np.ascontiguousarray(self._table[condition.ids_BS[0]], dtype=np.float32)
        if self._key is None:
            return np.zeros((len(value_SE), 1), dtype=np.float32), value_SE
        return np.ascontiguousarray(value_SE @ self._key.T, dtype=np.float32), value_SE

    def move(
        self,
        rows: Rows,
        memory: tuple[Singles, Singles],
        draws: tuple[Floats, Floats],
        *,
        given_T3: Floats | None = None,
        letters: int = -1,
        bias: float = 0.0,
        temperature: float = 1.0,
        ends: tuple[int, int] = (1, 1),
    ) -> tuple[Floats, Ints]:
        """Read given moves and draw new ones; the rows go on.

        Arguments:
            rows: that go on; those that have ended stay.
            memory: of the text.
            draws: normals (B, T, 2) and uniforms (B, T).
            given_T3: moves that all rows read first.
            letters: characters of the text; -1 without one.
            bias: of the draws.
            temperature: likewise.
            ends: moves behind the text at which a lift, and anything, ends a row.

        Returns:
            New moves (B, T, 3), and the characters (B, given + T) under the window.
        """
        normal_BT2, third_BT = draws
        given_T3 = np.zeros((0, 3)) if given_T3 is None else np.ascontiguousarray(given_T3)
        out_BT3 = np.zeros((*third_BT.shape, 3))
        place_BT = np.zeros((len(third_BT), len(given_T3) + third_BT.shape[1]), dtype=np.int64)
        numbers = self._numbers.copy()
        numbers[code.BIAS] = bias
        numbers[code.TEMPERATURE] = 0.0 if temperature < _GREEDY_BELOW else temperature
        code.move_pen(
            self._spec, self._weights, numbers, rows.values_BV, rows.kappa_BK, rows.seen_BD,
            rows.memory_BM, rows.feature_BF, *memory, given_T3, normal_BT2, third_BT,
            letters, rows.past_B, rows.count_B, *ends, out_BT3, rows.end_B, place_BT,
        )  # fmt: skip
        return out_BT3, place_BT


def draws_of(seeds_B: NDArray[np.uint64], indices_B: Ints, first: int, count: int) -> Any:
    """Normals (B, T, 2) and uniforms (B, T) of draws.

    They are those of the loop in torch.

    Arguments:
        seeds_B: of the rows.
        indices_B: of the continuations.
        first: number of the first draw.
        count: of draws.
    """
    rows = len(indices_B)
    positions = np.tile(np.arange(first, first + count), rows)
    sequences, seeds = np.repeat(indices_B, count), np.repeat(seeds_B, count)
    lanes = [uniforms(seeds, sequences, positions, lane).reshape(rows, count) for lane in range(3)]
    normal = NormalDist().inv_cdf
    flat = np.clip(np.stack(lanes[:2], axis=-1), _TINY, 1 - 2 * _TINY).ravel()
    normal_BT2 = np.array([normal(each) for each in flat.tolist()]).reshape(rows, count, 2)
    return normal_BT2, lanes[2]
