"""Encoded text on disk: whole or not at all, as narrow as the vocabulary allows, and damage is noticed."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.data import Document, ElementStore, cache_folder, open_store, write_store
from rhapsode.data import store as store_module
from rhapsode.errors import DataError

PROVE = settings(derandomize=True, deadline=None, max_examples=40)
UNKNOWN = 1
Damage = Callable[[bytes], bytes] | bytes | None


def codes(text: str) -> np.ndarray:
    """Code points as ids; "?" is the unknown element."""
    return np.array([UNKNOWN if letter == "?" else ord(letter) for letter in text], dtype=np.uint32)


def write(
    folder: Path,
    documents: list[Document],
    encode: Callable[[str], np.ndarray] = codes,
    vocab_size: int = 0x110000,
) -> ElementStore:
    return write_store(folder, documents, encode, vocab_size=vocab_size, unknown_id=UNKNOWN)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@PROVE
@given(
    parts=st.lists(
        st.tuples(st.text(st.sampled_from("ab?é漢👍"), max_size=12), st.booleans()), max_size=5
    )
)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, bool]]
):
    folder = tmp_path_factory.mktemp("stores") / "store"
    documents = [Document(text, "a", complete) for text, complete in parts]
    expected: list[int] = []
    starts: list[int] = []
    for text, complete in parts:
        starts.append(len(expected))
        expected += codes(text).tolist() + ([0] if complete else [])
    written = write(folder, documents)
    for store in (written, open_store(folder)):
        assert store.elements_N.tolist() == expected
        assert len(store) == len(expected)
        assert store.starts.tolist() == starts
        assert store.characters == sum(len(text) for text, _ in parts)
        assert store.bytes == sum(len(text.encode()) for text, _ in parts)
        assert store.unknown == sum(text.count("?") for text, _ in parts)
        assert store.complete == (parts[-1][1] if parts else True)
    assert names(folder.parent) == ["store"]


@pytest.mark.parametrize(
    ("vocab_size", "dtype"),
    [
        (2, np.uint8),
        (256, np.uint8),
        (257, np.uint16),
        (65536, np.uint16),
        (65537, np.uint32),
        (0x110000, np.uint32),
    ],
)
def test_ids_are_stored_as_narrow_as_the_vocabulary_allows(
    tmp_path: Path, vocab_size: int, dtype: type[np.unsignedinteger]
):
    highest = np.array([vocab_size - 1], dtype=np.uint32)
    store = write(tmp_path / "s", [Document("x", "a")], lambda _: highest, vocab_size)
    assert store.elements_N.dtype == dtype
    assert store.elements_N.tolist() == [vocab_size - 1, 0]
    assert (tmp_path / "s" / "elements.bin").stat().st_size == 2 * np.dtype(dtype).itemsize


def test_elements_are_mapped_and_read_only(tmp_path: Path):
    store = write(tmp_path / "s", [Document("abc", "a")])
    assert isinstance(store.elements_N, np.memmap)
    assert not store.elements_N.flags.writeable


def test_lone_surrogates_are_counted_as_bytes(tmp_path: Path):
    assert write(tmp_path / "s", [Document(chr(0xDC80), "a")]).bytes == 3


def test_a_complete_store_is_kept_and_nothing_is_encoded_again(tmp_path: Path):
    first = write(tmp_path / "s", [Document("abc", "a")])

    def never(text: str) -> np.ndarray:
        raise AssertionError

    again = write(tmp_path / "s", [Document("other", "b")], never)
    assert again.elements_N.tolist() == first.elements_N.tolist()


@pytest.mark.parametrize("kind", [ValueError, MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("kept_every", [0, 1, 1 << 24])
def test_a_crash_while_writing_is_taken_up_again(
    tmp_path: Path, kind: type[BaseException], kept_every: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store_module, "KEPT_EVERY", kept_every)
    encoded: list[str] = []

    def crash(text: str) -> np.ndarray:
        if text == "d":
            raise kind
        encoded.append(text)
        return codes(text)

    documents = [Document(text, "a", prompt=len(text) // 2) for text in ("a?a", "bb", "ccc", "d")]
    with pytest.raises(kind):
        write(tmp_path / "s", documents, crash)
    assert not (tmp_path / "s").exists()
    assert len(list((tmp_path / ".writing-s").glob("counts-*.npy"))) <= 1
    # What came behind the last kept progress is cut off.
    with (tmp_path / ".writing-s" / "elements.bin").open("ab") as file:
        file.write(b"torn")
    again: list[str] = []

    def note(text: str) -> np.ndarray:
        again.append(text)
        return codes(text)

    store = write(tmp_path / "s", documents, note)
    whole = write(tmp_path / "whole", documents)
    for name in ("elements_N", "starts", "counts_V", "scored_N"):
        np.testing.assert_array_equal(getattr(store, name), getattr(whole, name))
    assert (store.characters, store.bytes, store.unknown) == (
        whole.characters,
        whole.bytes,
        whole.unknown,
    )
    assert ("a" in again) == (kept_every == 1 << 24)
    assert names(tmp_path) == ["s", "whole"]


def test_progress_that_is_not_whole_is_begun_again(tmp_path: Path):
    writing = tmp_path / ".writing-s"
    writing.mkdir()
    (writing / "progress.json").write_text('{"pieces": 7')
    (writing / "elements.bin").write_bytes(b"left over")
    assert write(tmp_path / "s", [Document("ab", "a")]).elements_N.tolist() == [97, 98, 0]


def test_pieces_of_a_document_are_one(tmp_path: Path):
    pieces = [
        Document("ab", "a", complete=False),
        Document("c", "a", complete=False, opening=False),
        Document("d", "a", opening=False),
        Document("e", "b"),
    ]
    store = write(tmp_path / "s", pieces)
    assert store.elements_N.tolist() == [97, 98, 99, 100, 0, 101, 0]
    assert store.starts.tolist() == [0, 5]
    assert store.counts_V[[0, 97, 101]].tolist() == [2, 1, 1]


def test_what_is_given_is_not_scored(tmp_path: Path):
    store = write(tmp_path / "s", [Document("?b", "a", prompt=1), Document("é?", "b", prompt=1)])
    assert store.elements_N.tolist() == [1, 98, 0, 233, 1, 0]
    assert store.scored_N is not None
    assert store.scored_N.tolist() == [False, True, True, False, True, True]
    assert (store.characters, store.bytes, store.unknown) == (2, 2, 1)


def test_a_full_disk_is_told(tmp_path: Path):
    def full(text: str) -> np.ndarray:
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match="cannot write the encoded text: No space left on device"):
        write(tmp_path / "s", [Document("a", "a")], full)
    assert not (tmp_path / "s").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot write the encoded text") as caught:
        write(tmp_path / "file" / "stores" / "s", [Document("a", "a")])
    assert "RHAPSODE_CACHE" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
def test_an_unwritable_folder_is_told(tmp_path: Path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(DataError, match="Permission denied"):
            write(tmp_path / "s", [Document("a", "a")])
    finally:
        tmp_path.chmod(0o755)


def test_something_else_in_the_way_is_told(tmp_path: Path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "other.txt").write_text("x")
    with pytest.raises(DataError, match="cannot write the encoded text"):
        write(tmp_path / "s", [Document("a", "a")])
    assert names(tmp_path / "s") == ["other.txt"]


def test_two_writers_at_once_both_get_the_whole_store(tmp_path: Path):
    encoded: list[str] = []
    found: list[list[int]] = []

    def slow(text: str) -> np.ndarray:
        encoded.append(text)
        time.sleep(0.1)
        return codes(text)

    def work() -> None:
        found.append(write(tmp_path / "s", [Document("abc", "a")], slow).elements_N.tolist())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[97, 98, 99, 0]] * 2
    assert encoded == ["abc"]
    assert names(tmp_path) == ["s"]


def altered(facts: bytes, **entries: object) -> bytes:
    return json.dumps(json.loads(facts) | entries).encode()


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        pytest.param("elements.bin", lambda raw: raw[:-1], id="cut by a byte"),
        pytest.param("elements.bin", lambda raw: raw + b"\0\0\0\0", id="too long"),
        pytest.param("elements.bin", b"", id="emptied"),
        pytest.param("elements.bin", None, id="no elements"),
        pytest.param("starts.bin", lambda raw: raw[: len(raw) // 2], id="half the starts"),
        pytest.param("starts.bin", b"", id="no start"),
        pytest.param("counts.npy", b"PK\x03\x04 and more", id="counts like an archive"),
        pytest.param("starts.bin", None, id="no starts"),
        pytest.param("facts.json", lambda raw: raw[:-3], id="half the facts"),
        pytest.param("facts.json", b"", id="no fact"),
        pytest.param("facts.json", b"[]", id="a list of facts"),
        pytest.param("facts.json", b"\xff", id="facts in no encoding"),
        pytest.param("facts.json", b'{"version": 1}', id="facts missing"),
        pytest.param("facts.json", lambda raw: altered(raw, more=1), id="a fact too many"),
        pytest.param("facts.json", lambda raw: altered(raw, version=9), id="another version"),
        pytest.param("facts.json", lambda raw: altered(raw, elements=3), id="fewer elements"),
        pytest.param("facts.json", lambda raw: altered(raw, elements="4"), id="elements in words"),
        pytest.param("facts.json", lambda raw: altered(raw, dtype="uint8"), id="another width"),
        pytest.param("facts.json", lambda raw: altered(raw, dtype="nonsense"), id="no width"),
        pytest.param("facts.json", None, id="no facts"),
    ],
)
def test_damage_is_noticed(tmp_path: Path, file: str, damage: Damage):
    folder = tmp_path / "s"
    write(folder, [Document("abc", "a")])
    path = folder / file
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()) if callable(damage) else damage)
    with pytest.raises(DataError, match="the encoded text is damaged") as caught:
        open_store(folder)
    assert str(folder) in str(caught.value)
    assert "delete this folder" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cache_is_where_it_was_asked_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("RHAPSODE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("RHAPSODE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "rhapsode"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "rhapsode"
