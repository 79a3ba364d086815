"""A corpus as decoded text on disk.

It is read once from its sources, then in pieces from disk, whatever its size.
"""

import codecs
import hashlib
import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TextIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.document import Document
from rhapsode.errors import DataError

# Characters of the longest piece that is held in memory.
PIECE = 1 << 20
_VERSION = 1
_MARK = 1 << 20
_DIGEST = 16

# (P, 3): index of a document, and begin and end of its characters.
Parts = NDArray[np.int64]


@dataclass(frozen=True)
class _Facts:
    version: int
    sha256: str
    documents: int
    characters: int
    bytes: int


@dataclass(frozen=True)
class TextStore:
    """All documents of a corpus, in order.

    Arguments:
        folder: the folder of the store.
        sha256: hash of all texts and their boundaries, in hexadecimal.
        byte_ends_D: the end of each document in the file, in bytes.
        character_ends_D: the same in characters.
        prompts_D: the length of the prompt of each document, in characters.
        digests_DB: hashes of 16 bytes; equal for equal texts.
        marks_M2: index of the file: characters and bytes before some places.
    """

    folder: Path
    sha256: str
    byte_ends_D: NDArray[np.int64]
    character_ends_D: NDArray[np.int64]
    prompts_D: NDArray[np.int64]
    digests_DB: NDArray[np.uint8]
    marks_M2: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.byte_ends_D)

    @property
    def characters(self) -> int:
        """The characters of all documents."""
        return int(self.character_ends_D[-1]) if len(self) else 0

    @property
    def lengths_D(self) -> NDArray[np.int64]:
        """Characters of each document."""
        return np.diff(self.character_ends_D, prepend=0)

    @property
    def pairs(self) -> bool:
        """True if a document has a prompt."""
        return bool(self.prompts_D.any())

    @cached_property
    def names(self) -> list[str]:
        """The source of each document."""
        with (self.folder / "names.jsonl").open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    @property
    def whole(self) -> Parts:
        """All documents as parts."""
        lengths_D = self.lengths_D
        return np.stack((np.arange(len(self)), np.zeros_like(lengths_D), lengths_D), axis=1)

    def pieces(self, parts: Parts, most: int = PIECE) -> Iterator[Document]:
        """Texts of parts in order, long ones in pieces.

        Pieces have at most twice `most` characters and end after line ends.
        """
        document_P = parts[:, 0]
        lengths_P = self.lengths_D[document_P]
        columns = (
            lengths_P,
            self.character_ends_D[document_P] - lengths_P,
            np.where(document_P > 0, self.byte_ends_D[document_P - 1], 0),
            self.byte_ends_D[document_P],
            self.prompts_D[document_P],
        )
        rows = zip(*(column.tolist() for column in (*parts.T, *columns)), strict=True)
        with (self.folder / "text.bin").open("rb") as file:
            for document, begin, end, length, start, *whole, prompt in rows:
                first, last = whole
                if begin != 0 or end != length:
                    first, last = self._place(file, start + begin), self._place(file, start + end)
                file.seek(first)
                at = begin
                for text in _texts(file, last - first, most):
                    after = at + len(text)
                    yield Document(
                        text,
                        str(document),
                        complete=after == length,
                        opening=at == 0,
                        prompt=max(0, min(after, prompt) - at),
                    )
                    at = after

    def _place(self, file: BinaryIO, character: int) -> int:
        """Bytes before a character, counted over all documents."""
        mark = int(np.searchsorted(self.marks_M2[:, 0], character, side="right")) - 1
        known, place = self.marks_M2[mark].tolist()
        if known == character:
            return int(place)
        file.seek(place)
        # Not final: a character that the end of the block cuts is left out.
        decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
        text = decoder.decode(file.read(4 * (character - known)))
        return int(place) + len(text[: character - known].encode("utf-8", "surrogatepass"))


def _texts(file: BinaryIO, size: int, most: int) -> Iterator[str]:
    """Text of `size` bytes of a file, in pieces.

    Pieces end after line ends if there are any.
    """
    if size <= most:
        yield file.read(size).decode("utf-8", "surrogatepass")
        return
    kept = b""
    while size:
        block = file.read(min(most, size))
        size -= len(block)
        kept += block
        cut = kept.rfind(b"\n") + 1 if size else len(kept)
        if not cut and len(kept) >= 2 * most:
            cut = _last_character(kept)  # no line end: after the last whole character
        if cut:
            yield kept[:cut].decode("utf-8", "surrogatepass")
            kept = kept[cut:]


def _last_character(raw: bytes) -> int:
    at = len(raw) - 1
    while at > 0 and raw[at] & 0xC0 == 0x80:
        at -= 1
    return at


class _Writer:
    def __init__(self, text: BinaryIO, names: TextIO) -> None:
        self._text, self._names = text, names
        self.corpus, self._document = hashlib.sha256(), hashlib.sha256()
        self.bytes = self.characters = self._prompt = 0
        self.byte_ends, self.character_ends, self.prompts = array("q"), array("q"), array("q")
        self.digests = bytearray()
        self.marks: list[tuple[int, int]] = [(0, 0)]
        self._name: str | None = None

    def add(self, piece: Document) -> None:
        if piece.opening or self._name is None:
            self.close_document()
            self._name, self._prompt = piece.name, piece.prompt
        for start in range(0, len(piece.text), _MARK):
            text = piece.text[start : start + _MARK]
            raw = text.encode("utf-8", "surrogatepass")
            if self.characters + len(text) - self.marks[-1][0] > _MARK:
                self.marks.append((self.characters, self.bytes))
            self._text.write(raw)
            self._document.update(raw)
            self.bytes += len(raw)
            self.characters += len(text)

    def close_document(self) -> None:
        length = self.bytes - (self.byte_ends[-1] if self.byte_ends else 0)
        if self._name is not None and length:
            digest = self._document.digest()
            self.corpus.update(f"{length}:{self._prompt}:1:".encode() + digest)
            self.byte_ends.append(self.bytes)
            self.character_ends.append(self.characters)
            self.prompts.append(self._prompt)
            self.digests += digest[:_DIGEST]
            self._names.write(json.dumps(self._name) + "\n")
        self._document, self._name = hashlib.sha256(), None


def write_texts(parent: Path, pieces: Iterable[Document]) -> TextStore:
    """Write documents into a text store named by their content.

    If `parent` has an equal store already, that one is opened.

    Arguments:
        parent: folder of text stores.
        pieces: documents, long ones in pieces.

    Raises:
        DataError: the folder cannot be written, or an error of `pieces`.
    """
    scratch: Path | None = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
        with (
            (scratch / "text.bin").open("wb") as text,
            (scratch / "names.jsonl").open("w", encoding="utf-8", newline="\n") as names,
        ):
            writer = _Writer(text, names)
            for piece in pieces:
                writer.add(piece)
            writer.close_document()
            for file in (text, names):
                file.flush()
                os.fsync(file.fileno())
        sha256 = writer.corpus.hexdigest()
        folder = parent / sha256[:32]
        if (folder / "facts.json").exists():
            return open_texts(folder)
        np.savez(
            scratch / "documents.npz",
            byte_ends_D=np.array(writer.byte_ends, dtype=np.int64),
            character_ends_D=np.array(writer.character_ends, dtype=np.int64),
            prompts_D=np.array(writer.prompts, dtype=np.int64),
            digests_DB=np.frombuffer(bytes(writer.digests), np.uint8).reshape(-1, _DIGEST),
            marks_M2=np.array(writer.marks, dtype=np.int64),
        )
        facts = _Facts(_VERSION, sha256, len(writer.prompts), writer.characters, writer.bytes)
        (scratch / "facts.json").write_text(json.dumps(asdict(facts)), encoding="utf-8")
        try:
            scratch.rename(folder)
        except OSError:
            if not (folder / "facts.json").exists():  # else another process was faster
                raise
    except OSError as problem:
        raise DataError(
            f"cannot write the decoded text: {problem.strerror}",
            where=str(parent),
            hint="name another folder with RHAPSODE_CACHE",
        ) from None
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return open_texts(folder)


def open_texts(folder: Path) -> TextStore:
    """The text store in `folder`.

    Raises:
        DataError: there is none, or it is damaged.
    """
    try:
        facts = _Facts(**json.loads((folder / "facts.json").read_text(encoding="utf-8")))
        with (
            (folder / "documents.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            store = TextStore(folder, facts.sha256, **{name: arrays[name] for name in arrays})
        size = (folder / "text.bin").stat().st_size
        if facts.version != _VERSION or size != facts.bytes or len(store) != facts.documents:
            raise ValueError("size or version differs")
    except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile) as problem:
        raise DataError(
            f"the decoded text is damaged ({problem})", where=str(folder), hint="delete this folder"
        ) from None
    return store
