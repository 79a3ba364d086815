"""A bundle's arrays, checked against the configuration and packed for compiled code."""

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

from rhapsode.bundle import Bundle, Component
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

# Bytes of a large page. Weights in one lie in one piece of memory, so that they share a cache
# evenly.
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
        return "the compiler of numba is disabled"
    return unsupported_form(bundle)


class _Packing:
    """The arrays of a bundle, and the vectors that hold them.

    Each array is looked up by name and shape.

    Arguments:
        bundle: the model.
        member: which of its networks.
        kind: of the weights.
        before: the member that lies before this one in the same vectors; None for the first.
    """

    def __init__(
        self, bundle: Bundle[Any, Any], member: int, kind: str, before: "_Packing | None"
    ) -> None:
        form = engine_form(bundle)
        assert form is not None, "call `unsupported` first"
        self.kernel, self.family, self.settings = form.kernel, _CELLS[form.cell], form.numbers
        self.kind, self.vocab = kind, bundle.encoder.vocab_size
        self._left = dict(bundle.members[member].arrays)
        self._parts: list[Array] = [] if before is None else before._parts
        self._matrices: list[NDArray[Any]] = [] if before is None else before._matrices
        self._spec: dict[int, int] = {}
        # Of the vectors that elements become, and their table; without one, unit vectors.
        self.width, self.table_VD = self.vocab, None
        name, settings = full_name(bundle.config.input.name), bundle.config.input.settings
        if name != "onehot.v1":
            self.width = int(settings.get("embedding_size", 64))
            short = self.vocab if name == "table.v1" else int(settings["shortlist"])
            self.table_VD = self.take("input.weight", short, self.width)
            if name == "adaptive_table.v1":
                narrow = int(settings["tail_size"])
                tail_ND = self.take("input.tail_weight", self.vocab - short, narrow)
                tail_ND = tail_ND @ self.take("input.project", narrow, self.width)
                self.table_VD = np.concatenate((self.table_VD, tail_ND))

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
        """Append an array to the vector and return its place.

        The place is a multiple of 64 bytes.
        """
        place = sum(map(len, self._parts))
        self._parts += [array.reshape(-1), np.zeros(-array.size % 16, dtype=np.float32)]
        return place

    def bias(self, array: Array) -> int:
        """As `lay`, with zeros up to a whole panel."""
        return self.lay(np.pad(array, (0, padded(len(array)) - len(array))))

    def matrix(self, *weights_GK: Array) -> int:
        """Append matrices of one shape, and return the place of the first."""
        place = sum(map(len, self._matrices))
        self._matrices += [packed(weight_GK, self.kind) for weight_GK in weights_GK]
        return place

    def tell(self, numbers: Mapping[int, int], layer: int | None = None) -> None:
        """Tell compiled code of the network or of a layer; see `offsets`."""
        first = 0 if layer is None else at.FIRST + at.EACH * layer
        self._spec.update({first + place: number for place, number in numbers.items()})

    def vectors(self) -> tuple[Array, NDArray[Any]]:
        """Vectors of all members so far, at multiples of 64 bytes."""
        return _joined(self._parts), _joined(self._matrices)

    def spec(self) -> NDArray[np.int64]:
        """Description of the network; see `offsets`.

        Raises:
            BundleError: there are arrays that nothing asked for.
        """
        for name, array in sorted(self._left.items()):
            raise BundleError(
                f"the array {name!r} has shape {array.shape}, its configuration asks for None"
            )
        spec = np.zeros(at.FIRST + at.EACH * self.settings["num_layers"], dtype=np.int64)
        spec[list(self._spec)] = list(self._spec.values())
        return spec


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """One vector, aligned for large pages if the system has them.

    Pages are 2 MB; otherwise the alignment is 64 bytes.
    """
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
def lay_out(bundle: Bundle[Any, Any], kind: str = "float32") -> tuple[Laid, ...]:
    """The networks of a bundle, all in the same vectors.

    Arguments:
        bundle: the model.
        kind: of the weights: "float32", "bf16" or "int8".

    Raises:
        BundleError: arrays that do not fit the configuration, a setting out of range, or, for int8,
            weights that are not finite.
    """
    reason = unsupported(bundle)
    if reason is not None:
        raise BundleError(f"the compiled engine cannot run this model: {reason}")
    packing: _Packing | None = None
    specs: list[NDArray[np.int64]] = []
    try:
        for member in range(len(bundle.members)):
            packing = _Packing(bundle, member, kind, packing)
            _lay_out(bundle, packing)
            specs.append(packing.spec())
    except (TypeError, ValueError, OverflowError, ZeroDivisionError, KeyError) as problem:
        raise BundleError(f"the network cannot be built ({problem})") from None
    if packing is None:
        raise BundleError("this model has no network")
    weights, matrices = packing.vectors()
    return tuple(Laid(weights, matrices, spec, kind) for spec in specs)


def _lay_out(bundle: Bundle[Any, Any], packing: _Packing) -> None:
    config, vocab = bundle.config, bundle.encoder.vocab_size
    for part, component in (("input", config.input), ("head", config.head)):
        size = component.settings.get("vocab_size", vocab)
        if size != vocab:
            raise BundleError(f"the {part} has {size} elements, the encoder {vocab}")
    if packing.kernel == "recurrent":
        features = _recurrent(packing)
    elif packing.kernel == "convolution":
        features = _convolution(packing)
    else:
        features = _attention(packing, bundle.context.size)
    packing.tell(
        {
            at.FAMILY: packing.family,
            at.VOCAB: vocab,
            at.LAYERS: packing.settings["num_layers"],
            at.EMBEDDING: packing.width,
            at.FEATURES: features,
        }
    )
    _head(packing, config.head, features)


def _head(packing: _Packing, head: Component, features: int) -> None:
    """Pack the head."""
    biased, vocab = head.settings.get("bias", True), packing.vocab

    def bias(name: str, size: int) -> int:
        zeros_V = np.zeros(size, dtype=np.float32)
        return packing.bias(packing.take(f"head.{name}", size) if biased else zeros_V)

    adaptive = full_name(head.name) == "adaptive.v1"
    short = int(head.settings["shortlist"]) if adaptive else vocab
    weight = packing.matrix(packing.take("head.weight", short, features))
    packing.tell({at.SHORTLIST: short, at.HEAD: weight, at.HEAD_BIAS: bias("bias", short)})
    if not adaptive:
        return
    narrow, rare = int(head.settings["tail_size"]), vocab - short
    if not 0 < short < vocab or narrow < 1:
        raise BundleError(f"no tail of width {narrow} is behind {short} of {vocab} elements")
    project = packing.take("head.project", narrow, features)
    whole = packing.take("head.whole_weight", 1, features)
    whole_bias = np.append(np.zeros(narrow, dtype=np.float32), packing.take("head.whole_bias", 1))
    packing.tell(
        {
            at.TAIL_SIZE: narrow,
            at.PROJECT: packing.matrix(np.concatenate((project, whole))),
            at.PROJECT_BIAS: packing.bias(whole_bias),
            at.TAIL: packing.matrix(packing.take("head.tail_weight", rare, narrow)),
            at.TAIL_BIAS: bias("tail_bias", rare),
        }
    )


def _recurrent(packing: _Packing) -> int:
    """Pack recurrent layers, and return the number of features."""
    size, layers = packing.settings["hidden_size"], packing.settings["num_layers"]
    family, table_VD = packing.family, packing.table_VD
    gates = _GATES[family] * size
    for layer in range(layers):
        depth = packing.width if layer == 0 else size
        weight_ih = packing.take(f"model.weight_ih_l{layer}", gates, depth)
        weight_hh = packing.take(f"model.weight_hh_l{layer}", gates, size)
        bias_G = packing.take(f"model.bias_ih_l{layer}", gates)
        past_G = packing.take(f"model.bias_hh_l{layer}", gates)
        packing.tell(
            {recurrent.PAST: packing.matrix(weight_hh), recurrent.INPUT_SIZE: depth}, layer
        )
        if family == at.GRU:  # its reset gate weighs the bias of the past, too
            packing.tell({recurrent.PAST_BIAS: packing.bias(past_G)}, layer)
        else:
            bias_G = bias_G + past_G
        if layer == 0 and (table_VD is None or packing.vocab * gates <= FOLDED):
            products_VG = weight_ih.T if table_VD is None else table_VD @ weight_ih.T
            table = packing.lay(products_VG + bias_G)
            packing.tell({at.TABLE: table, at.TABLE_STEP: gates, at.FOLDED: 1})
            continue
        if layer == 0 and table_VD is not None:
            packing.tell({at.TABLE: packing.lay(table_VD), at.TABLE_STEP: depth})
        packing.tell(
            {recurrent.INPUT: packing.matrix(weight_ih), recurrent.BIAS: packing.bias(bias_G)},
            layer,
        )
    packing.tell({at.STATE: layers * size * (2 if family == at.LSTM else 1)})
    return int(size)


def _convolution(packing: _Packing) -> int:
    settings, table_VD = packing.settings, packing.table_VD
    size, taps, layers = settings["hidden_size"], settings["kernel_size"], settings["num_layers"]
    project = packing.take("model.project.weight", size, packing.width)
    bias_H = packing.take("model.project.bias", size)
    table_VH = (project.T if table_VD is None else table_VD @ project.T) + bias_H
    row = padded(size)
    packing.tell(
        {
            at.TABLE: packing.lay(np.pad(table_VH, ((0, 0), (0, row - size)))),
            at.TABLE_STEP: row,
            at.TAPS: taps,
            at.TAP_SIZE: matrix_size(size, size, packing.kind),
            at.STATE: 2 * (taps - 1) * (2**layers - 1) * size,
        }
    )
    for layer in range(layers):
        for which in range(2):
            name = f"model.blocks.{layer}.conv{which + 1}"
            weight = packing.take(f"{name}.weight", size, size, taps)
            matrices = packing.matrix(*(weight[:, :, tap] for tap in range(taps)))
            bias = packing.bias(packing.take(f"{name}.bias", size))
            packing.tell(
                {convolution.CONV1 + which: matrices, convolution.CONV1_BIAS + which: bias}, layer
            )
    return int(size)


def _attention(packing: _Packing, context_size: int) -> int:
    settings, width, vocab = packing.settings, packing.width, packing.vocab
    heads, layers = settings["num_heads"], settings["num_layers"]
    classic = packing.family == at.CLASSIC
    if width % heads or (not classic and width % (2 * heads)):
        raise BundleError(f"a width of {width} does not divide into {heads} heads")
    window = settings["length" if classic else "window"]
    if classic and context_size > window:
        raise BundleError(
            f"a window of {context_size} elements needs as many positions, not {window}"
        )
    inside = settings["feedforward_size"] or (4 * width if classic else 16 * math.ceil(width / 6))
    each = width // heads
    table_VD = packing.table_VD
    if table_VD is None:
        if vocab * vocab > FOLDED:
            raise BundleError("the vocabulary is too large for one-hot input")
        table_VD = np.eye(vocab, dtype=np.float32)
    packing.tell(
        {
            at.TABLE: packing.lay(table_VD),
            at.TABLE_STEP: width,
            at.HEADS: heads,
            at.WINDOW: window,
            at.INNER: inside,
            at.STATE: layers * heads * (padded(window) * each + padded(each) * window),
        }
    )
    if classic:
        positions = packing.take("model.position.weight", window, width)
        packing.tell({at.POSITIONS: packing.lay(positions)})
    else:
        exponents_C = np.arange(0, each, 2, dtype=np.float64) / each
        frequencies_C = float(settings["rope_base"]) ** -exponents_C
        packing.tell(
            {
                at.NORM: packing.lay(packing.take("model.norm.weight", width)),
                at.FREQUENCIES: packing.lay(frequencies_C.view(np.float32)),
            }
        )
    lay_layer = _classic_layer if classic else _layer
    for layer in range(layers):
        packing.tell(lay_layer(packing, f"model.layers.{layer}", inside), layer)
    return int(width)


def _layer(packing: _Packing, name: str, inside: int) -> dict[int, int]:
    part, width = f"{name}.self_attn", packing.width
    qkv = [packing.take(f"{part}.{which}_proj.weight", width, width) for which in "qkv"]
    up = [
        packing.take(f"{name}.mlp.{which}_proj.weight", inside, width) for which in ("gate", "up")
    ]
    return {
        attention.QKV: packing.matrix(np.concatenate(qkv)),
        attention.QKV_BIAS: -1,
        attention.OUT: packing.matrix(packing.take(f"{part}.o_proj.weight", width, width)),
        attention.UP: packing.matrix(np.concatenate(up)),
        attention.UP_BIAS: -1,
        attention.DOWN: packing.matrix(packing.take(f"{name}.mlp.down_proj.weight", width, inside)),
        attention.NORM1: packing.lay(packing.take(f"{name}.input_layernorm.weight", width)),
        attention.NORM2: packing.lay(
            packing.take(f"{name}.post_attention_layernorm.weight", width)
        ),
    }


def _classic_layer(packing: _Packing, name: str, inside: int) -> dict[int, int]:
    part, width = f"{name}.self_attn", packing.width
    return {
        attention.QKV: packing.matrix(packing.take(f"{part}.in_proj_weight", 3 * width, width)),
        attention.QKV_BIAS: packing.bias(packing.take(f"{part}.in_proj_bias", 3 * width)),
        attention.OUT: packing.matrix(packing.take(f"{part}.out_proj.weight", width, width)),
        attention.OUT_BIAS: packing.bias(packing.take(f"{part}.out_proj.bias", width)),
        attention.UP: packing.matrix(packing.take(f"{name}.linear1.weight", inside, width)),
        attention.UP_BIAS: packing.bias(packing.take(f"{name}.linear1.bias", inside)),
        attention.DOWN: packing.matrix(packing.take(f"{name}.linear2.weight", width, inside)),
        attention.DOWN_BIAS: packing.bias(packing.take(f"{name}.linear2.bias", width)),
        attention.NORM1: packing.lay(packing.take(f"{name}.norm1.weight", width)),
        attention.NORM1_BIAS: packing.lay(packing.take(f"{name}.norm1.bias", width)),
        attention.NORM2: packing.lay(packing.take(f"{name}.norm2.weight", width)),
        attention.NORM2_BIAS: packing.lay(packing.take(f"{name}.norm2.bias", width)),
    }
