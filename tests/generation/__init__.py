import pytest

pytest.register_assert_rewrite("tests.contracts.filter_contract")
