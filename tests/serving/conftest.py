"""A server over small models, in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rhapsode.serving.serve_settings import ServeSettings
from tests.serving.browser import Browser
from tests.serving.browsing import browser_at
from tests.serving.served import MODELS, Client, served


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server with a mixture of characters, and a network of bytes."""
    folder = tmp_path_factory.mktemp("served")
    settings = ServeSettings(states=str(folder / "states"), max_prompt=3000, max_tokens=2000)
    with served([MODELS / "mixed", MODELS / "bytes"], settings) as client:
        yield client


@pytest.fixture
def states(tmp_path: Path) -> dict[str, Any]:
    """Settings of a server with a folder of states of its own."""
    return {"states": str(tmp_path / "states")}


@pytest.fixture
def browser(url: str) -> Iterator[Browser]:
    """A page at the address of a module's own fixture `url`, without problems in the end."""
    with browser_at(url) as one:
        yield one
