"""The compiled loop: the literal outcomes of its filters, the draw's uniforms, the same elements as the NumPy loop."""

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.bundle import Predictor, Stretch, StretchRequest, draw
from rhapsode.config import GenerateSettings
from rhapsode.encoding import END_ID
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.engine.compiled_chain import compile_chain
from rhapsode.engine.compiled_predictor import compiled_predictor
from rhapsode.engine.compiled_writing import ELEMENTS
from rhapsode.engine.kernels import maths
from rhapsode.engine.sampling_steps import draw as inner_draw
from rhapsode.engine.sampling_steps import filter_row as inner_filter_row
from rhapsode.engine.sampling_steps import uniform as inner_uniform
from rhapsode.generation import (
    FILTERS,
    Chain,
    Context,
    Continued,
    Filter,
    Job,
    chain_of,
    continue_jobs,
    generate_elements,
    uniforms,
)
from rhapsode.generation.filters.contract import Suppress
from rhapsode.generation.filters.control_filters import MinLength, control_filters
from rhapsode.generation.filters.repeats import Frequency, Presence, Repetition
from rhapsode.generation.filters.temperature import Temperature
from rhapsode.generation.filters.truncation import MinP, TopK, TopP
from tests.contracts.filter_contract import ORACLE, ChainContract, context_of, logits
from tests.engine.compiled_calls import callable_form
from tests.engine.compiled_models import (
    ENCODER,
    FAMILIES,
    VOCABULARY,
    bundle_of,
    network_config,
    network_of,
)

compiled_draw, compiled_uniform = callable_form(inner_draw), callable_form(inner_uniform)
filter_row = callable_form(inner_filter_row)
exp32, exp64 = callable_form(maths.exp32), callable_form(maths.exp64)
sigmoid32, tanh32 = callable_form(maths.sigmoid32), callable_form(maths.tanh32)

PROVE = settings(derandomize=True, deadline=None, max_examples=300)


def predictor_of(family: str, seed: int = 0) -> Predictor:
    config = network_config(family)
    return compiled_predictor(bundle_of(config, network_of(config, seed=seed, sharper=3)))


def chain(*, spared: Sequence[int] = (), **asked: Any) -> Chain:
    settings = GenerateSettings(**asked)
    return chain_of(settings, vocab_size=VOCABULARY, suppressed=(1,), spared=spared)


def jobs_of(count: int, length: int, prompt: Sequence[int] = ()) -> list[Job]:
    return [Job(np.array(prompt, dtype=np.int64), index, length) for index in range(count)]


def written(
    chosen: Iterable[Continued],
) -> dict[int, list[tuple[int, str | None]]]:
    """Elements of each job, and behind which of them it ended."""
    found: dict[int, list[tuple[int, str | None]]] = defaultdict(list)
    for choice in chosen:
        *before, last = choice.elements
        found[choice.job] += [*((element, None) for element in before), (last, choice.last)]
    return dict(found)


def stretches_of(
    predictor: Predictor,
    jobs: Sequence[Job],
    made: Chain,
    *,
    seed: int,
    dropped: set[int] | None = None,
) -> Iterator[Stretch] | None:
    """The fast path by itself."""
    request = StretchRequest(jobs, made, seed, set() if dropped is None else dropped)
    return predictor.stretches(request)


def continued(
    predictor: Predictor, jobs: Sequence[Job], made: Chain, *, seed: int
) -> dict[int, list[tuple[int, str | None]]]:
    """What is written where there is a fast path."""
    assert stretches_of(predictor, jobs, made, seed=seed) is not None
    return written(continue_jobs(predictor, jobs, made, seed=seed))


def filtered(chain: Chain, logits_BV: np.ndarray, context: Context) -> np.ndarray:
    """The compiled chain's logits."""
    plan = compile_chain(chain, logits_BV.shape[1])
    assert plan is not None
    vocab = logits_BV.shape[1]
    after_BV = np.array(logits_BV, dtype=np.float32, order="C")
    after_BV[:, plan.banned_N] = -np.inf
    read_BV, written_BV = np.zeros((2, *logits_BV.shape), dtype=np.int32)
    for row, (prompt, output) in enumerate(zip(context.prompt, context.output, strict=True)):
        first = max(0, len(prompt) + len(output) - plan.span) if plan.span else 0
        for place, element in enumerate([*prompt, *output]):
            if place >= first and element not in plan.spared:
                (read_BV if place < len(prompt) else written_BV)[row, element] += 1
    scratch = np.empty(vocab, dtype=np.float32), np.empty(vocab)
    for after_V, read_V, written_V in zip(after_BV, read_BV, written_BV, strict=True):
        filter_row(after_V, plan.steps_S, plan.values_S, read_V, written_V, *scratch)
    return after_BV


class TestCompiledChain(ChainContract):
    """Chains with other steps are left to NumPy, as in the loop."""

    def filtered(
        self,
        logits_TBV: Sequence[np.ndarray],
        contexts_T: Sequence[Context],
        steps: Sequence[tuple[str, Any]],
    ) -> np.ndarray:
        vocab_size = logits_TBV[0].shape[1]
        made = Chain([self.step(name, value, vocab_size) for name, value in steps])
        if compile_chain(made, vocab_size) is not None:
            return filtered(made, logits_TBV[-1], contexts_T[-1])
        states = made.init(len(logits_TBV[0]))
        for logits_BV, context in zip(logits_TBV, contexts_T, strict=True):
            after_BV, states = made.apply(logits_BV, context, states)
        return after_BV

    def step(self, name: str, value: Any, vocab_size: int) -> Filter:
        if name == "suppress":
            return Suppress(tuple(value), vocab_size)
        return FILTERS.get(name)(**value) if isinstance(value, dict) else FILTERS.get(name)(value)


COMPILED = {
    "suppress", "temperature", "top_k", "top_p", "min_p", "repetition", "frequency", "presence",
}  # fmt: skip


def test_the_literal_outcomes_cover_every_compiled_step() -> None:
    whole = [{name for name, _ in case["steps"]} for case in ORACLE]
    assert set().union(*(names for names in whole if names <= COMPILED)) >= COMPILED


@PROVE
@given(
    logits_BV=logits(),
    temperature=st.sampled_from([0.0, 1e-6, 0.3, 1.0, 7.0]),
    top_k=st.integers(0, 8),
    top_p=st.sampled_from([0.0, 1e-9, 0.25, 0.5, 0.7, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    penalties=st.tuples(
        st.sampled_from([1.0, 1.3, 0.7]), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 0.3])
    ),
    order=st.sampled_from(["hf", "vllm", "llamacpp"]),
)
def test_compiled_filters_leave_what_the_reference_leaves(  # noqa: PLR0917
    logits_BV: np.ndarray,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    penalties: tuple[float, float, float],
    order: str,
) -> None:
    asked = GenerateSettings(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=penalties[0],
        frequency_penalty=penalties[1],
        presence_penalty=penalties[2],
        order=order,
    )
    rows, vocab = logits_BV.shape
    made = chain_of(asked, vocab_size=vocab, suppressed=())
    plain = context_of(rows)
    context = Context(
        (np.array([0, 2, 2]),) * rows,
        (np.array([0, 1, 1, 3]),) * rows,
        plain.position_B,
        plain.sequence_B,
        0,
    )
    wanted_BV, _ = made.apply(logits_BV, context, made.init(rows))
    found_BV = filtered(made, logits_BV, context)
    np.testing.assert_array_equal(np.isneginf(found_BV), np.isneginf(wanted_BV))
    np.testing.assert_allclose(found_BV, wanted_BV, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("vocab", [2, 7, 100, 5000])
@pytest.mark.parametrize("ties", [False, True])
def test_large_vocabularies_are_cut_as_the_reference_cuts_them(vocab: int, ties: bool) -> None:
    random = np.random.default_rng(vocab)
    logits_BV = random.normal(size=(6, vocab)).astype(np.float32) * 3
    if ties:
        logits_BV = logits_BV.round()
    for asked in ({"top_k": 1}, {"top_k": 40}, {"top_p": 0.5}, {"top_p": 0.999}, {"min_p": 0.1}):
        made = chain_of(GenerateSettings(**asked), vocab_size=vocab, suppressed=())
        context = context_of(6)
        wanted_BV, _ = made.apply(logits_BV, context, made.init(6))
        np.testing.assert_array_equal(filtered(made, logits_BV, context), wanted_BV)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**63 - 1, 2**64 - 1])
def test_uniforms_are_those_of_the_draw(seed: int) -> None:
    for sequence, position in ((0, 0), (1, 7), (2**32 - 1, 2**32), (5, 2**40 + 3)):
        wanted = uniforms(seed, np.array([sequence]), np.array([position]))[0]
        assert compiled_uniform(np.uint64(seed), sequence, position) == wanted


def test_draws_are_those_of_the_reference() -> None:
    random = np.random.default_rng(0)
    for vocab in (1, 2, 65, 3000):
        logits_BV = random.normal(size=(50, vocab)).astype(np.float32) * 4
        logits_BV[:, 1:][random.random((50, vocab - 1)) < 0.5] = -np.inf
        uniform_B = random.random(50)
        uniform_B[:3] = 0.0, 1 - 2**-53, 0.5
        found = [
            compiled_draw(z_V, point, np.empty(vocab))
            for z_V, point in zip(logits_BV, uniform_B, strict=True)
        ]
        assert found == draw(logits_BV, uniform_B).tolist()


def test_functions_are_those_of_numpy() -> None:
    for x in np.linspace(-87, 88, 5001, dtype=np.float32):
        assert exp32(x) == pytest.approx(np.exp(np.float64(x)), rel=3e-7)
    for x in np.linspace(-30, 30, 5001, dtype=np.float32):
        assert tanh32(x) == pytest.approx(np.tanh(np.float64(x)), abs=2e-7)
        assert sigmoid32(x) == pytest.approx(1 / (1 + np.exp(-np.float64(x))), abs=1e-7)
    for y in np.linspace(-700, 0, 5001):
        assert exp64(y) == pytest.approx(np.exp(y), rel=4e-16)
    assert exp64(0.0) == 1.0
    assert exp64(-np.inf) == 0.0
    assert exp32(np.float32(np.inf)) > 1e38
    assert tanh32(np.float32(1e30)) == 1.0
    assert tanh32(np.float32(-1e30)) == -1.0


ASKED: list[dict[str, Any]] = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.7, "top_k": 5},
    {"temperature": 1.3, "top_p": 0.8, "min_p": 0.02},
    {"repetition_penalty": 1.3, "top_k": 8},
    {"frequency_penalty": 0.2, "presence_penalty": 0.3, "order": "llamacpp", "top_k": 9},
    {"repetition_penalty": 1.5, "frequency_penalty": 0.4, "penalty_range": 5, "spared": (3, 7)},
    {"presence_penalty": 1.0, "penalty_range": 1},
    {"repetition_penalty": 2.0, "penalty_range": 200},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_elements_are_those_of_the_loop_over_numpy_filters(
    family: str, asked: dict[str, Any]
) -> None:
    predictor, made = predictor_of(family), chain(**asked)
    jobs = [*jobs_of(4, 70, (3, 4)), Job(np.array([5, 2]), 9, 30)]
    wanted = written(generate_elements(predictor, jobs, made, seed=11))
    assert continued(predictor, jobs, made, seed=11) == wanted
    assert {element for text in wanted.values() for element, _ in text} - {END_ID}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_64_writes_what_64_write_alone(family: str) -> None:
    predictor, made = predictor_of(family, seed=1), chain(temperature=1.5)
    jobs = jobs_of(64, 40)
    together = continued(predictor, jobs, made, seed=3)
    for index, job in enumerate(jobs):
        alone = continued(predictor, [job], made, seed=3)
        assert alone[0] == together[index]
    assert len({len(text) for text in together.values()}) > 1


def test_other_steps_are_left_to_the_numpy_filters() -> None:
    predictor, made = predictor_of("lstm"), chain(typical_p=0.8, no_repeat_ngram=3)
    assert compile_chain(made, VOCABULARY) is None
    assert stretches_of(predictor, jobs_of(1, 5), made, seed=0) is None
    wanted = written(generate_elements(predictor, jobs_of(3, 40), made, seed=1))
    assert written(continue_jobs(predictor, jobs_of(3, 40), made, seed=1)) == wanted


FORMS: list[Filter] = [
    Suppress((1,), VOCABULARY),
    MinLength(4, ENCODER),
    Temperature(0.0),
    Temperature(0.7),
    TopK(3),
    TopP(0.8),
    MinP(0.1),
    Repetition(1.3),
    Frequency(0.2),
    Presence(0.3),
]


def test_the_forms_are_those_of_every_filter_that_has_one() -> None:
    found, left = set[type[Filter]](), [Filter]
    while left:
        kind = left.pop()
        left += [each for each in kind.__subclasses__() if each.__module__.startswith("rhapsode.")]
        if kind.compiled is not Filter.compiled and not inspect.isabstract(kind):
            found.add(kind)
    assert found == {type(each) for each in FORMS}
    forms = [each.compiled() for each in FORMS]
    assert {name for name, _ in filter(None, forms)} == (COMPILED | {"min_length", "greedy"})
    assert all(compile_chain(Chain([each]), VOCABULARY) is not None for each in FORMS)


@pytest.mark.parametrize("step", FORMS, ids=lambda step: type(step).__name__)
def test_each_filter_leaves_compiled_what_it_leaves_in_numpy(step: Filter) -> None:
    random = np.random.default_rng(4)
    logits_BV = random.normal(size=(6, VOCABULARY)).astype(np.float32) * 3
    texts = [random.integers(2, VOCABULARY, size=(6, 5)) for _ in range(2)]
    plain = context_of(6)
    context = Context(*map(tuple, texts), plain.position_B + 5, plain.sequence_B, 0)
    made = Chain([step])
    wanted_BV, _ = made.apply(logits_BV, context, made.init(6))
    np.testing.assert_allclose(filtered(made, logits_BV, context), wanted_BV, rtol=1e-6, atol=1e-6)
    if not isinstance(step, MinLength):  # five elements are enough
        assert not np.array_equal(wanted_BV, logits_BV)


@pytest.mark.parametrize("step", FORMS, ids=lambda step: type(step).__name__)
def test_a_filter_of_a_kind_of_its_own_is_not_taken_for_what_it_extends(step: Filter) -> None:
    class Other(type(step)):  # type: ignore[misc]
        name = "other"

        def apply(self, logits_BV: np.ndarray, context: Context, state: Any) -> tuple[Any, Any]:
            return logits_BV, state

    class Further(Other):
        """What extends such a filter has none either."""

    class Named(type(step)):  # type: ignore[misc]
        """It leaves what is done, and is done alike."""

        name = "named"

    class Own(type(step)):  # type: ignore[misc]
        """It does something else, and says how compiled code does it."""

        def apply(self, logits_BV: np.ndarray, context: Context, state: Any) -> tuple[Any, Any]:
            return logits_BV, state

        def compiled(self) -> tuple[str, Any]:
            return "temperature", 1.0

    for kind, wanted in (
        (Other, None),
        (Further, None),
        (Named, step.compiled()),
        (Own, ("temperature", 1.0)),
    ):
        other = object.__new__(kind)
        vars(other).update(vars(step))
        told = other.compiled()
        assert str(told) == str(wanted)
        if wanted is None:
            assert Chain([other]).compiled() is None
            assert compile_chain(Chain([other]), VOCABULARY) is None
            assert compile_chain(Chain([TopK(3), other]), VOCABULARY) is None


def test_what_the_caller_ends_is_not_gone_on_with() -> None:
    predictor = predictor_of("lstm")
    made = chain_of(GenerateSettings(), vocab_size=VOCABULARY, suppressed=(0, 1))
    wanted = continued(predictor, jobs_of(3, 200), made, seed=5)
    dropped: set[int] = set()
    found: dict[int, list[int]] = defaultdict(list)
    for stretch in continue_jobs(predictor, jobs_of(3, 200), made, seed=5, dropped=dropped):
        assert stretch.job not in dropped
        found[stretch.job] += stretch.elements
        if stretch.job == 1:
            dropped.add(1)
    assert 0 < len(found[1]) <= ELEMENTS
    for job in range(3):
        assert found[job] == [element for element, _ in wanted[job]][: len(found[job])]
    assert len(found[0]) == len(found[2]) == 200


def test_jobs_without_length_are_left_out() -> None:
    predictor, made = predictor_of("lstm"), chain()
    assert list(continue_jobs(predictor, jobs_of(2, 0), made, seed=0)) == []
    one, other = Job(np.array([2]), 0, 3), Job(np.array([2, 3]), 1, 0)
    assert set(continued(predictor, [one, other], made, seed=0)) == {0}


@pytest.mark.parametrize("asked", [{}, {"repetition_penalty": 1.3, "top_k": 8}], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_of_unequal_length_give_what_each_gives_alone(
    family: str, asked: dict[str, Any]
) -> None:
    predictor, made = predictor_of(family), chain(**asked)
    prompts = [[2], [2, 3], [], [5, 2], list(range(2, 12)), [2]]
    jobs = [
        Job(np.array(prompt, dtype=np.int64), index, 30 + index)
        for index, prompt in enumerate(prompts)
    ]
    assert stretches_of(predictor, jobs, made, seed=6) is None
    together = written(continue_jobs(predictor, jobs, made, seed=6))
    assert together == written(generate_elements(predictor, jobs, made, seed=6))
    for index, job in enumerate(jobs):
        assert continued(predictor, [job], made, seed=6)[0] == together[index]


def test_a_long_text_comes_in_stretches() -> None:
    predictor = predictor_of("lstm")
    stretches = stretches_of(
        predictor,
        jobs_of(1, 500),
        chain_of(GenerateSettings(), vocab_size=VOCABULARY, suppressed=(0, 1)),
        seed=2,
    )
    assert stretches is not None
    found = list(stretches)
    assert sum(len(one.elements) for one in found) == 500
    assert all(len(one.elements) <= 64 for one in found)
    assert [one.last for one in found] == [None] * (len(found) - 1) + ["length"]


@pytest.mark.parametrize("k", [1, 3, 30])
@pytest.mark.parametrize("vocab", [31, 100, 1000, 1037, 9000])
def test_top_k_of_many_is_exact(vocab: int, k: int) -> None:
    random = np.random.default_rng(k)
    for values in (random.normal(size=vocab), random.integers(0, 40, vocab), np.arange(vocab)):
        logits_BV = np.stack((values, -values)).astype(np.float32)
        logits_BV[:, 5] = -np.inf
        made = chain_of(GenerateSettings(top_k=k), vocab_size=vocab, suppressed=())
        wanted_BV, _ = made.apply(logits_BV, context_of(2), made.init(2))
        np.testing.assert_array_equal(filtered(made, logits_BV, context_of(2)), wanted_BV)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.99, 1 - 1e-9])
def test_top_p_of_many_is_exact(p: float) -> None:
    random = np.random.default_rng(7)
    for width in (0.01, 1.0, 4.0, 30.0):
        logits_BV = (random.normal(size=(4, 4097)) * width).astype(np.float32)
        made = chain_of(GenerateSettings(top_p=p), vocab_size=4097, suppressed=())
        wanted_BV, _ = made.apply(logits_BV, context_of(4), made.init(4))
        found_BV = filtered(made, logits_BV, context_of(4))
        # Sums in another order may move a border by an element whose mass is all that is left.
        assert (np.isneginf(found_BV) != np.isneginf(wanted_BV)).sum() <= (4 if p > 0.999 else 0)


def test_jobs_that_the_caller_has_ended_cost_nothing_more() -> None:
    predictor, dropped = predictor_of("lstm"), set[int]()
    endless = chain_of(GenerateSettings(), vocab_size=VOCABULARY, suppressed=(0, 1))
    found = stretches_of(predictor, jobs_of(2, 10**9), endless, seed=0, dropped=dropped)
    assert found is not None
    seen = []
    for stretch in found:
        seen.append(stretch.job)
        dropped.add(stretch.job)
    assert seen == [0, 1]


@pytest.mark.parametrize("family", ["lstm", "classic in a window"])
@pytest.mark.parametrize("asked", [{}, {"temperature": 0.7, "top_k": 3}, {"temperature": 0.0}])
def test_no_text_ends_before_its_least_length(family: str, asked: dict[str, Any]) -> None:
    predictor = predictor_of(family)
    made = chain_for(ENCODER, min_length=37, **asked)
    plan = compile_chain(made, VOCABULARY)
    assert plan is not None
    assert plan.least == 37
    found = continued(predictor, jobs_of(12, 60), made, seed=3)
    assert found == written(generate_elements(predictor, jobs_of(12, 60), made, seed=3))
    assert all(37 < len(text) <= 60 for text in found.values())
    if not asked:
        assert "stop" in {text[-1][1] for text in found.values()}


def test_a_least_length_that_could_lead_nowhere_is_left_to_numpy() -> None:
    suppress = Suppress((1,), VOCABULARY)
    assert compile_chain(Chain([suppress, MinLength(4, ENCODER)]), VOCABULARY) is not None
    all_but_the_end = Suppress(tuple(range(1, VOCABULARY)), VOCABULARY)
    assert compile_chain(Chain([all_but_the_end, MinLength(4, ENCODER)]), VOCABULARY) is None
    assert compile_chain(Chain([suppress, TopK(2), MinLength(4, ENCODER)]), VOCABULARY) is None


def chain_for(encoder: CharacterEncoder, **asked: Any) -> Chain:
    settings = GenerateSettings(**asked)
    control = control_filters(settings, encoder, None, length=None, suppressed=(1,))
    return chain_of(settings, vocab_size=VOCABULARY, suppressed=(1,), control=control)
