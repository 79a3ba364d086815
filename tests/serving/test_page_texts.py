"""Models that write texts in strokes: the values of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rhapsode as rh
from tests.modalities.strokes.test_writing import write_lines
from tests.serving.served import Client, served


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("writing")
    rh.train(
        str(write_lines(folder / "lines.ndjson", 30)),
        output=str(folder / "hand"),
        steps=2,
        network={"hidden_size": 8, "dropout": 0.0},
        head={"components": 2},
        strokes={"prepare": "keep"},
        training={"batch_size": 8},
        samples={"length": 0},
    )
    with served([Path(folder / "hand")]) as one:
        yield one


def test_a_text_is_written(client: Client) -> None:
    (listed,) = client.get("/api/models").json()["data"]
    assert (listed["kind"], listed["writes_texts"]) == ("strokes", True)
    found = client.post("/api/drawings", json={"text": "abc", "count": 2, "seed": 1})
    assert found.status_code == 200, found.text
    assert len(found.json()["drawings"]) == 2


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "text"),
        ({"text": " "}, "text"),
        ({"text": 3}, "text"),
        ({"text": "a" * 501}, "text"),
        ({"text": "abc", "begun": [[[0, 9], [0, 5]]]}, "begun"),
        ({"text": "/etc/passwd"}, "prompt"),  # a text and no path: it has unseen letters
    ],
)
def test_what_is_no_text_to_write(client: Client, fields: dict[str, Any], param: str) -> None:
    error = client.refused("/api/drawings", count=1, **fields)
    assert (error["param"], error["status"]) == (param, 400)
