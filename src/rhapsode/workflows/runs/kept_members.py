"""Best weights of the networks of a run, and their average."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Bundle, Member, read_bundle, write_bundle
from rhapsode.bundle.combined.averaged_predictor import averaged
from rhapsode.files import write_atomically
from rhapsode.workflows.runs.run_folder import RunFolder

Nats = NDArray[np.floating]


class KeptMembers:
    """Files with the best weights of each network of a run.

    Each is a model of one network, beside the checkpoint. The model of the run averages those that
    help.

    Arguments:
        folder: of the run.
        bundle: the model without networks.
    """

    def __init__(self, folder: RunFolder, bundle: Bundle[Any, Any]) -> None:
        self._folder, self._bundle = folder, bundle

    def keep(
        self, number: int, step: int, loss: float | None, nats_N: Nats | None, member: Member
    ) -> float | None:
        """Keep the best weights of a member, and write the model.

        Arguments:
            number: of the member, from 0; all before it are kept already.
            step: updates of the run.
            loss: nats per element of the validation slice; None without one.
            nats_N: nats of its elements, NaN where one is not scored.
            member: the weights.

        Returns:
            Loss of the model, whose networks are averaged; None without validation.

        Raises:
            RunError: a file cannot be written.
        """
        if nats_N is not None:
            file = io.BytesIO()
            np.save(file, nats_N)
            write_atomically(self._nats_path(number), file.getvalue())
        write_bundle(self._path(number), self._model((member,), step, loss))
        numbers, average = self.chosen(number + 1)
        members = [read_bundle(self._path(each)).members[0] for each in numbers]
        write_bundle(self._folder.model, self._model(tuple(members), step, average))
        return average

    def chosen(self, count: int) -> tuple[tuple[int, ...], float | None]:
        """Members whose average is best on the validation slice, and its loss.

        Arguments:
            count: of the members that are there.
        """
        if not self._nats_path(0).exists():
            return tuple(range(count)), None
        return helpful_members(np.stack([np.load(self._nats_path(each)) for each in range(count)]))

    def told(self, count: int) -> list[dict[str, Any]]:
        """Entries of `summary.json`: validation loss and step of each member's best weights."""
        numbers, _ = self.chosen(count)
        return [
            {
                "validation_loss": kept.validation_loss,
                "step": kept.step,
                "averaged": number in numbers,
            }
            for number in range(count)
            for kept in [read_bundle(self._path(number)).provenance]
        ]

    def remove(self, count: int) -> None:
        """Delete the files of the members, which are in the model."""
        for number in range(count):
            self._path(number).unlink(missing_ok=True)
            self._nats_path(number).unlink(missing_ok=True)

    def _model(
        self, members: tuple[Member, ...], step: int, loss: float | None
    ) -> Bundle[Any, Any]:
        provenance = replace(self._bundle.provenance, step=step, validation_loss=loss)
        return replace(self._bundle, members=members, provenance=provenance)

    def _path(self, number: int) -> Path:
        return self._folder.checkpoint.parent / f"member-{number + 1}.safetensors"

    def _nats_path(self, number: int) -> Path:
        return self._path(number).with_suffix(".npy")


def helpful_members(nats_MN: Nats) -> tuple[tuple[int, ...], float]:
    """Choose the members to average, and compute the loss (nats per element).

    Beginning with all of them, the one without which the average is best is left out, as long as
    that lowers the loss (backward elimination).

    Arguments:
        nats_MN: nats of every element by each member, NaN where one is not scored.
    """
    nats_MK = nats_MN[:, ~np.isnan(nats_MN).any(axis=0)]
    numbers = tuple(range(len(nats_MN)))
    best = _loss_of_average(nats_MK, numbers)
    while len(numbers) > 1:
        fewer = [tuple(each for each in numbers if each != left) for left in numbers]
        losses = [_loss_of_average(nats_MK, each) for each in fewer]
        lowest = int(np.argmin(losses))
        if losses[lowest] >= best:
            break
        numbers, best = fewer[lowest], losses[lowest]
    return numbers, best


def _loss_of_average(nats_MK: Nats, numbers: tuple[int, ...]) -> float:
    weights = [1.0 / len(numbers)] * len(numbers)
    return float(-averaged([-nats_MK[each] for each in numbers], weights).mean())


def members_in_words(told: Sequence[Mapping[str, Any]], average: float | None) -> str:
    """A line on the networks of a finished run.

    Arguments:
        told: of each, as in `summary.json`.
        average: validation loss of the average; None without validation.
    """
    if average is None:
        return f"the average of {len(told)} networks"
    losses = ", ".join(f"{member['validation_loss']:.4f}" for member in told)
    line = f"validation of the networks: {losses}; average {average:.4f}"
    out = [str(number) for number, member in enumerate(told, 1) if not member["averaged"]]
    return line + (f" (better without member {', '.join(out)}, left out)" if out else "")
