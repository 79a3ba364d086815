"""Contexts by name: three kinds, a size in range, and nothing else."""

import pytest

from rhapsode.config import SeenContext, parse_context
from rhapsode.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("carried", SeenContext("carried")),
        ("fresh", SeenContext("fresh")),
        ("window:1", SeenContext("window", 1)),
        ("window:256", SeenContext("window", 256)),
        ("window:1048576", SeenContext("window", 1 << 20)),
    ],
)
def test_contexts_are_read_and_written(text: str, context: SeenContext):
    assert parse_context(text) == context
    assert str(context) == text


@pytest.mark.parametrize(
    "text",
    ["", "carry", "Carried", "carried ", "window", "window:", "window:0", "window:-1", "window:05",
     "window:1.5", "window:1e3", "window: 3", "window:1048577", "window:99999999", "window:3\n",
     "window:٣", "fresh:3"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_known(text: str):
    with pytest.raises(SettingsError) as caught:
        parse_context(text)
    assert "known: carried, fresh, window:N" in str(caught.value)
