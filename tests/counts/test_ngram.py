"""The n-gram model against a slow one, its laws, and what it is chosen by."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.counts import SMOOTHINGS, NGramModel, Smoothing, best_ngram
from rhapsode.errors import DataError
from tests.counts.ngram_reference import Reference, documents_of
from tests.generation.markov import Markov

compiled = settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)


@st.composite
def texts(draw: st.DrawFn) -> tuple[int, list[int], list[int] | None]:
    """A vocabulary, a text of it and where documents begin."""
    vocab_size = draw(st.integers(1, 5))
    # Fewer elements than the vocabulary: some are never seen, and short sequences repeat.
    used = draw(st.integers(1, vocab_size))
    elements = draw(st.lists(st.integers(0, used - 1), max_size=60))
    starts = draw(st.none() | st.lists(st.integers(0, len(elements)), max_size=8))
    return vocab_size, elements, starts


orders = st.integers(1, 5)
smoothings = st.sampled_from(SMOOTHINGS)


def learnt(
    elements: Sequence[int], vocab_size: int, order: int, smoothing: Smoothing, **more: object
) -> NGramModel:
    return NGramModel.learn(
        np.array(elements, dtype=np.uint8), vocab_size, order=order, smoothing=smoothing, **more
    )


def one_by_one(model: NGramModel, elements: Sequence[int], starts: Sequence[int] | None) -> list:
    """The distributions before each element, each (V,)."""
    state, found = model.start(1), []
    for at, element in enumerate(elements):
        if at in (starts or ()):
            state = model.start(1)
        found.append(model.distribution(state)[0])
        state = model.advance(np.array([[element]]), state)
    return found


@compiled
@given(
    text=texts(),
    other=texts(),
    order=orders,
    smoothing=smoothings,
    opening=st.none() | st.integers(0, 4),
)
def test_it_equals_the_slow_one(
    *, text: tuple, other: tuple, order: int, smoothing: Smoothing, opening: int | None
) -> None:
    vocab_size, elements, starts = text
    if opening is not None:
        opening %= vocab_size
    model = learnt(elements, vocab_size, order, smoothing, starts=starts, opening=opening)
    slow = Reference(documents_of(elements, starts), vocab_size, order, smoothing, opening=opening)
    np.testing.assert_allclose(
        model.discounts_L, [slow.discounts[size] for size in range(1, order + 1)], rtol=1e-12
    )
    _, unseen, begins = other
    unseen = [element % vocab_size for element in unseen]
    before = () if opening is None else (opening,)
    wanted = [
        math.log(slow.probability(before + document[:at], element))
        for document in documents_of(unseen, begins)
        for at, element in enumerate(document)
    ]
    found_N = model.log_prob(np.array(unseen, dtype=np.uint8), begins)
    np.testing.assert_allclose(found_N, wanted, rtol=0, atol=1e-9)


@compiled
@given(text=texts(), order=orders, smoothing=smoothings, data=st.data())
def test_distributions_sum_to_one_and_are_what_is_scored(
    text: tuple, order: int, smoothing: Smoothing, data: st.DataObject
) -> None:
    vocab_size, elements, starts = text
    model = learnt(elements, vocab_size, order, smoothing, starts=starts)
    read = data.draw(st.lists(st.integers(0, vocab_size - 1), max_size=20))
    shares_NV = one_by_one(model, read, starts)
    begins = None if starts is None else [start for start in starts if start <= len(read)]
    scores_N = model.log_prob(np.array(read, dtype=np.int64), begins)
    for share_V, element, score in zip(shares_NV, read, scores_N, strict=True):
        assert share_V.min() > 0
        assert abs(share_V.sum() - 1) < 1e-9
        assert score == pytest.approx(math.log(share_V[element]), abs=1e-12)


@compiled
@given(text=texts(), most_nodes=st.integers(0, 60), smoothing=smoothings)
def test_a_model_cut_to_size_leaves_what_is_lost_to_shorter_histories(
    text: tuple, most_nodes: int, smoothing: Smoothing
) -> None:
    vocab_size, elements, starts = text
    model = learnt(elements, vocab_size, 5, smoothing, starts=starts, most_nodes=most_nodes)
    trie = model.trie
    assert len(trie) <= most_nodes + 1 + vocab_size
    assert trie.asked == 5
    slow = Reference(
        documents_of(elements, starts), vocab_size, trie.order, smoothing, once_lost=trie.once > 0
    )
    read = tuple(elements[:20])
    wanted = [
        [slow.probability(read[:at], element) for element in range(vocab_size)]
        for at in range(len(read))
    ]
    np.testing.assert_allclose(
        one_by_one(model, read, None), np.reshape(wanted, (-1, vocab_size)), rtol=0, atol=1e-9
    ) if read else None


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("opening", [None, 1])
@pytest.mark.parametrize("most_nodes", [68, 180, 300, 540])
def test_what_was_cut_equals_the_slow_one(
    most_nodes: int, opening: int | None, smoothing: Smoothing
) -> None:
    _, elements = markov_text(500, seed=2)
    starts = list(range(0, 500, 45))
    model = learnt(
        elements.tolist(), 5, 6, smoothing, starts=starts, opening=opening, most_nodes=most_nodes
    )
    assert model.trie.once > 0
    documents = documents_of(elements.tolist(), starts)
    slow = Reference(documents, 5, model.order, smoothing, once_lost=True, opening=opening)
    before = () if opening is None else (opening,)
    wanted = [
        math.log(slow.probability(before + document[:at], element))
        for document in documents[:4]
        for at, element in enumerate(document)
    ]
    found_N = model.log_prob(elements[: len(wanted)], starts[:4])
    np.testing.assert_allclose(found_N, wanted, rtol=0, atol=1e-9)


def test_what_was_left_out_is_told() -> None:
    elements = np.random.default_rng(0).integers(4, size=300)
    whole = NGramModel.learn(elements, 4, order=5)
    assert (whole.order, whole.trie.once) == (5, 0)
    sizes = np.diff(whole.trie.begin_L)[2:].cumsum().tolist()
    cut = NGramModel.learn(elements, 4, order=5, most_nodes=sizes[-1] - 1)
    lost = int((whole.trie.count_M[whole.trie.begin_L[5] :] == 1).sum())
    assert (cut.order, cut.trie.once) == (5, lost)
    assert lost
    lower = NGramModel.learn(elements, 4, order=5, most_nodes=sizes[-2])
    assert (lower.order, lower.trie.once) == (4, 0)
    assert lower.trie.asked == 5


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 8])
def test_little_or_nothing_to_learn_from(order: int, smoothing: Smoothing) -> None:
    nothing = learnt([], 7, order, smoothing)
    np.testing.assert_allclose(nothing.distribution(nothing.start(2)), np.full((2, 7), 1 / 7))
    assert nothing.loss(np.array([6, 0, 3])) == pytest.approx(math.log(7))

    one = learnt([2], 3, order, smoothing)
    share_V = one.distribution(one.start(1))[0]
    assert share_V[2] > share_V[0] == share_V[1] > 0

    alone = learnt([0] * 9, 1, order, smoothing)
    assert alone.log_prob(np.zeros(20, dtype=np.uint8)) == pytest.approx(0, abs=1e-12)

    same = learnt([1] * 500, 3, order, smoothing)
    state = same.advance(np.ones((1, 10), dtype=np.int64), same.start(1))
    assert same.distribution(state)[0, 1] > 0.98
    assert len(nothing.log_prob(np.zeros(0, dtype=np.uint8))) == 0


def test_a_vocabulary_of_a_hundred_thousand() -> None:
    vocab_size = 100_000
    random = np.random.default_rng(0)
    elements = (vocab_size * random.random(5000) ** 8).astype(np.uint32)
    model = NGramModel.learn(elements, vocab_size, order=8)
    size = sum(array.nbytes for array in model.to_arrays()[1].values())
    assert size < 40 * (vocab_size + 8 * 5000)
    state = model.advance(elements[None, :3000], model.start(1))
    share_V = model.distribution(state)[0]
    assert share_V.min() > 0
    assert share_V.sum() == pytest.approx(1, abs=1e-9)
    assert model.log_prob(elements)[3000] == pytest.approx(math.log(share_V[elements[3000]]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.int64, np.uint64])
def test_ids_of_any_integer_type_are_read(dtype: type[np.integer]) -> None:
    elements = np.random.default_rng(0).integers(9, size=200)
    wanted = NGramModel.learn(elements, 9, order=3)
    frozen = np.repeat(elements.astype(dtype), 2)[::2]
    frozen.flags.writeable = False
    found = NGramModel.learn(frozen, 9, order=3)
    assert np.array_equal(found.log_prob(frozen), wanted.log_prob(elements))


@pytest.mark.parametrize("wrong", [[9], [-1], [0, 2**32], [-(2**32)]])
def test_ids_out_of_range_are_refused(wrong: list[int]) -> None:
    ids = np.array(wrong)
    model = NGramModel.learn(np.arange(9), 9, order=2)
    calls = [
        lambda: NGramModel.learn(ids, 9),
        lambda: model.log_prob(ids),
        lambda: model.advance(ids[None], model.start(1)),
        lambda: model.score(ids[None], np.zeros_like(ids[None]), model.start(1)),
        lambda: model.score(np.zeros_like(ids[None]), ids[None], model.start(1)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="ids from 0 up to 8"):
            call()


def test_settings_out_of_range_are_refused() -> None:
    elements = np.array([1, 2, 3])
    model = NGramModel.learn(elements, 9, order=3)
    for order in (0, 4):
        with pytest.raises(ValueError, match="order must lie from 1 up to 3"):
            model.view(order, "absolute")
    with pytest.raises(ValueError, match="smoothing"):
        model.view(2, "none")
    for order in (0, 9):
        with pytest.raises(ValueError, match="order must lie from 1 up to 8"):
            NGramModel.learn(elements, 9, order=order)
    for starts in ([-1], [4]):
        with pytest.raises(ValueError, match="starts must lie"):
            NGramModel.learn(elements, 9, starts=starts)
        with pytest.raises(ValueError, match="starts must lie"):
            model.log_prob(elements, starts)
    with pytest.raises(ValueError, match="empty sequence"):
        model.loss(elements[:0])
    with pytest.raises(ValueError, match="does not fit"):
        NGramModel.learn(elements, 0)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_a_view_equals_a_model_learnt_at_its_order(smoothing: Smoothing) -> None:
    elements = np.random.default_rng(1).integers(5, size=400)
    deep = NGramModel.learn(elements, 5, order=6)
    for order in range(1, 7):
        view = deep.view(order, smoothing)
        wanted = NGramModel.learn(elements, 5, order=order, smoothing=smoothing)
        assert (view.order, view.smoothing) == (order, smoothing)
        assert view.trie is deep.trie
        np.testing.assert_allclose(view.log_prob(elements), wanted.log_prob(elements), atol=1e-12)


def test_history_crosses_documents_unless_they_begin_afresh() -> None:
    elements = np.array([1, 2, 0, 2, 1, 0] * 20)
    starts = np.arange(0, 120, 3)
    joined = NGramModel.learn(elements, 3, order=3)
    afresh = NGramModel.learn(elements, 3, order=3, starts=starts)
    assert joined.trie.documents == 1
    assert afresh.trie.documents == 40
    opened = NGramModel.learn(elements, 3, order=3, starts=starts, opening=0)
    assert opened.trie.documents == 40

    def behind(model: NGramModel, *read: int) -> np.ndarray:
        return model.distribution(model.advance(np.array([read]), model.start(1)))[0]

    # Behind 2 0 always 2 follows, where one document is read behind the other.
    assert behind(joined, 2, 0)[2] > 0.9
    np.testing.assert_allclose(behind(afresh, 2, 0), afresh.distribution(afresh.start(1))[0])
    np.testing.assert_allclose(behind(opened, 0)[1:], 0.5, atol=0.02)
    assert behind(opened, 0)[0] < 0.01
    assert joined.log_prob(elements)[3] > joined.log_prob(elements, starts)[3]


def test_an_opening_is_a_history_and_no_choice() -> None:
    elements = np.array([3, 1, 4, 1, 5] * 30)
    starts = np.arange(0, 150, 5)
    opened = NGramModel.learn(elements, 7, order=3, starts=starts, opening=6)
    for smoothing in SMOOTHINGS:
        view = opened.view(3, smoothing)
        alone = view.distribution(view.start(1))[0]
        assert alone[6] == alone[2] < alone[[1, 3, 4, 5]].min()
        state = view.advance(np.array([[6]]), view.start(1))
        assert view.distribution(state)[0, 3] > 0.95
        assert view.log_prob(elements, starts)[::5].max() > math.log(0.95)
    with pytest.raises(ValueError, match="opening must be an id"):
        NGramModel.learn(elements, 7, opening=7)


def markov_text(size: int, seed: int) -> tuple[Markov, np.ndarray]:
    """A source that remembers two elements, and what it wrote."""
    source = Markov.random(4, seed=3)
    random = np.random.default_rng(seed)
    sum_VVV = source.share_VVV.cumsum(axis=2)
    written = [0, 0]
    for draw in random.random(size):
        row_V = sum_VVV[written[-2], written[-1]]
        written.append(min(3, int(np.searchsorted(row_V, draw))))
    return source, np.array(written[2:])


def test_the_order_of_a_source_is_found() -> None:
    source, elements = markov_text(24_000, seed=5)
    train_N, validation_N = elements[:18_000], elements[18_000:]
    model, tried = best_ngram(train_N, validation_N, 4, most_order=6)
    assert model.order == 3
    assert {(one.order, one.smoothing) for one in tried} == {
        (order, smoothing) for order in range(1, 7) for smoothing in SMOOTHINGS
    }
    least = min(one.loss for one in tried)
    assert model.loss(validation_N) == least
    exact = source.loss(validation_N.tolist(), (0, 0)) / len(validation_N)
    assert exact - 0.01 < least < exact + 0.01


def test_the_choice_is_told_and_can_be_narrowed() -> None:
    _, elements = markov_text(600, seed=1)
    model, tried = best_ngram(
        elements[:500], elements[500:], 4, most_order=2, smoothings=["absolute"], starts=[250]
    )
    assert [(one.order, one.smoothing) for one in tried] == [(1, "absolute"), (2, "absolute")]
    assert model.smoothing == "absolute"
    assert model.trie.documents == 2
    for one in tried:
        view = model.view(one.order, one.smoothing)
        assert one.loss == view.loss(elements[500:])
    with pytest.raises(DataError, match="validation slice is empty"):
        best_ngram(elements, elements[:0], 4)
    nothing, _ = best_ngram(elements[:0], elements, 4)
    assert nothing.order == 1
    assert nothing.loss(elements) == pytest.approx(math.log(4))
