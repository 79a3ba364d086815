"""Contributions of network and counts to the log-probabilities of a mixture.

Experts belong to groups: the network, relative frequencies, contexts of each length, parts of
words, and elements that were read. A mixture is log-linear, so that every group g adds a term
c_g(y) to the logits of the network alone. With t from 0 to 1, the distributions

    log p_t(y) = log p_network(y) + t sum_g c_g(y) - log Z_t

lead from the network to the mixture. The contribution of a group is what it adds on this way, with
its part of the normaliser: the integral of c_g(y) - E_t[c_g]. Contributions add up to
log p_mixture(y) - log p_network(y).

Integrated gradients: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML
2017; the Shapley value of Aumann and Shapley, "Values of non-atomic games", 1974.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled
from rhapsode.counts.chunks import Elements, as_ids
from rhapsode.counts.mixing import ngram_evidence as kernels
from rhapsode.counts.mixing.experts import Experts, ExpertState

# Compiled into the cached code of this module: when they change, this file must change, too.
from rhapsode.counts.mixing.ngram_evidence import collect, forget, read_element
from rhapsode.counts.mixing.ngram_measures import WORDS

Floats = NDArray[np.float64]

# Nodes of the quadrature, at first and at most, and the error that is small enough.
FEWEST_NODES, MOST_NODES = 16, 1024
ERROR = 1e-11
# Columns before those of the groups in what `told` returns.
ALONE = ("network", "counts", "mixture")


@dataclass(frozen=True)
class Contribution:
    """Parts of the log-probability of one element.

    Arguments:
        network: log-probability by the network alone, nats.
        counts: by the counts of elements alone: interpolated Kneser-Ney.
        mixture: by the mixture.
        nats: contribution of each group of experts by name; they add up to `mixture - network`.
    """

    network: float
    counts: float
    mixture: float
    nats: dict[str, float]

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON; a log-probability of -inf becomes None."""
        alone = {name: getattr(self, name) for name in ALONE}
        finite = {name: each if math.isfinite(each) else None for name, each in alone.items()}
        return {**finite, "nats": dict(self.nats)}


@dataclass(frozen=True)
class Contributions:
    """Contributions to the distribution after one row.

    Arguments:
        groups: names of the groups of experts.
        network_V: log-probabilities by the network alone.
        counts_V: by the counts alone.
        mixture_V: by the mixture.
        nats_GV: contribution of each group; 0 for elements that may not follow.
    """

    groups: tuple[str, ...]
    network_V: Floats
    counts_V: Floats
    mixture_V: Floats
    nats_GV: Floats

    def of(self, element: int) -> Contribution:
        """Parts of the log-probability of an element."""
        return Contribution(
            float(self.network_V[element]),
            float(self.counts_V[element]),
            float(self.mixture_V[element]),
            dict(zip(self.groups, self.nats_GV[:, element].tolist(), strict=True)),
        )


@dataclass(frozen=True)
class Groups:
    """Groups of the weights of a mixture.

    Arguments:
        names: "network", "frequency", "context_1" and so on by the number of elements, "word" for
            what is there of a word, "word_before" for that after the word before it, "read" for
            elements that were read, and "beginning" for words that begin the document; groups
            without experts are left out.
        group_F: index of the group of each weight, int64.
        counted: number of weights of the network, of frequencies and of contexts of elements.
    """

    names: tuple[str, ...]
    group_F: NDArray[np.int64]
    counted: int

    @classmethod
    def of(cls, experts: Experts) -> Groups:
        """The groups of the weights of experts."""
        kinds, lead = kernels.KINDS, kernels.LEAD
        lengths = (experts.lead - lead) // kinds - WORDS
        contexts = [f"context_{length}" for length in range(1, lengths + 1)]
        names = ["network", "frequency", *contexts, "word", "word_before"]
        group_F = np.empty(experts.size, np.int64)
        group_F[:lead] = range(lead)
        group_F[lead : experts.lead] = lead + np.arange(experts.lead - lead) // kinds
        group_F[experts.lead :] = len(names)
        if not experts.has_parts:
            del names[-WORDS:]
            group_F[experts.lead :] = len(names)
            group_F[experts.lead - kinds * WORDS : experts.lead] = 0  # never used
        if experts.remember:
            names.append("read")
        if experts.width == kernels.BEGUN_WIDTH:
            group_F[experts.size - 2 * kinds :] = len(names)
            names.append("beginning")
        return cls(tuple(names), group_F, lead + kinds * lengths)


def contributions(
    experts: Experts, state: ExpertState, row: int, logits_V: NDArray[np.float32]
) -> Contributions:
    """Contributions to the distribution of a row.

    Arguments:
        experts: the counts.
        state: of the rows after what they have read; it is not changed.
        row: which of them.
        logits_V: of the network there; -inf for what may not follow.
    """
    groups = Groups.of(experts)
    weight_F = experts.weight_F if state.weight_BF is None else state.weight_BF[row]
    wide_V = logits_V.astype(np.float64)
    allowed_V = np.isfinite(wide_V)
    network_V = wide_V - _log_sum(wide_V[allowed_V])
    own_V = network_V.astype(np.float32)
    size = len(own_V)
    room = kernels.room_for(size)
    element_E, weight_E = np.empty(room, np.int32), np.empty(room, np.int16)
    value_E = np.empty(room, np.float32)
    list_evidence: Any = collect
    n = list_evidence(
        *experts.tables, int(state.node_B[row]), state.word_BW[row], state.recent_BN[row],
        state.head_BLS[row], state.before_BLN[row], int(state.read_B[row]), experts.lead,
        experts.letter_V, experts.prior_V, own_V, 0.0, np.zeros(size, np.int32), element_E,
        weight_E, value_E,
    )  # fmt: skip
    element_E, weight_E = element_E[:n], weight_E[:n].astype(np.int64)
    value_E = value_E[:n].astype(np.float64)
    prior_V = experts.prior_V.astype(np.float64)
    term_GV = np.zeros((len(groups.names), size))
    np.add.at(term_GV, (groups.group_F[weight_E], element_E), weight_F[weight_E] * value_E)
    term_GV[0, allowed_V] = (max(weight_F[0], kernels.LEAST) - 1) * network_V[allowed_V]
    term_GV[1] = weight_F[1] * prior_V
    term_GV[:, ~allowed_V] = 0
    counts_V = np.where(allowed_V, prior_V, -np.inf)
    counted_E = weight_E < groups.counted
    np.add.at(counts_V, element_E[counted_E], value_E[counted_E])
    counts_V -= _log_sum(counts_V[allowed_V])
    mixture_V = network_V + term_GV.sum(axis=0)
    mixture_V -= _log_sum(mixture_V[allowed_V])
    nats_GV = np.zeros_like(term_GV)
    nats_GV[:, allowed_V] = integrated(network_V[allowed_V], term_GV[:, allowed_V])
    return Contributions(groups.names, network_V, counts_V, mixture_V, nats_GV)


def integrated(network_V: Floats, term_GV: Floats) -> Floats:
    """Contributions of groups to all log-probabilities, (G, V).

    Arguments:
        network_V: log-probabilities by the network, all finite.
        term_GV: what each group adds to the logits.
    """
    total_V = term_GV.sum(axis=0)
    # The change of log Z, which the means along the way must add up to.
    change = _log_sum(network_V + total_V) - _log_sum(network_V)
    nodes = FEWEST_NODES
    while True:
        place_Q, share_Q = np.polynomial.legendre.leggauss(nodes)
        log_QV = network_V + (place_Q[:, None] + 1) / 2 * total_V
        weight_QV = np.exp(log_QV - log_QV.max(axis=1, keepdims=True))
        weight_QV *= (share_Q / 2 / weight_QV.sum(axis=1))[:, None]
        mean_G = term_GV @ weight_QV.sum(axis=0)
        error = change - float(mean_G.sum())
        if abs(error) <= ERROR or nodes >= MOST_NODES:
            break
        nodes *= 2
    contribution_GV: Floats = term_GV - (mean_G + error / len(mean_G))[:, None]
    return contribution_GV


def _log_sum(values: Floats) -> float:
    most = float(values.max())
    return most + math.log(float(np.exp(values - most).sum()))


def told(
    experts: Experts,
    elements_BT: Elements,
    state: ExpertState,
    log_prob_BTV: NDArray[np.float32],
    targets_BT: Elements,
    *,
    scored_BT: NDArray[np.bool_],
    reset_BT: NDArray[np.bool_] | None = None,
) -> Floats:
    """Read elements; log-probabilities of targets by parts of the mixture.

    Arguments:
        experts: the counts; their weights do not adapt meanwhile.
        elements_BT: ids that are read.
        state: before them; it is changed in place.
        log_prob_BTV: by the network, after each of them.
        targets_BT: ids after each.
        scored_BT: where they are looked at; elsewhere all is 0.
        reset_BT: True where a row begins a document. None: nowhere.

    Returns:
        By the network, the counts and the mixture, and by the mixture without each of the groups,
        (B, T, 3 + G).
    """
    groups = Groups.of(experts)
    ids_BT = as_ids(elements_BT, experts.vocab_size)
    told_BTC = np.zeros((*ids_BT.shape, len(ALONE) + len(groups.names)))
    if reset_BT is None:
        reset_BT = np.zeros(ids_BT.shape, np.bool_)
    tell: Any = tell_rows
    tell(
        *experts.compiled, *state.arrays(),
        experts.weight_F[None] if state.weight_BF is None else state.weight_BF,
        ids_BT, as_ids(targets_BT, experts.vocab_size), np.ascontiguousarray(scored_BT),
        np.ascontiguousarray(reset_BT), experts.keep, groups.group_F, groups.counted,
        np.ascontiguousarray(log_prob_BTV, np.float32), told_BTC,
    )  # fmt: skip
    return told_BTC


@compiled
def log_sum_of(z_V: Any) -> float:
    """Logarithm of the sum of exponentials, in float64."""
    most, total = -math.inf, 0.0
    for v in range(len(z_V)):
        most = max(most, z_V[v])
    for v in range(len(z_V)):
        total += math.exp(z_V[v] - most)
    return float(most + math.log(total))


@compiled
def log_prob_without(
    z_V: Any, shift: float, target: int, group: int, group_F: Any, n: int,
    element_E: Any, weight_E: Any, term_E: Any, delta_V: Any,
) -> float:  # fmt: skip
    """Log-probability of an element without the evidence of a group.

    `shift` is the logarithm of the sum of exponentials of the logits, `term_E` what each piece of
    evidence adds to them. `delta_V` is scratch memory, 0 before and after.
    """
    total = 1.0
    for e in range(n):
        if group_F[weight_E[e]] == group:
            delta_V[element_E[e]] += term_E[e]
    at_target = z_V[target] - delta_V[target]
    for e in range(n):
        v = element_E[e]
        if delta_V[v] != 0.0:
            total += math.exp(z_V[v] - delta_V[v] - shift) - math.exp(z_V[v] - shift)
            delta_V[v] = 0.0
    return float(at_target - shift - math.log(max(total, 1e-300)))


@compiled
def tell_rows(
    first_M: Any, element_M: Any, suffix_M: Any, evidence_M: Any, kind_M: Any,
    bucket_B: Any, key_K: Any, first_K: Any, element_J: Any, evidence_J: Any, kind_K: Any,
    letter_V: Any, prior_V: Any, lead: int,
    node_B: Any, word_BW: Any, recent_BN: Any, head_BLS: Any, before_BLN: Any, read_B: Any,
    weight_BF: Any, elements_BT: Any, targets_BT: Any, scored_BT: Any, reset_BT: Any, keep: bool,
    group_F: Any, counted: int, own_BTV: Any, told_BTC: Any,
) -> None:  # fmt: skip
    """Read elements and write log-probabilities by parts of the mixture; see `told`."""
    rows, time = elements_BT.shape
    vocab, columns = own_BTV.shape[2], told_BTC.shape[2]
    room = kernels.room_for(vocab)
    element_E, weight_E = np.empty(room, np.int32), np.empty(room, np.int16)
    value_E, seen_V = np.empty(room, np.float32), np.zeros(vocab, np.int32)
    z_V, other_V, delta_V = np.empty(vocab), np.empty(vocab), np.zeros(vocab)
    term_E = np.empty(room)
    for b in range(rows):
        node = int(node_B[b])
        word_W, recent_N, head_LS, before_LN = word_BW[b], recent_BN[b], head_BLS[b], before_BLN[b]
        weight_F = weight_BF[b % len(weight_BF)]
        network, frequency = max(weight_F[0], kernels.LEAST), weight_F[1]
        for t in range(time):
            element = elements_BT[b, t]
            if reset_BT[b, t]:
                node = 0
                read_B[b] = forget(word_W, head_LS, int(read_B[b]), keep)
            node = read_element(
                first_M, element_M, suffix_M, kind_M, letter_V,
                node, word_W, recent_N, head_LS, before_LN, int(read_B[b]), element,
            )  # fmt: skip
            read_B[b] += 1
            own_V, target = own_BTV[b, t], targets_BT[b, t]
            if not scored_BT[b, t] or own_V[target] == -np.inf:
                continue
            n = collect(
                first_M, element_M, suffix_M, evidence_M, kind_M,
                bucket_B, key_K, first_K, element_J, evidence_J, kind_K,
                node, word_W, recent_N, head_LS, before_LN, int(read_B[b]), lead,
                letter_V, prior_V, own_V, 0.0, seen_V, element_E, weight_E, value_E,
            )  # fmt: skip
            for v in range(vocab):
                z_V[v] = network * own_V[v] + frequency * prior_V[v]
                other_V[v] = prior_V[v] if own_V[v] > -np.inf else -np.inf
            for e in range(n):
                term_E[e] = weight_F[weight_E[e]] * value_E[e]
                z_V[element_E[e]] += term_E[e]
                if weight_E[e] < counted:
                    other_V[element_E[e]] += value_E[e]
            shift = log_sum_of(z_V)
            told_BTC[b, t, 0] = own_V[target]
            told_BTC[b, t, 1] = other_V[target] - log_sum_of(other_V)
            told_BTC[b, t, 2] = z_V[target] - shift
            for v in range(vocab):
                other_V[v] = z_V[v] - network * own_V[v] if own_V[v] > -np.inf else -np.inf
            told_BTC[b, t, 3] = other_V[target] - log_sum_of(other_V)
            for v in range(vocab):
                other_V[v] = z_V[v] - frequency * prior_V[v]
            told_BTC[b, t, 4] = other_V[target] - log_sum_of(other_V)
            for group in range(2, columns - 3):
                told_BTC[b, t, 3 + group] = log_prob_without(
                    z_V, shift, target, group, group_F, n, element_E, weight_E, term_E, delta_V
                )
        node_B[b] = node
