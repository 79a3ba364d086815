"""The file of an n-gram model: what is written is read, and nothing else is."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from rhapsode.counts.ngram import SMOOTHINGS, NGramModel, Smoothing
from rhapsode.errors import BundleError, RunError

ELEMENTS = np.random.default_rng(0).integers(4, size=60)
ARRAYS = ("first_M", "element_M", "count_M", "ending_M", "suffix_M")


def model(most_nodes: int = 1000) -> NGramModel:
    return NGramModel.learn(ELEMENTS, 5, order=3, starts=[0, 20], opening=4, most_nodes=most_nodes)


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


def test_a_model_of_nothing_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "ngram.safetensors"
    NGramModel.learn(ELEMENTS[:0], 3, order=4).save(path)
    assert NGramModel.load(path).loss(np.array([2])) == pytest.approx(np.log(3))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        model().save(tmp_path / "none" / "ngram.safetensors")
    with pytest.raises(BundleError, match=r"cannot read|not a whole"):
        NGramModel.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("size", [0, 7, 100, 1000, -1])
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
        ({"format_version": "2"}, "format version '2' cannot be read"),
        ({"facts": "{"}, "is not JSON"),
        ({"facts": "[" * 100_000}, "is not JSON"),
        ({"facts": "[]"}, "is not a table"),
        ({"facts": "{}"}, "a number is missing"),
        ({"chosen": "3"}, "is not a table"),
        ({"chosen": "{}"}, "its description of the model is missing or damaged"),
        (
            {"chosen": '{"order": 4, "smoothing": "absolute"}'},
            "its description of the model is missing or damaged",
        ),
        (
            {"chosen": '{"order": true, "smoothing": "absolute"}'},
            "its description of the model is missing or damaged",
        ),
        (
            {"chosen": '{"order": 2, "smoothing": ["absolute"]}'},
            "its description of the model is missing or damaged",
        ),
        (
            {"chosen": '{"order": 2, "smoothing": "os.system"}'},
            "its description of the model is missing or damaged",
        ),
    ],
)
def test_hostile_metadata_is_refused(
    metadata: dict[str, str], told: str, saved: Path, tmp_path: Path
) -> None:
    path = rewritten(saved, tmp_path / "hostile.safetensors", metadata, {})
    with pytest.raises(BundleError, match=told):
        NGramModel.load(path)


@pytest.mark.parametrize("name", ["vocab_size", "order", "asked", "begin_L", "opening"])
@pytest.mark.parametrize("value", [-1, 0, 2, 7, 2**31, 2**70, 1.5, None, True, "3", [], [0, 1, 6]])
def test_hostile_facts_are_refused(name: str, value: Any, saved: Path, tmp_path: Path) -> None:
    if (name, value) in (("asked", 7), ("opening", None), ("opening", 0), ("opening", 2)):
        pytest.skip("might be so")
    facts = json.loads(parts(saved)[0]["facts"]) | {name: value}
    path = rewritten(saved, tmp_path / "hostile.safetensors", {"facts": json.dumps(facts)}, {})
    with pytest.raises(BundleError, match="damaged"):
        NGramModel.load(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_another_kind_are_refused(name: str, saved: Path, tmp_path: Path) -> None:
    array = parts(saved)[1][name]
    for wrong in (
        array[:-1],
        np.append(array, array[-1:]),
        array.astype(np.int64),
        array.astype(np.float32),
        array[None],
        array[:0],
    ):
        path = rewritten(saved, tmp_path / "hostile.safetensors", {}, {name: wrong})
        with pytest.raises(BundleError, match="damaged"):
            NGramModel.load(path)


def test_siblings_out_of_order_are_refused(saved: Path, tmp_path: Path) -> None:
    arrays = parts(saved)[1]
    last = json.loads(parts(saved)[0]["facts"])["begin_L"][3]
    first = next(a for a, b in pairwise(arrays["first_M"].tolist()) if a >= last and b - a > 1)
    for name in ("element_M", "suffix_M", "count_M"):
        arrays[name][[first, first + 1]] = arrays[name][[first + 1, first]]
    path = rewritten(saved, tmp_path / "hostile.safetensors", {}, arrays)
    with pytest.raises(BundleError, match="do not fit together"):
        NGramModel.load(path)


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
    first_M = parts(saved)[1]["first_M"].copy()
    first_M[place] += more
    path = rewritten(saved, tmp_path / "hostile.safetensors", {}, {"first_M": first_M})
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
    hostile = rewritten(path, tmp_path / "hostile.safetensors", {}, {"count_M": count_M})
    with pytest.raises(BundleError, match="do not fit together"):
        NGramModel.load(hostile)


@settings(
    deadline=None,
    max_examples=300,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(
    name=st.sampled_from(ARRAYS),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 150),
)
def test_an_altered_index_is_refused_or_harmless(
    name: str, place: float, value: int, saved: Path, tmp_path: Path
) -> None:
    array = parts(saved)[1][name].copy()
    at = int(place * len(array))
    changed, array[at] = array[at] != value, value
    path = rewritten(saved, tmp_path / "hostile.safetensors", {}, {name: array})
    try:
        found = NGramModel.load(path)
    except BundleError:
        assert changed
        return
    # Another count is another model; where nodes lie cannot have changed.
    assert not changed or name in ("count_M", "ending_M")
    for order in (1, 2, 3):
        for smoothing in SMOOTHINGS:
            view = found.view(order, smoothing)
            state = view.advance(np.array([[0, 1], [3, 2], [4, 4]]), view.start(3))
            share_BV = view.distribution(state)
            assert share_BV.min() >= 0
            np.testing.assert_allclose(share_BV.sum(axis=1), 1, atol=1e-9)
