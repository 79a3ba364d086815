"""Encoded documents on disk as one memory-mapped array.

The array is flat and is written completely or not at all.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from rhapsode.data.document import Document
from rhapsode.data.source_store import SourceStore, ended_texts
from rhapsode.errors import DataError
from rhapsode.files import can_write, temporary_cache

_VERSION = 2
END = 0
# Characters between two moments at which progress is kept.
KEPT_EVERY = 1 << 24

Encode = Callable[[str], NDArray[np.unsignedinteger]]


@dataclass
class _Amounts:
    elements: int = 0
    documents: int = 0
    spans: int = 0
    characters: int = 0
    bytes: int = 0
    unknown: int = 0
    complete: bool = True


@dataclass
class _Facts(_Amounts):
    version: int = 0
    dtype: str = ""


@dataclass
class _Progress(_Amounts):
    """Amounts written so far; the rest is cut off when writing continues."""

    pieces: int = 0


@dataclass(frozen=True)
class ElementStore:
    """Elements of one split; each document ends with end-of-sequence (id 0).

    A document that a split cuts has no end-of-sequence. `elements_N` is mapped from disk, not
    loaded.

    Arguments:
        elements_N: ids, uint8, uint16 or uint32.
        starts: where each document begins, int64.
        characters: characters of the source text, without prompts.
        bytes: UTF-8 bytes of it.
        unknown: number of unknown elements.
        complete: whether the last document ends here.
        counts_V: the count of each element.
        scored_N: False for elements of prompts, neither learnt nor scored; None if all are
            scored.
        sources: what each document is written from; None where there is nothing.
    """

    elements_N: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    characters: int
    bytes: int
    unknown: int
    complete: bool
    counts_V: NDArray[np.int64]
    scored_N: NDArray[np.bool_] | None = None
    sources: SourceStore | None = None

    @classmethod
    def of(
        cls, documents: Sequence[NDArray[np.unsignedinteger]], characters: int, vocab_size: int
    ) -> "ElementStore":
        """Documents in memory, all of them complete and without an unknown element.

        Arguments:
            documents: ids of each, without end-of-sequence.
            characters: of all of them, a byte each.
            vocab_size: V.
        """
        elements_N, ends = ended_texts(documents)
        starts = ends[:-1]
        counts_V = np.bincount(elements_N, minlength=vocab_size)
        return cls(elements_N, starts, characters, characters, 0, True, counts_V)

    def __len__(self) -> int:
        return len(self.elements_N)

    @property
    def scored(self) -> int:
        """The number of elements that are scored."""
        return len(self) if self.scored_N is None else int(np.count_nonzero(self.scored_N))


def cache_folder() -> Path:
    """Cache folder: RHAPSODE_CACHE, or a folder in the user's cache.

    A temporary folder is used if there is no home folder that can be written.
    """
    named = os.environ.get("RHAPSODE_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".cache") / "rhapsode"
    except RuntimeError:  # a user without a home
        folder = Path(os.devnull) / "rhapsode"
    return folder if can_write(folder) else temporary_cache()


@dataclass(frozen=True)
class Encoded:
    """Ids of a piece, (N,); the first `given` belong to the prompt."""

    ids_N: NDArray[np.unsignedinteger]
    given: int


EncodePieces = Callable[[Iterator[Document]], Iterator[tuple[Document, Encoded]]]


def encode_piece(piece: Document, encode: Encode) -> Encoded:
    """Encode a piece of a document.

    Its prompt is encoded by itself, as in generation.
    """
    if not piece.prompt:
        return Encoded(encode(piece.text), 0)
    given_N = encode(piece.text[: piece.prompt])
    rest_N = encode(piece.text[piece.prompt :])
    return Encoded(np.concatenate((given_N, rest_N)), len(given_N))


def write_store(
    folder: Path,
    pieces: Iterable[Document],
    encode: Encode,
    *,
    vocab_size: int,
    unknown_id: int,
    each: EncodePieces | None = None,
) -> ElementStore:
    """Encode documents into a store, or open the existing one.

    `folder` appears when the store is complete. An interrupted call is resumed by the next call
    with the same folder.

    Arguments:
        folder: where the store goes.
        pieces: documents in order, long ones in pieces; the same at every call.
        encode: text to ids.
        vocab_size: determines the width of the stored ids.
        unknown_id: the id counted as unknown.
        each: replaces `encode_piece` on one piece at a time, to encode in several processes.

    Raises:
        DataError: the folder cannot be written.
    """
    if (folder / "facts.json").exists():
        return open_store(folder)

    def one_by_one(pieces: Iterator[Document]) -> Iterator[tuple[Document, Encoded]]:
        for piece in pieces:
            yield piece, encode_piece(piece, encode)

    writing = folder.with_name(f".writing-{folder.name}")
    lock = folder.with_name(f".{folder.name}.lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # One writer at a time; the others wait and find it done.
        with FileLock(lock):
            if not (folder / "facts.json").exists():
                _write(
                    writing,
                    pieces,
                    each or one_by_one,
                    vocab_size=vocab_size,
                    unknown_id=unknown_id,
                )
                writing.rename(folder)
        with contextlib.suppress(PermissionError):  # Windows, while another process waits for it
            lock.unlink(missing_ok=True)
    except OSError as problem:
        raise DataError(
            f"cannot write the encoded text: {problem.strerror}",
            where=str(folder.parent),
            hint="name another folder with RHAPSODE_CACHE",
        ) from None
    return open_store(folder)


def _write(
    folder: Path,
    pieces: Iterable[Document],
    each: EncodePieces,
    *,
    vocab_size: int,
    unknown_id: int,
) -> None:
    dtype: np.dtype[np.unsignedinteger] = np.dtype(
        np.uint8 if vocab_size <= 2**8 else np.uint16 if vocab_size <= 2**16 else np.uint32
    )
    folder.mkdir(exist_ok=True)
    done, counts_V = _taken_up(folder, dtype, vocab_size)
    end_1 = np.array([END], dtype=dtype)
    with (
        (folder / "elements.bin").open("ab") as elements,
        (folder / "starts.bin").open("ab") as starts,
        (folder / "given.bin").open("ab") as spans,
    ):

        def keep() -> None:
            for file in (elements, starts, spans):
                file.flush()
                os.fsync(file.fileno())
            kept = folder / f"counts-{done.pieces}.npy"
            np.save(kept, counts_V)
            scratch = folder / "progress.new"
            scratch.write_text(json.dumps(asdict(done)), encoding="utf-8")
            scratch.replace(folder / "progress.json")
            for older in folder.glob("counts-*.npy"):
                if older != kept:
                    older.unlink()

        kept_at = done.characters
        for piece, encoded in each(islice(iter(pieces), done.pieces, None)):
            ids_N = np.ascontiguousarray(encoded.ids_N, dtype=dtype)
            if piece.opening or not done.documents:
                starts.write(np.int64(done.elements).tobytes())
                done.documents += 1
            if encoded.given:
                span_2 = np.array((done.elements, done.elements + encoded.given), dtype=np.int64)
                spans.write(span_2.tobytes())
                done.spans += 1
            elements.write(ids_N.tobytes())
            counts_V += np.bincount(ids_N, minlength=vocab_size)
            done.elements += len(ids_N)
            done.unknown += int(np.count_nonzero(ids_N[encoded.given :] == unknown_id))
            scored = piece.text[piece.prompt :]
            done.characters += len(scored)
            done.bytes += len(scored.encode("utf-8", "surrogatepass"))
            done.complete = piece.complete
            if piece.complete:
                elements.write(end_1.tobytes())
                counts_V[END] += 1
                done.elements += 1
            done.pieces += 1
            if done.characters - kept_at > KEPT_EVERY:
                kept_at = done.characters
                keep()
        keep()
    np.save(folder / "counts.npy", counts_V)
    facts = {name: value for name, value in asdict(done).items() if name != "pieces"}
    whole = _Facts(version=_VERSION, dtype=dtype.name, **facts)
    (folder / "facts.json").write_text(json.dumps(asdict(whole)), encoding="utf-8")
    for path in (*folder.glob("counts-*.npy"), folder / "progress.json"):
        path.unlink(missing_ok=True)


def _taken_up(
    folder: Path, dtype: np.dtype[np.unsignedinteger], vocab_size: int
) -> tuple[_Progress, NDArray[np.int64]]:
    """Progress of an interrupted call; zero if it is damaged.

    The files are cut to that length.
    """
    done, counts_V = _Progress(), np.zeros(vocab_size, dtype=np.int64)
    try:
        kept = _Progress(**json.loads((folder / "progress.json").read_text(encoding="utf-8")))
        with (folder / f"counts-{kept.pieces}.npy").open("rb") as stream:
            found_V = np.lib.format.read_array(stream, allow_pickle=False)
        sizes = _sizes(kept, dtype)
        if found_V.shape == counts_V.shape and all(
            (folder / name).stat().st_size >= size for name, size in sizes.items()
        ):
            done, counts_V = kept, found_V
    except (OSError, ValueError, TypeError, EOFError):
        pass
    for name, size in _sizes(done, dtype).items():
        with (folder / name).open("ab") as file:
            file.truncate(size)
    return done, counts_V


def _sizes(done: _Progress, dtype: np.dtype[np.unsignedinteger]) -> dict[str, int]:
    return {
        "elements.bin": done.elements * dtype.itemsize,
        "starts.bin": done.documents * 8,
        "given.bin": done.spans * 16,
    }


def open_store(folder: Path) -> ElementStore:
    """The store in `folder`, mapped.

    Raises:
        DataError: there is none, or it is damaged.
    """
    try:
        facts = _Facts(**json.loads((folder / "facts.json").read_text(encoding="utf-8")))
        file = folder / "elements.bin"
        dtype = np.dtype(facts.dtype)
        starts = np.fromfile(folder / "starts.bin", dtype=np.int64)
        spans = np.fromfile(folder / "given.bin", dtype=np.int64).reshape(-1, 2)
        with (folder / "counts.npy").open("rb") as stream:
            counts_V = np.lib.format.read_array(stream, allow_pickle=False)
        sizes = (file.stat().st_size, len(starts), len(spans), facts.version)
        if sizes != (facts.elements * dtype.itemsize, facts.documents, facts.spans, _VERSION):
            raise ValueError("size or version differs")
        elements_N = (
            np.memmap(file, dtype=dtype, mode="r") if facts.elements else np.zeros(0, dtype=dtype)
        )
    except (OSError, ValueError, TypeError, EOFError) as problem:
        raise DataError(
            f"the encoded text is damaged ({problem})", where=str(folder), hint="delete this folder"
        ) from None
    scored_N = None
    if len(spans):
        scored_N = np.ones(facts.elements, dtype=bool)
        for begin, end in spans.tolist():
            scored_N[begin:end] = False
    return ElementStore(
        elements_N, starts, facts.characters, facts.bytes, facts.unknown, facts.complete, counts_V,
        scored_N,
    )  # fmt: skip
