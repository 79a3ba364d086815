"""The loop of the reading window in compiled code, on a CPU.

Each step is small: in torch its calls take longer than its numbers.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rhapsode.compiling import jitted

LARGEST = 5.0
"""A step is at most e^5 elements, so that one bad query cannot leave the numbers."""
# Powers of e below it count as 0.
_LOWEST = -80.0


def _compiled(function: Any) -> Any:
    return jitted(
        function,
        nogil=True,
        no_cfunc_wrapper=True,
        error_model="numpy",
        fastmath={"contract", "reassoc", "nsz"},
    )


@_compiled
def forwards(
    query_BTD: Any, keys_BSD: Any, length_B: Any, weight_GD: Any, bias_G: Any, kappa_BK: Any,
    seen_BD: Any, weights_BTS: Any, joined_BTD: Any, shape_BTG: Any, kappa_BTK: Any,
) -> None:  # fmt: skip
    """All steps of all rows.

    Centres and last keys go on in place.

    Arguments:
        query_BTD: projected queries.
        keys_BSD: projected elements.
        length_B: elements of each source.
        weight_GD: weights of heights, widths and steps.
        bias_G: their biases.
        kappa_BK: centres.
        seen_BD: keys of what was last read.
        weights_BTS: takes the weights.
        joined_BTD: takes what query and last key make.
        shape_BTG: takes heights, widths and steps.
        kappa_BTK: takes the centres.
    """
    rows, time, meeting = query_BTD.shape
    gaussians = kappa_BK.shape[1]
    for b in range(rows):
        kappa, seen = kappa_BK[b], seen_BD[b]
        for t in range(time):
            joined, shape, weights = joined_BTD[b, t], shape_BTG[b, t], weights_BTS[b, t]
            for j in range(meeting):
                joined[j] = np.tanh(query_BTD[b, t, j] + seen[j])
            for g in range(len(shape)):
                row = weight_GD[g]
                total = bias_G[g]
                for j in range(meeting):
                    total += row[j] * joined[j]
                shape[g] = np.exp(min(total, LARGEST))
            for k in range(gaussians):
                kappa[k] += shape[2 * gaussians + k]
                kappa_BTK[b, t, k] = kappa[k]
            seen[:] = 0.0
            for s in range(length_B[b]):
                total = 0.0
                for k in range(gaussians):
                    distance = kappa[k] - (s + 1)
                    power = -shape[gaussians + k] * distance * distance
                    if power > _LOWEST:
                        total += shape[k] * np.exp(power)
                weights[s] = total
                if total > 0.0:
                    key = keys_BSD[b, s]
                    for j in range(meeting):
                        seen[j] += weights[s] * key[j]


@_compiled
def backwards(
    keys_BSD: Any, length_B: Any, weight_GD: Any, weights_BTS: Any, joined_BTD: Any,
    shape_BTG: Any, kappa_BTK: Any, of_weights_BTS: Any, of_kappa_BK: Any, of_seen_BD: Any,
    of_query_BTD: Any, of_keys_BSD: Any, of_raw_BTG: Any,
) -> None:  # fmt: skip
    """Gradients, from the last step to the first.

    Arguments:
        keys_BSD: as in `forwards`, as are those up to `kappa_BTK`.
        length_B: likewise.
        weight_GD: likewise.
        weights_BTS: likewise.
        joined_BTD: likewise.
        shape_BTG: likewise.
        kappa_BTK: likewise.
        of_weights_BTS: gradients of the weights.
        of_kappa_BK: of the last centres; become those of the first ones.
        of_seen_BD: of the last keys; become those of the first ones.
        of_query_BTD: takes the gradients of the queries.
        of_keys_BSD: takes those of the keys; zeros before.
        of_raw_BTG: takes those of the logarithms of heights, widths and steps.
    """
    rows, time, meeting = joined_BTD.shape
    gaussians = kappa_BTK.shape[2]
    highest = np.exp(LARGEST) * (1 - 1e-6)
    back = np.empty(meeting, dtype=of_seen_BD.dtype)
    for b in range(rows):
        of_kappa, of_seen = of_kappa_BK[b], of_seen_BD[b]
        for t in range(time - 1, -1, -1):
            joined, shape, kappa = joined_BTD[b, t], shape_BTG[b, t], kappa_BTK[b, t]
            of_raw = of_raw_BTG[b, t]
            of_raw[:] = 0.0
            for s in range(length_B[b]):
                key, weight = keys_BSD[b, s], weights_BTS[b, t, s]
                of_weight = of_weights_BTS[b, t, s]
                of_key = of_keys_BSD[b, s]
                for j in range(meeting):
                    of_weight += of_seen[j] * key[j]
                    of_key[j] += weight * of_seen[j]
                for k in range(gaussians):
                    distance = kappa[k] - (s + 1)
                    power = -shape[gaussians + k] * distance * distance
                    if power > _LOWEST:
                        part = of_weight * shape[k] * np.exp(power)
                        of_raw[k] += part
                        of_raw[gaussians + k] += part * power
                        of_kappa[k] -= part * 2 * shape[gaussians + k] * distance
            for k in range(gaussians):
                of_raw[2 * gaussians + k] = of_kappa[k] * shape[2 * gaussians + k]
            back[:] = 0.0
            for g in range(len(of_raw)):
                if shape[g] >= highest:
                    of_raw[g] = 0.0
                row, own = weight_GD[g], of_raw[g]
                for j in range(meeting):
                    back[j] += own * row[j]
            for j in range(meeting):
                of_seen[j] = back[j] * (1 - joined[j] * joined[j])
                of_query_BTD[b, t, j] = of_seen[j]


class ReadingSteps(torch.autograd.Function):
    """Weights, last centres and last keys of a stretch."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, last centres and last keys of a stretch.

        The tensors are queries, keys, lengths, weights, biases, centres and last keys.
        """
        query, keys, lengths, weight, bias, kappa, seen = (
            tensor.detach().contiguous() for tensor in tensors
        )
        rows, time, _ = query.shape
        weights = query.new_zeros(rows, time, keys.shape[1])
        joined, shape = torch.empty_like(query), query.new_empty(rows, time, len(bias))
        kappas = query.new_empty(rows, time, kappa.shape[1])
        kappa, seen = kappa.clone(), seen.clone()
        made = (query, keys, lengths, weight, bias, kappa, seen, weights, joined, shape, kappas)
        forwards(*(tensor.numpy() for tensor in made))
        ctx.save_for_backward(keys, lengths, weight, weights, joined, shape, kappas)
        return weights, kappa, seen

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the tensors of `forward`; lengths have none."""
        saved = ctx.saved_tensors
        keys, _, _, _, joined, shape, _ = saved
        of_weights, of_kappa, of_seen = (each.contiguous() for each in gradients)
        of_kappa, of_seen = of_kappa.clone(), of_seen.clone()
        of_query, of_keys = torch.empty_like(joined), torch.zeros_like(keys)
        of_raw = torch.empty_like(shape)
        made = (*saved, of_weights, of_kappa, of_seen, of_query, of_keys, of_raw)
        backwards(*(tensor.detach().numpy() for tensor in made))
        flat_NG, joined_ND = of_raw.flatten(0, 1), joined.flatten(0, 1)
        return (
            of_query, of_keys, None, flat_NG.t() @ joined_ND, flat_NG.sum(0), of_kappa, of_seen
        )  # fmt: skip
