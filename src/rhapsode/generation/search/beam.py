"""Beam search: plain, in diverse groups, or stochastic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Job, Predictor, log_softmax
from rhapsode.encoding import END_ID
from rhapsode.generation.chain import Chain
from rhapsode.generation.draw import uniforms
from rhapsode.generation.filters.contract import largest
from rhapsode.generation.loop import Rows, Step, run

# Nats by which a log-probability may differ for no other reason.
ROUNDING = 1e-4
# Log-probabilities that are ranked in one call.
AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Found:
    """A continuation that a search has found.

    Arguments:
        elements: ids, without end-of-sequence.
        log_prob: of the whole continuation with end-of-sequence, nats: under the model or, where
            constraints reweight elements or a sample is drawn, after the chain.
        score: what the search ranks by; higher is better.
        end: "stop" when it ended by itself, "length" otherwise.
    """

    elements: tuple[int, ...]
    log_prob: float
    score: float
    end: str


class Candidates:
    """Log-probabilities of the next elements after the filters, without renormalisation."""

    def __init__(self) -> None:
        # By how much what follows may raise a log-probability, from what filters have made likelier
        # up to now.
        self.rise = 0.0

    def of(self, rows: Rows) -> NDArray[np.float64]:
        """Log-probabilities (R, V), -inf for removed elements; called once a step."""
        log_RV = log_softmax(rows.following().logits_BV)
        after_RV = rows.apply(log_RV.astype(np.float32))
        # In float64 where a step left them alone: sums of many would show the rounding.
        same_RV = after_RV == log_RV.astype(np.float32)
        raised_RV = after_RV > log_RV + ROUNDING
        if raised_RV[:, END_ID].any():  # it comes once
            rise = float((after_RV - log_RV)[raised_RV[:, END_ID], END_ID].max())
            self.rise = max(self.rise, rise)
        if np.delete(raised_RV, END_ID, axis=1).any():
            self.rise = math.inf
        return np.where(same_RV, log_RV, after_RV.astype(np.float64))


def best_first(values_M: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Places of the largest finite values, the largest first, ties in order."""
    places_R = largest(values_M, most)
    return places_R[values_M[places_R] > -np.inf]


def beam_search(
    predictor: Predictor,
    job: Job,
    chain: Chain,
    *,
    beams: int,
    length_penalty: float = 0.0,
    groups: int = 1,
    diversity_penalty: float = 0.0,
) -> list[Found]:
    """Continuations of high score: log-probability / length^alpha, the length with end-of-sequence.

    Each step keeps the best non-final extensions of all beams. An extension by end-of-sequence that
    is among as many best ones is finished: it is kept apart, and never extended. A search ends when
    as many are finished as there are beams and no beam can come out better, so that alpha = 0 with
    one beam is greedy choice, and beams for all continuations find the best one. What a filter
    removes is not shared out among the rest, so that scores stay those of the model; a bias is part
    of the score, and one that makes elements likelier lets beams go on to the end.

    In groups (Vijayakumar et al., "Diverse Beam Search", AAAI 2018) each chooses after the ones
    before it and pays for every beam of these that chose the same element at this place (Hamming
    diversity). That decides what is chosen; scores are free of it.

    Arguments:
        predictor: the model.
        job: what to continue.
        chain: what may be written; steps of sampling have no place in it.
        beams: in all groups together.
        length_penalty: alpha; 0 is neutral.
        groups: a divisor of beams.
        diversity_penalty: nats.

    Returns:
        at most as many as beams, the best first.
    """
    found = beam_searches(
        predictor,
        [job],
        chain,
        beams=beams,
        length_penalty=length_penalty,
        groups=groups,
        diversity_penalty=diversity_penalty,
    )
    return found[0]


def beam_searches(
    predictor: Predictor,
    jobs: Sequence[Job],
    chain: Chain,
    *,
    beams: int,
    length_penalty: float = 0.0,
    groups: int = 1,
    diversity_penalty: float = 0.0,
    most: int | None = None,
) -> list[list[Found]]:
    """Beam searches of several jobs side by side; see `beam_search`.

    A job's continuations do not depend on the other jobs. Its rows end with its search. Where only
    some are asked for, they are the best ones of the whole search, and beams end that cannot be
    among them.

    Arguments:
        predictor: the model.
        jobs: what to continue.
        chain: what may be written.
        beams: of each job, in all groups together.
        length_penalty: alpha; 0 is neutral.
        groups: a divisor of beams.
        diversity_penalty: nats.
        most: continuations that each job gives; None: as many as beams.

    Returns:
        For each job at most as many as asked for, the best first.
    """
    lengths = [job.length for job in jobs]
    search = _Beams(beams // groups, groups, length_penalty, diversity_penalty, lengths, most=most)
    rows = Rows.of_jobs(predictor, jobs, chain, 0)
    rows.select(np.repeat(np.arange(len(jobs), dtype=np.int64), groups))
    for _ in run(rows, search.choose):
        pass
    pools = [search.pools[first : first + groups] for first in range(0, len(search.pools), groups)]
    found = ([each for pool in own for each in pool.found] for own in pools)
    return [sorted(own, key=lambda each: -each.score)[:most] for own in found]


class _Beams:
    """The choices of beam searches, and what they have finished.

    Arguments:
        size: beams of a group.
        groups: of each job; they are numbered through all jobs.
        length_penalty: alpha.
        diversity_penalty: nats.
        lengths: the longest continuation of each job.
        most: finished continuations that a job gives; None: as many as beams.
    """

    def __init__(
        self,
        size: int,
        groups: int,
        length_penalty: float,
        diversity_penalty: float,
        lengths: Sequence[int],
        *,
        most: int | None,
    ) -> None:
        self._lengths = [length for length in lengths for _ in range(groups)]
        # A beam that ends leaves its place to extensions that cannot come out better either. Of
        # several groups it would also no longer be avoided by the ones behind it.
        kept = size if most is None or groups > 1 else min(size, most)
        self.pools = [_Pool(kept, length_penalty, length) for length in self._lengths]
        self._size, self._groups = size, groups
        self._diversity_penalty = diversity_penalty
        self._candidates = Candidates()
        self._group_R, self._total_R = np.arange(len(self.pools)), np.zeros(len(self.pools))

    def choose(self, rows: Rows) -> Step | None:
        """The best extensions of all beams.

        None if no beam can become better than the finished ones.
        """
        candidate_RV = self._total_R[:, None] + self._candidates.of(rows)
        going: list[tuple[int, int, int]] = []
        for group, row, element in self._extensions(rows, candidate_RV):
            total = float(candidate_RV[row, element])
            if rows.position + 1 >= self._lengths[group]:
                written_T = np.append(rows.output_RT[row], element)
                self.pools[group].add(written_T, total, "length")
            elif self.pools[group].open(total + self._candidates.rise, rows.position + 1):
                going.append((group, row, element))
        if not going:
            return None
        self._group_R, rows_R, elements_R = (
            np.array(column, dtype=np.int64) for column in zip(*going, strict=True)
        )
        self._total_R = candidate_RV[rows_R, elements_R]
        return Step(elements_R, elements_R[:, None], rows_R)

    def _extensions(
        self, rows: Rows, candidate_RV: NDArray[np.float64]
    ) -> list[tuple[int, int, int]]:
        """Group, row and element of every extension without end-of-sequence.

        Extensions by end-of-sequence are added to the finished ones.
        """
        rooms = len(self.pools) * self._size * candidate_RV.shape[1]
        if self._groups == 1 and rooms <= AT_ONCE:
            return self._extensions_at_once(rows, candidate_RV)
        vocab_size = candidate_RV.shape[1]
        chosen_V, job = np.zeros(vocab_size), -1
        kept: list[tuple[int, int, int]] = []
        # Rows of a group stand side by side, groups in order.
        bounds = np.flatnonzero(np.diff(self._group_R, prepend=-1, append=len(self.pools)))
        for begin, end in pairwise(bounds.tolist()):
            own, group = range(begin, end), int(self._group_R[begin])
            ranked_RV = candidate_RV[begin:end]
            if self._groups > 1:
                if group // self._groups != job:
                    chosen_V[:], job = 0.0, group // self._groups
                ranked_RV = ranked_RV - self._diversity_penalty * chosen_V
            ranked = ranked_RV.reshape(-1)
            live = 0
            for rank, place in enumerate(best_first(ranked, 2 * self._size).tolist()):
                row, element = own[place // vocab_size], place % vocab_size
                if element == END_ID:
                    if rank < self._size:
                        total = float(candidate_RV[row, element])
                        self.pools[group].add(rows.output_RT[row], total, "stop")
                elif live < self._size:
                    live += 1
                    kept.append((group, row, element))
                    chosen_V[element] += 1
        return kept

    def _extensions_at_once(
        self, rows: Rows, candidate_RV: NDArray[np.float64]
    ) -> list[tuple[int, int, int]]:
        """The extensions of all jobs, ranked in one call; see `_extensions`."""
        vocab_size, most = candidate_RV.shape[1], 2 * self._size
        bounds = np.flatnonzero(np.diff(self._group_R, prepend=-1, append=len(self.pools)))
        starts_G, sizes_G = bounds[:-1], np.diff(bounds)
        which_R = np.repeat(np.arange(len(starts_G)), sizes_G)
        ranked_GRV = np.full((len(starts_G), self._size, vocab_size), -np.inf)
        ranked_GRV[which_R, np.arange(len(which_R)) - starts_G[which_R]] = candidate_RV
        ranked_GM = ranked_GRV.reshape(len(starts_G), -1)
        possible_GM = ranked_GM > -np.inf
        if most < ranked_GM.shape[1]:
            least_G1 = np.partition(ranked_GM, -most, axis=1)[:, -most, None]
            possible_GM &= ranked_GM >= least_G1
        which_N, place_N = np.nonzero(possible_GM)
        order_N = np.lexsort((place_N, -ranked_GM[which_N, place_N], which_N))
        which_N, place_N = which_N[order_N], place_N[order_N]
        first_N = np.searchsorted(which_N, which_N)
        rank_N = np.arange(len(which_N)) - first_N
        row_N, element_N = starts_G[which_N] + place_N // vocab_size, place_N % vocab_size
        goes_on_N = element_N != END_ID
        before_N = np.cumsum(goes_on_N) - goes_on_N
        live_N = before_N - before_N[first_N]
        group_N = self._group_R[row_N]
        for at in np.flatnonzero(~goes_on_N & (rank_N < self._size)).tolist():
            row = int(row_N[at])
            total = float(candidate_RV[row, END_ID])
            self.pools[int(group_N[at])].add(rows.output_RT[row], total, "stop")
        kept_N = goes_on_N & (rank_N < most) & (live_N < self._size)
        columns = (column[kept_N].tolist() for column in (group_N, row_N, element_N))
        return list(zip(*columns, strict=True))


class _Pool:
    """The best finished continuations of a group.

    Arguments:
        size: how many are kept.
        alpha: of the length penalty.
        longest: elements a continuation has at most.
    """

    def __init__(self, size: int, alpha: float, longest: int) -> None:
        self._size, self._alpha, self._longest = size, alpha, longest
        self.found: list[Found] = []

    def add(self, elements_T: NDArray[np.int64], log_prob: float, end: str) -> None:
        """Keep one, if it is among the best."""
        length = len(elements_T) + (end == "stop")
        elements = tuple(int(element) for element in elements_T)
        self.found.append(Found(elements, log_prob, log_prob / self._weight(length), end))
        self.found.sort(key=lambda each: -each.score)
        del self.found[self._size :]

    def open(self, log_prob: float, written: int) -> bool:
        """True if a continuation of at most this log-probability may be kept."""
        if len(self.found) < self._size or log_prob > 0.0:
            return True
        # Log-probabilities only fall; what an equal one can reach lies at the end that alpha
        # favours.
        length = self._longest if self._alpha > 0 else written + 1
        return bool(log_prob / self._weight(length) > self.found[-1].score)

    def _weight(self, length: int) -> float:
        """The divisor of a log-probability of so many elements."""
        try:
            weight: float = float(length) ** self._alpha
        except OverflowError:
            return math.inf
        return weight


# From here on lanes belong to pairs of beam and element.
FIRST_BEAM_LANE = 1 << 16


def stochastic_beam_search(
    predictor: Predictor, job: Job, chain: Chain, *, beams: int, seed: int
) -> list[Found]:
    """Distinct continuations, drawn without replacement.

    They are samples of the distribution after the chain (Kool, van Hoof and Welling, "Stochastic
    Beams and Where to Find Them", ICML 2019). Every continuation has a log-probability with Gumbel
    noise. The noise is drawn from the beginning on, so that the noise of a prefix is the largest of
    its continuations; those with the largest are kept.

    Arguments:
        predictor: the model.
        job: what to continue; its sequence and the seed decide the noise.
        chain: filters between the model's logits and the distribution.
        beams: how many.
        seed: of the noise.

    Returns:
        the largest noisy log-probability (their score) first: the first is an ordinary sample, the
        second a sample of the remaining ones, and so on. Fewer than `beams` if no more exist.
    """
    rows = Rows.of_jobs(predictor, [job], chain, seed)
    search = _NoisyBeams(job, beams, seed)
    for _ in run(rows, search.choose):
        pass
    return sorted(search.done, key=lambda each: -each.score)


class _NoisyBeams:
    """The choices of a stochastic beam search, and what it has finished."""

    def __init__(self, job: Job, beams: int, seed: int) -> None:
        self.done: list[Found] = []
        self._job, self._beams, self._seed = job, beams, seed
        self._candidates = Candidates()
        self._total_R, self._noisy_R = np.zeros(1), np.zeros(1)

    def choose(self, rows: Rows) -> Step | None:
        """The extensions with the largest noisy log-probabilities; None where all are finished."""
        log_RV = log_softmax(self._candidates.of(rows))
        total_RV = self._total_R[:, None] + log_RV
        noise_RV = -np.log(
            -np.log(_uniforms(self._seed, self._job.sequence, rows.position, log_RV.shape))
        )
        noisy_RV = _below(total_RV + noise_RV, self._noisy_R)
        finished = np.array([each.score for each in self.done])
        best = best_first(np.concatenate((finished, noisy_RV.reshape(-1))), self._beams)
        count = len(self.done)
        self.done = [self.done[place] for place in best if place < count]
        pairs = np.array([place - count for place in best if place >= count], dtype=np.int64)
        rows_R, elements_R = np.divmod(pairs, log_RV.shape[1])
        last = rows.position + 1 >= self._job.length
        ended_R = (elements_R == END_ID) | last
        for row, element in zip(rows_R[ended_R], elements_R[ended_R], strict=True):
            written = [int(each) for each in rows.output_RT[row]]
            end = "stop" if element == END_ID else "length"
            if element != END_ID:
                written.append(int(element))
            total, noisy = float(total_RV[row, element]), float(noisy_RV[row, element])
            self.done.append(Found(tuple(written), total, noisy, end))
        rows_R, elements_R = rows_R[~ended_R], elements_R[~ended_R]
        if not len(rows_R):
            return None
        self._total_R, self._noisy_R = total_RV[rows_R, elements_R], noisy_RV[rows_R, elements_R]
        return Step(elements_R, elements_R[:, None], rows_R)


def _below(noisy_RV: NDArray[np.float64], most_R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gumbel variables with maxima `most_R`: appendix B.3 of the paper."""
    largest_R1 = noisy_RV.max(axis=1, keepdims=True)
    most_R1 = most_R[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        gap_RV = most_R1 - noisy_RV + np.log1p(-np.exp(noisy_RV - largest_R1))
        below_RV = most_R1 - np.maximum(0, gap_RV) - np.log1p(np.exp(-np.abs(gap_RV)))
    return np.where(np.isneginf(noisy_RV), -np.inf, below_RV)


def _uniforms(
    seed: int, sequence: int, position: int, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """A uniform in (0, 1) for each pair of row and element."""
    count = shape[0] * shape[1]
    if count + FIRST_BEAM_LANE > 0xFFFFFFFF:
        raise ValueError("too many pairs of beam and element")
    sequence_N, position_N = np.full(count, sequence), np.full(count, position)
    lane_N = np.arange(FIRST_BEAM_LANE, FIRST_BEAM_LANE + count)
    bits = uniforms(seed, sequence_N, position_N, lane_N) * 9007199254740992.0
    # Half a step off either end: the logarithm of 0 is no noise.
    return ((bits + 0.5) / 9007199254740992.0).reshape(shape).clip(1e-300, 1 - 2.0**-53)
