"""Base of modalities of identifiers: plan, batches, validation, samples, mixture."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Calibration, IdBundle, IdFacts, Predictor, Provenance
from rhapsode.config import GenerateSettings, IdSettings
from rhapsode.data import Batch, FilledStream, Stream
from rhapsode.encoding import ENCODERS
from rhapsode.errors import DataError, SettingsError
from rhapsode.evaluation import (
    Figures,
    Text,
    baselines_of,
    element_losses,
    evaluate_store,
    total_loss,
    unit_sums,
)
from rhapsode.log import log
from rhapsode.modalities.contract import (
    Compared,
    FinishedModel,
    Measure,
    Modality,
    Planned,
    RunRequest,
    Scored,
    SplitName,
)
from rhapsode.modalities.ids.contract import IdCorpus, IdEvaluationSettings
from rhapsode.modalities.ids.counting.beside_counts import evidence_of, trained_predictor
from rhapsode.modalities.ids.counting.ngram_sidecar import NGRAM, Counted, count_corpus, ngram_part
from rhapsode.modalities.ids.counting.validation import ValidationPart, mixture_of_run
from rhapsode.modalities.ids.metrics import Evaluation, IdPart, measure_ids, protocol_of, score_part
from rhapsode.models.families import FAMILIES

if TYPE_CHECKING:  # training loads torch, models filters
    from rhapsode.bundle.network import Network
    from rhapsode.modalities.ids.model import IdModel


# Elements that the sweep of the test split reads in windows, about half a minute's; `rhapsode
# evaluate` reads all.
FINISHING_READS = 1_500_000
SAMPLE_SEED = 0

S = TypeVar("S", bound=IdSettings)
C = TypeVar("C", bound=IdCorpus)
T = TypeVar("T")


class IdModality(Modality[S, C, IdBundle], Generic[S, C]):
    """A kind of sequence whose elements are identifiers."""

    facts: type[IdFacts]
    averages = True
    evaluation: ClassVar[type[Any]] = IdEvaluationSettings

    def check(self, settings: S) -> None:
        from rhapsode.modalities.ids.components import check_network

        check_network(settings, FAMILIES.full_name(settings.model))
        if settings.samples.prompt and settings.samples.passage:
            raise SettingsError(
                "samples continue a prompt or a passage, not both",
                where="[samples]",
                hint="set prompt or passage",
            )

    @abstractmethod
    def provenance(self, corpus: C, settings: S) -> Provenance:
        """Data and splits of a run, for its model file."""

    def words_of(self, corpus: C, settings: S, name: SplitName) -> str:
        """A split in words, for a protocol."""
        elements = len(corpus.train) + len(corpus.validation) + len(corpus.test)
        share = len(corpus.part(name)) / max(1, elements)
        return f"{name}: {share:.2%} of the elements of the corpus"

    def sizes(self, model: IdModel, part: IdPart) -> Text | None:
        """Sizes of the documents of a part, for figures in bits."""
        return None

    def part(self, corpus: C, settings: S, name: SplitName) -> IdPart:
        store = corpus.part(name)
        if not len(store):
            raise DataError(f"the {name} split of this run is empty", where="--split")
        return IdPart(store, self.words_of(corpus, settings, name), ())

    def metrics(self, model: Any, part: Any, settings: IdEvaluationSettings) -> Evaluation:
        return measure_ids(model, part, self.sizes(model, part), settings)

    def compare(self, models: Mapping[str, Any], part: Any, settings: Any) -> Compared:
        """Nats of each document or block, by models that share an encoder.

        Raises:
            SettingsError: their elements are not the same.
        """
        if len({model.bundle.encoder.fingerprint for model in models.values()}) > 1:
            raise SettingsError(
                "models with different elements cannot be compared", where="compare"
            )
        measure = Measure("nats_per_element", "nats per element")
        scored: dict[str, Scored] = {}
        for name, model in models.items():
            log.info(f"scoring with {name}")
            figures, nats_N = score_part(model, part, self.sizes(model, part))
            sums_U, sizes_U, words = unit_sums(nats_N, part.store.starts)
            scored[name] = Scored(described(model, figures), {measure.key: sums_U})
        sizes = {measure.key: sizes_U.astype(np.int64)}
        return Compared(scored, (measure,), sizes, "passages", words)

    def decided(self, bundle: IdBundle) -> Mapping[str, Any]:
        from rhapsode.modalities.ids.components import decided_settings

        return decided_settings(bundle)

    def suggested(self, bundle: IdBundle) -> dict[str, Any]:
        reading = bundle.provenance.section("reading")
        windows = bundle.config.context.startswith("window")
        names = ("stride", "shuffle", "drop_last", "loss") if windows else ()
        kept = {name: reading[name] for name in names if name in reading}
        return {**super().suggested(bundle), "reading": kept}

    def alike(self, name: str, asked: Any, decided: Any) -> bool:
        if name == "model":
            return bool(FAMILIES.full_name(str(asked)) == decided)
        if name == "encoding":
            return bool(asked == "auto" or ENCODERS.full_name(str(asked)) == decided)
        if name == "network.input":
            from rhapsode.models import INPUTS

            return bool(INPUTS.full_name(str(asked)).partition(".")[0] == decided)
        return super().alike(name, asked, decided)

    def plan(self, corpus: C, request: RunRequest[S]) -> Planned[S, C, IdBundle]:
        from rhapsode.modalities.ids.plan import plan_ids

        return plan_ids(corpus, request, self.facts, self.provenance)

    def stream(self, planned: Planned[S, C, IdBundle]) -> Stream:
        from rhapsode.modalities.ids.components import open_stream

        corpus = planned.corpus
        stream = open_stream(planned.settings, corpus, self.facts.grammar(corpus.encoder))
        fill = evidence_of(planned, corpus.train.elements_N, corpus.train.starts, counted=True)
        return stream if fill is None else FilledStream(stream, fill)

    def validation(
        self, planned: Planned[S, C, IdBundle], network: Network
    ) -> Callable[[], float] | None:
        def mean(predictor: Predictor, batches: Iterator[Batch], part: ValidationPart) -> float:
            total, count = total_loss(predictor, batches, part.context)
            return total / count

        return self._evaluation(planned, network, mean)

    def element_losses(
        self, planned: Planned[S, C, IdBundle], network: Network
    ) -> Callable[[], NDArray[np.float32]] | None:
        def nats(
            predictor: Predictor, batches: Iterator[Batch], part: ValidationPart
        ) -> NDArray[np.float32]:
            return element_losses(predictor, batches, part.context, elements=len(part))

        return self._evaluation(planned, network, nats)

    def _evaluation(
        self,
        planned: Planned[S, C, IdBundle],
        network: Network,
        measure: Callable[[Predictor, Iterator[Batch], ValidationPart], T],
    ) -> Callable[[], T] | None:
        """Function that measures a network on the validation slice; None without one.

        A network that is trained beside counts is measured beside them.
        """
        from rhapsode.bundle.device import autocast
        from rhapsode.bundle.torch_predictor import torch_predictor

        corpus, context = planned.corpus, planned.bundle.context
        part = ValidationPart.of(corpus, network, context, self.facts.grammar(corpus.encoder))
        if not len(part):
            return None
        predictor = torch_predictor(network, corpus.encoder.vocab_size, context)
        precision = planned.settings.training.precision
        fill = evidence_of(planned, part.elements_N, part.starts, counted=False)

        def evaluate() -> T:
            batches = part.batches()
            with autocast(network.device, precision):
                return measure(predictor, batches if fill is None else map(fill, batches), part)

        return evaluate

    def samples(
        self, planned: Planned[S, C, IdBundle], network: Network
    ) -> Callable[[], tuple[tuple[float, str], ...]]:
        from rhapsode.modalities.ids.continuation import continue_prompt

        asked, corpus, bundle = planned.settings.samples, planned.corpus, planned.bundle
        predictor = trained_predictor(planned, network)
        grammar = self.facts.grammar(corpus.encoder)
        if grammar is not None:
            predictor = predictor.restricted(grammar)

        def sample() -> tuple[tuple[float, str], ...]:
            if asked.length == 0:
                return ()
            prompt = _passage(corpus, network, asked.passage) if asked.passage else asked.prompt
            texts: list[tuple[float, str]] = []
            for temperature in asked.temperatures:
                options = GenerateSettings(
                    length=asked.length, temperature=temperature, seed=SAMPLE_SEED
                )
                pieces = continue_prompt(predictor, bundle, prompt, options)
                texts.append((temperature, prompt + "".join(piece.text for piece in pieces)))
            return tuple(texts)

        return sample

    def finish(
        self, planned: Planned[S, C, IdBundle], bundle: IdBundle, network: Network, folder: Path
    ) -> FinishedModel[IdBundle]:
        """Count, mix, score the test split, and keep the counts."""
        from rhapsode.modalities.ids.model import IdModel

        corpus = planned.corpus
        asked = planned.settings.training.counts_share
        file = folder / "model.safetensors"
        alone = IdModel(file, bundle, device=network.device)
        alone.predictor_for("auto")
        counted: Counted | None = planned.own
        if counted is None:
            counted = count_corpus(corpus, self.facts, fresh=bundle.context.kind == "fresh")
        grammar = self.facts.grammar(corpus.encoder)
        part = ValidationPart.of(corpus, network, bundle.context, grammar)
        mixture = mixture_of_run(alone, counted, part, asked)
        ngram = None if counted is None else counted.model
        facts = replace(bundle.facts, ngram=None if ngram is None else ngram_part(ngram))
        bundle = replace(bundle, facts=facts, calibration=Calibration(mixture))
        predictors = IdModel(file, bundle, ngram, device=network.device)
        figures = self._test_figures(planned, predictors, counted)
        told = None if figures is None else figures.to_mapping()
        bundle, extra = self.measured(planned, bundle, predictors, folder)
        bundle = replace(bundle, provenance=replace(bundle.provenance, test=told))
        if ngram is not None and facts.ngram is None:
            ngram.save(folder / NGRAM)
        else:
            (folder / NGRAM).unlink(missing_ok=True)
        baselines: dict[str, Any] = {}
        if len(corpus.validation):
            baselines = baselines_of(corpus.validation.counts_V, corpus.train.counts_V)
            baselines["ngram"] = None if counted is None else counted.loss
        elif figures is not None:
            baselines = figures.baselines
        mixed = None if figures is None or figures.network is None else figures.loss
        return FinishedModel(
            bundle,
            told or {"loss": None, "reason": "no test split"},
            {"mixture": mixture.to_mapping(), **extra},
            {"n-gram model": baselines.get("ngram"), "unigram model": baselines.get("unigram")},
            {
                "test": None if figures is None else (figures.network or figures).loss,
                "mixed": mixed,
            },
        )

    def measured(
        self,
        planned: Planned[S, C, IdBundle],
        bundle: IdBundle,
        predictors: IdModel,
        folder: Path,
    ) -> tuple[IdBundle, dict[str, Any]]:
        """Add measures of one modality to the bundle and to the summary."""
        return bundle, {}

    def _test_figures(
        self,
        planned: Planned[S, C, IdBundle],
        predictors: IdModel,
        counted: Counted | None,
    ) -> Figures | None:
        corpus, bundle = planned.corpus, predictors.bundle
        if not len(corpus.test):
            return None
        part = self.part(corpus, planned.settings, "test")
        figures, _ = evaluate_store(
            predictors.scorer,
            part.store,
            bundle.facts.counts_V,
            protocol_of(bundle, f"{part.split}, scored once"),
            bundle.context,
            text=self.sizes(predictors, part),
            ngram=None if counted is None else counted.model,
            every=max(1, len(corpus.test) * bundle.context.size // FINISHING_READS),
            grammar=self.facts.grammar(corpus.encoder),
        )
        return figures


def described(model: IdModel, figures: Figures) -> dict[str, Any]:
    """Plain values of a model of a comparison."""
    return {
        "encoding": model.bundle.encoder.name.partition(".")[0],
        "parameters": model.bundle.parameters,
        "figures": figures.to_mapping(),
    }


def _passage(corpus: IdCorpus, network: Network, length: int) -> str:
    """A passage of the training split, different at every evaluation."""
    from rhapsode.bundle.device import numbers

    elements_N = corpus.train.elements_N
    # The weights decide which: a resumed run shows the same, and no random state is spent on it.
    *_, last = network.parameters()
    digest = hashlib.sha256(numbers(last).tobytes()).digest()
    begin = int.from_bytes(digest[:8]) % max(1, len(elements_N) - length + 1)
    return corpus.encoder.decode(np.asarray(elements_N[begin : begin + length]).astype(np.int64))
