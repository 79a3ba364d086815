"""What a model expects next: the likeliest elements behind a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.config import GenerateSettings
from rhapsode.encoding import END_ID, UNKNOWN_ID, Encoder
from rhapsode.generation import Chain, Context, Job, Rows
from rhapsode.modalities.ids.continuation import chain_for
from rhapsode.modalities.text.model import TextModel

__all__ = ["Candidate", "NextElements", "name_of", "next_elements"]


@dataclass(frozen=True)
class Candidate:
    """One element that may come next.

    Arguments:
        element: its id.
        text: its name.
        share: its probability behind the chain of filters, 0 to 1.
        raw_share: the same before the chain.
        rank: its place among all elements before the chain, from 1.
    """

    element: int
    text: str
    share: float
    raw_share: float
    rank: int


@dataclass(frozen=True)
class NextElements:
    """The distribution over the next element, in short.

    Arguments:
        prompt: what stands before it.
        temperature: of the chain.
        chain: the filters in words.
        candidates: how many elements the chain leaves.
        entropy: of what it leaves, nats.
        raw_entropy: before the chain, nats.
        top: the likeliest ones, in order.
        share_V: the probability of every element behind the chain.
    """

    prompt: str
    temperature: float
    chain: str
    candidates: int
    entropy: float
    raw_entropy: float
    top: tuple[Candidate, ...]
    share_V: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def perplexity(self) -> float:
        """Among how many equally likely elements the choice would be as hard."""
        return float(np.exp(self.entropy))

    @property
    def rest(self) -> float:
        """The share of all that are not among the likeliest."""
        return max(0.0, 1.0 - sum(candidate.share for candidate in self.top))

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "prompt": self.prompt,
            "temperature": self.temperature,
            "chain": self.chain,
            "candidates": self.candidates,
            "entropy": self.entropy,
            "perplexity": self.perplexity,
            "raw_entropy": self.raw_entropy,
            "rest": self.rest,
            "top": [asdict(candidate) for candidate in self.top],
        }


def next_elements(
    model: TextModel,
    prompts: Sequence[str],
    settings: GenerateSettings | None = None,
    *,
    temperatures: Sequence[float] = (),
    top: int = 5,
) -> list[list[NextElements]]:
    """The likeliest next elements behind prompts, for each at every temperature.

    Arguments:
        model: what predicts.
        prompts: texts, also empty ones.
        settings: the filters; nothing is drawn.
        temperatures: in place of the settings' own.
        top: how many elements to name.

    Raises:
        EncodingError: a prompt has characters that the model has never seen.
        SettingsError: an option out of range.
    """
    settings = settings or GenerateSettings()
    several = [replace(settings, temperature=t) for t in temperatures] or [settings]
    chains = [chain_for(model.bundle, one) for one in several]
    tables: list[list[NextElements]] = []
    for prompt in prompts:
        usable = model.usable_prompt(prompt, settings)
        ids_N = model.bundle.encoder.encode(usable).astype(np.int64)
        logits_V = _behind(model.predictor, ids_N)
        tables.append(
            [
                _table_of(
                    logits_V,
                    chain,
                    ids_N=ids_N,
                    settings=one,
                    encoder=model.bundle.encoder,
                    prompt=usable,
                    top=top,
                )
                for chain, one in zip(chains, several, strict=True)
            ]
        )
    return tables


def _behind(predictor: Predictor, ids_N: NDArray[np.int64]) -> NDArray[np.float32]:
    rows = Rows.of_jobs(predictor, [Job(ids_N, 0, 0)], Chain([]), 0)
    logits_V: NDArray[np.float32] = rows.following().logits_BV[0]
    return logits_V


def _table_of(
    logits_V: NDArray[np.float32],
    chain: Chain,
    *,
    ids_N: NDArray[np.int64],
    settings: GenerateSettings,
    encoder: Encoder,
    prompt: str,
    top: int,
) -> NextElements:
    """One distribution as a table.

    Arguments:
        logits_V: the model's.
        chain: filters, which have seen nothing of an output yet.
        ids_N: of the prompt.
        settings: of the chain.
        encoder: names the elements.
        prompt: what `ids_N` say.
        top: how many elements to name.
    """
    zero_1 = np.zeros(1, dtype=np.int64)
    nothing = (np.zeros(0, dtype=np.int64),)
    context = Context((ids_N,), nothing, zero_1, zero_1, settings.seed or 0)
    processed_BV, _ = chain.apply(logits_V[None], context, chain.init(1))
    raw_V, share_V = shares(logits_V), shares(processed_BV[0])
    ranks_V = np.empty(len(raw_V), dtype=np.int64)
    ranks_V[np.argsort(-raw_V, kind="stable")] = np.arange(1, len(raw_V) + 1)
    # Behind greedy choice one element is left; what else is shown would be zeros.
    order_K = np.argsort(-share_V, kind="stable")[:top]
    chosen = [int(element) for element in order_K if share_V[element] > 0]
    return NextElements(
        prompt=prompt,
        temperature=settings.temperature,
        chain=chain.explain(),
        candidates=int(np.isfinite(processed_BV[0]).sum()),
        entropy=entropy(share_V),
        raw_entropy=entropy(raw_V),
        top=tuple(
            Candidate(e, name_of(encoder, e), float(share_V[e]), float(raw_V[e]), int(ranks_V[e]))
            for e in chosen
        ),
        share_V=share_V,
    )


def name_of(encoder: Encoder, element: int) -> str:
    """The name of an element; white space as it is, also where the encoder names it by its byte."""
    if element in (END_ID, UNKNOWN_ID):
        return "<end>" if element == END_ID else "<unknown>"
    label = encoder.label(element)
    text = encoder.decode([element]) if label.startswith("0x") else ""
    return text if text.isspace() else label


def shares(logits_V: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of logits, in float64."""
    wide_V = logits_V.astype(np.float64)
    weight_V: NDArray[np.float64] = np.exp(wide_V - wide_V.max())
    weight_V /= weight_V.sum()
    return weight_V


def entropy(share_V: NDArray[np.float64]) -> float:
    """Of a distribution, nats."""
    some = share_V[share_V > 0]
    return max(0.0, float(-(some * np.log(some)).sum()))
