"""Provenance of a model, and values set after its training. No torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from rhapsode.errors import BundleError

# The settings of a modality would be a stricter type. But reading a model would load them all, and
# a model whose training had a setting that a later release drops or renames would no longer open.
# Bounds are far above what training writes: they keep hostile files small.
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Single = (
    Annotated[str, Meta(max_length=1 << 20)]
    | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    | float
    | bool
    | None
)
Setting = Single | Annotated[list[Single], Meta(max_length=1 << 16)]
Table = Annotated[Mapping[Name, Setting], Meta(max_length=1024)]
Section = Annotated[Mapping[Name, Setting | Table], Meta(max_length=1024)]


Weights = Annotated[tuple[Annotated[float, Meta(ge=-100, le=100)], ...], Meta(max_length=1024)]


@dataclass(frozen=True)
class Mixture:
    """The counts that a network is mixed with.

    Arguments:
        weights: of network and counts, see `rhapsode.counts.mixing.experts`; none without counts.
        adapting: the same where the counts adapt to what is read.
        ngram: fingerprint of the counts; None without weights.
        validation_loss: of the mixture, nats per element of the validation slice.
        network_validation_loss: of the network alone, on the same part.
        ngram_validation_loss: of the best n-gram model alone.
        reason: why there are no weights.
    """

    weights: Weights = ()
    adapting: Weights = ()
    ngram: str | None = None
    validation_loss: float | None = None
    network_validation_loss: float | None = None
    ngram_validation_loss: float | None = None
    reason: str | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Plain values; losses that are not known are left out."""
        return {n: value for n, value in asdict(self).items() if value is not None or n == "reason"}

    def check(self) -> None:
        """Check that weights come with the counts that they are of.

        Raises:
            BundleError: nothing says of which counts they are.
        """
        if self.weights and self.ngram is None:
            raise BundleError("its mixture does not name its n-gram model")


NETWORK = "network"
"""Name of the network among the methods of a pool."""


@dataclass(frozen=True)
class PathCalibration:
    """Transformation of finished sample paths, chosen on the validation split.

    The distribution of every step becomes the weighted average of quantiles of several methods, and
    distances from its median are multiplied by a factor. Likelihoods are those of the network.

    Arguments:
        weights: of each method in the average of quantiles; 1 in all.
        ends: the last step of each bucket of steps; later steps belong to the last bucket.
        factors: of the distances from the median, for each bucket.
        scores: continuous ranked probability score of each method and of the pool, as a share of
            that of the naive forecast.
        forecasts: number of forecasts that chose weights and factors.
        reason: of the choice, a sentence.
        zeros: the same for histories with many zeros; None leaves these to the network.
    """

    weights: Annotated[Mapping[Name, Annotated[float, Meta(ge=0, le=1)]], Meta(max_length=64)]
    ends: Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(max_length=64)] = ()
    factors: Annotated[tuple[Annotated[float, Meta(gt=0, le=100)], ...], Meta(max_length=64)] = ()
    scores: Annotated[Mapping[Name, float], Meta(max_length=64)] = field(default_factory=dict)
    forecasts: int = 0
    reason: str = ""
    zeros: "PathCalibration | None" = None

    def in_words(self) -> str:
        """Members and widths of the forecasts, in a sentence or two."""
        made = self._in_words()
        if self.zeros is not None:
            made += f". Where many values are zero, {self.zeros._in_words()}"
        return f"{made}. Densities are those of the network"

    def _in_words(self) -> str:
        weights = sorted(self.weights.items(), key=lambda pair: -pair[1])
        if len(weights) == 1:
            made = f"forecasts are made by {'the ' * (weights[0][0] == NETWORK)}{weights[0][0]}"
        else:
            shares = ", ".join(f"{name} {weight:.0%}" for name, weight in weights)
            made = f"forecasts are weighted averages of quantiles: {shares}"
        if self.reason:
            made += f" ({self.reason})"
        if self.factors:
            widths = ", ".join(f"{factor:.2f}" for factor in self.factors)
            over = f" up to steps {', '.join(map(str, self.ends))}" if len(self.ends) > 1 else ""
            made += f"; their intervals are multiplied by {widths}{over}"
        return made

    def to_mapping(self) -> dict[str, Any]:
        """Plain values, with the sentence as `words`."""
        return {**asdict(self), "words": self.in_words()}


@dataclass(frozen=True)
class Calibration:
    """Values that are set after training.

    Arguments:
        mixture: of a network with counts.
        paths: of finished sample paths.
    """

    mixture: Mixture | None = None
    paths: PathCalibration | None = None


@dataclass(frozen=True)
class Provenance:
    """Data, splits, settings and metrics of a model.

    Arguments:
        data_sha256: of the training data.
        documents: number of documents in it.
        copies: documents that occur more than once.
        characters: of all documents.
        series: number of series in it.
        values: known values of these series.
        test_share: part of the data that was held out, 0 to 1.
        validation_share: part of the rest that chose the weights.
        selected_on: what the weights were chosen by, in words.
        settings: of the run, resolved, as its config.toml has them: values, and sections of values
            and tables.
        ancestors: the models before it, the nearest last.
        step: update of its weights.
        validation_loss: then, nats per element.
        test: metrics on the test split.
        text_index: fingerprint of the index of its training text.
        rhapsode: version that wrote it.
    """

    data_sha256: str | None = None
    documents: int | None = None
    copies: int | None = None
    characters: int | None = None
    series: int | None = None
    values: int | None = None
    test_share: float | None = None
    validation_share: float | None = None
    selected_on: str | None = None
    settings: Annotated[Mapping[Name, Setting | Section], Meta(max_length=1024)] = field(
        default_factory=dict
    )
    ancestors: tuple[Mapping[str, Any], ...] = ()
    step: int | None = None
    validation_loss: float | None = None
    test: Mapping[str, Any] | None = None
    text_index: str | None = None
    rhapsode: str | None = None

    def section(self, name: str) -> Mapping[str, Any]:
        """A section of the settings; empty where there is none."""
        section = self.settings.get(name)
        return section if isinstance(section, Mapping) else {}
