"""One file holds a model: configuration, encoder, provenance and arrays. This half never loads torch.

The file is safetensors; reading it executes nothing, and names resolve only through the registries.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from rhapsode.config import SeenContext, from_mapping, parse_context, to_mapping
from rhapsode.encoding import Encoder, encoder_from_mapping
from rhapsode.errors import BundleError, RhapsodeError
from rhapsode.files import first_line, is_there, write_atomically

__all__ = [
    "COUNTS",
    "FORMAT_VERSION",
    "Bundle",
    "Component",
    "Mixture",
    "ModelFile",
    "NetworkConfig",
    "bundle_path",
    "check_weights",
    "is_series_model",
    "read_bundle",
    "read_file",
    "save_file",
    "write_bundle",
]

FORMAT = "rhapsode"
FORMAT_VERSION = 1
COUNTS = "corpus.counts"


@dataclass(frozen=True)
class Component:
    """A registered name and its settings as plain values."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkConfig:
    """The components of a network, and how it sees its past.

    Arguments:
        input: elements to features.
        model: features to features.
        head: features to a distribution.
        context: "carried", "fresh" or "window:N".
        conditioner: a condition to a memory; None where the network uses no condition.
    """

    input: Component
    model: Component
    head: Component
    context: str = "carried"
    conditioner: Component | None = None


@dataclass(frozen=True)
class Mixture:
    """The n-gram model that a network is mixed with.

    Arguments:
        share: what of every probability it gives, above 0, at most 1.
        ngram: its fingerprint.
    """

    share: float
    ngram: str


@dataclass(frozen=True)
class Bundle:
    """A model as it lies in its file.

    Arguments:
        config: the components.
        encoder: documents to elements and back.
        provenance: where it came from: data, splits, settings, figures; plain values.
        arrays: weights by parameter name, float32, and under `corpus.counts` how often each element occurred in
            the training share, int64 (V,).
    """

    config: NetworkConfig
    encoder: Encoder
    provenance: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def context(self) -> SeenContext:
        """How the model sees its past."""
        return parse_context(self.config.context)

    @property
    def mixture(self) -> Mixture | None:
        """The n-gram model that belongs to the network; None where there is none.

        Raises:
            BundleError: the provenance names one in a way that makes no sense.
        """
        found = self.provenance.get("mixture")
        if found is None:
            return None
        share = found.get("share") if isinstance(found, Mapping) else None
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise BundleError("its mixture has no share from 0 to 1")
        if not share:
            return None
        ngram = found.get("ngram")
        if not isinstance(ngram, str):
            raise BundleError("its mixture does not tell with which n-gram model")
        return Mixture(float(share), ngram)

    @property
    def counts_V(self) -> NDArray[np.int64]:
        """How often each element occurred in the training share."""
        return np.asarray(self.arrays[COUNTS])


def bundle_path(model: str | Path) -> Path:
    """The model file that a run folder or a path means.

    Raises:
        BundleError: there is none.
    """
    path = Path(model)
    if not is_there(path):
        raise BundleError(
            "no such model", where=str(path), hint="name a run folder or a model file"
        )
    if path.is_dir():
        inside = path / "model.safetensors"
        if not inside.exists():
            raise BundleError(
                "this folder holds no model.safetensors",
                where=str(path),
                hint="name a run folder whose training has reached its first evaluation",
            )
        return inside
    return path


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a model file, whole or not at all.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    metadata = {
        "config": json.dumps(to_mapping(bundle.config)),
        "encoder": json.dumps(bundle.encoder.to_mapping()),
        "provenance": json.dumps(dict(bundle.provenance)),
    }
    save_file(path, metadata, bundle.arrays)


def save_file(path: Path, metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write metadata and arrays under this format's name and version, whole or not at all.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), **metadata}
    ordered = {name: np.asarray(array, order="C") for name, array in arrays.items()}

    def save(scratch: Path) -> None:
        try:
            safetensors.numpy.save_file(ordered, scratch, metadata=metadata)
        except SafetensorError as problem:
            raise OSError(str(problem)) from None

    write_atomically(path, save)


@dataclass(frozen=True)
class ModelFile:
    """A file of this format and version, its entries not looked into yet.

    Arguments:
        metadata: JSON texts by name.
        arrays: by name.
    """

    metadata: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def of_series(self) -> bool:
        """Whether the model goes on with numbers; if not, with text."""
        return "series" in self.metadata

    def table(self, key: str) -> dict[str, Any]:
        """An entry of the metadata.

        Raises:
            BundleError: it is missing, or no table.
        """
        return _json(self.metadata, key)


def read_file(path: Path) -> ModelFile:
    """A model file of whatever kind.

    Raises:
        BundleError: missing, torn, not ours, or of another version.
    """
    metadata, arrays = _open(path)
    if metadata.get("format") != FORMAT:
        raise BundleError(
            "this safetensors file was not written by rhapsode (its metadata says nothing of it)",
            where=str(path),
        )
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise BundleError(
            f"format version {version!r} cannot be read, only {FORMAT_VERSION}",
            where=str(path),
            hint="use the rhapsode release that wrote it, or a newer one",
        )
    return ModelFile(metadata, arrays)


def is_series_model(model: str | Path) -> bool:
    """Whether a run folder or model file holds a model of series; what cannot be read counts as one of text.

    Only the head of the file is read.
    """
    try:
        with safe_open(bundle_path(model), framework="np") as file:
            return "series" in (file.metadata() or {})
    except (OSError, RhapsodeError, SafetensorError, ValueError, TypeError, AttributeError):
        return False


def read_bundle(model: str | Path) -> Bundle:
    """The model of text in a run folder or model file.

    Raises:
        BundleError: missing, torn, hostile, of another version, with components this release lacks, or a model of series.
    """
    path = bundle_path(model)
    file = read_file(path)
    try:
        if file.of_series:
            raise BundleError(
                "this model goes on with series of numbers, not with text",
                hint="use rhapsode forecast",
            )
        config = from_mapping(
            NetworkConfig, file.table("config"), where="config", error=BundleError
        )
        parse_context(config.context)
        encoder = encoder_from_mapping(file.table("encoder"))
        bundle = Bundle(config, encoder, file.table("provenance"), file.arrays)
        _check_arrays(file.arrays, encoder)
        _ = bundle.mixture  # refused here where it makes no sense
    except RhapsodeError as problem:
        where = f"{path}: {problem.where}" if problem.where else str(path)
        raise BundleError(problem.what, where=where, hint=problem.hint) from None
    return bundle


def _open(path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as problem:
        raise BundleError(f"cannot read: {problem.strerror or problem}", where=str(path)) from None
    except (
        SafetensorError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        MemoryError,
    ) as problem:
        raise BundleError(
            f"not a whole safetensors file ({first_line(problem)})",
            where=str(path),
            hint="it was cut off or altered: copy or train it again",
        ) from None


def _json(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    try:
        value = json.loads(metadata[key])
    except KeyError:
        raise BundleError(f"its metadata lacks {key!r}") from None
    except (ValueError, RecursionError):
        raise BundleError(f"its metadata entry {key!r} is not JSON") from None
    if not isinstance(value, dict):
        raise BundleError(f"its metadata entry {key!r} is not a table")
    return value


def _check_arrays(arrays: Mapping[str, NDArray[Any]], encoder: Encoder) -> None:
    counts = arrays.get(COUNTS)
    if counts is None or counts.dtype != np.int64 or counts.shape != (encoder.vocab_size,):
        raise BundleError(f"the array {COUNTS!r} is missing or of another size than the vocabulary")
    if (counts < 0).any():
        raise BundleError(f"the array {COUNTS!r} holds negative counts")
    check_weights({name: array for name, array in arrays.items() if name != COUNTS})


def check_weights(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse weights that are not finite numbers of single precision.

    Raises:
        BundleError: as said.
    """
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise BundleError(f"the array {name!r} is {array.dtype}, not float32")
        if not np.isfinite(array).all():
            raise BundleError(f"the array {name!r} holds values that are not finite")
