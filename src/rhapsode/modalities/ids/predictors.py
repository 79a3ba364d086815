"""Predictors of an opened model of identifiers: networks, counts and their mixture."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rhapsode.bundle import (
    IdBundle,
    IdFacts,
    MixedPredictor,
    Predictor,
    bundle_path,
    naming_file,
    read_bundle,
)
from rhapsode.config import GenerateSettings
from rhapsode.errors import BundleError, SettingsError
from rhapsode.log import log
from rhapsode.modalities.ids.counting.beside_counts import without_counts
from rhapsode.modalities.ids.counting.ngram_sidecar import NGRAM, inner_ngram, open_ngram
from rhapsode.modalities.model import Model

if TYPE_CHECKING:  # what loads torch or the compiler, or draws tables
    import torch

    from rhapsode.counts import NGramModel


class IdPredictors(Model[IdBundle]):
    """An opened model of identifiers as far as it predicts.

    Predictors are loaded at the first prediction; torch is loaded for scores only. If the file
    names a mixture and the n-gram model is beside it, all predictions are those of the mixture.
    Without that sidecar, or with that of another run, they are those of the network alone, and
    `alone` gives the reason.

    Arguments:
        path: a run folder or a model file.
        bundle: its contents, where they are at hand; None reads them.
        ngram: the counts that belong to it, where they are at hand.
        device: where torch computes; None for the CPU.

    Raises:
        BundleError: missing, damaged, or of another version or modality.
    """

    facts: ClassVar[type[IdFacts]]
    """Class of its contents of a model file."""

    def __init__(
        self,
        path: str | Path,
        bundle: IdBundle | None = None,
        ngram: NGramModel | None = None,
        *,
        device: torch.device | None = None,
    ) -> None:
        self.path = bundle_path(path)
        self.bundle = read_bundle(path, self.facts) if bundle is None else bundle
        self._ngram = ngram
        self._device = device
        self._compiled: dict[tuple[str, int | None, bool], Predictor] = {}
        self._told = False

    @cached_property
    def predictor(self) -> Predictor:
        return self.predictor_for("auto")

    def predictor_of(self, *, adapt: bool) -> Predictor:
        return self.predictor_for("auto", adapt=True) if adapt else self.predictor

    def predictor_for(
        self,
        engine: str,
        *,
        weights: str = "float32",
        threads: int | None = None,
        adapt: bool = False,
    ) -> Predictor:
        """The predictor of an engine; made on first use.

        Arguments:
            engine: "compiled" (loads no torch), "torch", or "auto": compiled where it can run this
                model.
            weights: number format in the compiled engine: "float32", "bf16" or "int8".
            threads: maximum number of cores; None for the fastest number.
            adapt: whether counts adapt to what is read and written.

        Raises:
            BundleError: the arrays do not fit the configuration.
            SettingsError: the compiled engine cannot run this model, torch is to have other
                weights than float32, or there are no counts that could adapt.
        """
        self.tell_alone()
        if engine == "torch" and weights != "float32":
            raise SettingsError(
                f"the torch engine has no {weights} weights",
                where="--weights",
                hint="leave --engine out",
            )
        if engine == "torch":
            return self.adapting if adapt else self.scorer
        if (weights, threads, adapt) in self._compiled:
            return self._compiled[weights, threads, adapt]
        from rhapsode.engine.compiled_predictor import compiled_predictor
        from rhapsode.engine.packed_weights import unsupported

        reason = unsupported(self.bundle)
        if reason is not None and (engine == "compiled" or weights != "float32"):
            raise SettingsError(
                f"the compiled engine cannot run this model: {reason}",
                where="--engine" if engine == "compiled" else "--weights",
            )
        if reason is not None:
            return self.adapting if adapt else self.scorer
        with naming_file(self.path):
            network = compiled_predictor(self.bundle, weights=weights, threads=threads)
        made = _mixed(self, self._restricted(network), adapt=adapt)
        self._compiled[weights, threads, adapt] = made
        return made

    def writer_for(self, settings: GenerateSettings) -> Predictor:
        """The predictor that settings ask for; see `predictor_for`.

        Raises:
            SettingsError: there is no such device, or the compiled engine is to run on one.
        """
        engine = settings.engine
        if settings.device is not None and self.place(settings.device):
            if engine == "compiled":
                raise SettingsError(
                    f"the compiled engine does not run on {settings.device}",
                    where="--engine",
                    hint="leave --engine or --device out",
                )
            engine = "torch"
        return self.predictor_for(
            engine, weights=settings.weights, threads=settings.threads, adapt=settings.adapt
        )

    def place(self, device: str) -> bool:
        """Let torch compute on a device from now on.

        True is returned if that is not the CPU.

        Raises:
            SettingsError: there is no such device.
        """
        from rhapsode.bundle.device import CPU, choose_device

        chosen = choose_device(device)
        if chosen != self._device:
            self._device = chosen
            for made in ("network_scorer", "scorer"):
                vars(self).pop(made, None)
        return chosen != CPU

    @cached_property
    def scorer(self) -> Predictor:
        """The torch predictor that scores whole texts, created on first use.

        It uses all cores.

        Raises:
            BundleError: the arrays do not fit the configuration, or there are neither network nor
                counts.
        """
        if self.bundle.network is not None:
            return _mixed(self, self.network_scorer)
        from rhapsode.bundle.combined.mixed_predictor import NGramPredictor

        ngram = self.counts
        if isinstance(ngram, str):
            raise BundleError(f"this model has no network, and {ngram}", where=str(self.path))
        scorer: Predictor = self._restricted(NGramPredictor(ngram))
        return scorer

    @property
    def adapting(self) -> Predictor:
        """The torch predictor whose counts adapt to what is read.

        Raises:
            BundleError: the arrays do not fit the configuration.
            SettingsError: there are no counts that could adapt.
        """
        if self.bundle.network is None:
            raise SettingsError("a model of counts alone does not adapt", where="adapt")
        return _mixed(self, self.network_scorer, adapt=True)

    @cached_property
    def network_scorer(self) -> Predictor:
        """The network alone, in torch; made on first use.

        Raises:
            BundleError: the arrays do not fit the configuration.
        """
        from rhapsode.bundle.network import load_network
        from rhapsode.bundle.torch_predictor import torch_predictor

        bundle = self.bundle
        with naming_file(self.path):
            networks = [load_network(bundle, member) for member in range(len(bundle.members))]
        if self._device is not None:
            networks = [network.to(self._device) for network in networks]
            for network in networks:
                network.tie()
        scorer: Predictor = self._restricted(
            torch_predictor(networks, bundle.encoder.vocab_size, bundle.context, bundle.weights)
        )
        return scorer

    def _restricted(self, predictor: Any) -> Any:
        """A predictor within the grammar of its elements, where there is one."""
        grammar = self.bundle.facts.grammar(self.bundle.encoder)
        return predictor if grammar is None else predictor.restricted(grammar)

    @cached_property
    def counts(self) -> NGramModel | str:
        """The n-gram model of the file, or the reason for its absence."""
        if self._ngram is not None:
            return self._ngram
        if self.bundle.facts.ngram is not None:
            with naming_file(self.path):
                return inner_ngram(self.bundle.facts)
        return open_ngram(self.path, self.bundle.facts.counts_V)

    @cached_property
    def alone(self) -> str | None:
        """The reason why a network predicts without its counts; None otherwise."""
        mixture = self.bundle.mixture
        if mixture is None:
            return None
        ngram = self.counts
        if isinstance(ngram, str):
            return ngram
        if ngram.fingerprint == mixture.ngram:
            return None
        if self.bundle.facts.ngram is not None:
            return "its n-gram counts are not those that this model was mixed with"
        return f"{NGRAM} is not the one that this model was mixed with"

    def tell_alone(self) -> None:
        """Warn once if the network predicts without the counts of its figures."""
        if not self._told and self.alone is not None:
            self._told = True
            log.warning(f"{self.alone}: {without_counts(self.bundle.provenance)}")


def _mixed(model: IdPredictors, network: Predictor, *, adapt: bool = False) -> Predictor:
    """A network mixed with its n-gram counts, if there are any.

    Raises:
        SettingsError: they are to adapt, but cannot.
        BundleError: the weights are not those of the counts.
    """
    mixture = model.bundle.mixture
    if adapt and (mixture is None or model.alone is not None or not mixture.adapting):
        reason = model.alone or "it is not mixed with counts, or sees a window only"
        raise SettingsError(f"this model cannot adapt: {reason}", where="adapt")
    if mixture is None or model.alone is not None:
        return network
    ngram = model.counts
    assert not isinstance(ngram, str)
    weights = mixture.adapting if adapt else mixture.weights
    mixed = MixedPredictor(network, ngram, weights, adapt=adapt)
    try:
        _ = mixed.experts
    except ValueError as problem:
        raise BundleError(
            f"its mixture does not fit its counts ({problem})", where=str(model.path)
        ) from None
    return mixed
