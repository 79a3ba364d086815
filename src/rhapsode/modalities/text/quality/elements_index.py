"""The index of training data by a model's own elements."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.element_facts import IdBundle
from rhapsode.counts import SuffixIndex, suffix_file
from rhapsode.encoding import END_ID, Encoder
from rhapsode.errors import BundleError, RunError
from rhapsode.log import log
from rhapsode.modalities.text.quality.text_index import TextIndex
from rhapsode.modalities.text.quality.writing_check import open_text_index

ELEMENTS_INDEX = "elements_index.safetensors"
_KIND = "rhapsode.elements_index"


def open_elements_index(bundle: IdBundle, model: Path) -> SuffixIndex:
    """The index over the elements of the training data.

    It is created once and saved beside the model, if the folder is writable.

    Arguments:
        bundle: the model.
        model: its file; the index of the text lies beside it.

    Raises:
        RunError: there is no index of the text, which is needed to find copies.
    """
    path = model.parent / ELEMENTS_INDEX
    learnt = bundle.provenance.text_index
    facts = {"separator": END_ID, "encoder": bundle.encoder.fingerprint, "text_index": learnt}
    if learnt is not None and path.exists():
        kept = _read(path, facts, bundle.encoder.vocab_size)
        if kept is not None:
            return kept
    text = open_text_index(model, learnt)
    if isinstance(text, str):
        raise RunError(
            f"copies cannot be detected: {text}",
            where="--no-copy",
            hint="use a run folder whose training kept the index of its text, or leave it out",
        )
    log.info(f"indexing {len(text):,} characters of training data by elements")
    index = index_elements(text, bundle.encoder)
    try:
        suffix_file.write_index(path, _KIND, index.to_arrays(), facts)
    except RunError as problem:
        log.info(f"the index was not saved: {problem}")
    return index


def index_elements(text: TextIndex, encoder: Encoder) -> SuffixIndex:
    """Index an indexed text by the elements of a model.

    It holds the elements of every passage, with their suffixes in order.

    Arguments:
        text: index of the text.
        encoder: of the model.
    """
    last = encoder.vocab_size - 1
    dtype = np.uint8 if last < 1 << 8 else np.uint16 if last < 1 << 16 else np.uint32
    end_1 = np.array([END_ID], dtype=dtype)
    pieces: list[NDArray[Any]] = []
    for passage in text.passages():
        pieces += (encoder.encode(passage).astype(dtype), end_1)
    return SuffixIndex.build(np.concatenate(pieces), separator=END_ID)


def _read(path: Path, facts: dict[str, object], vocab_size: int) -> SuffixIndex | None:
    try:
        arrays, found = suffix_file.read_index(path, _KIND)
        if found != facts:
            return None
        index = SuffixIndex.from_arrays(arrays, END_ID, path)
    except BundleError as problem:
        log.warning(f"{problem}; rebuilding it")
        return None
    return index if int(index.elements_N.max(initial=0)) < vocab_size else None
