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

from rhapsode import __version__
from rhapsode.bundle import Calibration, IdBundle, IdFacts, Mixture, Predictor, Provenance
from rhapsode.config import GenerateSettings, IdSettings
from rhapsode.data import Batch, ElementStore, FilledStream, Stream
from rhapsode.encoding import ENCODERS
from rhapsode.errors import DataError, EncodingError, SettingsError
from rhapsode.evaluation import (
    Figures,
    Text,
    baselines_of,
    element_losses,
    evaluate_store,
    ngram_in_words,
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
    resolved,
)
from rhapsode.modalities.ids.beside_counts import (
    evidence_for,
    mixed_as_trained,
    why_not_beside,
)
from rhapsode.modalities.ids.contract import IdCorpus, IdEvaluationSettings
from rhapsode.modalities.ids.metrics import (
    Evaluation,
    IdPart,
    measure_ids,
    protocol_of,
    score_part,
)
from rhapsode.modalities.ids.ngram_sidecar import NGRAM, Counted, learn_ngram, ngram_part
from rhapsode.modalities.ids.validation import ValidationPart, choose_mixture
from rhapsode.models.families import FAMILIES
from rhapsode.views.figures import plural

if TYPE_CHECKING:  # training loads torch, models filters
    from rhapsode.bundle.network import Network
    from rhapsode.counts import NGramModel
    from rhapsode.modalities.ids.model import IdModel


# About what counting takes per element.
COUNTING_SECONDS = 2e-6
# Of the budget, what counting may take before training; else it is done after it.
COUNTING_SHARE = 0.03
# The same, where the network is trained beside the counts.
MOST_COUNTING_SHARE = 0.15
# Elements of a training split, at least, from which a run with a planned window learns.
LEAST_ELEMENTS = 8
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
        encoder, config = bundle.encoder, bundle.config
        return {
            "model": config.model.name,
            "encoding": encoder.name,
            "encoder": dict(encoder.settings),
            "network": {
                "input": config.input.name.partition(".")[0].removeprefix("adaptive_"),
                **{
                    ours: config.input.settings[theirs]
                    for theirs, ours in (
                        ("embedding_size", "embedding_size"),
                        ("dropout", "input_dropout"),
                    )
                    if theirs in config.input.settings
                },
                **config.model.settings,
                "head_bias": bool(config.head.settings.get("bias", True)),
                **{
                    name: config.head.settings[name]
                    for name in ("shortlist", "tail_size")
                    if name in config.head.settings
                },
            },
            "reading": {"context": config.context},
        }

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
        from rhapsode.modalities.ids.components import (
            network_config,
            own_network,
            seen_context,
        )
        from rhapsode.models.output_layer import plan_output_layer
        from rhapsode.training import give_back_memory, plan_id_run
        from rhapsode.training.planner import gentler_plan

        settings, base = request.settings, request.base
        family = FAMILIES.full_name(settings.model)
        context = seen_context(settings, family, corpus.train, pairs=corpus.pairs)
        counted = None
        elements, seconds = len(corpus.train), request.seconds
        by_hand = (settings.training.window, settings.reading.context)
        if elements < LEAST_ELEMENTS and context.kind != "fresh" and by_hand == (None, None):
            raise DataError(
                f"the training split has {plural(elements, 'element')}: too little to learn from",
                hint=f"give more, {LEAST_ELEMENTS} at least",
            )
        output = plan_output_layer(
            corpus.train.counts_V, settings.network, accelerated=request.accelerator is not None
        )
        width = settings.network.get("hidden_size")
        plan = plan_id_run(
            family=family,
            elements=elements,
            documents=len(corpus.train.starts),
            vocab_size=corpus.encoder.vocab_size,
            context=context,
            seconds=seconds,
            epochs=settings.epochs,
            steps=settings.steps,
            speed=request.speed,
            hidden_size=width if type(width) is int and width > 0 else None,
            accelerator=request.accelerator,
            output=output,
            read_at_once=_read_at_once(corpus.train, settings.training.batch_size),
        )
        if base is not None:
            plan = gentler_plan(plan, base, elements, asked=settings.training.learning_rate)
        unfit = why_not_beside(
            settings.training,
            request,
            output=output,
            passes=plan.passes,
            words=self.facts.has_words(corpus.encoder),
            context=context,
            train=corpus.train,
            validation=len(corpus.validation),
            grammar=self.facts.grammar(corpus.encoder) is not None,
        )
        share = COUNTING_SHARE if unfit is not None else MOST_COUNTING_SHARE
        soon = seconds is None or elements * COUNTING_SECONDS < share * seconds
        soon = soon or settings.training.beside_counts == "on"
        # Counts of documents that are written from sources are only a baseline.
        soon = soon and corpus.train.sources is None
        # Every process reads the counts that a network is trained beside.
        if soon and (request.first or unfit is None):
            counted = self._count(corpus, fresh=context.kind == "fresh")
        if counted is not None and request.first:
            log.info(
                f"the best n-gram model ({ngram_in_words(counted.model)}): "
                f"validation {counted.loss:.4f}; counted in {counted.seconds:.1f} s"
            )
        give_back_memory()
        beside = unfit is None and counted is not None
        fixed: dict[str, Any] = {"beside_counts": "on" if beside else "off"}
        if context.kind == "window":
            fixed["window"] = context.size
        settings = resolved(
            settings,
            plan,
            fixed=fixed,
            encoding=corpus.encoder.name,
            encoder=corpus.encoder.settings,
            reading=replace(settings.reading, context=str(context)),
            network=own_network(plan.network, settings.network),
        )
        missing = corpus.encoder.unknown(settings.samples.prompt)
        if missing:
            raise EncodingError(
                f"the text has no {', '.join(map(repr, missing[:8]))}", where="[samples] prompt"
            )
        bundle = IdBundle(
            network_config(settings, corpus.encoder.vocab_size)
            if base is None
            else base.bundle.config,
            corpus.encoder,
            self.facts(corpus.train.counts_V),
            provenance=replace(
                self.provenance(corpus, settings),
                data_sha256=corpus.sha256,
                documents=corpus.documents,
                characters=corpus.characters,
                copies=corpus.copies,
                selected_on="a validation slice of the training data"
                if len(corpus.validation)
                else "nothing: the last weights",
                rhapsode=__version__,
            ),
        )
        return Planned(
            settings,
            corpus,
            bundle,
            plan,
            elements,
            most_steps=plan.most_steps,
            baseline=None if counted is None else counted.loss,
            own=counted,
        )

    def _count(self, corpus: C, *, fresh: bool) -> Counted | None:
        return learn_ngram(
            corpus.train,
            corpus.validation,
            corpus.encoder.vocab_size,
            fresh=fresh,
            grammar=self.facts.grammar(corpus.encoder),
            letter_V=self.facts.letters(corpus.encoder),
        )

    def stream(self, planned: Planned[S, C, IdBundle]) -> Stream:
        from rhapsode.modalities.ids.components import open_stream

        corpus = planned.corpus
        stream = open_stream(planned.settings, corpus, self.facts.grammar(corpus.encoder))
        fill = _evidence(planned, corpus.train.elements_N, corpus.train.starts, counted=True)
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
        fill = _evidence(planned, part.elements_N, part.starts, counted=False)

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
        predictor = _trained(planned, network)
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
            counted = self._count(corpus, fresh=bundle.context.kind == "fresh")
        grammar = self.facts.grammar(corpus.encoder)
        part = ValidationPart.of(corpus, network, bundle.context, grammar)
        if asked == 0:
            mixture = Mixture(reason="training.counts_share is 0")
        elif part.sources is not None:
            mixture = Mixture(reason="counts do not see what its documents are written from")
        elif counted is None or not len(part):
            mixture = Mixture(
                reason="no n-gram model was counted: there is no validation slice to select it by",
            )
        else:
            mixture = choose_mixture(alone.network_scorer, counted.model, part, asked)
            mixture = replace(mixture, ngram_validation_loss=counted.loss)
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


def _beside(planned: Planned[Any, Any, IdBundle]) -> NGramModel | None:
    """Counts that the network is trained beside; None without any."""
    counted: Counted | None = planned.own
    if counted is None or planned.settings.training.beside_counts != "on":
        return None
    return counted.model


def _read_at_once(train: ElementStore, rows: int | None) -> int | None:
    """Elements of an update on pairs; None for other data or unknown rows."""
    if train.sources is None or rows is None:
        return None
    return max(1, rows * len(train) // max(1, len(train.starts)))


def _evidence(
    planned: Planned[Any, Any, IdBundle],
    elements_N: NDArray[np.unsignedinteger],
    starts: NDArray[np.int64],
    *,
    counted: bool,
) -> Callable[[Batch], Batch] | None:
    """Function that adds what training adds to the logits of a text; None for nothing."""
    ngram = _beside(planned)
    if ngram is None:
        return None
    head = planned.bundle.config.head
    return evidence_for(ngram, head, elements_N, starts, counted=counted)


def _trained(planned: Planned[Any, Any, IdBundle], network: Network) -> Predictor:
    """What training improves: the network, or the network and its counts together."""
    from rhapsode.bundle.torch_predictor import torch_predictor

    vocab_size = planned.corpus.encoder.vocab_size
    predictor: Predictor = torch_predictor(network, vocab_size, planned.bundle.context)
    ngram = _beside(planned)
    return predictor if ngram is None else mixed_as_trained(predictor, ngram)


def described(model: IdModel, figures: Figures) -> dict[str, Any]:
    """Plain values of a model of a comparison."""
    return {
        "encoding": model.bundle.encoder.name.partition(".")[0],
        "parameters": sum(array.size for array in model.bundle.arrays.values()),
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
