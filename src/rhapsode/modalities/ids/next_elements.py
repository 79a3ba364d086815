"""Views of elements: next elements, a chosen element, elements of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.text import Text

from rhapsode.config import GenerateSettings
from rhapsode.encoding import UNKNOWN_ID, Encoder
from rhapsode.generation import Chain, Context, Job, Rows, Trace
from rhapsode.modalities.ids.continuation import chain_for
from rhapsode.modalities.ids.prompts import name_of
from rhapsode.modalities.opened import Following, Prompt
from rhapsode.views.candidates import (
    Candidate,
    NextElements,
    beside,
    candidates_table,
    elements_text,
)
from rhapsode.views.display import Shown
from rhapsode.views.figures import plural
from rhapsode.views.terminal.mixture_table import Parts, largest_line

if TYPE_CHECKING:
    from rhapsode.counts.mixing.contributions import Contribution, Contributions
    from rhapsode.modalities.ids.model import IdModel


class IdsFollowing(Following):
    """Distributions over the next element after prompts, at several temperatures each."""

    def shown(self, width: int) -> Sequence[RenderableType]:
        return beside(self.tables, width)


@dataclass(frozen=True, repr=False)
class IdChoice(Shown):
    """The distribution in which an element was chosen.

    Arguments:
        trace: ranks, probabilities, and the elements removed by each filter.
        logits_V: of the model.
        encoder: names the elements.
    """

    trace: Trace
    logits_V: NDArray[np.float32]
    encoder: Encoder

    def to_mapping(self) -> dict[str, Any]:
        return {"text": self.encoder.label(self.trace.element), **self.trace.to_mapping()}

    def shown(self, width: int) -> Sequence[RenderableType]:
        trace = self.trace
        rows = [(place, *entry) for place, entry in enumerate(trace.top, 1)]
        parts = [parts_of(each) for each in trace.top_contributions] or [None] * len(rows)
        own = parts_of(trace.contribution)
        if trace.element not in [row[1] for row in rows]:
            rows.append((trace.rank, trace.element, trace.raw_log_prob, trace.log_prob))
            parts.append(own)
        candidates = [
            Candidate(e, name_of(self.encoder, e), math.exp(after), math.exp(raw), rank, part)
            for (rank, e, raw, after), part in zip(rows, parts, strict=True)
        ]
        table = candidates_table(candidates, trace.element, width)
        facts = [
            f"rank {trace.rank:,}",
            f"{-trace.raw_log_prob:.2f} nats",
            f"entropy {trace.entropy:.2f} nats",
            f"{trace.candidates:,} candidates left",
        ]
        gone = [f"{name} {count:,}" for name, count in trace.removed if count]
        told = "; ".join(facts) + (f"\nremoved by {', '.join(gone)}" if gone else "")
        if own is not None and (added := largest_line(own.nats)):
            told += f"\n{added}"
        return [table, Text(told, style="dim")]


def parts_of(contribution: Contribution | None) -> Parts | None:
    """Probabilities of a contribution, for people."""
    if contribution is None:
        return None
    return Parts(
        math.exp(contribution.network),
        math.exp(contribution.counts),
        math.exp(contribution.mixture),
        contribution.nats,
    )


def next_elements(
    model: IdModel, prompts: Sequence[Prompt], several: Sequence[GenerateSettings], top: int
) -> IdsFollowing:
    """The likeliest next elements after prompts.

    Arguments:
        model: the model.
        prompts: of this model.
        several: settings of the filters, a table for each.
        top: how many elements to name.
    """
    chains = [
        chain_for(model.bundle, settings, own=model.own_filters(settings)) for settings in several
    ]
    predictor = model.predictor_of(adapt=several[0].adapt)
    tables = []
    for prompt in prompts:
        ids_N = prompt.seen(prompt.opening.elements)
        rows = Rows.of_jobs(predictor, [Job(ids_N, 0, 0, prompt.condition)], Chain([]), 0)
        following = rows.following()
        logits_V, parts = following.logits_BV[0], following.contributions(0)
        tables.append(
            [
                _table_of(
                    prompt.text,
                    ids_N,
                    logits_V,
                    chain,
                    settings,
                    encoder=model.bundle.encoder,
                    top=top,
                    parts=parts,
                )
                for settings, chain in zip(several, chains, strict=True)
            ]
        )
    return IdsFollowing(tables)


def _table_of(
    prompt: str,
    ids_N: NDArray[np.int64],
    logits_V: NDArray[np.float32],
    chain: Chain,
    settings: GenerateSettings,
    *,
    encoder: Encoder,
    top: int,
    parts: Contributions | None,
) -> NextElements:
    zero_1 = np.zeros(1, dtype=np.int64)
    context = Context((ids_N,), (zero_1[:0],), zero_1, zero_1, settings.seed or 0)
    processed_BV, _ = chain.apply(logits_V[None], context, chain.init(1))
    raw_V, share_V = _shares(logits_V), _shares(processed_BV[0])
    ranks_V = np.empty(len(raw_V), dtype=np.int64)
    ranks_V[np.argsort(-raw_V, kind="stable")] = np.arange(1, len(raw_V) + 1)
    # After greedy choice one element is left; what else is shown would be zeros.
    order_K = np.argsort(-share_V, kind="stable")[:top]
    return NextElements(
        prompt=prompt,
        temperature=settings.temperature,
        chain=chain.explain(),
        candidates=int(np.isfinite(processed_BV[0]).sum()),
        entropy=_entropy(share_V),
        raw_entropy=_entropy(raw_V),
        top=tuple(
            Candidate(
                e,
                name_of(encoder, e),
                float(share_V[e]),
                float(raw_V[e]),
                int(ranks_V[e]),
                None if parts is None else parts_of(parts.of(e)),
            )
            for e in order_K.tolist()
            if share_V[e] > 0
        ),
        share_V=share_V,
    )


def _shares(logits_V: NDArray[np.floating]) -> NDArray[np.float64]:
    wide_V = logits_V.astype(np.float64)
    weight_V: NDArray[np.float64] = np.exp(wide_V - wide_V.max())
    weight_V /= weight_V.sum()
    return weight_V


def _entropy(share_V: NDArray[np.float64]) -> float:
    some = share_V[share_V > 0]
    return max(0.0, float(-(some * np.log(some)).sum()))


@dataclass(frozen=True, repr=False)
class IdsSeen(Shown):
    """Elements of a text.

    Arguments:
        mapping: as `elements_of` gives them.
    """

    mapping: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        return self.mapping

    def shown(self, width: int) -> Sequence[RenderableType]:
        seen = self.mapping
        summary = plural(len(seen["ids"]), "element")
        if seen["unknown"]:
            named = ", ".join(map(repr, seen["unknown"][:8]))
            summary += f", {seen['unknown_elements']} of them unknown: {named}"
        return [elements_text(seen), Text(summary)]


def elements_of(encoder: Encoder, text: str) -> dict[str, Any]:
    """The elements of a text: ids, their names, and what is unknown."""
    ids_N = encoder.encode(text)
    return {
        "encoding": encoder.name,
        "text": text,
        "ids": ids_N.tolist(),
        "elements": [encoder.label(int(element)) for element in ids_N],
        "unknown": encoder.unknown(text),
        "unknown_elements": int((ids_N == UNKNOWN_ID).sum()),
        "round_trip": encoder.decode(ids_N) == text,
    }
