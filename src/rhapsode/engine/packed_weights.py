"""A bundle's arrays, checked against the configuration and packed for compiled code."""

import contextlib
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
from rhapsode.engine.family_layouts import (
    pack_attention,
    pack_convolution,
    pack_head,
    pack_recurrent,
)
from rhapsode.engine.forms import engine_form, full_name, unsupported_form
from rhapsode.engine.kernels.products import packed
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

# Bytes of a large page. Weights in one lie in one piece of memory, so that they share a cache
# evenly.
_LARGE_PAGE = 1 << 21


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


class Packing:
    """The arrays of a bundle, and the vectors that hold them.

    Each array is looked up by name and shape.

    Arguments:
        bundle: the model.
        member: which of its networks.
        kind: of the weights.
        before: the member that lies before this one in the same vectors; None for the first.
    """

    def __init__(
        self, bundle: Bundle[Any, Any], member: int, kind: str, before: "Packing | None"
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
    packing: Packing | None = None
    specs: list[NDArray[np.int64]] = []
    try:
        for member in range(len(bundle.members)):
            packing = Packing(bundle, member, kind, packing)
            _lay_out(bundle, packing)
            specs.append(packing.spec())
    except (TypeError, ValueError, OverflowError, ZeroDivisionError, KeyError) as problem:
        raise BundleError(f"the network cannot be built ({problem})") from None
    if packing is None:
        raise BundleError("this model has no network")
    weights, matrices = packing.vectors()
    return tuple(Laid(weights, matrices, spec, kind) for spec in specs)


def _lay_out(bundle: Bundle[Any, Any], packing: Packing) -> None:
    config, vocab = bundle.config, bundle.encoder.vocab_size
    for part, component in (("input", config.input), ("head", config.head)):
        size = component.settings.get("vocab_size", vocab)
        if size != vocab:
            raise BundleError(f"the {part} has {size} elements, the encoder {vocab}")
    if packing.kernel == "recurrent":
        features = pack_recurrent(packing)
    elif packing.kernel == "convolution":
        features = pack_convolution(packing)
    else:
        features = pack_attention(packing, bundle.context.size)
    packing.tell(
        {
            at.FAMILY: packing.family,
            at.VOCAB: vocab,
            at.LAYERS: packing.settings["num_layers"],
            at.EMBEDDING: packing.width,
            at.FEATURES: features,
        }
    )
    pack_head(packing, config.head, features)
