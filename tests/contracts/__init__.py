"""Reusable suites: whatever claims a contract subclasses its suite and passes it unchanged."""

import pytest

for _name in ("encoder", "filter", "head", "model", "predictor"):
    pytest.register_assert_rewrite(f"{__name__}.{_name}_contract")
