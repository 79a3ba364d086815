"""Whatever is registered, or fulfils a contract, runs the contract's suite in some test file."""

import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rhapsode.bundle import Predictor
from rhapsode.encoding import ENCODERS
from rhapsode.generation import FILTERS
from rhapsode.heads import HEADS
from rhapsode.modalities import MODALITIES
from rhapsode.models import FAMILIES
from rhapsode.models.attention.contract import ATTENTIONS
from rhapsode.models.attention.source_encoders import SOURCE_ENCODERS
from rhapsode.models.inputs import CONDITIONERS
from tests.contracts.encoder_contract import EncoderContract
from tests.contracts.filter_contract import FilterContract
from tests.contracts.head_contract import HeadContract
from tests.contracts.modality_contract import ModalityContract
from tests.contracts.model_contract import ModelContract
from tests.contracts.predictor_contract import AnyPredictorContract

TESTS = Path(__file__).parent.parent


@cache
def suites(room: str, contract: type[Any]) -> tuple[type[Any], ...]:
    """The suites of a contract in the test files of a room that pytest collects."""
    found = []
    for path in sorted((TESTS / room).rglob("test_*.py")):
        name = ".".join(path.relative_to(TESTS.parent).with_suffix("").parts)
        for suite in vars(importlib.import_module(name)).values():
            if isinstance(suite, type) and issubclass(suite, contract):
                found += [suite] if suite.__name__.startswith("Test") else []
    return tuple(found)


def subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


PREDICTORS = sorted(
    {
        cls
        for cls in subclasses(Predictor)
        if cls.__module__.startswith("rhapsode.") and not inspect.isabstract(cls)
    },
    key=lambda cls: cls.__name__,
)


@pytest.mark.parametrize("cls", PREDICTORS, ids=lambda cls: cls.__name__)
def test_every_predictor_runs_the_suite(cls: type[Predictor]) -> None:
    rooms = ("bundle", "engine")
    assert any(
        type(suite().make()) is cls
        for room in rooms
        for suite in suites(room, AnyPredictorContract)
    )


@pytest.mark.parametrize("name", FAMILIES.names())
def test_every_family_runs_the_suite(name: str) -> None:
    network = FAMILIES.get(name).load()
    assert any(suite.family is network for suite in suites("models", ModelContract))


@pytest.mark.parametrize("name", CONDITIONERS.names())
def test_every_conditioner_runs_the_suite(name: str) -> None:
    conditioner = CONDITIONERS.get(name)
    owners: set[type[Any]] = set()
    for suite in suites("models", ModelContract):
        for config in suite.configurations.values():
            model = suite().make(config)
            owners.add(type(getattr(model, "conditioner", None)))
    assert conditioner in owners


@pytest.mark.parametrize("name", [*ATTENTIONS.names(), *SOURCE_ENCODERS.names()])
def test_every_attention_and_source_encoder_runs_the_suite(name: str) -> None:
    registry: Any = ATTENTIONS if name in ATTENTIONS.names() else SOURCE_ENCODERS
    owners: set[type[Any]] = set()
    for suite in suites("models", ModelContract):
        for config in suite.configurations.values():
            owners.update(map(type, suite().make(config).children()))
    assert registry.get(name) in owners


@pytest.mark.parametrize("name", HEADS.names())
def test_every_head_runs_the_suite(name: str) -> None:
    assert any(type(suite().make()) is HEADS.get(name) for suite in suites("heads", HeadContract))


@pytest.mark.parametrize("name", FILTERS.names())
def test_every_filter_runs_the_suite(name: str) -> None:
    assert any(
        type(own) is FILTERS.get(name)
        for suite in suites("generation", FilterContract)
        for own in suite.filters
    )


@pytest.mark.parametrize("name", ENCODERS.names())
def test_every_encoding_runs_the_suite(name: str) -> None:
    assert any(
        ENCODERS.full_name(suite.encoding) == name for suite in suites("encoding", EncoderContract)
    )


@pytest.mark.parametrize("name", MODALITIES.names())
def test_every_modality_runs_the_suite(name: str) -> None:
    assert any(suite.name == name for suite in suites("modalities", ModalityContract))
