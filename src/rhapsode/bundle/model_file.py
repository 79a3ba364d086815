"""Model files of all modalities. No torch.

One file holds networks, encoder, counts, calibration and provenance. It is safetensors; reading it
executes nothing, and names resolve only through the registries. Its metadata entries are JSON
texts; its arrays have the prefixes `network.0`, `network.1`, ... (members), `counts.` and others
that the facts of a modality define.
"""

import contextlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from rhapsode.bundle.provenance import Calibration, Mixture, Provenance
from rhapsode.config import (
    Registry,
    SeenContext,
    from_mapping,
    parse_context,
    shared_registry,
    to_mapping,
)
from rhapsode.errors import BundleError, RhapsodeError
from rhapsode.files import is_there, read_arrays, write_arrays

FORMAT = "rhapsode"
FORMAT_VERSION = 2
Weights = Annotated[
    list[Annotated[float, msgspec.Meta(gt=0.0, lt=1e9)]], msgspec.Meta(max_length=64)
]
"""Weights of the members of a model."""

Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")
E_co = TypeVar("E_co", covariant=True)


@dataclass(frozen=True)
class Component:
    """A registered name and its settings as plain values."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceReader:
    """Components by which a network reads a source.

    Arguments:
        encoder: a condition to features of its elements.
        attention: features of the network to weights of these elements; None: every layer of a
            transformer attends to them itself.
        above: layers after the attention; None: a layer of tanh.
        feedback: True if the layers before it also read what was last attended to.
    """

    encoder: Component
    attention: Component | None = None
    above: Component | None = None
    feedback: bool = False


@dataclass(frozen=True)
class NetworkConfig:
    """Components of a network, and how it sees its past.

    Arguments:
        input: elements to features.
        model: features to features.
        head: features to a distribution.
        context: "carried", "fresh" or "window:N".
        conditioner: a condition to a memory; None where the network uses no condition.
        source: components that read a sequence of a condition; None where there is none.
    """

    input: Component
    model: Component
    head: Component
    context: str = "carried"
    conditioner: Component | None = None
    source: SourceReader | None = None


@dataclass(frozen=True)
class Member:
    """One of the networks of a model.

    Arguments:
        arrays: weights by parameter name, float32.
        weight: of its probabilities in the average, above 0; relative to the other members.
    """

    arrays: Arrays
    weight: float = 1.0


@dataclass(frozen=True)
class NetworkSizes:
    """Sizes that a network must have to fit an encoder.

    Arguments:
        noun: noun of the things that they count.
        input: name and value of a setting of the input module.
        head: name and value of a setting of the head.
        conditioner: the same of the conditioner, for a model that needs one; None: the encoder
            needs none.
        source: the same of the encoder of sources, for a model that reads them.
    """

    noun: str
    input: tuple[str, int]
    head: tuple[str, int]
    conditioner: tuple[str, int] | None = None
    source: tuple[str, int] | None = None


class Facts(ABC):
    """Contents of a model file that belong to one modality."""

    modality: ClassVar[str]
    """The registered name."""
    goes_on_with: ClassVar[str]
    """Noun of what its models continue."""
    command: ClassVar[str]
    """The command that uses its models."""

    @abstractmethod
    def to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Plain values, and arrays by their names in the file."""

    @classmethod
    @abstractmethod
    def from_file(
        cls, table: Mapping[str, Any], arrays: dict[str, NDArray[Any]], encoder: Any
    ) -> Self:
        """Read the facts of a file.

        Arrays that belong to them are removed from `arrays`.

        Raises:
            RhapsodeError: they are malformed, or do not fit the encoder.
        """

    @classmethod
    @abstractmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> Any:
        """The encoder that a file describes.

        Raises:
            RhapsodeError: there is no such encoder.
        """

    @abstractmethod
    def sizes(self, encoder: Any) -> NetworkSizes:
        """Sizes that a network must have."""

    @abstractmethod
    def described(self, encoder: Any) -> dict[str, Any]:
        """Plain values that describe the facts: "encoder" and further sections."""

    def context(self) -> str:
        """The context of a model without a network."""
        return "carried"


FACTS: Registry[type[Facts]] = shared_registry("modality")

F_co = TypeVar("F_co", bound=Facts, covariant=True)


@dataclass(frozen=True)
class Bundle(Generic[E_co, F_co]):
    """Contents of a model file.

    Arguments:
        network: the components; None for a model without a network.
        encoder: documents to elements and back.
        facts: of the modality.
        members: the networks, whose probabilities are averaged; none without a network.
        calibration: made after training.
        provenance: data, splits, settings, metrics.
    """

    network: NetworkConfig | None
    encoder: E_co
    facts: F_co
    members: tuple[Member, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def modality(self) -> str:
        """The registered name of its modality."""
        return self.facts.modality

    @property
    def config(self) -> NetworkConfig:
        """The components of its network.

        Raises:
            BundleError: there is no network.
        """
        if self.network is None:
            raise BundleError("this model has no network")
        return self.network

    @property
    def arrays(self) -> Arrays:
        """Weights by parameter name.

        With several members, a name begins with the member's number.
        """
        if len(self.members) == 1:
            return self.members[0].arrays
        return {
            f"{number}.{name}": array
            for number, member in enumerate(self.members)
            for name, array in member.arrays.items()
        }

    @property
    def parameters(self) -> int:
        """Number of weights of all members."""
        return sum(int(array.size) for array in self.arrays.values())

    @property
    def context(self) -> SeenContext:
        """The context that the model was trained in."""
        return parse_context(self.facts.context() if self.network is None else self.network.context)

    @property
    def mixture(self) -> Mixture | None:
        """The n-gram model mixed with the network; None without weight."""
        mixture = self.calibration.mixture
        return mixture if mixture is not None and mixture.weights else None

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the members, one in total."""
        total = math.fsum(member.weight for member in self.members)
        return tuple(member.weight / total for member in self.members)


def bundle_path(model: str | Path) -> Path:
    """Path of the model file of a run folder or path.

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


def write_bundle(path: Path, bundle: Bundle[Any, Any]) -> None:
    """Write a model file, atomically.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    facts, arrays = bundle.facts.to_file()
    for number, member in enumerate(bundle.members):
        arrays |= {f"network.{number}.{name}": array for name, array in member.arrays.items()}
    entries = {
        "network": None if bundle.network is None else to_mapping(bundle.network),
        "members": [member.weight for member in bundle.members],
        "encoder": bundle.encoder.to_mapping(),
        "facts": facts,
        "calibration": asdict(bundle.calibration),
        "provenance": asdict(bundle.provenance),
    }
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "modality": bundle.modality,
        **{name: json.dumps(value) for name, value in entries.items()},
    }
    ordered = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_arrays(path, ordered, metadata)


def modality_of(model: str | Path) -> str | None:
    """Modality of a run folder or model file; None if unreadable.

    Only the header of the file is read.
    """
    try:
        with safe_open(bundle_path(model), framework="np") as file:
            return (file.metadata() or {}).get("modality")
    except (OSError, RhapsodeError, SafetensorError, ValueError, TypeError, AttributeError):
        return None


def read_bundle(model: str | Path, facts: type[F_co] | None = None) -> Bundle[Any, F_co]:
    """Read the model of a run folder or model file.

    Arguments:
        model: the folder or file.
        facts: of the required modality; None for any.

    Raises:
        BundleError: missing, truncated, hostile, of another version or modality, or with components
            this release lacks.
    """
    path = bundle_path(model)
    metadata, arrays = read_arrays(path, "it was cut off or altered: copy or train it again")
    with naming_file(path, RhapsodeError):
        if metadata.get("format") != FORMAT:
            raise BundleError(
                "this safetensors file was not written by rhapsode "
                "(its metadata has no entry of rhapsode)"
            )
        version = metadata.get("format_version")
        if version != str(FORMAT_VERSION):
            raise BundleError(
                f"format version {version!r} cannot be read, only {FORMAT_VERSION}",
                hint="train it again, or use the rhapsode release that wrote it",
            )
        if "modality" not in metadata:
            raise BundleError("its metadata lacks 'modality'")
        found = FACTS.get(metadata["modality"])
        if facts is not None and found is not facts:
            raise BundleError(
                f"this model is for {found.goes_on_with}, not for {facts.goes_on_with}",
                hint=f"use {found.command}",
            )
        encoder = found.open_encoder(_table(metadata, "encoder"))
        own: Any = found.from_file(_table(metadata, "facts"), arrays, encoder)
        network = None
        if metadata.get("network") != "null":
            network = _typed(NetworkConfig, metadata, "network")
            parse_context(network.context)
        bundle = Bundle(
            network,
            encoder,
            own,
            _members(metadata, arrays, has_network=network is not None),
            _calibration(metadata),
            _typed(Provenance, metadata, "provenance"),
        )
        if arrays:
            raise BundleError(f"unknown array {min(arrays)!r}")
        if bundle.calibration.mixture is not None:
            bundle.calibration.mixture.check()
    return bundle


@contextlib.contextmanager
def naming_file(path: Path, kind: type[RhapsodeError] = BundleError) -> Iterator[None]:
    """Name a model file in errors about its contents.

    Raises:
        BundleError: where an error of that kind was raised.
    """
    try:
        yield
    except kind as problem:
        where = f"{path}: {problem.where}" if problem.where else str(path)
        raise BundleError(problem.what, where=where, hint=problem.hint) from None


def _value(metadata: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(metadata[key])
    except KeyError:
        raise BundleError(f"its metadata lacks {key!r}") from None
    except (ValueError, RecursionError):
        raise BundleError(f"its metadata entry {key!r} is not JSON") from None


def _table(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    value = _value(metadata, key)
    if not isinstance(value, dict):
        raise BundleError(f"its metadata entry {key!r} is not a table")
    return value


def _typed(cls: type[T], metadata: Mapping[str, str], key: str) -> T:
    return from_mapping(cls, _table(metadata, key), where=key, error=BundleError)


def _calibration(metadata: Mapping[str, str]) -> Calibration:
    """Values that were set after training.

    Raises:
        BundleError: they are malformed, or a mixture is of the kind before there were weights.
    """
    mixture = _table(metadata, "calibration").get("mixture")
    if isinstance(mixture, dict) and "share" in mixture:
        version = _table(metadata, "provenance").get("rhapsode")
        wrote = f" (rhapsode {version} wrote it)" if isinstance(version, str) else ""
        raise BundleError(
            "its network and counts are mixed by one share; this release mixes them by weights of "
            f"contexts and cannot read the file{wrote}",
            where="calibration: mixture.share",
            hint="train it again on the same data, or use the rhapsode release that wrote it",
        )
    return _typed(Calibration, metadata, "calibration")


def _members(
    metadata: Mapping[str, str], arrays: dict[str, NDArray[Any]], *, has_network: bool
) -> tuple[Member, ...]:
    """Take the networks out of the arrays of a file."""
    value = _value(metadata, "members")
    try:
        weights = msgspec.convert(value, Weights)
    except msgspec.ValidationError:
        raise BundleError("its metadata entry 'members' is not a list of weights above 0") from None
    if bool(weights) != has_network:
        raise BundleError("its members do not match its network")
    members = [
        Member(take_arrays(arrays, f"network.{number}."), weight)
        for number, weight in enumerate(weights)
    ]
    for member in members:
        for name, array in member.arrays.items():
            if array.dtype != np.float32:
                raise BundleError(f"the array {name!r} is {array.dtype}, not float32")
            if not np.isfinite(array).all():
                raise BundleError(f"the array {name!r} holds values that are not finite")
    return tuple(members)


def take_arrays(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Remove and return the arrays with a prefix.

    Their names lose the prefix.
    """
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays.pop(name) for name in names}
