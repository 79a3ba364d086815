"""What `[network]` and the plan say, as the components of a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.network import build_network
from rhapsode.config import (
    DEFAULT_BUDGET,
    OptimisationSettings,
    TrainSettings,
    from_mapping,
    suggest,
    to_mapping,
)
from rhapsode.encoding import Encoder
from rhapsode.errors import SettingsError
from rhapsode.models import INPUTS, MODELS
from rhapsode.training import Plan, plan_run

__all__ = ["check_network", "network_config", "planned_settings"]


def planned_settings(
    settings: TrainSettings, plan: Plan, family: str, encoder: Encoder
) -> TrainSettings:
    """The settings with what was left open filled from the plan."""
    asked = to_mapping(settings.training)
    training = from_mapping(OptimisationSettings, {**plan.training, **asked}, where="[training]")
    return replace(
        settings,
        model=family,
        encoding=encoder.name,
        encoder=encoder.settings,
        training=training,
        network=_own_network({**plan.network, **settings.network}),
        budget=settings.budget
        or (None if settings.epochs is not None or settings.steps is not None else DEFAULT_BUDGET),
    )


def _own_network(network: Mapping[str, Any]) -> dict[str, Any]:
    """`network` without what is planned for the table but has no place with one-hot input."""
    if str(network.get("input", "table")).startswith("onehot"):
        return {key: value for key, value in network.items() if key != "embedding_size"}
    return dict(network)


def network_config(settings: TrainSettings, vocab_size: int) -> NetworkConfig:
    """The components that `[network]` describes.

    `input`, `embedding_size` and `input_dropout` belong to the input module, `head_bias` to the head, everything else
    to the family.
    """
    network = dict(settings.network)
    input_name = INPUTS.full_name(str(network.pop("input", "table")))
    input_settings: dict[str, Any] = {"vocab_size": vocab_size}
    if input_name.startswith("table") and "embedding_size" in network:
        input_settings["embedding_size"] = network.pop("embedding_size")
    if "input_dropout" in network:
        input_settings["dropout"] = network.pop("input_dropout")
    transformer = settings.model.startswith("transformer")
    if transformer and input_name.startswith("table"):
        # The residual stream starts small, as its branches do.
        input_settings["init_std"] = 0.02
    bias = network.pop("head_bias", not transformer)
    return NetworkConfig(
        Component(input_name, input_settings),
        Component(settings.model, network),
        Component("categorical.v1", {"vocab_size": vocab_size, "bias": bias}),
    )


def check_network(settings: TrainSettings, family: str) -> None:
    """Find what is wrong with `[network]` before anything is read.

    Raises:
        SettingsError: a setting that this family lacks, or values that do not go together.
    """
    own = {field.name for field in dataclasses.fields(MODELS.get(family).Config)} - {"input_size"}
    known = [*sorted(own), "embedding_size", "head_bias", "input", "input_dropout"]
    for name in settings.network:
        if name not in known:
            raise SettingsError(
                f"unknown setting 'network.{name}' for {family}", hint=suggest(name, known)
            )
    plan = plan_run(
        family=family,
        elements=1 << 20,
        vocab_size=3,
        seconds=60.0,
        epochs=None,
        steps=None,
        fast=True,
    )
    asked = replace(
        settings, model=family, network=_own_network({**plan.network, **settings.network})
    )
    with torch.device("meta"):
        build_network(network_config(asked, 3))
