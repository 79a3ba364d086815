"""Agreement of the order of outputs with that of inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rhapsode.data import ElementStore

Ids = NDArray[np.int64]

# Pairs that are looked at, evenly chosen, and elements of each side.
PAIRS, ELEMENTS = 1000, 64
# Rounds of expectation maximisation.
ROUNDS = 5
# Translations, elements of inputs times those of outputs, that are counted.
MOST_TRANSLATIONS = 1 << 22


def agreement_of_order(store: ElementStore) -> float:
    """Agreement of two orders, from -1 to 1: outputs and inputs.

    Translations of single elements are estimated without positions (IBM model 1; Brown et al. 1993,
    "The Mathematics of Statistical Machine Translation"). They link each element of an output to
    elements of its input. Neighbours in the output whose links ascend count 1, those whose links
    descend -1. Elements that occur several times in an input blur the links; neighbours are
    weighted by how sharp theirs are. Copies of random letters have 0.7, their reverse -0.7, sorted
    letters 0.

    Arguments:
        store: pairs; inputs end with end-of-sequence, and so do outputs.

    Returns:
        The agreement; 0 if no neighbours can be compared, or vocabularies are too large to count.
    """
    pairs = _sample(store)
    if not pairs:
        return 0.0
    sources, targets = (
        np.unique(np.concatenate(side), return_inverse=True) for side in zip(*pairs, strict=True)
    )
    shape = len(sources[0]), len(targets[0])
    if shape[0] * shape[1] > MOST_TRANSLATIONS:
        return 0.0
    cuts = [np.cumsum([len(pair[side]) for pair in pairs])[:-1] for side in (0, 1)]
    numbered = list(zip(np.split(sources[1], cuts[0]), np.split(targets[1], cuts[1]), strict=True))
    translation_ST = np.full(shape, 1 / shape[1])
    for _ in range(ROUNDS):
        counts_ST = np.zeros(shape)
        for source_S, target_T in numbered:
            links_ST = _links(translation_ST, source_S, target_T)
            np.add.at(counts_ST, (source_S[:, None], target_T), links_ST)
        translation_ST = counts_ST / np.maximum(counts_ST.sum(axis=1, keepdims=True), 1e-12)
    ascending = descending = 0.0
    for source_S, target_T in numbered:
        links_ST = _links(translation_ST, source_S, target_T)
        before_ST = np.cumsum(links_ST, axis=0) - links_ST
        sharp_T = (links_ST**2).sum(axis=0)
        weights_T = sharp_T[:-1] * sharp_T[1:]
        ascending += float((before_ST[:, :-1] * links_ST[:, 1:]).sum(axis=0) @ weights_T)
        descending += float((links_ST[:, :-1] * before_ST[:, 1:]).sum(axis=0) @ weights_T)
    return (ascending - descending) / max(ascending + descending, 1e-12)


def _links(
    translation_ST: NDArray[np.float64], source_S: Ids, target_T: Ids
) -> NDArray[np.float64]:
    """Probabilities, over the input, of the element that each element of the output is from."""
    links_ST = translation_ST[source_S[:, None], target_T]
    return np.asarray(links_ST / np.maximum(links_ST.sum(axis=0), 1e-300))


def _sample(store: ElementStore) -> list[tuple[Ids, Ids]]:
    """Inputs and outputs of some pairs, without their ends."""
    assert store.sources is not None
    bounds = np.append(store.starts, len(store))
    numbers = np.linspace(0, len(store.starts) - 1, min(PAIRS, len(store.starts))).astype(np.int64)
    pairs = []
    for number in numbers.tolist():
        low, high = store.sources.offsets[number : number + 2].tolist()
        source_S = np.asarray(store.sources.ids_N[low : high - 1][:ELEMENTS], dtype=np.int64)
        low, high = bounds[number : number + 2].tolist()
        target_T = np.asarray(store.elements_N[low : high - 1][:ELEMENTS], dtype=np.int64)
        if len(source_S) and len(target_T):
            pairs.append((source_S, target_T))
    return pairs
