"""Series that are continued in turn, looked ahead of, and shown as the network sees them."""

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.config import GenerateSettings
from rhapsode.data.tables import read_series
from rhapsode.errors import DataError, EncodingError, SettingsError
from rhapsode.modalities.opened import collect
from rhapsode.modalities.session import PlaySession
from tests.cli.conftest import Cli, cli  # noqa: F401 - a fixture

QUICK: dict[str, Any] = {
    "steps": 20,
    "network": {"hidden_size": 8},
    "training": {"evaluations": 1},
}
KINDS = {"density": {}, "binned": {"encoding": "binned", "head": {"bins": 12}}}


@pytest.fixture(scope="module", params=list(KINDS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of airline passengers."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    rh.train("airline", output=str(folder), **QUICK, **KINDS[request.param])
    return rh.load(folder)


def said(pieces: Iterator[str]) -> str:
    return "".join(pieces)


def values_in(text: str) -> list[float]:
    return [float(line.split(",")[1]) for line in text.splitlines()]


def test_the_first_turn_is_what_generate_writes(model: Any) -> None:
    settings = GenerateSettings(length=5, seed=3)
    for prompt in ("airline", ""):
        session = PlaySession(model, settings, prompt=prompt)
        written = said(session.write())
        beginning = model.prompt(prompt, settings)
        (whole,) = collect(model.write([beginning], settings), [""], settings)
        rows = list(csv.reader(io.StringIO(whole.text)))[1:]
        times = [row[1] for row in rows]
        assert [line.split(",")[0] for line in written.splitlines()] == times
        assert values_in(written) == [float(row[-1]) for row in rows]
        assert session.text == "time,#Passengers\n" + written


def test_filters_draw_as_in_generate(model: Any) -> None:
    if model.bins is None:
        with pytest.raises(SettingsError, match="--encoding binned"):
            PlaySession(model, GenerateSettings(top_k=3), prompt="airline")
        return
    settings = GenerateSettings(
        length=6, seed=3, top_k=6, xtc_probability=0.5, repetition_penalty=1.5
    )
    session = PlaySession(model, settings, prompt="airline")
    written = said(session.write())
    drawn = model.forecast(
        "airline", horizon=6, samples=1, seed=3, top_k=6, xtc_probability=0.5,
        repetition_penalty=1.5,
    )  # fmt: skip
    # A forecast of whole numbers is whole; a session shows what is drawn.
    np.testing.assert_array_equal(np.rint(values_in(written)), drawn.paths_BSHK[0, 0, :, 0])


def test_a_saved_session_goes_on_bit_for_bit(model: Any, tmp_path: Path) -> None:
    for prompt in ("airline", ""):
        session = PlaySession(model, GenerateSettings(length=4, seed=7), prompt=prompt)
        said(session.write())
        session.add("400, nan, 420")
        session.set("temperature", "0.7")
        said(session.write())
        said(session.again())
        session.save(tmp_path / "session.json")
        said(session.write())
        session.switch(1)
        said(session.write())
        other = PlaySession(rh.load(model.path), prompt="airline")
        other.load(tmp_path / "session.json")
        assert other.settings.temperature == 0.7
        assert other.current == 2
        said(other.write())
        other.switch(1)
        said(other.write())
        assert [view.text for view in other.branches()] == [
            view.text for view in session.branches()
        ]
        for name in (1, 2):
            session.switch(name)
            other.switch(name)
            np.testing.assert_array_equal(other.elements, session.elements)
            for number in (1, 6, 8, -1):
                mine, its = session.why(number).choice, other.why(number).choice
                np.testing.assert_array_equal(mine.quantiles_QK, its.quantiles_QK)
                assert mine.nats == its.nats


def test_steps_are_edited_redrawn_and_taken_back(model: Any) -> None:
    session = PlaySession(model, GenerateSettings(length=3, seed=7), prompt="airline")
    first = said(session.write())
    second = said(session.again())
    assert second != first
    session.edit("450; 460")
    assert values_in(session.turns[-1].text) == [450, 460]
    assert [len(view.text.splitlines()) - 1 for view in session.branches()] == [3, 3, 2]
    third = said(session.write())
    assert third.startswith("1961-03,")
    assert session.undo() == 1
    assert session.text == "time,#Passengers\n"
    with pytest.raises(EncodingError, match="is not a number"):
        session.add("many")
    session.set("temperature", "0")
    calm = said(session.write())
    session.undo()
    assert said(session.write()) == calm


def test_why_is_the_distribution_behind_all_before(model: Any) -> None:
    session = PlaySession(model, GenerateSettings(length=4, seed=7), prompt="airline")
    said(session.write())
    session.add("400")
    said(session.write())
    values = [value for (value,) in session.elements]
    state, _ = session.prompt.start(model.predictor)
    known = session.prompt.known(0, len(values))
    read = np.array(values[:-1]).reshape(1, -1, 1)
    following, _ = model.predictor.advance(read, state, known)
    why = session.why(-1).choice
    np.testing.assert_allclose(why.quantiles_QK, following.table(9).elements[0], rtol=1e-6)
    assert why.nats == pytest.approx(-following.log_prob(np.array([[values[-1]]]))[0], rel=1e-5)


def test_what_is_kept_can_be_learnt_from(model: Any, tmp_path: Path) -> None:
    session = PlaySession(model, GenerateSettings(length=3, seed=7), prompt="airline")
    said(session.write())
    session.keep(tmp_path / "kept.csv")
    said(session.again())
    session.keep(tmp_path / "kept.csv")
    kept = read_series(str(tmp_path / "kept.csv"))
    assert kept.lengths.tolist() == [147, 147]
    assert (kept.values_NK[kept.rows(0)][:144] == kept.values_NK[kept.rows(1)][:144]).all()
    (document,) = session._branch.documents()
    document.save(tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_text() == document.text()
    assert len(document.value.times_N) == 147


def test_a_damaged_session(model: Any, tmp_path: Path) -> None:
    session = PlaySession(model, GenerateSettings(length=2, seed=7), prompt="airline")
    said(session.write())
    path = tmp_path / "session.json"
    session.save(path)
    good = path.read_text()
    for old, new, message in (
        ('"sha256": "', '"sha256": "0', "another model"),
        ('"times_N"', '"times"', "damaged"),
        ('"written",\n     "elements": [\n', '"written",\n     "elements": [\n3,', "not made of"),
    ):
        path.write_text(good.replace(old, new))
        assert path.read_text() != good
        with pytest.raises(DataError, match=message):
            session.load(path)


def test_settings_of_text_are_refused_by_name(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("stop", "ban", "regex", "unknown"):
        with pytest.raises(SettingsError, match="this is for text"):
            PlaySession(model, prompt="airline").set(name, "x")
    table = Path("two.csv")
    rows = [f"{name},19{year}-0{month},{year}" for name in "ab" for year in range(50, 60)
            for month in range(1, 10)]  # fmt: skip
    table.write_text("series,time,#Passengers\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match="one series is continued here, not 2"):
        said(PlaySession(model, prompt=str(table)).write())


def test_quantiles_of_the_next_steps(model: Any) -> None:
    settings = GenerateSettings(seed=0)
    prompt = model.prompt("airline", settings)
    found = model.following([prompt], settings, temperatures=(0.5, 1.0), top=4)
    ((calm, usual),) = found.tables
    assert usual.times == ("1961-01", "1961-02", "1961-03", "1961-04")
    paths = model.forecast("airline", horizon=4, samples=1000, seed=0)
    wanted = paths.quantiles()[:, 0]
    np.testing.assert_array_equal(usual.quantiles_QHK, wanted)
    widths = [one.quantiles_QHK[-1] - one.quantiles_QHK[0] for one in (calm, usual)]
    assert (widths[0] < widths[1]).all()
    new = model.following([model.prompt("", settings)], settings, top=2).tables[0][0]
    assert len(new.times) == 2


def test_the_commands(model: Any, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    folder = str(model.path.parent)
    done = cli("next", folder, "airline", "--top", "3")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()[-3:]] == [
        "1961-01", "1961-02", "1961-03",
    ]  # fmt: skip
    done = cli("next", folder, "--unknown", "skip")
    assert done.code == 1
    assert "--unknown: this is for text" in done.err
    Path("lines").write_text("\n400\n/why -1\n/show\n/quit\n")
    with Path("lines").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        done = cli("play", folder, "airline", "--seed", "1", "--set", "length=2")
    assert done.code == 0, done.err
    assert done.out.startswith("1961-01,")
    assert "1961-03,400\n1961-04," in done.out
    assert "nats" in done.out
    done = cli("encode", folder, "airline")
    assert "144 steps" in done.out


def test_targets_are_those_of_the_encoder(model: Any) -> None:
    (seen,) = model.encoded("airline").to_mapping()["series"]
    given = read_series("airline").values_NK
    encoder = model.bundle.encoder
    encoded = encoder.encode(given, encoder.stats(given))
    targets = [math.nan if row[0] is None else row[0] for row in seen["targets"]]
    np.testing.assert_array_equal(targets, encoded.targets_TK[:, 0])
    assert seen["times"][0] == "1949-01"
