"""Files of music in sources: single files, folders, archives, patterns, named corpora."""

from __future__ import annotations

import contextlib
import glob
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rhapsode.data.corpora.catalogue import CATALOGUE, catalogue_documents, local_copy
from rhapsode.data.document import Document
from rhapsode.data.sources.blob import Blob, Found, file_blob, first_bytes
from rhapsode.data.sources.compression import unpacked
from rhapsode.data.sources.folders import archive_kind, members, named_file, walk
from rhapsode.errors import DataError
from rhapsode.files import is_there
from rhapsode.modalities.music.files import music_kind
from rhapsode.modalities.music.pieces.json_rolls import looks_like_rolls

HEAD = 4096
ROLLS = "rolls"
# Files of a folder by which it is claimed.
LOOKED_AT = 200


@dataclass(frozen=True)
class MusicFile:
    """A file of music.

    Arguments:
        blob: its bytes, without compression.
        kind: midi, abc, musicxml or rolls.
    """

    blob: Blob
    kind: str

    def read(self) -> bytes:
        """All of its bytes.

        Raises:
            DataError: it cannot be read.
        """
        with contextlib.closing(self.blob.open()) as raw:
            return b"".join(iter(lambda: raw.read(1 << 20), b""))


def kind_of(blob: Blob) -> str | None:
    """Kind of a file; None if it holds no music."""
    with contextlib.suppress(DataError):
        head = first_bytes(blob.open, HEAD)
        if blob.relative.lower().endswith(".json"):
            return ROLLS if looks_like_rolls(head) else None
        return music_kind(blob.relative, head)
    return music_kind(blob.relative, b"")


@contextlib.contextmanager
def blobs_of(source: str, found: Found) -> Iterator[Iterator[Blob]]:
    """The files of a source, without compression.

    Arguments:
        source: a file, folder, archive, path into an archive, pattern, or named corpus.
        found: collects files that are passed over.

    Raises:
        DataError: there is no such source, or it cannot be read.
    """
    path = Path(source)
    if is_there(path) and path.is_dir():
        yield map(unpacked, walk(path, found))
    elif (named := named_file(source)) is not None:
        blob, inner = named
        kind = None if kind_of(blob) else archive_kind(blob)
        if kind is None:
            yield iter([unpacked(blob)])
            return
        with members(blob, kind, inner) as entries:
            yield map(unpacked, entries)
    elif (entry := CATALOGUE.get(source)) is not None and entry.download is not None:
        copy = local_copy(source, entry.download)
        yield iter([file_blob(copy, copy.name)])
    elif entry is not None and entry.suffix:
        yield (_document_blob(document) for document in catalogue_documents(source))
    elif any(character in source for character in "*?["):
        # A pattern may be absolute.
        names = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
        yield (unpacked(file_blob(path)) for path in map(Path, names) if path.is_file())
    else:
        raise DataError("no such file or folder", where=source)


def _document_blob(document: Document) -> Blob:
    """A document of a named corpus as a file."""
    content = document.text.encode("utf-8")
    return Blob(document.name, document.name, lambda: io.BytesIO(content))


def music_files(source: str, found: Found) -> Iterator[MusicFile]:
    """Files of music in a source; all else is passed over.

    Arguments:
        source: see `blobs_of`.
        found: collects files that are passed over.

    Raises:
        DataError: the source cannot be read.
    """
    with blobs_of(source, found) as blobs:
        for blob in blobs:
            kind = kind_of(blob)
            if kind is None:
                found.skipped.append(f"{blob.name}: no music by its suffix and first bytes")
            else:
                yield MusicFile(blob, kind)


def share_of_music(source: str) -> tuple[int, int]:
    """Files of music and all files among the first of a source.

    Raises:
        DataError: the source cannot be read.
    """
    with blobs_of(source, Found()) as blobs:
        kinds = [kind_of(blob) for blob in islice(blobs, LOOKED_AT)]
    return sum(kind is not None for kind in kinds), len(kinds)
