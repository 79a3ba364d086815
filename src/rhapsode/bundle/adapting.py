"""Dynamic evaluation and a neural cache.

Both are models that go on learning from the text they are scored on: they score an element first
and learn from it afterwards. This module works on a network and batches in reading order, wherever
the batches come from.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor, nn

from rhapsode.bundle.device import numbers, scalar, tensor_on
from rhapsode.bundle.network import Network, mask_logits
from rhapsode.data import Batch
from rhapsode.models import State


@dataclass(frozen=True)
class AdaptSettings:
    """Settings of adaptation.

    The defaults were chosen on validation slices, see docs/experiments.md.
    """

    segment: Annotated[int, Meta(ge=1)] = 20
    """Elements that are scored before one step is made on them."""
    learning_rate: Annotated[float, Meta(ge=0.0)] = 1e-3
    """The approximate maximum change of a weight in one step."""
    decay: Annotated[float, Meta(ge=0.0, le=1.0)] = 1e-2
    """Share of the way back to the original weights that is gone in one step."""
    damping: Annotated[float, Meta(ge=0.0)] = 1.0
    """Added to every gradient's root mean square, in units of the mean of these; holds back rare
    weights."""
    cache_size: Annotated[int, Meta(ge=1)] = 2000
    """Elements that the cache looks back on."""
    theta: Annotated[float, Meta(ge=0.0)] = 20.0
    """Factor of the cosine of two features in the votes of the cache."""
    cache_share: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.1
    """Share of the cache in the mixture, lambda."""


@dataclass(frozen=True)
class Adapted:
    """Losses of elements by models that adapt.

    Arguments:
        positions_N: where the scored elements stand in the text, in the order they were read.
        nats: of each, (N,), by name: "static" (the model as it is), "dynamic", "cache" and "both";
            "dynamic" and "both" are missing where learning diverged.
        seconds: what each would take by itself.
        diverged: the first element of the segment at which learning broke down, or None.
    """

    positions_N: NDArray[np.int64]
    nats: dict[str, NDArray[np.float32]]
    seconds: dict[str, float]
    diverged: int | None


def adapted_losses(
    network: Network,
    batches: Iterable[Batch],
    settings: AdaptSettings,
    *,
    carried: bool = True,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Adapted:
    """Score batches in order with a fixed model and with adapting ones.

    Dynamic evaluation (Krause, Kahembwe, Murray and Renals 2018, "Dynamic evaluation of neural
    sequence models"): every batch is a segment; after it a copy of the network makes one step down
    its gradient, divided by the gradients' root mean square, and is drawn back to the original
    weights. The paper takes the mean squares from the training data; here there is none, so they
    are the mean over the segments scored so far. Gradients reach back over one segment.

    Neural cache (Grave, Joulin and Usunier 2017, "Improving neural language models with a
    continuous cache"): the last `cache_size` features, each with the element that followed, vote
    for what follows features like theirs, by exp(theta * cosine). The paper takes the plain
    product; with the cosine one theta serves models of any width. While the cache is empty, the
    model is used alone.

    If batches have masks, every model is normalised over the allowed elements.

    Arguments:
        network: with a vocabulary; left as it is.
        batches: in reading order, elements to score in the order of rows, then columns. Elements of
            weight 0 are read, but neither scored nor learnt.
        settings: of the adaptation.
        carried: True if a batch continues from the state after the previous one; `reset_BT` is
            honoured. Otherwise each is read from the zero state.
        seconds: time limit, after which no batch is begun, except for the first.
        clock: returns the time in seconds.

    Returns:
        The losses by every model.
    """
    still, learner = _Reader(network, carried), _Learner(network, settings)
    learning = _Reader(learner.network, carried)
    cache, learning_cache = _Cache(settings), _Cache(settings)
    spent = dict.fromkeys(("static", "dynamic", "cache", "both"), 0.0)
    nats: dict[str, list[Tensor]] = {name: [] for name in spent}
    positions: list[NDArray[np.int64]] = []
    diverged: int | None = None
    was_training = network.training
    network.eval()
    began = moment = clock()

    def took(*ways: str) -> None:
        nonlocal moment
        before, moment = moment, clock()
        for way in ways:
            spent[way] += moment - before

    try:
        for batch in batches:
            if positions and moment - began >= seconds:
                break
            with torch.no_grad():
                scored = still.read(batch)
            nats["static"].append(-scored.log_prob_T)
            assert batch.positions_BT is not None, "a sweep needs the positions of its targets"
            positions.append(batch.positions_BT[batch.weights_BT > 0])
            took("static", "cache")
            nats["cache"].append(-cache.mix(scored))
            took("cache")
            if diverged is not None:
                continue
            with torch.enable_grad():
                learnt = learning.read(batch)
            nats["dynamic"].append(-learnt.log_prob_T.detach())
            if not len(learnt.targets_T):
                took("dynamic", "both")
                continue
            # Only a broken learner loses more than the model and a uniform guess together.
            limit = scalar(-scored.log_prob_T.mean()) + math.log(max(2, network.head.width))
            loss = -learnt.log_prob_T.mean()
            is_sound = scalar(loss) <= limit and learner.learn(loss)
            took("dynamic", "both")
            if is_sound:
                nats["both"].append(-learning_cache.mix(learnt))
                took("both")
            else:
                diverged = int(positions[-1][0])
    finally:
        network.train(was_training)
    if diverged is not None:
        for name in ("dynamic", "both"):
            del nats[name], spent[name]
    return Adapted(
        np.concatenate(positions) if positions else np.zeros(0, dtype=np.int64),
        {
            name: numbers(torch.cat(parts) if parts else torch.zeros(0))
            for name, parts in nats.items()
        },
        spent,
        diverged,
    )


class _Scored(NamedTuple):
    """Features, scored targets and their log-probabilities, in reading order.

    `allowed_TV` holds the elements that may follow; None: all.
    """

    y_TH: Tensor
    targets_T: Tensor
    log_prob_T: Tensor
    allowed_TV: Tensor | None


class _Reader:
    def __init__(self, network: Network, carried: bool) -> None:
        self._network = network
        self._carried = carried
        self._state: State | None = None

    def read(self, batch: Batch) -> _Scored:
        reading = self._network.read(batch, self._state)
        if self._carried:
            self._state = reading.state.detach()
        scored_BT = tensor_on(reading.y_BTH.device, batch.weights_BT > 0)
        y_TH, targets_T = reading.y_BTH[scored_BT], reading.targets[scored_BT]
        if not len(targets_T):
            return _Scored(y_TH, targets_T, y_TH.new_zeros(0), None)
        logits_BTV, allowed_TV = self._network.head(y_TH[None]), None
        if reading.masks is not None:
            allowed_TV = reading.masks[0][scored_BT]
            logits_BTV = mask_logits(logits_BTV, allowed_TV[None])
        log_prob_BT = self._network.head.log_prob(logits_BTV, targets_T[None])
        return _Scored(y_TH, targets_T, log_prob_BT[0], allowed_TV)


class _Learner:
    """A copy of a network that adapts to a text.

    Its weights and gradients lie in one vector each.
    """

    def __init__(self, network: Network, settings: AdaptSettings) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(True)
        self._settings = settings
        parameters = list(self.network.parameters())
        self._weights = torch.cat([p.detach().flatten() for p in parameters])
        self._original = self._weights.clone()
        self._gradient = torch.zeros_like(self._weights)
        self._squares = torch.zeros_like(self._weights)
        self._root, self._some = torch.empty_like(self._weights), torch.empty_like(self._weights)
        self._steps = 0
        sizes = [parameter.numel() for parameter in parameters]
        parts = (parameters, torch.split(self._weights, sizes), torch.split(self._gradient, sizes))
        for parameter, weights, gradient in zip(*parts, strict=True):
            parameter.data = weights.view_as(parameter)
            parameter.grad = gradient.view_as(parameter)  # autograd adds to it in place

    def learn(self, loss: Tensor) -> bool:
        """Make one step down the gradient of a loss.

        Returns False, without a step, if the gradient is not finite.
        """
        self._gradient.zero_()
        torch.autograd.backward(loss)
        if not torch.isfinite(self._gradient.norm()):
            return False
        self._steps += 1
        # In place throughout: these vectors are as long as the network, and allocating memory costs
        # more than the sums.
        root, some, settings = self._root, self._some, self._settings
        torch.mul(self._gradient, self._gradient, out=some)
        self._squares.lerp_(some, 1 / self._steps)
        torch.sqrt(self._squares, out=root)
        mean = scalar(root.mean())
        if mean == 0.0:
            return True
        torch.add(root, settings.damping * mean + 1e-30, out=some)
        self._gradient.div_(some)
        torch.sub(self._original, self._weights, out=some)
        root.mul_(settings.decay / mean).clamp_(max=1.0)
        self._weights.addcmul_(root, some).sub_(self._gradient, alpha=settings.learning_rate)
        return True


class _Cache:
    def __init__(self, settings: AdaptSettings) -> None:
        self._settings = settings
        self._keys_WH: Tensor | None = None
        self._values_W: Tensor | None = None

    @torch.no_grad()
    def mix(self, scored: _Scored) -> Tensor:
        """Log-probabilities of the mixture.

        Every element sees those before it, including those of its own segment.
        """
        y_TH, targets_T, log_prob_T, allowed_TV = scored
        size, share = self._settings.cache_size, self._settings.cache_share
        keys_SH = nn.functional.normalize(y_TH.float(), dim=-1)
        queries_TH, values_S = keys_SH, targets_T
        if self._keys_WH is not None and self._values_W is not None:
            keys_SH = torch.cat((self._keys_WH, keys_SH))
            values_S = torch.cat((self._values_W, values_S))
        old = len(values_S) - len(targets_T)
        number_S = torch.arange(len(values_S), device=values_S.device)
        number_T1 = number_S[old:, None]
        seen_TS = (number_S < number_T1) & (number_S >= number_T1 - size)
        if allowed_TV is not None:
            seen_TS &= allowed_TV[:, values_S]
        votes_TS = (queries_TH @ keys_SH.T) * self._settings.theta
        votes_TS = votes_TS.masked_fill(~seen_TS, -math.inf)
        right_TS = votes_TS.masked_fill(values_S != targets_T[:, None], -math.inf)
        cached_T = right_TS.logsumexp(-1) - votes_TS.logsumexp(-1)
        weight = math.log(share) if share else -math.inf
        mixed_T = torch.logaddexp(log_prob_T + math.log1p(-share), cached_T + weight)
        self._keys_WH, self._values_W = keys_SH[-size:], values_S[-size:]
        return torch.where(seen_TS.any(-1), mixed_T, log_prob_T)
