"""Encoders of sources: identifiers of a condition to features that attention reads."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import torch
from msgspec import Meta
from torch import Tensor, nn

from rhapsode.config import Registry, from_mapping
from rhapsode.errors import SettingsError
from rhapsode.models.contract import SequenceModel
from rhapsode.models.families import FAMILIES

if TYPE_CHECKING:
    from rhapsode.data import Condition

Width = Annotated[int, Meta(ge=1, le=1 << 20)]
UNKNOWN = 1
"""The identifier of elements that were never seen."""


class EncodedSources(NamedTuple):
    """Features of sources.

    Arguments:
        values_MSH: of every element; zeros on padding.
        summary_MC: of each whole source.
        lengths_M: elements of each source, int64.
    """

    values_MSH: Tensor
    summary_MC: Tensor
    lengths_M: Tensor


class SourceEncoder(nn.Module, ABC):
    """A map of a condition to features of its elements.

    The features of a source do not depend on its padding or on other sources.
    """

    Config: ClassVar[type[Any]]
    """The frozen dataclass of its settings."""
    value_size: int
    """Features of an element."""
    summary_size: int
    """Features of a whole source."""

    @abstractmethod
    def forward(self, condition: Condition) -> EncodedSources:
        """Features of M sources.

        Raises:
            SettingsError: the condition lacks what this encoder reads, or holds something else.
        """


SOURCE_ENCODERS: Registry[type[SourceEncoder]] = Registry("source encoder")


@dataclass(frozen=True)
class BidirectionalConfig:
    """Settings of `bidirectional.v1`."""

    vocab_size: Annotated[int, Meta(ge=1, le=1 << 31)]
    """Identifiers of the sources."""
    family: str = "lstm.v1"
    """Family of the layers."""
    embedding_size: Width = 64
    """Features of an identifier."""
    hidden_size: Width = 128
    """Units of a layer in each direction."""
    num_layers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Number of stacked layers, each in both directions."""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Dropout of the embeddings and of each layer's outputs."""


@SOURCE_ENCODERS.register("bidirectional.v1")
class Bidirectional(SourceEncoder):
    """Layers that read the source forwards and backwards (Schuster and Paliwal 1997).

    With `lstm.v1` it computes what a bidirectional `torch.nn.LSTM` computes from packed sources.
    The summary is the last output of each direction.
    """

    Config = BidirectionalConfig

    def __init__(self, config: BidirectionalConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(config.vocab_size, config.embedding_size)
        nn.init.normal_(self.table.weight, std=config.embedding_size**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        self.onward, self.reverse = nn.ModuleList(), nn.ModuleList()
        width = config.embedding_size
        for _ in range(config.num_layers):
            self.onward.append(self._layer(width))
            self.reverse.append(self._layer(width))
            width = 2 * config.hidden_size
        self.value_size = self.summary_size = width

    def _layer(self, width: int) -> SequenceModel:
        family = FAMILIES.get(self.config.family).load()
        sizes = {"input_size": width, "hidden_size": self.config.hidden_size}
        layer: SequenceModel = family(
            from_mapping(family.Config, sizes, where="[pairs] source encoder")
        )
        return layer

    def forward(self, condition: Condition) -> EncodedSources:
        ids_MS, lengths_M = identifiers_of(condition, self.config.vocab_size, self.table.weight)
        places_S = torch.arange(ids_MS.shape[1], device=ids_MS.device)
        inside_MS1 = (places_S < lengths_M[:, None])[..., None]
        # The backward layers read each source from its own end: padding comes last again.
        mirror_MS1 = (lengths_M[:, None] - 1 - places_S).remainder(ids_MS.shape[1])[..., None]
        x_MSD = self.dropout(self.table(ids_MS))
        for onward, backward in zip(self.onward, self.reverse, strict=True):
            onward_MSH, _ = onward(x_MSD)
            turned_MSH, _ = backward(_gathered(x_MSD, mirror_MS1))
            both_MSH = torch.cat((onward_MSH, _gathered(turned_MSH, mirror_MS1)), dim=-1)
            x_MSD = self.dropout(both_MSH)
        values_MSH = x_MSD * inside_MS1.to(x_MSD.dtype)
        size = self.config.hidden_size
        last_M11 = (lengths_M - 1)[:, None, None]
        last_MH = _gathered(values_MSH[..., :size], last_M11)[:, 0]
        summary_MC = torch.cat((last_MH, values_MSH[:, 0, size:]), dim=-1)
        return EncodedSources(values_MSH, summary_MC, lengths_M)


@dataclass(frozen=True)
class TransformerSourceConfig:
    """Settings of `transformer.v1`."""

    vocab_size: Annotated[int, Meta(ge=1, le=1 << 31)]
    """Identifiers of the sources."""
    hidden_size: Width = 128
    """Features of an element; an even number."""
    num_layers: Annotated[int, Meta(ge=1, le=64)] = 2
    """Number of layers."""
    num_heads: Annotated[int, Meta(ge=1, le=1024)] = 4
    """Number of attention heads; it must divide the features."""
    feedforward_size: Annotated[int, Meta(ge=1, le=1 << 20)] | None = None
    """Units of the feed-forward layer. [default: 4 times the features]"""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Dropout of embeddings, attention and branches."""


@SOURCE_ENCODERS.register("transformer.v1")
class TransformerSource(SourceEncoder):
    """Layers of `torch.nn.TransformerEncoder`, pre-norm, with sines and cosines of the places.

    The summary is the mean over the elements.
    """

    Config = TransformerSourceConfig

    def __init__(self, config: TransformerSourceConfig) -> None:
        super().__init__()
        width = config.hidden_size
        if width % config.num_heads or width % 2:
            raise SettingsError(
                f"{width} features do not divide into {config.num_heads} heads, or are odd",
                where="[pairs] source_size",
            )
        self.config = config
        self.value_size = self.summary_size = width
        self.table = nn.Embedding(config.vocab_size, width)
        nn.init.normal_(self.table.weight, std=width**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        layer = nn.TransformerEncoderLayer(
            width,
            config.num_heads,
            config.feedforward_size or 4 * width,
            config.dropout,
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, config.num_layers, nn.LayerNorm(width), enable_nested_tensor=False
        )

    def forward(self, condition: Condition) -> EncodedSources:
        ids_MS, lengths_M = identifiers_of(condition, self.config.vocab_size, self.table.weight)
        places_S = torch.arange(ids_MS.shape[1], device=ids_MS.device)
        inside_MS = places_S < lengths_M[:, None]
        width = self.config.hidden_size
        x_MSD = self.table(ids_MS) * math.sqrt(width)
        x_MSD = self.dropout(x_MSD + sinusoids(places_S, width).to(x_MSD.dtype))
        values_MSH = self.layers(x_MSD, src_key_padding_mask=~inside_MS)
        values_MSH = values_MSH.masked_fill(~inside_MS[..., None], 0.0)
        summary_MC = values_MSH.sum(dim=1) / lengths_M[:, None].to(values_MSH.dtype)
        return EncodedSources(values_MSH, summary_MC, lengths_M)


@dataclass(frozen=True)
class EmbeddedConfig:
    """Settings of `embedded.v1`."""

    vocab_size: Annotated[int, Meta(ge=1, le=1 << 31)]
    """Identifiers of the sources."""
    embedding_size: Width = 64
    """Features of an identifier."""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Dropout of the embeddings."""


@SOURCE_ENCODERS.register("embedded.v1")
class Embedded(SourceEncoder):
    """A vector for each identifier, and no summary.

    Elements know nothing of their neighbours, so that what is read of a source is what a mechanism
    looks at (Graves 2013 has one-hot vectors here). The unknown identifier begins as zeros.
    """

    Config = EmbeddedConfig

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__()
        self.config = config
        self.value_size, self.summary_size = config.embedding_size, 0
        self.table = nn.Embedding(config.vocab_size, config.embedding_size)
        nn.init.normal_(self.table.weight, std=1.0)
        if config.vocab_size > UNKNOWN:
            nn.init.zeros_(self.table.weight[UNKNOWN])
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, condition: Condition) -> EncodedSources:
        ids_MS, lengths_M = identifiers_of(condition, self.config.vocab_size, self.table.weight)
        places_S = torch.arange(ids_MS.shape[1], device=ids_MS.device)
        values_MSH = self.dropout(self.table(ids_MS))
        values_MSH = values_MSH * (places_S < lengths_M[:, None])[..., None].to(values_MSH.dtype)
        return EncodedSources(values_MSH, values_MSH.new_zeros(len(ids_MS), 0), lengths_M)


def sinusoids(places_S: Tensor, width: int) -> Tensor:
    """Sines and cosines of places, (S, D).

    After Vaswani et al. 2017, section 3.5.
    """
    exponents = torch.arange(0, width, 2, device=places_S.device) / width
    angles = places_S[:, None] * 10000.0**-exponents
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


def identifiers_of(condition: Condition, vocab_size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Identifiers (M, S) and lengths (M,) of a condition.

    Arguments:
        condition: what is read.
        vocab_size: identifiers that the model reads.
        like: a tensor on the device.

    Raises:
        SettingsError: the condition lacks identifiers, or holds something else.
    """
    ids, lengths = condition.ids_BS, condition.lengths_B
    if ids is None or lengths is None:
        raise SettingsError("the condition has no identifiers, which this model reads")
    if condition.static_BK is not None:
        raise SettingsError("the condition has attributes, and this model reads none")
    if int(ids.max()) >= vocab_size:
        raise SettingsError(
            f"the condition holds identifier {int(ids.max())}, "
            f"the model reads {vocab_size} identifiers"
        )
    return torch.as_tensor(ids, device=like.device), torch.as_tensor(lengths, device=like.device)


def _gathered(x_MSD: Tensor, places_MS1: Tensor) -> Tensor:
    """Elements at places of each source."""
    return x_MSD.gather(1, places_MS1.expand(-1, -1, x_MSD.shape[-1]))
