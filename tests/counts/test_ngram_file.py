"""The file of an n-gram model: what is written is read, and nothing else is."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from rhapsode.counts.mixing.experts import Experts
from rhapsode.counts.mixing.word_contexts import WordContexts
from rhapsode.counts.ngram import SMOOTHINGS, NGramModel, Smoothing
from rhapsode.counts.ngram_counting import link_level
from rhapsode.counts.ngram_file import packed, unpacked
from rhapsode.errors import BundleError, RunError

ELEMENTS = np.random.default_rng(0).integers(4, size=60)
LETTERS = np.array([0, 3, 4, 3, 0])
ARRAYS = ("children_M", "element_M", "count_M", "ending_M")
SMALL_WORDS = ("words.size_K", "words.which_K", "words.element_J", "words.count_J")
LARGE_WORDS = ("words.letter_V", "words.key_K")


def model(most_nodes: int = 1000) -> NGramModel:
    found = NGramModel.learn(ELEMENTS, 5, order=3, starts=[0, 20], opening=4, most_nodes=most_nodes)
    words = WordContexts.learn(ELEMENTS, LETTERS, starts=[0, 20])
    return NGramModel(found.trie, found.order, found.smoothing, words)


def packed_anyhow(name: str, values_M: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers as a file holds them, also those that no honest one holds."""
    fit_M = (values_M >= 0) & (values_M < 255)
    return {
        name: np.where(fit_M, values_M, 255).astype(np.uint8),
        f"{name}.large": values_M[~fit_M].astype(np.int32),
    }


def parts(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    with safe_open(path, framework="np") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ngram") / "ngram.safetensors"
    model().save(path)
    return path


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("most_nodes", [1000, 35])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_what_is_saved_is_loaded(
    order: int, most_nodes: int, smoothing: Smoothing, tmp_path: Path
) -> None:
    path = tmp_path / "ngram.safetensors"
    whole = model(most_nodes)
    if order > whole.order:
        pytest.skip("cut away")
    wanted = whole.view(order, smoothing)
    wanted.save(path)
    found = NGramModel.load(path)
    assert (found.order, found.smoothing) == (order, smoothing)
    for name in wanted.trie.__dataclass_fields__:
        assert np.array_equal(getattr(found.trie, name), getattr(wanted.trie, name)), name
    assert np.array_equal(found.log_prob(ELEMENTS), wanted.log_prob(ELEMENTS))
    assert found.fingerprint == wanted.fingerprint
    assert found.words is not None
    assert wanted.words is not None
    for name in wanted.words.__dataclass_fields__:
        one, other = getattr(found.words, name), getattr(wanted.words, name)
        assert np.array_equal(one, other), name
        assert one.dtype == other.dtype, name


def test_large_counts_are_saved_and_loaded(tmp_path: Path) -> None:
    elements_N = np.append(np.zeros(70_000, dtype=np.int64), ELEMENTS)
    found = NGramModel.learn(elements_N, 5, order=3)
    words = WordContexts.learn(elements_N, LETTERS)
    wanted = NGramModel(found.trie, 3, "absolute", words)
    assert wanted.trie.count_M.max() > 65_536
    assert words.count_J.max() > 65_536
    wanted.save(tmp_path / "large.safetensors")
    loaded = NGramModel.load(tmp_path / "large.safetensors")
    assert loaded.fingerprint == wanted.fingerprint
    assert np.array_equal(loaded.trie.count_M, wanted.trie.count_M)


@given(
    values=st.lists(
        st.integers(0, 2**31 - 1) | st.integers(250, 260) | st.integers(0, 9), max_size=40
    )
)
def test_packed_numbers_are_unpacked(values: list[int]) -> None:
    arrays = packed("some", np.array(values, dtype=np.int64))
    assert arrays["some"].dtype == np.uint8
    assert arrays["some.large"].tolist() == [value for value in values if value > 254]
    found = unpacked(arrays, "some")
    assert found.dtype == np.int32
    assert found.tolist() == values


@pytest.mark.parametrize(
    "harm", ["gone", "lone", "more", "less", "small", "negative", "type", "bytes"]
)
def test_numbers_packed_in_another_way_are_refused(harm: str) -> None:
    arrays = packed("some", np.array([3, 254, 255, 10**6]))
    large_L = arrays["some.large"]
    altered = {
        "more": np.append(large_L, large_L[:1]), "less": large_L[:1],
        "small": large_L - 250, "negative": -large_L, "type": large_L.astype(np.int64),
    }  # fmt: skip
    if harm in altered:
        arrays["some.large"] = altered[harm]
    elif harm == "bytes":
        arrays["some"] = arrays["some"].astype(np.int32)
    else:
        del arrays["some" if harm == "gone" else "some.large"]
    with pytest.raises(ValueError, match="the array 'some"):
        unpacked(arrays, "some")


def test_a_model_of_nothing_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "ngram.safetensors"
    NGramModel.learn(ELEMENTS[:0], 3, order=4).save(path)
    assert NGramModel.load(path).loss(np.array([2])) == pytest.approx(np.log(3))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        model().save(tmp_path / "none" / "ngram.safetensors")
    with pytest.raises(BundleError, match=r"cannot read|not a whole"):
        NGramModel.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("size", [0, 7, 100, -100, -1])
def test_a_torn_file_is_refused(size: int, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "torn.safetensors"
    path.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(BundleError, match="not a whole safetensors file") as caught:
        NGramModel.load(path)
    assert caught.value.where == str(path)


def rewritten(
    saved: Path, path: Path, metadata: dict[str, str], arrays: dict[str, np.ndarray]
) -> Path:
    known, held = parts(saved)
    save_file({**held, **arrays}, path, metadata={**known, **metadata})
    return path


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"format": "rhapsode"}, "holds no n-gram model"),
        ({"format_version": "1"}, "format version '1' cannot be read"),
        ({"format_version": "3"}, "format version '3' cannot be read"),
        ({"facts": "{"}, "its description is missing or damaged"),
        ({"facts": "[" * 100_000}, "its description is missing or damaged"),
        ({"facts": "[]"}, "its description is missing or damaged"),
        ({"facts": "{}"}, "its n-gram counts are damaged"),
    ],
)
def test_hostile_metadata_is_refused(
    metadata: dict[str, str], told: str, saved: Path, tmp_path: Path
) -> None:
    path = rewritten(saved, tmp_path / "hostile.safetensors", metadata, {})
    with pytest.raises(BundleError, match=told):
        NGramModel.load(path)


@pytest.mark.parametrize(
    "chosen",
    [3, None, {}, [], [3], [4, "absolute"], [0, "absolute"], [True, "absolute"], [2, ["absolute"]],
     [2, "os.system"], [2, "absolute", 1], ["2", "absolute"]],
)  # fmt: skip
def test_another_choice_is_refused(chosen: Any, saved: Path, tmp_path: Path) -> None:
    facts = json.loads(parts(saved)[0]["facts"]) | {"chosen": chosen}
    path = rewritten(saved, tmp_path / "hostile.safetensors", {"facts": json.dumps(facts)}, {})
    with pytest.raises(BundleError, match="its n-gram counts are damaged") as caught:
        NGramModel.load(path)
    assert caught.value.where == str(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["vocab_size", "order", "asked", "begin_L", "opening"])
@pytest.mark.parametrize("value", [-1, 0, 2, 7, 2**31, 2**70, 1.5, None, True, "3", [], [0, 1, 6]])
def test_hostile_facts_are_refused(name: str, value: Any, saved: Path, tmp_path: Path) -> None:
    if (name, value) in (("asked", 7), ("opening", None), ("opening", 0), ("opening", 2)):
        pytest.skip("might be so")
    facts = json.loads(parts(saved)[0]["facts"]) | {name: value}
    path = rewritten(saved, tmp_path / "hostile.safetensors", {"facts": json.dumps(facts)}, {})
    with pytest.raises(BundleError, match="damaged"):
        NGramModel.load(path)


@pytest.mark.parametrize("name", [*ARRAYS, *SMALL_WORDS, *LARGE_WORDS])
def test_arrays_of_another_kind_are_refused(name: str, saved: Path, tmp_path: Path) -> None:
    array = parts(saved)[1][name]
    for wrong in (
        array[:-1],
        np.append(array, array[-1:]),
        array.astype(np.int32),
        array.astype(np.float32),
        array[None],
        array[:0],
    ):
        path = rewritten(saved, tmp_path / "hostile.safetensors", {}, {name: wrong})
        with pytest.raises(BundleError, match="damaged"):
            NGramModel.load(path)


@pytest.mark.parametrize("name", [*ARRAYS, *SMALL_WORDS, *LARGE_WORDS])
def test_missing_arrays_are_refused(name: str, saved: Path, tmp_path: Path) -> None:
    metadata, arrays = parts(saved)
    for gone in (name, f"{name}.large"):
        left = {each: array for each, array in arrays.items() if each != gone}
        if len(left) == len(arrays):
            continue
        save_file(left, tmp_path / "hostile.safetensors", metadata=metadata)
        with pytest.raises(BundleError, match="is missing"):
            NGramModel.load(tmp_path / "hostile.safetensors")


def test_siblings_out_of_order_are_refused(saved: Path, tmp_path: Path) -> None:
    arrays = parts(saved)[1]
    last = json.loads(parts(saved)[0]["facts"])["begin_L"][3]
    first_M = model().trie.first_M
    first = next(a for a, b in pairwise(first_M) if a >= last and b - a > 1)
    for name in ("element_M", "count_M"):
        arrays[name][[first, first + 1]] = arrays[name][[first + 1, first]]
    path = rewritten(saved, tmp_path / "hostile.safetensors", {}, arrays)
    with pytest.raises(BundleError, match="do not fit together"):
        NGramModel.load(path)


def test_children_that_no_shorter_history_has_are_refused(tmp_path: Path) -> None:
    # The last history has all elements after it, of which its own suffix has few.
    path = tmp_path / "deep.safetensors"
    whole = NGramModel.learn(np.array([0, 1, 0, 1, 0, 2, 1, 0, 1]), 200, order=5)
    whole.save(path)
    trie = whole.trie
    begin_L, size = list(trie.begin_L), 200
    children_M, element_M, count_M, ending_M = (
        unpacked(parts(path)[1], name) for name in ARRAYS
    )  # fmt: skip
    node = begin_L[3] - 1
    there, known = int(trie.first_M[node]), int(trie.first_M[node + 1] - trie.first_M[node])
    children_M[node] = size
    element_M, count_M = (
        np.delete(each, range(there, there + known)) for each in (element_M, count_M)
    )
    element_M = np.insert(element_M, there, np.arange(size))
    count_M = np.insert(count_M, there, np.ones(size, dtype=np.int32))
    ending_M = np.insert(ending_M, there, np.ones(size - known, dtype=np.int32))
    children_M = np.insert(children_M, there, np.zeros(size - known, dtype=np.int32))
    begin_L[4:] = [begin + size - known for begin in begin_L[4:]]
    facts = json.loads(parts(path)[0]["facts"]) | {"begin_L": begin_L}
    named = zip(ARRAYS, (children_M, element_M, count_M, ending_M), strict=True)
    arrays = {key: array for name, each in named for key, array in packed(name, each).items()}
    hostile = rewritten(
        path, tmp_path / "hostile.safetensors", {"facts": json.dumps(facts)}, arrays
    )
    with pytest.raises(BundleError, match="do not fit together"):
        NGramModel.load(hostile)


def test_suffixes_of_damaged_nodes_are_no_further_than_the_next_family() -> None:
    # 0, two elements, then node 3 with the element 0 after 0, and five that nothing knows after it.
    first_M = np.array([1, 3, 4, 4, 9], dtype=np.int32)
    element_M = np.array([0, 0, 1, 0, 5, 6, 7, 8, 9], dtype=np.int32)
    suffix_M = np.zeros(9, dtype=np.int32)
    for begin, end in ((0, 1), (1, 3), (3, 4)):
        link_level(first_M, element_M, suffix_M, begin, end)
    assert suffix_M[3] == 1
    assert suffix_M[4:].tolist() == [4] * 5


def test_levels_out_of_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    NGramModel.learn(ELEMENTS, 5, order=4).save(path)
    facts = json.loads(parts(path)[0]["facts"])
    for wrong in (10**6, 2, facts["begin_L"][3] + 1, facts["begin_L"][3] - 1):
        begin_L = [*facts["begin_L"][:3], wrong, *facts["begin_L"][4:]]
        altered = {"facts": json.dumps(facts | {"begin_L": begin_L})}
        hostile = rewritten(path, tmp_path / "hostile.safetensors", altered, {})
        with pytest.raises(BundleError, match="damaged"):
            NGramModel.load(hostile)


@pytest.mark.parametrize("place", [0, 1, 5, 6, -2, -1])
@pytest.mark.parametrize("more", [-1000, -1, 1, 1000, 2**30])
def test_families_out_of_range_are_refused(
    place: int, more: int, saved: Path, tmp_path: Path
) -> None:
    children_M = unpacked(parts(saved)[1], "children_M")
    first_M = np.append(1, 1 + np.cumsum(children_M))
    first_M[place] += more
    moved_M = np.diff(first_M)  # the families end where they ended
    children_M[place] += more
    for wrong_M in (moved_M, children_M):
        arrays = packed_anyhow("children_M", wrong_M)
        path = rewritten(saved, tmp_path / "hostile.safetensors", {}, arrays)
        with pytest.raises(BundleError, match="damaged"):
            NGramModel.load(path)


def test_more_openings_than_were_counted_are_refused(saved: Path, tmp_path: Path) -> None:
    facts = json.loads(parts(saved)[0]["facts"]) | {"documents": 50}
    path = rewritten(saved, tmp_path / "hostile.safetensors", {"facts": json.dumps(facts)}, {})
    with pytest.raises(BundleError, match="too few openings"):
        NGramModel.load(path)


def test_less_than_its_continuations_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    cut = model(35)
    assert cut.trie.once
    cut.save(path)
    count_M = cut.trie.count_M.copy()
    begin, end = cut.trie.begin_L[cut.order - 1 : cut.order + 1]
    parent = next(
        node for node in range(begin, end) if cut.trie.first_M[node] < cut.trie.first_M[node + 1]
    )
    count_M[parent] = 1
    hostile = rewritten(path, tmp_path / "hostile.safetensors", {}, packed("count_M", count_M))
    with pytest.raises(BundleError, match="do not fit together"):
        NGramModel.load(hostile)


@settings(
    deadline=None,
    max_examples=300,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(
    name=st.sampled_from([*ARRAYS, *SMALL_WORDS, *LARGE_WORDS]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 150),
)
def test_an_altered_index_is_refused_or_harmless(
    name: str, place: float, value: int, saved: Path, tmp_path: Path
) -> None:
    held = parts(saved)[1]
    array = held[name].copy() if name in LARGE_WORDS else unpacked(held, name)
    at = int(place * len(array))
    changed, array[at] = array[at] != value, value
    arrays = {name: array} if name in LARGE_WORDS else packed_anyhow(name, array)
    path = rewritten(saved, tmp_path / "hostile.safetensors", {}, arrays)
    try:
        found = NGramModel.load(path)
    except BundleError:
        assert changed
        return
    # Another count is another model; where nodes lie cannot have changed.
    assert not changed or name in ("count_M", "ending_M") or name.startswith("words.")
    ids_BT = np.array([[0, 1], [3, 2], [4, 4]])
    for order in (1, 2, 3):
        for smoothing in SMOOTHINGS:
            view = found.view(order, smoothing)
            state = view.advance(ids_BT, view.start(3))
            share_BV = view.distribution(state)
            assert share_BV.min() >= 0
            np.testing.assert_allclose(share_BV.sum(axis=1), 1, atol=1e-9)
    experts = Experts(found, remember=True)
    experts.weight_F = np.full(experts.size, 0.3)
    mixed_BTV, _ = experts.mix(ids_BT, experts.start(3), np.zeros((3, 2, 5), dtype=np.float32))
    np.testing.assert_allclose(np.exp(mixed_BTV, dtype=np.float64).sum(axis=-1), 1, atol=1e-5)


def twice_in_a_context(words: dict[str, np.ndarray]) -> None:
    first = int(np.flatnonzero(words["size_K"] > 1)[0])
    at = int(words["size_K"][:first].sum())
    words["element_J"][at + 1] = words["element_J"][at]


def one_context_of_all(words: dict[str, np.ndarray]) -> None:
    size = words["size_K"].sum()
    words.update({name: words[name][:1] for name in ("key_K", "which_K")}, size_K=np.array([size]))


def twice_the_same_context(words: dict[str, np.ndarray]) -> None:
    at = int(np.flatnonzero(words["which_K"][1:] == words["which_K"][:-1])[0])
    words["key_K"][at + 1] = words["key_K"][at]


def negative_key(words: dict[str, np.ndarray]) -> None:
    words["key_K"][0] = -1


def far_key(words: dict[str, np.ndarray]) -> None:
    words["key_K"][-1] = 1 << 62


def far_element(words: dict[str, np.ndarray]) -> None:
    words["element_J"][-1] = 5


def no_element(words: dict[str, np.ndarray]) -> None:
    words["size_K"][0] += words["size_K"][1]
    words["size_K"][1] = 0


def no_count(words: dict[str, np.ndarray]) -> None:
    words["count_J"][0] = 0


def third_kind(words: dict[str, np.ndarray]) -> None:
    words["which_K"][0] = 2


def far_kind(words: dict[str, np.ndarray]) -> None:
    words["which_K"][-1] = 11


def few_letters(words: dict[str, np.ndarray]) -> None:
    words["letter_V"] = words["letter_V"][:-1]


HARM = [
    twice_in_a_context, one_context_of_all, twice_the_same_context, negative_key, far_key,
    far_element, no_element, no_count, third_kind, far_kind, few_letters,
]  # fmt: skip


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_contexts_of_words_that_do_not_fit_are_refused(
    harm: Callable[[dict[str, np.ndarray]], None], saved: Path, tmp_path: Path
) -> None:
    words = model().words
    assert words is not None
    held = {name: getattr(words, name).copy() for name in words.__dataclass_fields__}
    harm(held)
    arrays = {name: held[name] for name in ("letter_V", "key_K")}
    for name in ("size_K", "which_K", "element_J", "count_J"):
        arrays |= packed(name, held[name])
    altered = {f"words.{name}": array for name, array in arrays.items()}
    path = rewritten(saved, tmp_path / "hostile.safetensors", {}, altered)
    with pytest.raises(BundleError, match="contexts of words do not fit together") as caught:
        NGramModel.load(path)
    assert caught.value.where == str(path)
    assert str(caught.value).isprintable()
