"""The loop: exact frequencies, jobs that do not notice each other, and every way to end."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import GenerateSettings
from rhapsode.generation import (
    Chain,
    Context,
    Continued,
    Filter,
    Job,
    chain_of,
    continue_jobs,
    generate_elements,
)
from tests.generation.markov import Markov

PROVE = settings(derandomize=True, deadline=None, max_examples=40)
EMPTY = np.empty(0, dtype=np.int64)
PLAIN = chain_of(GenerateSettings(), vocab_size=4, suppressed=())


def jobs_of(sequences: Sequence[int], length: int, prompt: Sequence[int] = ()) -> list[Job]:
    prompt_N = np.array(prompt, dtype=np.int64)
    return [Job(prompt_N, sequence, length) for sequence in sequences]


def written(chosen: Sequence[Continued]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for choice in chosen:
        found[choice.job].append(choice.element)
    return dict(found)


def run(
    predictor: Markov, jobs: Sequence[Job], chain: Chain = PLAIN, seed: int = 5
) -> dict[int, list[int]]:
    return written(list(generate_elements(predictor, jobs, chain, seed=seed)))


def assert_frequencies(found: Counter, share: dict[tuple[int, ...], float], count: int) -> None:
    """Counts within four and a half deviations of the exact distribution; rare outcomes taken together."""
    assert sum(share.values()) == pytest.approx(1)
    assert set(found) <= {path for path, chance in share.items() if chance > 0}
    frequent = {path: chance for path, chance in share.items() if chance * count >= 5}
    rest = 1 - sum(frequent.values())
    rare = count - sum(found[path] for path in frequent)
    statistic = sum(
        (found[path] - chance * count) ** 2 / (chance * count) for path, chance in frequent.items()
    )
    if rest * count > 1:
        statistic += (rare - rest * count) ** 2 / (rest * count)
    freedom = len(frequent)
    assert abs(statistic - freedom) < 4.5 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("prompt", [(), (2,), (3, 1)])
def test_frequencies_are_those_of_the_model(prompt: tuple[int, ...]):
    model = Markov.random(4)
    count = 4_000
    texts = run(model, jobs_of(range(count), 3, prompt))
    found = Counter(tuple(text) for text in texts.values())
    assert_frequencies(found, dict(model.endings(3, prompt)), count)


def test_frequencies_under_a_chain_are_those_of_the_filtered_model():
    model = Markov.random(4, seed=1)
    count = 4_000
    asked = GenerateSettings(temperature=0.7, top_k=2)
    chain = chain_of(asked, vocab_size=4, suppressed=(0,))
    texts = run(model, jobs_of(range(count), 2), chain)
    share_VVV = model.share_VVV ** (1 / 0.7)
    share_VVV[:, :, 0] = 0
    share_VVV[share_VVV < np.sort(share_VVV, axis=2)[:, :, -2:-1]] = 0
    share_VVV /= share_VVV.sum(axis=2, keepdims=True)
    share = {
        (first, second): share_VVV[0, 0, first] * share_VVV[0, first, second]
        for first in range(4)
        for second in range(4)
    }
    assert_frequencies(Counter(tuple(text) for text in texts.values()), share, count)


@PROVE
@given(
    sequences=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12, unique=True),
    length=st.integers(1, 12),
    prompt=st.lists(st.integers(1, 3), max_size=3),
    seed=st.integers(0, 2**63 - 1),
)
def test_a_job_alone_writes_what_it_writes_in_company(
    sequences: list[int], length: int, prompt: list[int], seed: int
):
    model = Markov.random(4)
    together = run(model, jobs_of(sequences, length, prompt), seed=seed)
    for index, sequence in enumerate(sequences):
        alone = run(model, jobs_of([sequence], length, prompt), seed=seed)
        assert alone[0] == together[index]


def test_a_job_does_not_notice_others_ending():
    model = Markov.random(4)
    mixed = [Job(EMPTY, sequence, length) for sequence, length in enumerate([1, 30, 2, 5, 30, 9])]
    texts = run(model, mixed)
    for index, job in enumerate(mixed):
        assert texts[index] == run(model, [job])[0]


@pytest.mark.parametrize(
    "asked",
    [
        {"repetition_penalty": 1.8},
        {"frequency_penalty": 1.5},
        {"dry_multiplier": 3.0, "dry_allowed_length": 1},
        {"no_repeat_ngram": 2},
        {"mirostat_tau": 1.0, "mirostat_eta": 0.5},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_what_filters_remember_goes_on_with_its_row(asked: dict[str, float]):
    model = Markov.random(4)
    chain = chain_of(GenerateSettings(**asked), vocab_size=4, suppressed=(0,))
    mixed = [Job(EMPTY, sequence, length) for sequence, length in enumerate([1, 30, 3, 12, 30, 9])]
    texts = run(model, mixed, chain)
    without = chain_of(GenerateSettings(), vocab_size=4, suppressed=(0,))
    for index, job in enumerate(mixed):
        assert texts[index] == run(model, [job], chain)[0]
    assert texts[4] != run(model, [mixed[4]], without)[0]


def test_a_longer_text_begins_like_the_shorter_one():
    model = Markov.random(4)
    long, short = run(model, jobs_of([3], 40))[0], run(model, jobs_of([3], 7))[0]
    assert long[: len(short)] == short


def test_seed_and_sequence_decide():
    model = Markov.random(4)
    model.share_VVV[:, :, 0] = 0
    steady = chain_of(GenerateSettings(), vocab_size=4, suppressed=(0,))

    def text(seed: int, sequence: int) -> tuple[int, ...]:
        return tuple(run(model, jobs_of([sequence], 40), steady, seed)[0])

    assert text(1, 2) == text(1, 2)
    assert len({text(seed, sequence) for seed in range(4) for sequence in range(4)}) == 16


def test_end_of_sequence_ends_a_job_and_is_its_last_element():
    model = Markov.random(4)
    chosen = list(generate_elements(model, jobs_of(range(40), 25), PLAIN, seed=5))
    for index in range(40):
        own = [choice for choice in chosen if choice.job == index]
        assert all(choice.last is None for choice in own[:-1])
        assert all(choice.element != 0 for choice in own[:-1])
        ended = own[-1].element == 0
        assert own[-1].last == ("stop" if ended else "length")
        assert ended or len(own) == 25
    assert any(choice.last == "stop" for choice in chosen)


def test_lengths_are_kept_one_by_one():
    never_ends = chain_of(GenerateSettings(), vocab_size=4, suppressed=(0,))
    jobs = [Job(EMPTY, 0, length) for length in (3, 0, 1, 300)]
    chosen = list(generate_elements(Markov.random(4), jobs, never_ends, seed=5))
    sizes = Counter(choice.job for choice in chosen)
    assert sizes == {0: 3, 2: 1, 3: 300}
    assert [choice.job for choice in chosen if choice.last == "length"] == [2, 0, 3]


def test_end_of_sequence_at_the_last_place_is_an_end_by_itself():
    always_ends = np.zeros((2, 2, 2))
    always_ends[:, :, 0] = 1.0
    model = Markov(always_ends + 1e-300)
    chain = chain_of(GenerateSettings(), vocab_size=2, suppressed=())
    (choice,) = generate_elements(model, jobs_of([0], 1), chain, seed=5)
    assert choice == Continued(0, (0,), "stop")


@pytest.mark.parametrize("jobs", [[], jobs_of([1, 2], 0)], ids=["none", "of no length"])
def test_nothing_to_write_reads_nothing(jobs: list[Job]):
    model = Markov.random(4)
    assert list(generate_elements(model, jobs, PLAIN, seed=5)) == []
    assert model.seen == []


def test_a_dropped_job_ends_and_the_others_go_on():
    model = Markov.random(4)
    never_ends = chain_of(GenerateSettings(), vocab_size=4, suppressed=(0,))
    jobs = jobs_of(range(4), 9)
    undisturbed = run(model, jobs, never_ends)
    dropped: set[int] = set()
    chosen = []
    for choice in generate_elements(model, jobs, never_ends, seed=5, dropped=dropped):
        chosen.append(choice)
        own = sum(each.job == choice.job for each in chosen)
        if (choice.job, own) in ((1, 2), (3, 5)):
            dropped.add(choice.job)
    texts = written(chosen)
    assert texts[1] == undisturbed[1][:2]
    assert texts[3] == undisturbed[3][:5]
    assert texts[0] == undisturbed[0]
    assert texts[2] == undisturbed[2]


def test_dropping_every_job_ends_the_loop():
    dropped: set[int] = set()
    chosen = []
    for choice in generate_elements(
        Markov.random(4), jobs_of(range(3), 100), PLAIN, seed=5, dropped=dropped
    ):
        chosen.append(choice)
        dropped.update(range(3))
    assert len(chosen) == 3


def test_jobs_take_turns():
    never_ends = chain_of(GenerateSettings(), vocab_size=4, suppressed=(0,))
    chosen = list(generate_elements(Markov.random(4), jobs_of(range(3), 4), never_ends, seed=5))
    assert [choice.job for choice in chosen] == [0, 1, 2] * 4


def test_equal_prompts_are_read_once():
    model = Markov.random(4)
    prompts = [[1, 2], [3, 1], [1, 2], [1, 2]]
    jobs = [Job(np.array(prompt), index, 6) for index, prompt in enumerate(prompts)]
    texts = run(model, jobs)
    assert model.seen[0] == [[0, 1, 2], [0, 3, 1]]
    for index, job in enumerate(jobs):
        assert texts[index] == run(model, [job])[0]


def test_a_text_is_read_once_from_its_end_of_sequence_on():
    model = Markov.random(4)
    never_ends = chain_of(GenerateSettings(), vocab_size=4, suppressed=(0,))
    texts = run(model, jobs_of([1, 2], 3, [3]), never_ends)
    expected = [[[0, 3]]] + [[[texts[job][step]] for job in (0, 1)] for step in (0, 1)]
    assert model.seen == expected


@PROVE
@given(
    prompts=st.lists(st.lists(st.integers(1, 3), max_size=6), min_size=1, max_size=8),
    length=st.integers(1, 12),
    seed=st.integers(0, 2**63 - 1),
)
def test_prompts_of_one_call_may_have_any_lengths(prompts: list[list[int]], length: int, seed: int):
    model = Markov.random(4)
    jobs = [
        Job(np.array(prompt, dtype=np.int64), index, length) for index, prompt in enumerate(prompts)
    ]
    together = list(generate_elements(model, jobs, PLAIN, seed=seed))
    assert {one.job for one in together} == set(range(len(jobs)))
    for index, job in enumerate(jobs):
        alone = generate_elements(model, [job], PLAIN, seed=seed)
        own = [(one.element, one.last) for one in together if one.job == index]
        assert own == [(one.element, one.last) for one in alone]


@pytest.mark.parametrize("trace", [None, 2])
def test_without_a_fast_path_jobs_are_continued_as_the_loop_writes(trace: int | None):
    model = Markov.random(4)
    jobs = [*jobs_of([1, 2], 9), *jobs_of([3, 4, 5], 7, [2, 3])]
    found = list(continue_jobs(model, jobs, PLAIN, seed=5, trace=trace))
    wanted = list(generate_elements(model, jobs, PLAIN, seed=5, trace=trace))
    assert [(one.job, *one.elements, one.last, one.trace) for one in found] == [
        (one.job, one.element, one.last, one.trace) for one in wanted
    ]


class Remembering(Filter):
    """Notes what it is shown; its state counts, for every row, the elements chosen so far."""

    name = "remembering"

    def __init__(self) -> None:
        self.seen: list[tuple[Context, np.ndarray]] = []

    def apply(self, logits_BV: np.ndarray, context: Context, state: Any) -> tuple[np.ndarray, Any]:
        self.seen.append((context, state))
        return logits_BV, state + np.int64(1) + 100 * context.sequence_B * (state < 100)

    def init(self, rows: int) -> np.ndarray:
        return np.zeros(rows, dtype=np.int64)

    def select(self, state: np.ndarray, rows_R: np.ndarray) -> np.ndarray:
        return state[rows_R]


def test_filters_see_where_each_row_stands_and_keep_their_states_by_row():
    noted = Remembering()
    prompt_N = np.array([2, 3])
    jobs = [Job(prompt_N, sequence, length) for sequence, length in ((7, 2), (9, 5), (4, 300))]
    never_ends = chain_of(GenerateSettings(), vocab_size=4, suppressed=(0,))
    chain = Chain((*never_ends.filters, noted))
    texts = run(Markov.random(4), jobs, chain)
    assert len(noted.seen) == 300
    for step, (context, state) in enumerate(noted.seen):
        rows = [index for index, job in enumerate(jobs) if job.length > step]
        assert context.seed == 5
        assert context.position_B.tolist() == [step] * len(rows)
        assert context.sequence_B.tolist() == [jobs[index].sequence for index in rows]
        assert [prompt.tolist() for prompt in context.prompt] == [[2, 3]] * len(rows)
        assert not any(output.flags.writeable for output in context.output)
        if step:
            assert state.tolist() == [step + 100 * jobs[index].sequence for index in rows]
    last, _ = noted.seen[-1]
    assert last.output[0].tolist() == texts[2][:299]
