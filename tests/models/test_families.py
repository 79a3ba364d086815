"""Every registered family claims the contract of a model, in the test file of its name."""

import importlib

import pytest

from rhapsode.models import FAMILIES
from tests.contracts.model_contract import ModelContract


@pytest.mark.parametrize("name", FAMILIES.names())
def test_the_family_claims_the_contract(name: str) -> None:
    module = importlib.import_module(f"tests.models.test_{name.rpartition('.')[0]}")
    suites = [
        suite
        for suite in vars(module).values()
        if isinstance(suite, type) and issubclass(suite, ModelContract)
    ]
    assert FAMILIES.get(name).load() in [
        suite.family for suite in suites if suite.__name__[:4] == "Test"
    ]
