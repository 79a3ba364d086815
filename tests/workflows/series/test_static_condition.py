"""Static attributes as the condition of a network of series: from a table to forecasts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.bundle.network import load_network, network_arrays
from rhapsode.config import GenerateSettings
from rhapsode.data.tables import SeriesSet
from rhapsode.errors import BundleError, SettingsError
from rhapsode.modalities.series.corpus import encode_series
from rhapsode.modalities.series.settings import ForecastSettings
from rhapsode.modalities.series.synthesis import make_series
from rhapsode.modalities.values.modality import ScoredPart
from rhapsode.training import Step
from rhapsode.workflows.runs.run import prepare_training

QUICK = {"steps": 25, "training": {"evaluations": 2}}
STATIC = {"hidden_size": 8, "conditioner": "static", "condition_size": 5}


def table(folder: Path) -> Path:
    """Series of two regions, each with a size, of which one is not known."""
    random = np.random.default_rng(2)
    lines = ["shop,day,sales,size,region"]
    for shop in range(8):
        sign, region = (1, "north") if shop % 2 else (-1, "south")
        size = "" if shop == 3 else shop / 2
        value = 0.0
        for day in range(40):
            value = sign * 0.8 * value + random.normal()
            date = np.datetime64("2024-01-01") + day
            lines.append(f"s{shop},{date},{10 + value:.3f},{size},{region}")
    path = folder / "shops.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table(tmp_path_factory.mktemp("shops"))


def train(shops: Path, folder: Path, network: dict[str, object], **more: object) -> rh.SeriesModel:
    asked = {**QUICK, "series": {"static": ["size", "region"]}, "network": network, **more}
    return rh.train(str(shops), output=str(folder), **asked)


@pytest.fixture(scope="module")
def model(shops: Path, tmp_path_factory: pytest.TempPathFactory) -> rh.SeriesModel:
    return train(shops, tmp_path_factory.mktemp("model") / "run", STATIC)


def moved(given: SeriesSet) -> SeriesSet:
    """The same values, every series in the other region."""
    return replace(given, categories_SA=1 - given.categories_SA)


def paths_of(model: rh.SeriesModel, history: object) -> np.ndarray:
    forecast = model.forecast(history, horizon=3, samples=20)
    return np.asarray(forecast.paths_BSHK)


def test_the_condition_is_learnt_and_decides_forecasts(model: rh.SeriesModel, shops: Path) -> None:
    bundle = model.bundle
    assert bundle.config.conditioner is not None
    assert bundle.config.conditioner.settings == {"static_size": 3, "condition_size": 5}
    covariates = bundle.facts.covariates
    assert covariates.size == 2 * len(covariates.calendar)
    given = model.read(str(shops))
    condition = covariates.condition(given, np.array([3, 0]))
    assert np.isnan(condition.static_BK[0, 0])
    assert condition.static_BK[:, 1:].tolist() != condition.static_BK[::-1, 1:].tolist()
    assert condition.static_BK[:, 1:].sum(axis=1).tolist() == [1.0, 1.0]

    together = paths_of(model, given)
    alone = paths_of(model, given.select([3]))
    np.testing.assert_allclose(alone[0], together[3], rtol=1e-5)
    assert np.abs(paths_of(model, moved(given)) - together).max() > 1e-4

    first_S = np.full(len(given), 20)
    losses = [
        ScoredPart(
            encode_series(bundle.encoder, covariates, each, first_S),
            first_S,
            each.lengths - first_S,
        ).loss(model.predictor, bundle.facts.warm_up)
        for each in (given, moved(given))
    ]
    assert losses[0] != losses[1]
    state = model.start(given)
    again = model.start(moved(given))
    assert not np.allclose(state.memory.memory_MC, again.memory.memory_MC)


def test_prompts_begin_under_the_attributes_of_their_series(
    model: rh.SeriesModel, shops: Path
) -> None:
    given = model.read(str(shops)).select([3])
    state, _ = model.prompt(given, GenerateSettings()).start(model.predictor)
    memory_MC = state.memory.memory_MC
    np.testing.assert_array_equal(memory_MC, model.start(given).memory.memory_MC)
    prompt = model.prompt("", GenerateSettings(seed=1))
    found, _ = prompt.start(model.predictor)
    own = model.bundle.facts.covariates.condition(prompt.series, np.array([0]))
    memory = model.predictor.network.model.init_state(1, condition=own).memory_MC
    np.testing.assert_array_equal(found.memory.memory_MC, memory.detach())


def test_new_series_begin_under_the_attributes_of_their_template(model: rh.SeriesModel) -> None:
    asked = {"count": 2, "settings": ForecastSettings()}
    one, other = (make_series(model.predictor, 5, like, **asked) for like in ("s1", "s1"))
    np.testing.assert_array_equal(one.values_NK, other.values_NK)
    templates = model.bundle.facts.templates
    swapped = tuple(
        replace(each, categories=tuple(1 - kind for kind in each.categories))
        for each in templates.series
    )
    facts = replace(model.bundle.facts, templates=replace(templates, series=swapped))
    predictor = type(model.predictor)(replace(model.bundle, facts=facts), model.predictor.network)
    elsewhere = make_series(predictor, 5, "s1", **asked)
    assert np.abs(elsewhere.values_NK - one.values_NK).max() > 1e-5


def test_a_resumed_run_is_the_unbroken_one(shops: Path, tmp_path: Path) -> None:
    asked = {**QUICK, "series": {"static": ["size", "region"]}, "network": STATIC}
    weights = []
    for name, stop_at in (("whole", None), ("parts", 11)):
        folder = str(tmp_path / name)
        run = prepare_training((str(shops),), asked, output=folder)
        for event in run.events():
            if isinstance(event, Step) and event.step == stop_at:
                run.loop.stop()
        if stop_at is not None:
            run = prepare_training((str(shops),), asked, output=folder, resume=True)
            list(run.events())
        assert run.loop.progress.step == QUICK["steps"]
        weights.append(network_arrays(run.run.network))
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name], err_msg=name)


def test_without_the_setting_attributes_are_fed_at_every_time(shops: Path, tmp_path: Path) -> None:
    fed = train(shops, tmp_path / "run", {"hidden_size": 8})
    covariates = fed.bundle.facts.covariates
    assert fed.bundle.config.conditioner is None
    assert covariates.size == 2 * (len(covariates.calendar) + 1) + 2
    assert covariates.condition(fed.read(str(shops)), np.array([0])) is None


@pytest.mark.parametrize(
    ("network", "static", "message"),
    [
        ({"conditioner": "static"}, [], "these series have none"),
        ({"conditioner": "statik"}, ["size"], "statik"),
        ({"condition_size": 3}, ["size"], "a setting of a conditioner"),
        ({"conditioner": "static", "condition_size": 0}, ["size"], "condition_size"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    network: dict[str, object], static: list[str], message: str, shops: Path, tmp_path: Path
) -> None:
    source = shops
    if not static:
        source = tmp_path / "bare.csv"
        bare = (line.rsplit(",", 2)[0] for line in shops.read_text().splitlines())
        source.write_text("\n".join(bare) + "\n")
    with pytest.raises(SettingsError, match=message):
        rh.train(
            str(source),
            output=str(tmp_path / "run"),
            network=network,
            series={"static": static},
            **QUICK,
        )


def test_a_file_whose_conditioner_and_attributes_disagree_is_refused(
    model: rh.SeriesModel,
) -> None:
    bundle = model.bundle
    facts = replace(
        bundle.facts,
        covariates=replace(bundle.facts.covariates, categories=(), levels=()),
    )
    with pytest.raises(BundleError, match="no conditioner of static_size 1"):
        load_network(replace(bundle, facts=facts))
