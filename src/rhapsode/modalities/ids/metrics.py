"""Metrics of models of identifiers, and breakdowns of their losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import IdBundle, Predictor
from rhapsode.config import SeenContext
from rhapsode.data import AllowedElements, Batch, ElementStore, part_of
from rhapsode.encoding import Encoder, Grammar
from rhapsode.errors import DataError
from rhapsode.evaluation import (
    Bucket,
    Calibration,
    Figures,
    Protocol,
    Text,
    allowed_elements,
    calibration_of,
    context_losses,
    evaluate_store,
    in_context,
    position_losses,
    read_batches,
    surprises,
    total_loss,
    windowed_loss,
)
from rhapsode.evaluation.beginnings import BeginningUse, use_of_beginnings
from rhapsode.evaluation.mixture_parts import MixtureParts, mixture_parts
from rhapsode.evaluation.model_metrics import Order
from rhapsode.log import log
from rhapsode.modalities.ids.contract import IdEvaluationSettings
from rhapsode.modalities.ids.counting.ngram_sidecar import NGRAM
from rhapsode.modalities.ids.learning_losses import (
    ADAPTING,
    WINDOW,
    batches_in_order,
    loss_adapting,
    losses_while_learning,
)
from rhapsode.modalities.scoring import Metrics

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rhapsode.modalities.ids.model import IdModel


# Elements that breakdowns read. With a larger vocabulary they are proportionally fewer, down to a
# least number.
EXAMINED, WINDOWED = 50_000, 200_000
USUAL_VOCABULARY, FEWEST = 5_000, 10_000


@dataclass(frozen=True)
class IdPart:
    """Elements to score.

    Arguments:
        store: the elements.
        split: description of the data, for a protocol.
        names: of the documents in the store.
    """

    store: ElementStore
    split: str
    names: Sequence[str]


@dataclass(frozen=True)
class SurprisingPassage:
    """A passage that the model expected least.

    Arguments:
        document: its name.
        element: the place of its first element in the document, from 0.
        nats: mean nats per element.
        before: the text before it.
        text: the passage.
        worst: its element with the highest loss.
        worst_nats: nats of that element.
    """

    document: str
    element: int
    nats: float
    before: str
    text: str
    worst: str
    worst_nats: float


@dataclass(frozen=True, repr=False)
class Evaluation(Figures, Metrics):
    """The figures of a sweep, with breakdowns of the loss.

    Arguments:
        windowed: nats per element in sliding windows: `loss`, `window`, `stride`, `elements`; None
            if the measured part of the text has nothing to score.
        calibration: reliability of the likeliest candidate.
        by_context: losses by length of context.
        surprising: the passages with the highest loss.
        beginnings: how much the beginnings of documents help later in them; None for models that
            do not read documents one by one.
        parts: how network and counts share in the predictions of a part of the text; None where
            they are not mixed.
        adapting: loss if the counts go on counting over what is read, in order: `loss`,
            `perplexity`, `bits_per_character`, `elements`, `protocol`; None unless requested.
        dynamic: losses and settings of dynamic evaluation, in which the model continues to learn;
            None unless requested.
        reduced: loss with weights of fewer bits on a part of the text: `weights`, `loss`, `float32`
            (the loss with float32 weights), `elements`; None unless requested.
    """

    windowed: dict[str, Any] | None
    calibration: Calibration | None
    by_context: list[Bucket]
    surprising: list[SurprisingPassage]
    beginnings: BeginningUse | None = None
    parts: MixtureParts | None = None
    adapting: dict[str, Any] | None = None
    dynamic: dict[str, Any] | None = None
    reduced: dict[str, Any] | None = None

    __repr__ = Metrics.__repr__

    def shown(self, width: int) -> Sequence[RenderableType]:
        return list(self.report(f"{self.protocol.split}"))

    def report(self, title: str) -> Iterator[RenderableType]:
        from rhapsode.views.evaluation_report import evaluation_report

        yield from evaluation_report(self.to_mapping(), title)

    @classmethod
    def of(cls, figures: Figures, **looks: Any) -> Self:
        """Add breakdowns to figures."""
        known = {field.name: getattr(figures, field.name) for field in fields(figures)}
        return cls(**{**known, **looks})


def protocol_of(bundle: IdBundle, split: str) -> Protocol:
    """The protocol of a sweep.

    Arguments:
        bundle: the model.
        split: description of the scored part.
    """
    encoder = bundle.encoder
    return Protocol(
        split=split,
        selected_on=bundle.provenance.selected_on or "unknown",
        context=str(bundle.context),
        normalisation="none" if encoder.round_trip == "lossless" else encoder.round_trip,
        unknown_cost="the unknown element's own",
    )


def score_part(
    model: IdModel, part: IdPart, text: Text | None, *, adapt: bool = False
) -> tuple[Figures, NDArray[np.float32]]:
    """Figures of a part, and nats of every element, (N,).

    Nats are NaN where an element is not scored.

    Arguments:
        model: the model.
        part: data to score.
        text: sizes of its documents, where they have any.
        adapt: whether counts adapt to what is read, in order.

    Raises:
        DataError: it holds no element.
        SettingsError: there are no counts that could adapt.
    """
    if not part.store.scored:
        raise DataError("there is nothing to score", where=part.split)
    model.tell_alone()
    ngram = model.counts
    if model.alone is None and isinstance(ngram, str) and (model.path.parent / NGRAM).exists():
        log.warning(ngram)
    context = model.bundle.context
    return evaluate_store(
        model.adapting if adapt else model.scorer,
        part.store,
        model.bundle.facts.counts_V,
        protocol_of(model.bundle, part.split),
        context,
        text=text,
        ngram=ngram,
        grammar=_grammar(model.bundle),
        order=Order(batches_in_order(part.store, context, segment=WINDOW), ADAPTING)
        if adapt
        else None,
    )


def _grammar(bundle: IdBundle) -> Grammar | None:
    return bundle.facts.grammar(bundle.encoder)


def _allowed(
    grammar: Grammar | None, elements_N: NDArray[np.unsignedinteger], starts: NDArray[np.int64]
) -> AllowedElements | None:
    return None if grammar is None else allowed_elements(grammar, elements_N, starts)


def measure_ids(
    model: IdModel, part: IdPart, text: Text | None, settings: IdEvaluationSettings
) -> Evaluation:
    """Loss, perplexity and bits of a model on a part, with breakdowns.

    Arguments:
        model: the model.
        part: data to score.
        text: sizes of its documents, where they have any.
        settings: further measures.

    Raises:
        DataError: the part holds no element.
        SettingsError: this model cannot have such weights, or cannot go on learning.
    """
    weights, store, bundle = settings.weights, part.store, model.bundle
    if settings.device is not None:
        model.place(settings.device)
    rounded = None if weights == "float32" else model.predictor_for("compiled", weights=weights)
    figures, nats_N = score_part(model, part, text)
    scorer, context, grammar = model.scorer, bundle.context, _grammar(bundle)
    if context.kind == "fresh":
        by_context = position_losses(nats_N, store.starts)
    else:
        by_context = context_losses(
            scorer,
            store.elements_N,
            context,
            scored_N=store.scored_N,
            allowed=_allowed(grammar, store.elements_N, store.starts),
        )
    # Each over a part of the text that takes seconds.
    examined = read_batches(scorer, scorer.examine, _examined(store, context, grammar), context)
    return Evaluation.of(
        figures,
        windowed=_windowed(scorer, store, context, grammar),
        calibration=calibration_of(examined),
        by_context=by_context,
        surprising=_surprising(bundle.encoder, store, nats_N, part.names),
        beginnings=_beginnings(scorer, bundle, store) if context.kind == "fresh" else None,
        parts=None
        if scorer.mixed is None
        else mixture_parts(scorer.mixed, _examined(store, context, grammar), context),
        adapting=loss_adapting(model, store) if settings.adapt else None,
        dynamic=losses_while_learning(bundle, store) if settings.dynamic else None,
        reduced=None
        if rounded is None
        else loss_of_rounded(scorer, rounded, store, context, weights, grammar=grammar),
    )


def _beginnings(scorer: Predictor, bundle: IdBundle, store: ElementStore) -> BeginningUse | None:
    encoder = bundle.encoder
    if _grammar(bundle) is not None:
        return None  # the rest of one document may not be allowed after the beginning of another
    pieces = [encoder.decode(np.array([element])) for element in range(encoder.vocab_size)]
    mark_V = np.array([piece.strip(" ") in {"\n", "\t", "|"} for piece in pieces])
    return use_of_beginnings(scorer, store, bundle.context, mark_V)


def _windowed(
    predictor: Predictor, store: ElementStore, context: SeenContext, grammar: Grammar | None
) -> dict[str, Any] | None:
    window = context.size if context.kind == "window" else WINDOW
    stride = max(1, window // 2)
    elements_N, starts, scored_N = part_of(
        store, limit_elements(WINDOWED, store), fresh=grammar is not None
    )
    total, count = windowed_loss(
        predictor,
        elements_N,
        window=window,
        stride=stride,
        scored_N=scored_N,
        allowed=_allowed(grammar, elements_N, starts),
    )
    if not count:
        return None
    return {"loss": total / count, "window": window, "stride": stride, "elements": count}


def limit_elements(most: int, store: ElementStore) -> int:
    """Number of elements to read, fewer with a large vocabulary."""
    return max(FEWEST, most * USUAL_VOCABULARY // max(USUAL_VOCABULARY, len(store.counts_V)))


def _examined(
    store: ElementStore, context: SeenContext, grammar: Grammar | None
) -> Iterator[Batch]:
    """Batches of a part of a store that is read in seconds."""
    whole = context.kind == "fresh" or grammar is not None
    elements_N, starts, scored_N = part_of(store, limit_elements(EXAMINED, store), fresh=whole)
    every = max(1, len(elements_N) * context.size // 500_000) if context.kind == "window" else 1
    return in_context(
        elements_N, starts, context, lanes=1, scored_N=scored_N, every=every, grammar=grammar
    )


def loss_of_rounded(
    predictor: Predictor,
    rounded: Predictor,
    store: ElementStore,
    context: SeenContext,
    weights: str,
    *,
    grammar: Grammar | None = None,
) -> dict[str, Any] | None:
    """Compare the loss with weights of fewer bits to that of float32.

    Both losses are over the part of the text that calibration reads.

    Arguments:
        predictor: the model.
        rounded: the same with such weights.
        store: scored elements.
        context: past elements that the model sees.
        weights: number format of the weights.
        grammar: elements that may follow; both are normalised over them.

    Returns:
        See `Evaluation.reduced`; None if nothing in the part is scored.
    """
    totals, count = [], 0
    for each in (rounded, predictor):
        total, count = total_loss(each, _examined(store, context, grammar), context)
        totals.append(total)
    if not count:
        return None
    loss, exact = (total / count for total in totals)
    return {"weights": weights, "loss": loss, "float32": exact, "elements": count}


def _surprising(
    encoder: Encoder, store: ElementStore, nats_N: NDArray[np.float32], names: Sequence[str]
) -> list[SurprisingPassage]:
    found = []
    for run in surprises(nats_N, store.starts):
        document = max(0, int(np.searchsorted(store.starts, run.begin, side="right")) - 1)
        opening = int(store.starts[document]) if len(store.starts) else 0
        ids_N = np.asarray(store.elements_N[max(opening, run.begin - 48) : run.end])
        split = min(48, run.begin - opening)
        found.append(
            SurprisingPassage(
                document=names[document] if document < len(names) else "",
                element=run.begin - opening,
                nats=run.nats,
                before=encoder.decode(ids_N[:split]),
                text=encoder.decode(ids_N[split:]),
                worst=encoder.label(int(store.elements_N[run.worst])),
                worst_nats=float(nats_N[run.worst]),
            )
        )
    return found
