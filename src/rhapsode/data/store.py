"""Encoded documents on disk: one flat memory-mapped array, written whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.document import Document
from rhapsode.errors import DataError

__all__ = ["ElementStore", "cache_folder", "open_store", "write_store"]

_VERSION = 1
END = 0


@dataclass(frozen=True)
class _Facts:
    version: int
    dtype: str
    elements: int
    documents: int
    characters: int
    bytes: int
    unknown: int
    complete: bool


@dataclass(frozen=True)
class ElementStore:
    """The elements of one share: every document followed by end-of-sequence (id 0).

    A document that a split cut is followed by none. `elements_N` is mapped from disk, not loaded.

    Arguments:
        elements_N: ids, uint8, uint16 or uint32.
        starts: where each document begins, int64.
        characters: characters of the source text.
        bytes: UTF-8 bytes of the source text.
        unknown: how many elements are the unknown element.
        complete: whether the last document ends here.
    """

    elements_N: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    characters: int
    bytes: int
    unknown: int
    complete: bool

    def __len__(self) -> int:
        return len(self.elements_N)


def cache_folder() -> Path:
    """Where encoded text is kept between runs: RHAPSODE_CACHE, or the user's cache folder."""
    named = os.environ.get("RHAPSODE_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rhapsode"


def write_store(
    folder: Path,
    documents: Iterable[Document],
    encode: Callable[[str], NDArray[np.unsignedinteger]],
    *,
    vocab_size: int,
    unknown_id: int,
) -> ElementStore:
    """Encode documents into `folder`, which appears when it is complete; a complete one is kept.

    Arguments:
        folder: where the store goes.
        documents: what to encode, in order.
        encode: text to ids.
        vocab_size: decides how wide an id is stored.
        unknown_id: the id counted as unknown.

    Raises:
        DataError: the folder cannot be written.
    """
    if (folder / "facts.json").exists():
        return open_store(folder)
    dtype: np.dtype[np.unsignedinteger] = np.dtype(
        np.uint8 if vocab_size <= 2**8 else np.uint16 if vocab_size <= 2**16 else np.uint32
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    except OSError as problem:
        raise DataError(
            f"cannot write the encoded text: {problem.strerror}",
            where=str(folder.parent),
            hint="name another folder with RHAPSODE_CACHE",
        ) from None
    try:
        facts = _write(scratch, documents, encode, dtype, unknown_id)
        (scratch / "facts.json").write_text(json.dumps(asdict(facts)), encoding="utf-8")
        try:
            scratch.rename(folder)
        except OSError:
            if not (folder / "facts.json").exists():  # else another process was faster
                raise
    except OSError as problem:
        raise DataError(
            f"cannot write the encoded text: {problem.strerror}", where=str(folder.parent)
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return open_store(folder)


def _write(
    scratch: Path,
    documents: Iterable[Document],
    encode: Callable[[str], NDArray[np.unsignedinteger]],
    dtype: np.dtype[np.unsignedinteger],
    unknown_id: int,
) -> _Facts:
    elements = characters = size = unknown = 0
    complete = True
    starts: list[int] = []
    end_1 = np.array([END], dtype=dtype)
    with (scratch / "elements.bin").open("wb") as file:
        for document in documents:
            ids_N = encode(document.text)
            starts.append(elements)
            file.write(np.ascontiguousarray(ids_N, dtype=dtype).tobytes())
            elements += len(ids_N)
            unknown += int(np.count_nonzero(ids_N == unknown_id))
            characters += len(document.text)
            size += len(document.text.encode("utf-8", "surrogatepass"))
            complete = document.complete
            if complete:
                file.write(end_1.tobytes())
                elements += 1
        file.flush()
        os.fsync(file.fileno())
    np.save(scratch / "starts.npy", np.array(starts, dtype=np.int64))
    return _Facts(_VERSION, dtype.name, elements, len(starts), characters, size, unknown, complete)


def open_store(folder: Path) -> ElementStore:
    """The store in `folder`, mapped.

    Raises:
        DataError: there is none, or it is damaged.
    """
    try:
        facts = _Facts(**json.loads((folder / "facts.json").read_text(encoding="utf-8")))
        with (folder / "starts.npy").open("rb") as stream:
            starts = np.lib.format.read_array(stream, allow_pickle=False)
        file = folder / "elements.bin"
        dtype = np.dtype(facts.dtype)
        if facts.version != _VERSION or file.stat().st_size != facts.elements * dtype.itemsize:
            raise ValueError("size or version differs")
        elements_N = (
            np.memmap(file, dtype=dtype, mode="r") if facts.elements else np.zeros(0, dtype=dtype)
        )
    except (OSError, ValueError, TypeError, EOFError) as problem:
        raise DataError(
            f"the encoded text is damaged ({problem})", where=str(folder), hint="delete this folder"
        ) from None
    return ElementStore(
        elements_N, starts, facts.characters, facts.bytes, facts.unknown, facts.complete
    )
