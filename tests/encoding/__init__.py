import pytest

pytest.register_assert_rewrite("tests.contracts.encoder_contract")
