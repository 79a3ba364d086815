"""The state of a training loop as one safetensors file.

Reading executes nothing, and an interrupted write leaves no partial file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rhapsode.bundle.device import CPU
from rhapsode.errors import RunError
from rhapsode.files import first_line, write_arrays

VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """The state with which a training loop continues exactly where it stopped.

    A file holds CPU tensors, whatever device they lay on.

    Arguments:
        tensors: by name: weights, best weights, optimiser, carried state, random state.
        values: plain values: step, best loss, spent seconds, ...
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in one step.

    Raises:
        RunError: the disk is full or the folder cannot be written; the old checkpoint is untouched.
    """
    tensors = {
        name: tensor.detach().to(CPU, copy=True).contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    metadata = {
        "format": "rhapsode-checkpoint",
        "version": str(VERSION),
        "values": json.dumps(dict(checkpoint.values)),
    }
    write_arrays(path, tensors, metadata, save_file)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        RunError: missing, torn, or of another version.
    """
    if not path.exists():
        raise RunError(
            "there is no checkpoint to resume from",
            where=str(path),
            hint="start a new run in another folder",
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != "rhapsode-checkpoint" or metadata.get("version") != str(
                VERSION
            ):
                raise RunError("not a checkpoint of this release", where=str(path))
            values = json.loads(metadata["values"])
            # Copies: Windows replaces no file that is mapped, and the next checkpoint goes there.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError) as problem:
        raise RunError(
            f"the checkpoint is damaged ({first_line(problem)})", where=str(path)
        ) from None
    return Checkpoint(tensors, values)
