"""A bundle's arrays laid out for compiled code, after it is sure that they fit the configuration."""

from __future__ import annotations

import contextlib
import math
import mmap
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Bundle
from rhapsode.engine import offsets as at
from rhapsode.engine.forms import engine_form, full_name, unsupported_form
from rhapsode.engine.kernels import attention, convolution
from rhapsode.engine.kernels import recurrent_steps as recurrent
from rhapsode.engine.kernels.products import matrix_size, packed
from rhapsode.engine.kernels.tiles import padded
from rhapsode.errors import BundleError

Array = NDArray[np.float32]

_config: Any = numba.config

_CELLS = {
    "lstm": at.LSTM,
    "gru": at.GRU,
    "tanh": at.TANH,
    "relu": at.RELU,
    "rotary": at.TRANSFORMER,
    "learned": at.CLASSIC,
    "tcn": at.CONVOLUTION,
}
_GATES = {at.LSTM: 4, at.GRU: 3, at.TANH: 1, at.RELU: 1}

# Bytes of a large page. Weights in one lie in one piece of memory, so that they share a cache evenly.
_LARGE_PAGE = 1 << 21

# Numbers (256 MB) of the largest table in which elements and the first layer's products are one.
FOLDED = 1 << 26


@dataclass(frozen=True)
class Laid:
    """A network as compiled code takes it.

    Arguments:
        weights: tables, norms and biases, float32.
        matrices: all matrices, of one kind of weights.
        spec: what lies where; see `offsets`.
        kind: "float32", "bf16" or "int8".
    """

    weights: Array
    matrices: NDArray[Any]
    spec: NDArray[np.int64]
    kind: str = "float32"

    def __getitem__(self, place: int) -> int:
        return int(self.spec[place])


def unsupported(bundle: Bundle[Any, Any]) -> str | None:
    """Why this engine cannot run a model here; None where it can."""
    if _config.DISABLE_JIT:
        return "numba's compiler is switched off"
    return unsupported_form(bundle)


class _Arrays:
    """The arrays of a bundle, each asked for by name and shape; and the vectors they are laid into."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], kind: str) -> None:
        self.kind = kind
        self._left = dict(arrays)
        self._parts: list[Array] = []
        self._size = 0
        self._matrices: list[NDArray[Any]] = []
        self._matrices_size = 0
        self.spec = np.zeros(at.FIRST, dtype=np.int64)

    def take(self, name: str, *shape: int) -> Array:
        """An array of the bundle.

        Raises:
            BundleError: it is missing, or of another shape.
        """
        array = self._left.pop(name, None)
        if array is None or array.shape != shape:
            found = None if array is None else array.shape
            raise BundleError(
                f"the array {name!r} has shape {found}, its configuration asks for {shape}"
            )
        return np.asarray(array, dtype=np.float32)

    def lay(self, array: Array) -> int:
        """Where an array begins in the vector: at a multiple of 64 bytes."""
        place = self._size
        flat = np.asarray(array, dtype=np.float32).reshape(-1)
        spare = -len(flat) % 16
        self._parts += [flat, np.zeros(spare, dtype=np.float32)]
        self._size += len(flat) + spare
        return place

    def bias(self, array: Array) -> int:
        """As `lay`, with zeros up to a whole panel."""
        return self.lay(np.pad(array, (0, padded(len(array)) - len(array))))

    def matrix(self, *weights_GK: Array) -> int:
        """Where matrices of one shape begin in their vector, one behind the other."""
        place = self._matrices_size
        for weight_GK in weights_GK:
            flat = packed(weight_GK, self.kind)
            self._matrices.append(flat)
            self._matrices_size += len(flat)
        return place

    def done(self) -> tuple[Array, NDArray[Any]]:
        """Both vectors, at multiples of 64 bytes.

        Raises:
            BundleError: there are arrays that nothing asked for.
        """
        for name, array in sorted(self._left.items()):
            raise BundleError(
                f"the array {name!r} has shape {array.shape}, its configuration asks for None"
            )
        return _joined(self._parts), _joined(self._matrices)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """One vector in whole pages of 2 MB where the system has them, else at a multiple of 64 bytes."""
    kind, size = parts[0].dtype, sum(map(len, parts))
    bytes_needed = size * kind.itemsize
    if sys.platform != "linux" or bytes_needed < _LARGE_PAGE // 4:
        room = np.empty(bytes_needed + 64, dtype=np.uint8)
        skip = -room.ctypes.data % 64
    else:
        pages = mmap.mmap(-1, (bytes_needed // _LARGE_PAGE + 2) * _LARGE_PAGE)
        with contextlib.suppress(OSError):  # a kernel without large pages
            pages.madvise(mmap.MADV_HUGEPAGE)
        room = np.frombuffer(pages, dtype=np.uint8)
        skip = -room.ctypes.data % _LARGE_PAGE
    return np.concatenate(parts, out=room[skip : skip + bytes_needed].view(kind))


@np.errstate(over="ignore", invalid="ignore")
def lay_out(bundle: Bundle[Any, Any], kind: str = "float32", member: int = 0) -> Laid:
    """One of the networks of a bundle.

    Arguments:
        bundle: the model.
        kind: of the weights: "float32", "bf16" or "int8".
        member: which of its networks.

    Raises:
        BundleError: arrays that do not fit the configuration, a setting out of range, or, for int8, weights that are not
            finite.
    """
    reason = unsupported(bundle)
    if reason is not None:
        raise BundleError(f"the compiled engine cannot run this model: {reason}")
    arrays = _Arrays(bundle.members[member].arrays, kind)
    try:
        return _lay_out(bundle, arrays)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError, KeyError) as problem:
        raise BundleError(f"the network cannot be built ({problem})") from None


def _lay_out(bundle: Bundle[Any, Any], arrays: _Arrays) -> Laid:
    config, vocab = bundle.config, bundle.encoder.vocab_size
    for part, component in (("input", config.input), ("head", config.head)):
        size = component.settings.get("vocab_size", vocab)
        if size != vocab:
            raise BundleError(f"the {part} has {size} elements, the encoder {vocab}")
    form = engine_form(bundle)
    assert form is not None, "`unsupported` comes first"
    family, settings = _CELLS[form.cell], form.numbers
    table_VD = None
    width = vocab
    if full_name(config.input.name) == "table.v1":
        width = int(config.input.settings.get("embedding_size", 64))
        table_VD = arrays.take("input.weight", vocab, width)
    layers = settings["num_layers"]
    arrays.spec = np.zeros(at.FIRST + at.EACH * layers, dtype=np.int64)
    arrays.spec[at.FAMILY], arrays.spec[at.VOCAB] = family, vocab
    arrays.spec[at.LAYERS], arrays.spec[at.EMBEDDING] = layers, width
    if form.kernel == "recurrent":
        features = _recurrent(arrays, family, settings, table_VD, vocab, width)
    elif form.kernel == "convolution":
        features = _convolution(arrays, settings, table_VD, vocab, width)
    else:
        features = _attention(arrays, family, settings, table_VD, vocab, width, bundle.context.size)
    arrays.spec[at.FEATURES] = features
    arrays.spec[at.HEAD] = arrays.matrix(arrays.take("head.weight", vocab, features))
    biased = config.head.settings.get("bias", True)
    bias_V = arrays.take("head.bias", vocab) if biased else np.zeros(vocab, dtype=np.float32)
    arrays.spec[at.HEAD_BIAS] = arrays.bias(bias_V)
    return Laid(*arrays.done(), arrays.spec, arrays.kind)


def _recurrent(  # noqa: PLR0917
    arrays: _Arrays,
    family: int,
    settings: Mapping[str, Any],
    table_VD: Array | None,
    vocab: int,
    width: int,
) -> int:
    spec, size = arrays.spec, settings["hidden_size"]
    gates = _GATES[family] * size
    for layer in range(settings["num_layers"]):
        own = at.FIRST + at.EACH * layer
        depth = width if layer == 0 else size
        weight_ih = arrays.take(f"model.weight_ih_l{layer}", gates, depth)
        weight_hh = arrays.take(f"model.weight_hh_l{layer}", gates, size)
        bias_G = arrays.take(f"model.bias_ih_l{layer}", gates)
        past_G = arrays.take(f"model.bias_hh_l{layer}", gates)
        if family == at.GRU:  # its reset gate weighs the bias of the past, too
            spec[own + recurrent.PAST_BIAS] = arrays.bias(past_G)
        else:
            bias_G = bias_G + past_G
        spec[own + recurrent.PAST] = arrays.matrix(weight_hh)
        spec[own + recurrent.INPUT_SIZE] = depth
        if layer == 0 and (table_VD is None or vocab * gates <= FOLDED):
            products_VG = weight_ih.T if table_VD is None else table_VD @ weight_ih.T
            spec[at.TABLE], spec[at.TABLE_STEP] = arrays.lay(products_VG + bias_G), gates
            spec[at.FOLDED] = 1
            continue
        if layer == 0 and table_VD is not None:
            spec[at.TABLE], spec[at.TABLE_STEP] = arrays.lay(table_VD), width
        spec[own + recurrent.INPUT] = arrays.matrix(weight_ih)
        spec[own + recurrent.BIAS] = arrays.bias(bias_G)
    spec[at.STATE] = settings["num_layers"] * size * (2 if family == at.LSTM else 1)
    return int(size)


def _whole_table(table_VD: Array | None, vocab: int) -> Array:
    """The table, or that of unit vectors."""
    if table_VD is not None:
        return table_VD
    if vocab * vocab > FOLDED:
        raise BundleError("so many unit vectors are too large a table")
    return np.eye(vocab, dtype=np.float32)


def _convolution(
    arrays: _Arrays, settings: Mapping[str, Any], table_VD: Array | None, vocab: int, width: int
) -> int:
    spec, size, taps = arrays.spec, settings["hidden_size"], settings["kernel_size"]
    project = arrays.take("model.project.weight", size, width)
    bias_H = arrays.take("model.project.bias", size)
    table_VH = (project.T if table_VD is None else table_VD @ project.T) + bias_H
    spec[at.TABLE] = arrays.lay(np.pad(table_VH, ((0, 0), (0, padded(size) - size))))
    spec[at.TABLE_STEP], spec[at.TAPS] = padded(size), taps
    spec[at.TAP_SIZE] = matrix_size(size, size, arrays.kind)
    state = 0
    for layer in range(settings["num_layers"]):
        own = at.FIRST + at.EACH * layer
        state += 2 * (taps - 1) * 2**layer * size
        for which in range(2):
            name = f"model.blocks.{layer}.conv{which + 1}"
            weight = arrays.take(f"{name}.weight", size, size, taps)
            spec[own + convolution.CONV1 + which] = arrays.matrix(
                *(weight[:, :, tap] for tap in range(taps))
            )
            bias_H = arrays.take(f"{name}.bias", size)
            spec[own + convolution.CONV1_BIAS + which] = arrays.bias(bias_H)
    spec[at.STATE] = state
    return int(size)


def _attention(  # noqa: PLR0917
    arrays: _Arrays,
    family: int,
    settings: Mapping[str, Any],
    table_VD: Array | None,
    vocab: int,
    width: int,
    size: int,
) -> int:
    spec, heads = arrays.spec, settings["num_heads"]
    classic = family == at.CLASSIC
    if width % heads or (not classic and width % (2 * heads)):
        raise BundleError(f"a width of {width} does not divide into {heads} heads")
    window = settings["length" if classic else "window"]
    if classic and size > window:
        raise BundleError(f"a window of {size} elements needs as many positions, not {window}")
    inside = settings["feedforward_size"] or (4 * width if classic else 16 * math.ceil(width / 6))
    each = width // heads
    spec[at.TABLE] = arrays.lay(_whole_table(table_VD, vocab))
    spec[at.TABLE_STEP] = width
    spec[at.HEADS], spec[at.WINDOW], spec[at.INNER] = heads, window, inside
    cache = heads * (padded(window) * each + padded(each) * window)
    spec[at.STATE] = settings["num_layers"] * cache
    if classic:
        spec[at.POSITIONS] = arrays.lay(arrays.take("model.position.weight", window, width))
    else:
        spec[at.NORM] = arrays.lay(arrays.take("model.norm.weight", width))
        exponents_C = np.arange(0, each, 2, dtype=np.float64) / each
        frequencies_C = float(settings["rope_base"]) ** -exponents_C
        spec[at.FREQUENCIES] = arrays.lay(frequencies_C.view(np.float32))
    for layer in range(settings["num_layers"]):
        own = at.FIRST + at.EACH * layer
        name = f"model.layers.{layer}"
        places = (
            _classic_layer(arrays, name, width, inside)
            if classic
            else _layer(arrays, name, width, inside)
        )
        for place, found in places.items():
            spec[own + place] = found
    return int(width)


def _layer(arrays: _Arrays, name: str, width: int, inside: int) -> dict[int, int]:
    part = f"{name}.self_attn"
    qkv = [arrays.take(f"{part}.{which}_proj.weight", width, width) for which in "qkv"]
    up = [arrays.take(f"{name}.mlp.{which}_proj.weight", inside, width) for which in ("gate", "up")]
    return {
        attention.QKV: arrays.matrix(np.concatenate(qkv)),
        attention.QKV_BIAS: -1,
        attention.OUT: arrays.matrix(arrays.take(f"{part}.o_proj.weight", width, width)),
        attention.UP: arrays.matrix(np.concatenate(up)),
        attention.UP_BIAS: -1,
        attention.DOWN: arrays.matrix(arrays.take(f"{name}.mlp.down_proj.weight", width, inside)),
        attention.NORM1: arrays.lay(arrays.take(f"{name}.input_layernorm.weight", width)),
        attention.NORM2: arrays.lay(arrays.take(f"{name}.post_attention_layernorm.weight", width)),
    }


def _classic_layer(arrays: _Arrays, name: str, width: int, inside: int) -> dict[int, int]:
    part = f"{name}.self_attn"
    return {
        attention.QKV: arrays.matrix(arrays.take(f"{part}.in_proj_weight", 3 * width, width)),
        attention.QKV_BIAS: arrays.bias(arrays.take(f"{part}.in_proj_bias", 3 * width)),
        attention.OUT: arrays.matrix(arrays.take(f"{part}.out_proj.weight", width, width)),
        attention.OUT_BIAS: arrays.bias(arrays.take(f"{part}.out_proj.bias", width)),
        attention.UP: arrays.matrix(arrays.take(f"{name}.linear1.weight", inside, width)),
        attention.UP_BIAS: arrays.bias(arrays.take(f"{name}.linear1.bias", inside)),
        attention.DOWN: arrays.matrix(arrays.take(f"{name}.linear2.weight", width, inside)),
        attention.DOWN_BIAS: arrays.bias(arrays.take(f"{name}.linear2.bias", width)),
        attention.NORM1: arrays.lay(arrays.take(f"{name}.norm1.weight", width)),
        attention.NORM1_BIAS: arrays.lay(arrays.take(f"{name}.norm1.bias", width)),
        attention.NORM2: arrays.lay(arrays.take(f"{name}.norm2.weight", width)),
        attention.NORM2_BIAS: arrays.lay(arrays.take(f"{name}.norm2.bias", width)),
    }
