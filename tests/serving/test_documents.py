"""Music as notation, as ABC and as files; forecasts of series."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

import rhapsode as rh
from rhapsode.serving.serve_settings import ServeSettings
from tests.modalities.music.chorales import roll_file, tune
from tests.serving.served import MODELS, Client, served

midi_writer = pytest.importorskip("rhapsode.modalities.music.files.midi.midi_writer")

ABC = "X:1\nT:a tune\nM:4/4\nL:1/4\nK:C\nC E G c|c G E C|\n"


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("music")
    rh.train(
        str(roll_file(folder)),
        output=str(folder / "run"),
        steps=3,
        network={"hidden_size": 8, "embedding_size": 8},
        training={"batch_size": 4, "window": 16},
        samples={"length": 0},
    )
    with served([folder / "run"], ServeSettings()) as client:
        yield client


def file(content: bytes, suffix: str) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode(), "suffix": suffix}


def test_prompts_as_files_and_documents_in_answers(music: Client) -> None:
    content = midi_writer.midi_bytes(tune(3))
    answer = music.complete(
        file(content, ".mid"), max_tokens=20, seed=2, document=".mid", temperature=0.8
    )
    (choice,) = answer["choices"]
    document = choice["rhapsode"]["document"]
    assert document["mime"] == "audio/midi"
    assert base64.b64decode(document["base64"]).startswith(b"MThd")
    again = music.complete(file(content, ".mid"), max_tokens=20, seed=2, temperature=0.8)
    assert again["choices"][0]["text"] == choice["text"]
    last = music.events(prompt=file(content, ".mid"), max_tokens=20, seed=2, document=".abc")[-1]
    tune_text = base64.b64decode(last["rhapsode"]["document"]["base64"]).decode()
    assert "\nK:" in tune_text


def test_prompts_as_text(music: Client) -> None:
    notation = music.text("", max_tokens=12, seed=1)
    assert music.text(notation, max_tokens=4, seed=1) is not None
    assert music.text(ABC, max_tokens=8, seed=1) is not None


def test_a_path_is_no_prompt(music: Client, tmp_path: Path) -> None:
    path = tmp_path / "tune.mid"
    path.write_bytes(midi_writer.midi_bytes(tune(3)))
    for name in (path, tmp_path, Path("/etc/passwd")):
        error = music.refused(prompt=str(name))
        assert error["code"] == "unknown_character"
    assert music.refused(prompt=file(b"MThd", ".mid"))["status"] == 400
    assert music.refused(prompt=file(b"x", ".exe"))["code"] == "invalid_prompt"
    assert music.refused(prompt="", document=".docx")["param"] == "document"


def test_forecasts() -> None:
    pytest.importorskip("rhapsode.verbs.forecast")
    history = (MODELS.parent / "texts" / "wave.csv").read_text()
    with served([MODELS / "s-lstm"], ServeSettings()) as client:
        fields = {"history": history, "horizon": 3, "samples": 20, "seed": 4}
        answer = client.post("/v1/forecasts", json=fields).json()
        assert answer["object"] == "forecast"
        model = rh.load(MODELS / "s-lstm")
        expected = rh.forecast(
            model, str(MODELS.parent / "texts" / "wave.csv"), horizon=3, samples=20, seed=4
        )
        assert answer["forecasts"] == expected.to_mapping()["forecasts"]
        same = {**fields, "history": None, "history_file": file(history.encode(), ".csv")}
        assert client.post("/v1/forecasts", json=same).json()["forecasts"] == answer["forecasts"]
        for wrong, param in (
            ({"horizon": 0}, "horizon"),
            ({"format": "json"}, "format"),
            ({"frobnicate": 1}, "frobnicate"),
            ({"history_file": {}}, "history"),
            ({"history": "/etc/passwd"}, "history"),
            ({"history": "a,b\nx,y\n"}, "history"),
            ({"horizon": 100_000, "samples": 100}, "horizon"),
        ):
            error = client.refused("/v1/forecasts", **{**fields, **wrong})
            assert error["param"] == param
        assert client.refused(prompt="The")["code"] == "unsupported_parameter"
        assert client.refused("/tokenize", prompt="The")["code"] == "unsupported_parameter"
