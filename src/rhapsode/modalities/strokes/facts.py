"""Contents of a model file that belong to strokes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.bundle import Bundle, NetworkSizes, ValueFacts
from rhapsode.config import from_mapping
from rhapsode.encoding import Encoder, encoder_from_mapping
from rhapsode.encoding.strokes import StrokeEncoder
from rhapsode.errors import BundleError

Points = Annotated[int, Meta(ge=1, le=1 << 24)]


@dataclass(frozen=True)
class StrokeFacts(ValueFacts):
    """Facts about the drawings of a model.

    Arguments:
        up: True if y grows upwards.
        usual: median number of moves of a drawing.
        longest: moves of the longest drawing.
        letters: characters that one text in ten exceeds; 0 without texts.
        pace: moves a character that one text in a hundred exceeds; 0 without texts.
        source: encoder of the texts; None for a model that writes no given text.
    """

    up: bool = False
    usual: Points = 1
    longest: Points = 1
    letters: Annotated[int, Meta(ge=0, le=1 << 24)] = 0
    pace: Annotated[float, Meta(ge=0.0, le=1e9)] = 0.0
    source: Encoder | None = None

    modality: ClassVar[str] = "strokes.v1"
    goes_on_with: ClassVar[str] = "strokes"
    command: ClassVar[str] = "rhapsode generate"
    names: ClassVar[tuple[str, ...]] = ("dx", "dy", "pen")  # type: ignore[misc]
    covariate_size: ClassVar[int] = 0
    warm_up: ClassVar[int] = 1 << 20

    @classmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> StrokeEncoder:
        return StrokeEncoder.from_mapping(table)

    def to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        table: dict[str, Any] = msgspec.to_builtins(_Plain.of(self))
        if self.source is not None:
            table["source"] = self.source.to_mapping()
        return table, {}

    @classmethod
    def from_file(
        cls, table: Mapping[str, Any], arrays: dict[str, NDArray[Any]], encoder: Any
    ) -> Self:
        rest = dict(table)
        source = rest.pop("source", None)
        plain = from_mapping(_Plain, rest, where="facts", error=BundleError)
        facts = cls(**vars(plain))
        facts.check(encoder)
        if source is None:
            return facts
        if not isinstance(source, dict):
            raise BundleError("the description of its texts is malformed", where="facts")
        if facts.letters < 1 or facts.pace <= 0:
            raise BundleError("its texts have no length or no pace", where="facts")
        return replace(facts, source=encoder_from_mapping(source))

    def sizes(self, encoder: Any) -> NetworkSizes:
        sizes = super().sizes(encoder)
        if self.source is None:
            return sizes
        return replace(sizes, source=("vocab_size", self.source.vocab_size))


@dataclass(frozen=True)
class _Plain:
    """The plain values of the facts."""

    up: bool = False
    usual: Points = 1
    longest: Points = 1
    letters: Annotated[int, Meta(ge=0, le=1 << 24)] = 0
    pace: Annotated[float, Meta(ge=0.0, le=1e9)] = 0.0

    @classmethod
    def of(cls, facts: StrokeFacts) -> _Plain:
        return cls(facts.up, facts.usual, facts.longest, facts.letters, facts.pace)


StrokeBundle = Bundle[StrokeEncoder, StrokeFacts]
