"""Small networks of every family, as torch runs them and as compiled code does."""

from typing import Any

import numpy as np
import torch

from rhapsode.bundle import Component, IdBundle, Member, NetworkConfig
from rhapsode.bundle.network import Network, build_network, network_arrays
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.modalities.text.facts import TextFacts

# Twelve elements, so that unit vectors, too, divide into heads.
ENCODER = CharacterEncoder.learn(["abcdefghij"], {})
VOCABULARY = ENCODER.vocab_size

FAMILIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "lstm": ("lstm.v1", {"hidden_size": 24}, "carried"),
    "lstm of two layers": ("lstm.v1", {"hidden_size": 20, "num_layers": 2}, "fresh"),
    "gru": ("gru.v1", {"hidden_size": 20, "num_layers": 2}, "carried"),
    "rnn": ("rnn.v1", {"hidden_size": 33}, "carried"),
    "relu": ("rnn.v1", {"hidden_size": 16, "nonlinearity": "relu"}, "carried"),
    "transformer": ("transformer.v1", {"num_layers": 2, "num_heads": 2, "window": 6}, "carried"),
    "wide transformer": (
        "transformer.v1",
        {"num_layers": 1, "num_heads": 1, "window": 70},
        "carried",
    ),
    "tcn": ("tcn.v1", {"hidden_size": 20, "num_layers": 3, "kernel_size": 3}, "carried"),
    "classic in a window": (
        "transformer_classic.v1",
        {"num_layers": 2, "num_heads": 2, "length": 8},
        "window:7",
    ),
    "lstm in a window": ("lstm.v1", {"hidden_size": 16}, "window:5"),
    "transformer in a window": (
        "transformer.v1",
        {"num_layers": 2, "num_heads": 2, "window": 4},
        "window:9",
    ),
    "tcn in a window": ("tcn.v1", {"hidden_size": 16, "num_layers": 2}, "window:6"),
    "adaptive lstm": ("lstm.v1", {"hidden_size": 24}, "carried"),
    "adaptive tcn in a window": ("tcn.v1", {"hidden_size": 16, "num_layers": 2}, "window:6"),
}
TAIL = {"shortlist": 5, "tail_size": 3}


def network_config(family: str, *, input: str = "table.v1", bias: bool = True) -> NetworkConfig:
    model, settings, context = FAMILIES[family]
    width = {"embedding_size": 8} if input == "table.v1" else {}
    tail, table, head = {}, input, "categorical.v1"
    if family.startswith("adaptive"):
        tail, head = TAIL, "adaptive.v1"
        if input == "table.v1":
            table, width = "adaptive_table.v1", width | tail
    return NetworkConfig(
        Component(table, {"vocab_size": VOCABULARY, **width}),
        Component(model, settings),
        Component(head, {"vocab_size": VOCABULARY, "bias": bias, **tail}),
        context,
    )


def network_of(config: NetworkConfig, *, seed: int = 0, sharper: float = 1.0) -> Network:
    """A network with fresh weights, those that start small made larger."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = build_network(config)
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if parameter.dim() == 2 and parameter.std() < 0.1:
                    parameter.mul_(5)
                if "norm" in name or "bias" in name:
                    parameter.add_(0.2 * torch.randn(parameter.shape))
                if name == "head.weight":
                    parameter.mul_(sharper)
    return made.eval()


def bundle_of(config: NetworkConfig, network: Network) -> IdBundle:
    counts_V = np.ones(VOCABULARY, dtype=np.int64)
    return IdBundle(config, ENCODER, TextFacts(counts_V), (Member(network_arrays(network)),))
