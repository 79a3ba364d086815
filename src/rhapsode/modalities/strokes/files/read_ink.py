"""Reading of files of ink, by suffix and first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rhapsode.encoding.strokes import Drawing
from rhapsode.errors import DataError
from rhapsode.files import is_there
from rhapsode.modalities.strokes.files.json_ink import is_ink, read_json, strokes_of_stroke_3
from rhapsode.modalities.strokes.files.specimen import Specimen
from rhapsode.modalities.strokes.files.unipen import is_unipen, read_unipen
from rhapsode.modalities.strokes.files.xml_ink import read_inkml, read_svg

PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
JSON = (".json", ".ndjson", ".jsonl")
XML = {".inkml": read_inkml, ".svg": read_svg}
UNIPEN = (".unp", ".unipen", ".up", ".dat", ".txt", ".data", "")
"""Suffixes of UNIPEN files; other files have them, too."""
SPLITS = ("train", "valid", "validation", "test")
# Bytes of a file that are looked at to claim it, and least of a folder's files that are ink.
HEAD = 1 << 16


def suffix_of(path: Path) -> str:
    """The suffix in lower case, that of a compression left out."""
    name = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return name.suffix.lower()


def holds_ink(path: Path) -> bool:
    """True if a file holds drawings, by its suffix and first bytes."""
    suffix = suffix_of(path)
    if suffix == ".npz":
        return bool(_npz_names(path))
    if suffix in XML:
        return True
    if suffix not in JSON and suffix not in UNIPEN:
        return False
    try:
        with _opened(path) as file:
            head = file.read(HEAD).decode("utf-8", "replace")
    except (OSError, EOFError, lzma.LZMAError):
        return False
    return _is_json_ink(head) if suffix in JSON else is_unipen(head)


def _is_json_ink(head: str) -> bool:
    line = head.lstrip("\N{BYTE ORDER MARK} \r\n\t").split("\n", 1)[0]
    try:
        return is_ink(json.loads(line))
    except (ValueError, RecursionError):
        pass
    flat = "".join(head.split())
    return any(f'"{key}":[[' in flat or f'"{key}":[{{"x"' in flat for key in ("strokes", "drawing"))


def read_ink(source: Any) -> list[Specimen]:
    """Drawings of a file or folder.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    path = Path(source)
    if not is_there(path):
        raise DataError("no such file", where=str(path))
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and holds_ink(file)]
        found = [specimen for file in files for specimen in read_ink(file)]
    else:
        found = list(_read_file(path))
    if not found:
        raise DataError("no drawings", where=str(path))
    return found


def _read_file(path: Path) -> Iterator[Specimen]:
    suffix = suffix_of(path)
    if suffix == ".npz":
        return _read_npz(path)
    where = str(path)
    try:
        with _opened(path) as file:
            content = file.read()
    except (OSError, EOFError, lzma.LZMAError) as problem:
        raise DataError(f"cannot read: {problem}", where=where) from None
    if suffix in XML:
        return XML[suffix](content, where)
    if suffix not in JSON:
        return read_unipen(content.decode("latin-1"), where)
    try:
        return read_json(content.decode("utf-8-sig"), where)
    except UnicodeDecodeError:
        raise DataError("this is not UTF-8", where=where) from None


def _opened(path: Path) -> io.BufferedIOBase:
    opener = PACKED.get(path.suffix.lower(), open)
    return opener(path, "rb")  # type: ignore[no-any-return]


def _npz_names(path: Path) -> list[str]:
    """Names of the parts of an archive of drawings; none for other archives."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [name for name in SPLITS if name in archive.files]
    except (OSError, ValueError):
        return []


def _read_npz(path: Path) -> Iterator[Specimen]:
    """Drawings of an archive of arrays.

    Each part is an array (N, 3) of all its drawings, with an array `<part>_offsets` of where each
    begins, and at the end where the last one ends.
    """
    for name in _npz_names(path):
        where = f"{path}, {name}"
        try:
            with np.load(path, allow_pickle=False) as archive:
                rows_N3 = archive[name]
                offsets = archive.get(f"{name}_offsets")
        except ValueError:
            raise DataError(
                "the arrays are pickled objects, which could run programs, and are not read",
                where=where,
                hint="convert them to .ndjson, as docs/strokes.md shows",
            ) from None
        if offsets is None:
            offsets = np.array([0, len(rows_N3)])
        bounds = np.asarray(offsets, dtype=np.int64).ravel().tolist()
        for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
            strokes = strokes_of_stroke_3(rows_N3[start:stop], f"{where}, drawing {number}")
            if strokes:
                yield Specimen(Drawing(strokes), False, f"{name}/{number}", name)
