"""Attention mechanisms: dot product, additive, location-sensitive, Gaussian window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import torch
from msgspec import Meta
from torch import Tensor, nn

from rhapsode.models.attention.contract import (
    Attention,
    AttentionConfig,
    Memory,
    Width,
    masked_softmax,
    padded_to,
)
from rhapsode.models.attention.window_steps import ReadingSteps
from rhapsode.models.contract import State, state_dataclass


@dataclass(frozen=True)
class ScoredConfig(AttentionConfig):
    """Settings of `dot.v1` and `additive.v1`."""

    attention_size: Width = 128
    """Features in which queries and keys are compared."""


class Dot(Attention):
    """Scaled dot products of projected queries and keys.

    After Luong, Pham and Manning 2015.

    Nothing is fed back, so that all queries of a stretch are answered at once. The weights equal
    those of `torch.nn.functional.scaled_dot_product_attention`.
    """

    Config = ScoredConfig

    def __init__(self, config: ScoredConfig) -> None:
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.query_size, config.attention_size, bias=False)
        self.key = nn.Linear(config.value_size, config.attention_size, bias=False)
        self._scale = 1 / math.sqrt(config.attention_size)

    def keys(self, values_MSH: Tensor) -> Tensor:
        keys_MSD: Tensor = self.key(values_MSH)
        return keys_MSD

    def weights(self, query_BTH: Tensor, memory: Memory, state: State) -> tuple[Tensor, State]:
        query_BTD = self.query(query_BTH) * self._scale
        scores_BTS = torch.bmm(query_BTD, memory.keys_MSD.transpose(1, 2))
        return masked_softmax(scores_BTS, memory.inside_MS), state


class Additive(Attention):
    """A layer of tanh over query and key.

    After Bahdanau, Cho and Bengio 2015.

    Nothing is fed back, unlike in the paper, so that all queries of a stretch are answered at once.
    """

    Config = ScoredConfig

    def __init__(self, config: ScoredConfig) -> None:
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.query_size, config.attention_size)
        self.key = nn.Linear(config.value_size, config.attention_size, bias=False)
        self.score = nn.Linear(config.attention_size, 1, bias=False)

    def keys(self, values_MSH: Tensor) -> Tensor:
        keys_MSD: Tensor = self.key(values_MSH)
        return keys_MSD

    def weights(self, query_BTH: Tensor, memory: Memory, state: State) -> tuple[Tensor, State]:
        query_BTD = self.query(query_BTH)
        scores_BTS = self.scores(query_BTD[:, :, None], memory.keys_MSD[:, None])
        return masked_softmax(scores_BTS, memory.inside_MS), state

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores of queries (..., D) against keys (..., D), broadcast."""
        scores: Tensor = self.score(torch.tanh(query + keys))[..., 0]
        return scores


@state_dataclass
class PreviousWeights(State):
    """The weights of the previous query, and their sum so far."""

    last_BS: Tensor
    total_BS: Tensor

    @classmethod
    def join(cls, states: Sequence[Self]) -> Self:
        """The rows of several states; those of shorter sources are padded."""
        longest = max(state.last_BS.shape[1] for state in states)
        return super().join([state.fitted(longest) for state in states])

    def fitted(self, longest: int) -> Self:
        """The state for sources padded to a length."""
        if self.last_BS.shape[1] == longest:
            return self
        return self.map(lambda weights_BS: padded_to(weights_BS, longest))


@dataclass(frozen=True)
class LocationConfig(ScoredConfig):
    """Settings of `location.v1`."""

    filters: Annotated[int, Meta(ge=1, le=4096)] = 16
    """Filters over the previous weights."""
    filter_width: Annotated[int, Meta(ge=1, le=1001)] = 7
    """Elements of the source that a filter sees; an odd number centres it."""


class Location(Additive):
    """Additive attention that also sees its previous weights (Chorowski et al. 2015).

    A convolution reads the weights of the previous query and their sum so far. Each query needs the
    weights of the one before it: queries are answered one after another.
    """

    Config = LocationConfig
    config: LocationConfig

    def __init__(self, config: LocationConfig) -> None:
        super().__init__(config)
        self.filter = nn.Conv1d(2, config.filters, config.filter_width, padding="same")
        self.place = nn.Linear(config.filters, config.attention_size, bias=False)

    def zero_state(self, rows: int, memory: Memory) -> State:
        zeros_BS = memory.values_MSH.new_zeros(rows, memory.longest)
        return PreviousWeights(zeros_BS, zeros_BS.clone())

    def fitted(self, state: Any, memory: Memory) -> Any:
        return state.fitted(memory.longest)

    def weights(self, query_BTH: Tensor, memory: Memory, state: Any) -> tuple[Tensor, State]:
        query_BTD, inside_BS = self.query(query_BTH), memory.inside_MS
        last_BS, total_BS = state.last_BS, state.total_BS
        answers = []
        for time in range(query_BTH.shape[1]):
            seen_BCS = self.filter(torch.stack((last_BS, total_BS), dim=1))
            keys_BSD = memory.keys_MSD + self.place(seen_BCS.transpose(1, 2))
            scores_BS = self.scores(query_BTD[:, time, None], keys_BSD)
            last_BS = masked_softmax(scores_BS[:, None], inside_BS)[:, 0].to(total_BS.dtype)
            total_BS = total_BS + last_BS
            answers.append(last_BS)
        return torch.stack(answers, dim=1), PreviousWeights(last_BS, total_BS)


@state_dataclass
class WindowPlace(State):
    """Centres of the Gaussians of a window, in elements of the source.

    Beside them the number of the element of the greatest weight, for whoever looks on.
    """

    kappa_BK: Tensor
    place_B1: Tensor


@dataclass(frozen=True)
class WindowConfig(AttentionConfig):
    """Settings of `gaussian_window.v1`."""

    components: Annotated[int, Meta(ge=1, le=256)] = 10
    """Gaussians of the window."""
    advance: Annotated[float, Meta(ge=1e-4, le=100.0)] = 1.0
    """Elements of the source that the window moves on for each query, before training."""


class GaussianWindow(Attention):
    """A window of Gaussians that only moves forward.

    After Graves 2013, equations 46 to 51.

    The weights are not normalised. Centres are sums of steps, so that all queries of a stretch are
    answered at once.
    """

    Config = WindowConfig
    config: WindowConfig

    def __init__(self, config: WindowConfig) -> None:
        super().__init__()
        self.config = config
        self.shape = nn.Linear(config.query_size, 3 * config.components)
        with torch.no_grad():
            height, width, step = self.shape.bias.chunk(3)
            height.fill_(-math.log(config.components))
            width.fill_(-0.7)  # a deviation of one element
            step.fill_(math.log(config.advance))
            self.shape.weight.mul_(0.1)

    def keys(self, values_MSH: Tensor) -> Tensor:
        return values_MSH[:, :, :0]

    def zero_state(self, rows: int, memory: Memory) -> State:
        values_MSH = memory.values_MSH
        return WindowPlace(
            values_MSH.new_zeros(rows, self.config.components),
            values_MSH.new_zeros(rows, 1, dtype=torch.int64),
        )

    def weights(self, query_BTH: Tensor, memory: Memory, state: Any) -> tuple[Tensor, State]:
        # A step is at most e^5 elements, so that one bad query cannot leave the numbers.
        shape_BTG = self.shape(query_BTH).to(state.kappa_BK.dtype).clamp(max=5.0).exp()
        height_BTK, width_BTK, step_BTK = shape_BTG.chunk(3, dim=-1)
        kappa_BTK = state.kappa_BK[:, None] + step_BTK.cumsum(dim=1)
        # Graves counts elements from 1: a window that has not moved stands before the first one.
        places_S = torch.arange(1, memory.longest + 1, device=kappa_BTK.device).to(kappa_BTK.dtype)
        weights_BTS = _window(height_BTK, width_BTK, kappa_BTK, places_S)
        weights_BTS = weights_BTS.masked_fill(~memory.inside_MS[:, None], 0.0)
        kappa_BK = kappa_BTK[:, -1]
        place_B1 = _heaviest(weights_BTS[:, -1], kappa_BK, memory.lengths_M)
        return weights_BTS, WindowPlace(kappa_BK, place_B1)


def _heaviest(weights_BS: Tensor, kappa_BK: Tensor, lengths_M: Tensor) -> Tensor:
    """The element of the greatest weight, (B, 1).

    Where all weights are 0, far from the source, it is the one nearest to the mean centre.
    """
    weights_BS, kappa_BK = weights_BS.detach(), kappa_BK.detach()
    last_M1 = (lengths_M[:, None] - 1).to(kappa_BK.dtype)
    centre_B1 = (kappa_BK.mean(dim=-1, keepdim=True) - 0.5).clamp(min=0).minimum(last_M1).long()
    greatest_B1 = weights_BS.amax(dim=-1, keepdim=True)
    return torch.where(greatest_B1 == 0, centre_B1, weights_BS.argmax(dim=-1, keepdim=True))


def _window(height: Tensor, width: Tensor, kappa: Tensor, places_S: Tensor) -> Tensor:
    """Sums (..., S) of Gaussians (..., K) at places."""
    distance = kappa[..., None] - places_S
    return (height[..., None] * torch.exp(-width[..., None] * distance.square())).sum(dim=-2)


@state_dataclass
class ReadingPlace(WindowPlace):
    """Centres of a window, and the key of what it last read."""

    seen_BD: Tensor


@dataclass(frozen=True)
class ReadingConfig(WindowConfig):
    """Settings of `reading_window.v1`."""

    attention_size: Width = 64
    """Features in which a query meets what the window last read."""


class ReadingWindow(Attention):
    """A window of Gaussians that knows what it stands on.

    It only moves forward.

    After Graves 2013, equations 46 to 51, where the window's content is fed back into the layer of
    the queries. Here it is fed back into the window alone: whether an element has been dealt with
    depends on the query and on the element, and the layer of the queries remains parallel over
    time.
    """

    Config = ReadingConfig
    config: ReadingConfig
    by_steps: ClassVar[bool] = True
    """True if the steps of a stretch are compiled code where they can be, else calls of torch."""

    def __init__(self, config: ReadingConfig) -> None:
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.query_size, config.attention_size)
        self.key = nn.Linear(config.value_size, config.attention_size, bias=False)
        self.shape = nn.Linear(config.attention_size, 3 * config.components)
        with torch.no_grad():
            height, width, step = self.shape.bias.chunk(3)
            height.fill_(-math.log(config.components))
            width.fill_(-0.7)  # a deviation of one element
            step.fill_(math.log(config.advance))
            self.shape.weight.mul_(0.3)

    def keys(self, values_MSH: Tensor) -> Tensor:
        keys_MSD: Tensor = self.key(values_MSH)
        return keys_MSD

    def zero_state(self, rows: int, memory: Memory) -> State:
        values_MSH, config = memory.values_MSH, self.config
        return ReadingPlace(
            values_MSH.new_zeros(rows, config.components),
            values_MSH.new_zeros(rows, 1, dtype=torch.int64),
            values_MSH.new_zeros(rows, config.attention_size),
        )

    def weights(self, query_BTH: Tensor, memory: Memory, state: Any) -> tuple[Tensor, State]:
        query_BTD, keys_BSD = self.query(query_BTH), memory.keys_MSD
        kappa_BK, seen_BD = state.kappa_BK, state.seen_BD
        kind, weight, bias = kappa_BK.dtype, self.shape.weight, self.shape.bias
        if self.by_steps and query_BTD.is_cpu and query_BTD.shape[1] > 1:
            tensors = (query_BTD, keys_BSD, memory.lengths_M, weight, bias, kappa_BK, seen_BD)
            precise = (each.to(kind) if each.is_floating_point() else each for each in tensors)
            steps: Any = ReadingSteps.apply
            weights_BTS, kappa_BK, seen_BD = steps(*precise)
            place_B1 = _heaviest(weights_BTS[:, -1], kappa_BK, memory.lengths_M)
            return weights_BTS, ReadingPlace(kappa_BK, place_B1, seen_BD)
        places_S = torch.arange(1, memory.longest + 1, device=kappa_BK.device).to(kind)
        inside_BS = memory.inside_MS.to(kind)
        answers = []
        for new_BD in query_BTD.unbind(1):
            joined_BD = torch.tanh(new_BD + seen_BD)
            shape_BG = nn.functional.linear(joined_BD, weight, bias).to(kind).clamp(max=5.0).exp()
            height_BK, width_BK, step_BK = shape_BG.chunk(3, dim=-1)
            kappa_BK = kappa_BK + step_BK
            weights_BS = _window(height_BK, width_BK, kappa_BK, places_S) * inside_BS
            seen_BD = torch.bmm(weights_BS[:, None].to(keys_BSD.dtype), keys_BSD)[:, 0]
            answers.append(weights_BS)
        place_B1 = _heaviest(weights_BS, kappa_BK, memory.lengths_M)
        place = ReadingPlace(kappa_BK, place_B1, seen_BD)
        return torch.stack(answers, dim=1), place
