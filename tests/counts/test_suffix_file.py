"""An index file is read as it was written; torn, altered and hostile ones give one line, or harmless answers."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from rhapsode.counts.suffix import SuffixIndex
from rhapsode.counts.suffix_file import read_index, write_index
from rhapsode.errors import BundleError, RunError

KIND = "rhapsode.suffix_index"
PROVE = settings(derandomize=True, deadline=None, max_examples=150)
TEXT_N = np.frombuffer(b"a rose is a rose is a rose", dtype=np.uint8)


def save(index: SuffixIndex, path: Path) -> None:
    write_index(path, KIND, index.to_arrays(), {"separator": index.separator})


def load(path: Path) -> SuffixIndex:
    arrays, facts = read_index(path, KIND)
    return SuffixIndex.from_arrays(arrays, facts.get("separator"), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("index")


@pytest.fixture(scope="module")
def whole(folder: Path) -> bytes:
    path = folder / "whole.safetensors"
    save(SuffixIndex.build(TEXT_N, separator=ord("i")), path)
    return path.read_bytes()


@pytest.mark.parametrize("elements", [[], [5], [1, 2, 1, 2], [70_000, 2, 70_000], [1, 300]])
@pytest.mark.parametrize("separator", [None, 2])
def test_what_is_written_is_read_again(elements: list[int], separator: int | None, tmp_path: Path):
    index = SuffixIndex.build(elements, separator=separator)
    save(index, tmp_path / "index.safetensors")
    again = load(tmp_path / "index.safetensors")
    for name, array in index.to_arrays().items():
        assert np.array_equal(again.to_arrays()[name], array)
        assert again.to_arrays()[name].dtype == array.dtype
    assert again.separator == separator
    query = [1, 2, 1, 70_000, 2]
    assert again.matches(query)[0].tolist() == index.matches(query)[0].tolist()
    save(again, tmp_path / "index.safetensors")  # over the file that it is mapped from
    twice = load(tmp_path / "index.safetensors")
    assert again.count([2]) == index.count([2]) == twice.count([2])


def test_arrays_are_mapped_and_cannot_be_written(folder: Path, whole: bytes):
    index = load(folder / "whole.safetensors")
    for array in index.to_arrays().values():
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base, np.memmap)
        assert not array.flags.writeable
        assert array.flags.aligned


def test_a_missing_file_and_a_folder(tmp_path: Path):
    with pytest.raises(BundleError, match=r"cannot read|damaged"):
        load(tmp_path / "none")
    with pytest.raises(BundleError, match=r"cannot read|damaged"):
        load(tmp_path)
    with pytest.raises(RunError, match="cannot write"):
        save(SuffixIndex.build([1]), tmp_path / "none" / "index")


@PROVE
@given(cut=st.floats(0, 1, exclude_max=True))
def test_torn_files(folder: Path, whole: bytes, cut: float):
    path = folder / "torn"
    path.write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(BundleError):
        load(path)


@PROVE
@given(at=st.integers(0, 10_000), bits=st.integers(1, 255))
def test_altered_files_are_noticed(folder: Path, whole: bytes, at: int, bits: int):
    raw = bytearray(whole)
    raw[at % len(raw)] ^= bits
    path = folder / "altered"
    path.write_bytes(raw)
    try:
        index = load(path)
    except BundleError:
        return
    # What the checksums do not cover is the separator, among the facts.
    for name, array in SuffixIndex.build(TEXT_N).to_arrays().items():
        assert np.array_equal(index.to_arrays()[name], array)


def test_other_files_are_named(tmp_path: Path):
    path = tmp_path / "other"
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(BundleError, match=r"no rhapsode\.suffix_index"):
        load(path)
    metadata = {"format": KIND, "format_version": "2"}
    save_file({"x": np.zeros(3)}, path, metadata=metadata)
    with pytest.raises(BundleError, match="format version '2'"):
        load(path)
    for facts in ("{", "[]", "9" * 5000, "[" * 100_000):
        metadata = {"format": KIND, "format_version": "1", "facts": facts, "crc32": "{}"}
        save_file({}, path, metadata=metadata)
        with pytest.raises(BundleError, match="damaged"):
            read_index(path, KIND)


GOOD: dict[str, np.ndarray] = SuffixIndex.build([1, 2, 1]).to_arrays()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("order", np.array([0, 2, 3], dtype=np.int32)),
        ("order", np.array([0, 2, -1], dtype=np.int32)),
        ("order", np.array([0, 2, 1, 1], dtype=np.int32)),
        ("order", np.array([0, 1, 2], dtype=np.int32)),
        ("order", np.array([2, 0, 1], dtype=np.int64)),
        ("ranks", np.array([1, 2, 3], dtype=np.int32)),
        ("ranks", np.array([1, -2, 0], dtype=np.int32)),
        ("shared", np.array([0, 1], dtype=np.int32)),
        ("elements", np.array([1, 2], dtype=np.uint8)),
        ("elements", np.array([1, 2, 1], dtype=np.int32)),
        ("elements", None),
        ("shared", None),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, values: np.ndarray | None, tmp_path: Path):
    path = tmp_path / "hostile"
    arrays: dict[str, Any] = {**GOOD, name: values}
    if values is None:
        del arrays[name]
    write_index(path, KIND, arrays, {"separator": None})
    with pytest.raises(BundleError, match="damaged"):
        load(path)


@pytest.mark.parametrize("name", ["order", "ranks"])
@pytest.mark.parametrize("value", [-1, 5000])
def test_a_single_place_outside_is_noticed(name: str, value: int, tmp_path: Path):
    arrays = SuffixIndex.build(np.arange(5000) % 7).to_arrays()
    hostile_N = arrays[name].copy()
    hostile_N[1234] = value
    write_index(tmp_path / "hostile", KIND, {**arrays, name: hostile_N}, {})
    with pytest.raises(BundleError, match="outside the sequence"):
        load(tmp_path / "hostile")


@pytest.mark.parametrize("separator", [-1, "x", 0.5, [1]])
def test_separators_that_are_none(separator: Any, tmp_path: Path):
    write_index(tmp_path / "hostile", KIND, GOOD, {"separator": separator})
    with pytest.raises(BundleError, match="damaged"):
        load(tmp_path / "hostile")


def test_arrays_of_two_axes_are_refused(tmp_path: Path):
    metadata = {"format": KIND, "format_version": "1", "facts": "{}", "crc32": json.dumps({"x": 0})}
    save_file({"x": np.zeros((2, 2), dtype=np.uint8)}, tmp_path / "two", metadata=metadata)
    with pytest.raises(BundleError, match="damaged"):
        read_index(tmp_path / "two", KIND)


def test_lying_arrays_never_lead_out_of_bounds():
    """Without compilation every read is checked: arrays that fit but lie give answers, and end."""
    program = """
        import numpy as np
        from pathlib import Path
        from rhapsode.counts.suffix import SuffixIndex

        class Checked(np.ndarray):
            def __getitem__(self, key):
                if isinstance(key, (int, np.integer)) and key < 0:
                    raise IndexError(f"negative: {key}")
                return super().__getitem__(key)

        for seed in range(60):
            rng = np.random.default_rng(seed)
            size = int(rng.choice([1, 2, 5, 40, 1100]))
            order = rng.permutation(size).astype(np.int32)
            wild = rng.choice([-2**31, -1, 0, 1, 2, 3, size, 2**31 - 1], size).astype(np.int32)
            arrays = {
                "elements": rng.integers(0, 3, size).astype(np.uint8),
                "order": order,
                "ranks": np.argsort(order).astype(np.int32),
                "shared": wild,
            }
            index = SuffixIndex.from_arrays(
                {name: array.view(Checked) for name, array in arrays.items()}, None, Path("x")
            )
            query = rng.integers(0, 3, 20)
            lengths, _ = index.matches(query)
            assert (lengths >= 0).all() and (lengths <= 20).all()
            state = rng.choice([-2**62, -1, 0, 1, 2, size, 2**62], (3, 3))
            for element in query[:5]:
                state = index.extend(state, [element, 1, 2], most=3)
            index.stands_alone(query[:1], np.array([True, False]))
    """
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
