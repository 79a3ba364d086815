"""Files that are written completely or not at all."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from rhapsode.errors import BundleError, RunError
from rhapsode.log import log

__all__ = [
    "can_write",
    "clear_scratch",
    "first_line",
    "is_there",
    "read_arrays",
    "source_name",
    "temporary_cache",
    "write_arrays",
    "write_atomically",
]


def source_name(source: Any) -> str:
    """Path or name of a source.

    A source in memory is named by its type, in angle brackets.
    """
    return str(source) if isinstance(source, str | Path) else f"<{type(source).__name__}>"


def is_there(path: Path) -> bool:
    """True if a path exists; False for invalid names too."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def first_line(problem: BaseException) -> str:
    """First line of an exception's message; its name when it has none."""
    return (str(problem) or type(problem).__name__).splitlines()[0]


@lru_cache
def can_write(folder: Path) -> bool:
    """True if a folder can be made and written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


@lru_cache
def temporary_cache() -> Path:
    """A temporary folder of this user for cached files, and a warning."""
    if sys.platform == "win32":  # types are checked for one system at a time
        user = 0
    else:
        user = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"rhapsode-{user}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != user:  # somebody else made it
            folder = Path(tempfile.mkdtemp(prefix="rhapsode-"))
        log.warning(f"no cache folder can be written in the home folder: {folder} is used")
    return folder


def write_atomically(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Replace the content of a file in one step.

    On any failure the old file stays unchanged.

    Arguments:
        path: the file; its folder must exist.
        content: the bytes, or a function that writes them to a scratch path.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    scratch = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        scratch = Path(name)
        os.close(handle)
        if callable(content):
            content(scratch)
        else:
            scratch.write_bytes(content)
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())
        scratch.chmod(0o644)
        scratch.replace(path)
        _sync_folder(path.parent)
    except OSError as problem:
        raise RunError(
            f"cannot write: {problem.strerror or problem}",
            where=str(path),
            hint="the previous contents are unchanged",
        ) from None
    finally:
        if scratch is not None:
            with contextlib.suppress(OSError):
                scratch.unlink()


def write_arrays(
    path: Path,
    arrays: Mapping[str, Any],
    metadata: Mapping[str, str],
    save: Callable[..., None] | None = None,
) -> None:
    """Write arrays and metadata atomically as one safetensors file.

    Arguments:
        path: the file.
        arrays: by name.
        metadata: of the file.
        save: function of safetensors for this kind of array; None for NumPy.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    def write(scratch: Path) -> None:
        try:
            (save or save_file)(dict(arrays), scratch, metadata=dict(metadata))
        except SafetensorError as problem:
            raise OSError(str(problem)) from None

    write_atomically(path, write)


def read_arrays(path: Path, hint: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Metadata and NumPy arrays of a safetensors file; they are not checked.

    Arguments:
        path: the file.
        hint: advice where it is damaged.

    Raises:
        BundleError: missing, truncated, or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as problem:
        raise BundleError(f"cannot read: {problem.strerror or problem}", where=str(path)) from None
    except (
        SafetensorError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        MemoryError,
    ) as problem:
        raise BundleError(
            f"not a whole safetensors file ({first_line(problem)})", where=str(path), hint=hint
        ) from None


def clear_scratch(folder: Path) -> None:
    """Remove files left by interrupted writes into a folder.

    Requires exclusive access.
    """
    # Ours, and that of safetensors, which writes to a file of its own choice before it renames it.
    scratch = re.compile(r"\.\w[\w.]*\.\w+-[a-z0-9_]{8}|\.tmp[A-Za-z0-9]{6}")
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if scratch.fullmatch(path.name):
                path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power failure.

    Errors are ignored, as not every system supports it.
    """
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
