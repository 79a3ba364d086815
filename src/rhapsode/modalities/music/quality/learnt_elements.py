"""Elements of the training music beside a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from rhapsode.counts import SuffixIndex
from rhapsode.data import ElementStore
from rhapsode.encoding import END_ID
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.errors import BundleError, RunError
from rhapsode.files import write_arrays
from rhapsode.log import log
from rhapsode.modalities.music.pieces.transposing import KEYS, in_keys

LEARNT = "learnt_elements.safetensors"
# Elements that are kept at most; of more, copies are not looked for.
MOST = 20_000_000


def save_learnt(path: Path, store: ElementStore) -> None:
    """Write the elements of the training split in the original keys.

    Raises:
        RunError: they cannot be written.
    """
    if len(store) <= MOST:
        write_arrays(path, {"elements": np.array(store.elements_N)}, {})


def open_learnt(model: Path, encoder: MusicEncoder, *, keys: bool) -> SuffixIndex:
    """The index over the elements of the training music.

    Arguments:
        model: the model file, beside which they are.
        encoder: of the model.
        keys: True to index them in all keys.

    Raises:
        RunError: there are none beside the model.
        BundleError: they are damaged, or of another encoding.
    """
    documents = learnt_documents(model, encoder)
    if documents is None:
        raise RunError(
            f"copies cannot be detected: there is no {LEARNT} beside the model",
            where="--no-copy",
            hint="use a run folder, or leave it out",
        )
    log.info(f"indexing {sum(map(len, documents)):,} elements of the training music")
    moved = in_keys(encoder, documents, KEYS if keys else (0,))
    parts = [np.append(ids_N, END_ID).astype(np.uint16) for ids_N in moved]
    return SuffixIndex.build(np.concatenate(parts), separator=END_ID)


def learnt_documents(model: Path, encoder: MusicEncoder) -> list[NDArray[Any]] | None:
    """Elements of the training pieces in their own keys.

    None if there are none beside the model.

    Arguments:
        model: the model file, beside which they are.
        encoder: of the model.

    Raises:
        BundleError: they are damaged, or of another encoding.
    """
    path = model.parent / LEARNT
    if not path.exists():
        return None
    try:
        elements_N = load_file(path)["elements"]
    except (OSError, SafetensorError, KeyError):
        raise BundleError(
            "the elements of the training music are damaged", where=str(path)
        ) from None
    if elements_N.ndim != 1 or int(elements_N.max(initial=0)) >= encoder.vocab_size:
        raise BundleError("the elements are not those of this model", where=str(path))
    ends = np.flatnonzero(elements_N == END_ID)
    return [part[:-1] for part in np.split(elements_N, ends + 1) if len(part) > 1]
