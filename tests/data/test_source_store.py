"""Sources of documents: conditions of batches, and dates with their only right answers."""

import datetime as dt

import numpy as np
import pytest

from rhapsode.data import ElementStore, FilledStream, FreshStream, SourceStore, sweep_fresh
from rhapsode.data.batching.windows import part_of, sources_of_part
from rhapsode.data.corpora.dates import date_pairs
from rhapsode.data.splits import split_groups


def store_of(count: int) -> tuple[ElementStore, SourceStore]:
    """Documents whose ids are their number, from sources of the same number, of other lengths."""
    documents = [np.full(1 + n % 3, n + 1, dtype=np.uint32) for n in range(count)]
    sources = SourceStore.of([np.full(n % 4, n + 1, dtype=np.uint32) for n in range(count)])
    return ElementStore.of(documents, count, count + 1), sources


def test_a_condition_holds_padded_sources_with_their_ends() -> None:
    _, sources = store_of(5)
    condition = sources.condition(np.array([3, 0, 4]))
    assert condition.ids_BS is not None
    assert condition.ids_BS.tolist() == [[4, 4, 4, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert condition.lengths_B is not None
    assert condition.lengths_B.tolist() == [4, 1, 1]
    assert sources.select(np.array([2, 2])).ids_N.tolist() == [3, 3, 0, 3, 3, 0]


@pytest.mark.parametrize("window", [8, 2])
def test_every_row_is_under_the_source_of_its_document(window: int) -> None:
    store, sources = store_of(9)
    plain = FreshStream(store.elements_N, store.starts, batch_size=4, window=window, seed=1)
    stream = FilledStream(plain, lambda batch: sources.fill(batch, store.starts))
    sweep = sweep_fresh(store.elements_N, store.starts, rows=4, window=window)
    seen = set()
    batches = [
        *map(stream.batch, range(stream.steps(1))),
        *(sources.fill(b, store.starts) for b in sweep),
    ]
    for batch in batches:
        assert batch.condition is not None
        assert batch.condition.ids_BS is not None
        for row in range(batch.rows):
            scored = batch.targets[row][batch.weights_BT[row] > 0]
            numbers = scored[scored > 0]
            if len(numbers):
                seen.add(int(numbers[0]))
                first = int(batch.condition.ids_BS[row, 0])
                assert first == (numbers[0] if (numbers[0] - 1) % 4 else 0)
    assert seen == set(range(1, 10))


def test_sources_of_a_length_share_a_batch() -> None:
    documents = [np.full(2, 1, dtype=np.uint32)] * 8
    sources = SourceStore.of([np.full(1 + 4 * (n % 2), 1, dtype=np.uint32) for n in range(8)])
    store = ElementStore.of(documents, 8, 2)
    stream = FreshStream(
        store.elements_N, store.starts, batch_size=4, window=4, seed=1, beside_D=sources.lengths
    )
    lengths = []
    for step in range(2):
        condition = sources.fill(stream.batch(step), store.starts).condition
        assert condition is not None
        assert condition.lengths_B is not None
        lengths.append(condition.lengths_B.tolist())
    assert sorted(lengths) == [[2] * 4, [6] * 4]


def test_a_part_keeps_the_sources_of_its_documents() -> None:
    store, sources = store_of(12)
    full = ElementStore(**{**vars(store), "sources": sources})
    elements_N, starts, _ = part_of(full, 12, fresh=True)
    kept = sources_of_part(full, 12)
    assert kept is not None
    assert len(kept) == len(starts) < 12
    for begin, offset in zip(starts, kept.offsets[:-1], strict=True):
        number = int(elements_N[begin])
        assert kept.ids_N[offset] == (number if (number - 1) % 4 else 0)


def test_documents_of_a_group_are_in_one_split() -> None:
    random = np.random.default_rng(0)
    digests_GB = random.integers(256, size=(300, 16)).astype(np.uint8)
    group_D = random.integers(300, size=900)
    splits = split_groups(
        np.full(900, 10), digests_GB[group_D], test_share=0.2, validation_share=0.1
    )
    groups = [set(group_D[part[:, 0]]) for part in (splits.train, splits.validation, splits.test)]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 900
    assert 120 < len(splits.test) < 240


def test_dates_are_distinct_and_true() -> None:
    pairs = date_pairs(3000)
    assert len({written for written, _ in pairs}) == 3000
    assert pairs == date_pairs(4000)[:3000]
    for written, iso in pairs:
        date = dt.date.fromisoformat(iso)
        assert str(date.year) in written
        digits = [int(part) for part in "".join(c if c.isdigit() else " " for c in written).split()]
        assert date.day in digits
