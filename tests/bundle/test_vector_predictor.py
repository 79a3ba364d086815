"""The predictor of values over vectors: the suite, under a phase known ahead and a class."""

from typing import Any

import numpy as np
import torch

from rhapsode.bundle import Bundle, Component, Member, NetworkConfig, Predictor, ValueCondition
from rhapsode.bundle.network import build_network, load_network, network_arrays
from rhapsode.bundle.value_predictor import ValuePredictor
from tests.contracts.predictor_contract import ROWS, TIME, ValueContract
from tests.modalities.zigzag import ENCODER, ZigzagFacts, condition_of, phase


class TestVectors(ValueContract):
    def make(self) -> Predictor:
        config = NetworkConfig(
            Component("values.v1", {"value_size": 6}),
            Component("gru.v1", {"hidden_size": 8}),
            Component("joint.v1", {"target_size": 3, "kinds": [3]}),
            conditioner=Component("static.v1", {"static_size": 2}),
        )
        torch.manual_seed(3)
        arrays = network_arrays(build_network(config))
        bundle = Bundle(config, ENCODER, ZigzagFacts(), (Member(arrays),))
        return ValuePredictor(bundle, load_network(bundle))

    def elements(
        self, predictor: Predictor, time: int = TIME, rows: int = ROWS, seed: int = 0
    ) -> np.ndarray:
        random = np.random.default_rng(seed)
        moves_BT2 = random.normal(size=(rows, time, 2))
        pens_BT1 = random.integers(3, size=(rows, time, 1)).astype(float)
        return np.concatenate((moves_BT2, pens_BT1), axis=2)

    def probes(self, predictor: Predictor) -> list[np.ndarray]:
        return [np.array([x, -x, pen]) for x in (0.0, 0.7) for pen in (0.0, 1.0, 2.0)]

    def condition(self, predictor: Predictor, rows: int) -> Any:
        return ValueCondition(None, condition_of([1] * rows))

    def known(self, predictor: Predictor, rows: int, first: int, count: int) -> np.ndarray:
        return phase(first, count)[None].repeat(rows, 0)
