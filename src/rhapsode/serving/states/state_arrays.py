"""States of predictors as named arrays, and back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError
from rhapsode.serving.states.snapshots import Snapshot

Arrays = dict[str, NDArray[Any]]


def arrays_of(state: Any, name: str = "state") -> Arrays:
    """The arrays of a state, by their place in it.

    Arguments:
        state: dataclasses, tuples and arrays, in each other.
        name: prefix of the names.

    Raises:
        DataError: a part of another kind.
    """
    if state is None:
        return {}
    if isinstance(state, np.ndarray):
        return {name: state}
    tensor = _as_array(state)
    if tensor is not None:
        return {name: tensor}
    arrays: Arrays = {}
    for part, value in _parts(state):
        arrays.update(arrays_of(value, f"{name}.{part}"))
    return arrays


def restored(template: Any, arrays: Mapping[str, NDArray[Any]], name: str = "state") -> Any:
    """A state with the structure of another one, and other arrays.

    Arguments:
        template: a state of the same predictor.
        arrays: from `arrays_of`.
        name: prefix of the names.

    Raises:
        DataError: an array is missing, or does not fit.
    """
    if template is None:
        return None
    if isinstance(template, np.ndarray):
        return _fitting(template, arrays, name)
    tensor = _as_array(template)
    if tensor is not None:
        import torch

        return torch.from_numpy(_fitting(tensor, arrays, name).copy())
    parts = {part: restored(value, arrays, f"{name}.{part}") for part, value in _parts(template)}
    if isinstance(template, tuple | list):
        return type(template)(parts.values())
    return replace(template, **parts)


def bytes_of(snapshot: Snapshot) -> int:
    """Bytes that a snapshot takes in memory, about."""
    arrays = arrays_of(snapshot.state)
    logits = snapshot.following.logits_BKV
    size = 0 if logits is None else logits.nbytes
    return size + 8 * len(snapshot.elements) + sum(each.nbytes for each in arrays.values())


def _parts(state: Any) -> list[tuple[str, Any]]:
    if isinstance(state, tuple | list):
        return [(str(place), value) for place, value in enumerate(state)]
    if is_dataclass(state) and not isinstance(state, type):
        return [(each.name, getattr(state, each.name)) for each in fields(state)]
    raise DataError(f"a state with a part of type {type(state).__name__} cannot be stored")


def _as_array(value: Any) -> NDArray[Any] | None:
    """A tensor as an array; None for anything else."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return None
    array: NDArray[Any] = value.detach().cpu().numpy()
    return array


def _fitting(template: NDArray[Any], arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    array = arrays.get(name)
    if array is None or array.dtype != template.dtype or array.ndim != template.ndim:
        raise DataError("a stored state that does not fit the model")
    return array
