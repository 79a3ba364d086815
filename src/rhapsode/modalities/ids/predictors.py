"""Predictors of a model of identifiers: compiled or in torch, alone or mixed with counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rhapsode.bundle import NetworkPredictor, Predictor
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.bundle.id_facts import IdBundle
from rhapsode.config import GenerateSettings
from rhapsode.errors import BundleError, SettingsError
from rhapsode.modalities.ids.ngram_sidecar import NGRAM, inner_ngram, open_ngram

if TYPE_CHECKING:  # what only scores need, and what loads the compiler
    from rhapsode.counts import NGramModel
    from rhapsode.encoding import Grammar
    from rhapsode.engine.rounding import Rounding

__all__ = ["IdPredictors"]


class IdPredictors:
    """The predictors of a model file, each made on first use.

    Where the file names a mixture and the n-gram model is at hand, all of them are the mixture; without those counts,
    or with those of another run, they are the network alone, and `alone` says why.

    Arguments:
        path: the model file.
        bundle: its contents.
        ngram: the counts that belong to it, where they are at hand.
    """

    def __init__(self, path: Path, bundle: IdBundle, ngram: NGramModel | None = None) -> None:
        self.path = path
        self.bundle = bundle
        self._ngram = ngram
        self._compiled: dict[tuple[str, int | None], Predictor] = {}
        self._told = False

    @cached_property
    def predictor(self) -> Predictor:
        """What predicts one element after another; `predictor_for("auto")`."""
        return self.predictor_for("auto")

    def predictor_for(
        self,
        engine: str,
        tell: Callable[[str], None] | None = None,
        *,
        weights: str = "float32",
        threads: int | None = None,
    ) -> Predictor:
        """What predicts, by an engine; made on first use.

        Arguments:
            engine: "compiled" (loads no torch), "torch", or "auto": compiled where it can run this model.
            tell: takes a line where code has to be compiled first.
            weights: what the compiled engine keeps them as: "float32", "bf16" or "int8".
            threads: cores that it may use; None: as many as pay.

        Raises:
            BundleError: the arrays do not fit the configuration.
            SettingsError: the compiled engine cannot run this model, or torch is to have other weights than float32.
        """
        self.tell_alone(tell)
        if engine == "torch":
            if weights != "float32":
                raise SettingsError(
                    f"torch has no {weights} weights here",
                    where="--weights",
                    hint="leave --engine out",
                )
            return self.scorer
        kept = self._compiled.get((weights, threads))
        if kept is not None:
            return kept
        from rhapsode.engine.compiled_predictor import compiled_predictor
        from rhapsode.engine.packed_weights import unsupported

        reason = unsupported(self.bundle)
        if reason is not None and (engine == "compiled" or weights != "float32"):
            raise SettingsError(
                f"the compiled engine cannot run this model: {reason}",
                where="--engine" if engine == "compiled" else "--weights",
            )
        if reason is not None:
            return self.scorer
        with self._named():
            network = compiled_predictor(self.bundle, tell, weights=weights, threads=threads)
        self._compiled[weights, threads] = made = self._mixed(self._restricted(network))
        return made

    def writer_for(
        self, settings: GenerateSettings, tell: Callable[[str], None] | None = None
    ) -> Predictor:
        """The predictor that settings ask for; see `predictor_for`."""
        return self.predictor_for(
            settings.engine, tell, weights=settings.weights, threads=settings.threads
        )

    def rounding(self, weights: str) -> Rounding:
        """What weights of fewer bits cost, on elements that the model itself writes; see `rounding_of`.

        Arguments:
            weights: "bf16" or "int8".
        """
        from rhapsode.engine.rounding import rounding_of

        return rounding_of(
            self.predictor_for("compiled"), self.predictor_for("compiled", weights=weights)
        )

    @cached_property
    def scorer(self) -> Predictor:
        """What scores whole texts: torch, on all cores; made on first use.

        Raises:
            BundleError: the arrays do not fit the configuration.
        """
        if self.bundle.network is None:
            return self._counts_alone()
        return self._mixed(self.network_scorer)

    def _counts_alone(self) -> Predictor:
        """The predictor of a model without a network.

        Raises:
            BundleError: there are no counts either.
        """
        from rhapsode.bundle.ngram_predictor import NGramPredictor

        ngram, _ = self.counts
        if isinstance(ngram, str):
            raise BundleError(f"this model has no network, and {ngram}", where=str(self.path))
        predictor = NGramPredictor(ngram)
        return predictor if self._grammar is None else predictor.restricted(self._grammar)

    def _mixed(self, network: NetworkPredictor) -> Predictor:
        """A network with the counts that it is mixed with, where there are any."""
        return network if self._mixed_with is None else MixedPredictor(network, *self._mixed_with)

    @cached_property
    def network_scorer(self) -> NetworkPredictor:
        """The network alone, in torch; made on first use.

        Raises:
            BundleError: the arrays do not fit the configuration.
        """
        from rhapsode.bundle.network import load_network
        from rhapsode.bundle.torch_predictor import torch_predictor

        bundle = self.bundle
        with self._named():
            networks = [load_network(bundle, member) for member in range(len(bundle.members))]
        return self._restricted(
            torch_predictor(networks, bundle.encoder.vocab_size, bundle.context, bundle.weights)
        )

    @cached_property
    def _grammar(self) -> Grammar | None:
        return self.bundle.facts.grammar(self.bundle.encoder)

    def _restricted(self, network: NetworkPredictor) -> NetworkPredictor:
        """A network within the grammar of its elements, where there is one."""
        return network if self._grammar is None else network.restricted(self._grammar)

    @cached_property
    def counts(self) -> tuple[NGramModel | str, list[str]]:
        """The n-gram model beside the file, or why there is none; and the warnings that this gave."""
        if self._ngram is not None:
            return self._ngram, []
        if self.bundle.facts.ngram is not None:
            with self._named():
                return inner_ngram(self.bundle.facts), []
        warnings: list[str] = []
        return open_ngram(self.path, self.bundle.facts.counts_V, warnings.append), warnings

    @cached_property
    def _mixed_with(self) -> tuple[NGramModel, float] | None:
        """The n-gram model that the network is mixed with, and its share."""
        mixture = self.bundle.mixture
        if mixture is None or self.alone is not None:
            return None
        ngram, _ = self.counts
        assert not isinstance(ngram, str)
        return ngram, mixture.share

    @cached_property
    def alone(self) -> str | None:
        """Why the network predicts alone although the file names a mixture; None where it does not, or need not."""
        mixture = self.bundle.mixture
        if mixture is None:
            return None
        ngram, _ = self.counts
        if isinstance(ngram, str):
            return ngram
        if ngram.fingerprint != mixture.ngram:
            if self.bundle.facts.ngram is not None:
                return "its n-gram counts are not those that this model was mixed with"
            return f"{NGRAM} is not the one that this model was mixed with"
        return None

    def tell_alone(self, tell: Callable[[str], None] | None) -> None:
        """Warn, once, where what predicts is not what the file's figures are of."""
        if tell is not None and not self._told and self.alone is not None:
            self._told = True
            tell(f"warning: {self.alone}: figures and text are those of the network alone")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the file name it."""
        try:
            yield
        except BundleError as problem:
            where = f"{self.path}: {problem.where}" if problem.where else str(self.path)
            raise BundleError(problem.what, where=where, hint=problem.hint) from None
