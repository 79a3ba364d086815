"""The suite that every modality runs: from sources to a finished run."""

from __future__ import annotations

import json
import math
import tomllib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from rhapsode import load
from rhapsode.bundle import modality_of, read_bundle
from rhapsode.bundle.network import build_network
from rhapsode.config import TrainingSettings, dump_toml, from_mapping, merge, to_mapping
from rhapsode.data import Batch
from rhapsode.errors import DataError
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.choose import choose_modality
from rhapsode.modalities.contract import Degree, Modality, Planned, RunRequest
from rhapsode.models import FAMILIES
from rhapsode.training import Step, read_checkpoint
from rhapsode.workflows.runs.run import prepare_training
from rhapsode.workflows.runs.training import Training

STEPS = 12


def same_arrays(one: Any, other: Any) -> bool:
    """Whether two batches or conditions hold the same."""
    if one is None or other is None:
        return one is other
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return all(
        same_arrays(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
    )


class ModalityContract:
    """Tests of a modality; a subclass names it, writes its sources, and says how small a run is."""

    name: ClassVar[str]
    asked: ClassVar[dict[str, Any]] = {}

    @classmethod
    def registration(cls) -> AbstractContextManager[None]:
        """Where the modality is known by name; everywhere, for those of the package."""
        return nullcontext()

    @classmethod
    @abstractmethod
    def sources(cls, folder: Path) -> tuple[Any, ...]:
        """Sources that are its own."""

    @classmethod
    @abstractmethod
    def others(cls, folder: Path) -> tuple[Any, ...]:
        """Sources that it must not be chosen for."""

    @classmethod
    def settings(cls, **more: Any) -> dict[str, Any]:
        quick = {"steps": STEPS, "training": {"evaluations": 2}, "samples": {"temperatures": [0.8]}}
        return merge(merge(quick, cls.asked), more)

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _known(cls) -> Iterator[None]:
        with cls.registration():
            yield

    @pytest.fixture(scope="class")
    @classmethod
    def modality(cls, _known: None) -> Modality[Any, Any, Any]:
        return MODALITIES.get(cls.name)

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
        return cls.sources(tmp_path_factory.mktemp("sources"))

    @pytest.fixture(scope="class")
    @classmethod
    def planned(
        cls, modality: Modality[Any, Any, Any], source: tuple[Any, ...]
    ) -> Planned[Any, Any, Any]:
        settings = from_mapping(modality.settings, cls.settings(), where="settings")
        modality.check(settings)
        corpus = modality.corpus(source, settings)
        planned = modality.plan(corpus, RunRequest(settings, None, 1.0, None, True))
        training = replace(planned.settings.training, precision="float32")
        return replace(planned, settings=replace(planned.settings, training=training))

    @classmethod
    def train(
        cls, source: tuple[Any, ...], folder: Path, *, stop_at: int | None = None, **more: Any
    ) -> Training:
        asked = {} if more.get("resume") else cls.settings()
        training = prepare_training(source, asked, output=str(folder), **more)
        for event in training.events():
            if isinstance(event, Step) and event.step == stop_at:
                training.loop.stop()
        return training

    @pytest.fixture(scope="class")
    @classmethod
    def run(
        cls, _known: None, source: tuple[Any, ...], tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[Training, dict[str, Any]]:
        training = cls.train(source, tmp_path_factory.mktemp("runs") / "run")
        return training, training.finish()

    def test_it_claims_its_own_sources_with_a_reason(
        self, modality: Modality[Any, Any, Any], source: tuple[Any, ...], tmp_path: Path
    ) -> None:
        assert modality.name == self.name
        chosen, claim = choose_modality(source, {})
        assert chosen is modality
        assert claim.degree > Degree.NONE
        assert claim.reason
        with suppress(DataError):  # where nobody else is there to claim them
            other, _ = choose_modality(self.others(tmp_path), {})
            assert other is not modality

    def test_settings_have_defaults_and_go_through_toml(
        self, modality: Modality[Any, Any, Any], planned: Planned[Any, Any, Any]
    ) -> None:
        plain = modality.settings()
        assert isinstance(plain, TrainingSettings)
        for settings in (plain, planned.settings):
            assert type(settings) is modality.settings
            written = dump_toml(to_mapping(settings))
            again = from_mapping(modality.settings, tomllib.loads(written), where="settings")
            assert to_mapping(again) == to_mapping(settings)

    def test_the_digest_is_of_the_contents(
        self, modality: Modality[Any, Any, Any], source: tuple[Any, ...], tmp_path: Path
    ) -> None:
        settings = from_mapping(modality.settings, self.settings(), where="settings")
        again = self.sources(tmp_path)
        one, other = (modality.corpus(each, settings) for each in (source, again))
        assert one.sha256 == other.sha256
        assert len(one.sha256) == 64
        assert one.documents == other.documents >= 1
        assert one.characters == other.characters >= 1

    def test_the_plan_resolves_everything(self, planned: Planned[Any, Any, Any]) -> None:
        settings = planned.settings
        training = settings.training
        assert settings.model in FAMILIES.names()
        assert planned.plan.reasons
        assert planned.elements > 0
        for name in ("batch_size", "window", "learning_rate", "averaging"):
            assert getattr(training, name) is not None, name
        assert planned.bundle.modality == self.name
        assert planned.bundle.provenance.data_sha256 == planned.corpus.sha256
        network = build_network(planned.bundle.config)
        assert network.parameter_count() > 0

    def test_a_step_of_the_stream_depends_on_its_number_only(
        self, modality: Modality[Any, Any, Any], planned: Planned[Any, Any, Any]
    ) -> None:
        stream = modality.stream(planned)
        batches = [stream.batch(step) for step in range(7)]
        assert all(isinstance(batch, Batch) for batch in batches)
        assert batches[0].rows == stream.batch_size == planned.settings.training.batch_size
        assert stream.scored(7) >= 7
        assert stream.steps(1.0) >= 1
        fresh = modality.stream(planned)
        for step in (5, 2, 6):
            assert same_arrays(fresh.batch(step), batches[step]), step
        assert fresh.scored(7) == stream.scored(7)

    def test_validation_is_finite_and_repeats_itself(
        self, modality: Modality[Any, Any, Any], planned: Planned[Any, Any, Any]
    ) -> None:
        network = build_network(planned.bundle.config)
        modality.initialise(network, planned)
        evaluate = modality.validation(planned, network)
        assert evaluate is not None
        loss = evaluate()
        assert math.isfinite(loss)
        assert evaluate() == loss

    def test_samples_are_lines_by_temperature(
        self, modality: Modality[Any, Any, Any], planned: Planned[Any, Any, Any]
    ) -> None:
        samples = modality.samples(planned, build_network(planned.bundle.config))()
        assert [temperature for temperature, _ in samples] == [0.8]
        assert all(isinstance(text, str) for _, text in samples)
        mute = replace(planned.settings, samples=replace(planned.settings.samples, length=0))
        silenced = replace(planned, settings=mute)
        assert modality.samples(silenced, build_network(planned.bundle.config))() == ()

    def test_a_finished_run_is_a_model_with_figures_and_a_card(
        self, modality: Modality[Any, Any, Any], run: tuple[Training, dict[str, Any]]
    ) -> None:
        training, summary = run
        folder = training.folder
        assert summary["steps"] == STEPS
        assert summary["modality"] == self.name == modality_of(folder.model)
        assert math.isfinite(summary["loss"])
        assert summary["protocol"]["split"]
        assert json.loads((folder.path / "summary.json").read_text()) == json.loads(
            json.dumps(summary)
        )
        model = load(folder.path)
        assert model.path == folder.model
        assert model.bundle.modality == self.name
        assert model.bundle.provenance.test["loss"] == summary["loss"]
        assert type(model.bundle.facts) is type(training.run.planned.bundle.facts)
        card = folder.card.read_text()
        assert card.startswith("# ")
        for title in ("Data", "Figures", "Limits", "Use"):
            assert f"## {title}" in card
        assert list(modality.told(summary, "figures"))
        assert modality.next_command(folder.path).startswith("rhapsode ")

    def test_a_resumed_run_is_the_unbroken_one(
        self,
        run: tuple[Training, dict[str, Any]],
        source: tuple[Any, ...],
        tmp_path: Path,
    ) -> None:
        self.train(source, tmp_path / "broken", stop_at=5)
        broken = self.train(source, tmp_path / "broken", resume=True)
        whole = run[0]
        one, other = (read_checkpoint(each.folder.checkpoint).tensors for each in (whole, broken))
        assert sorted(one) == sorted(other)
        for name, tensor in one.items():
            assert np.array_equal(tensor.float().numpy(), other[name].float().numpy()), name
        best, again = (read_bundle(each.folder.model).arrays for each in (whole, broken))
        for name, array in best.items():
            assert np.array_equal(array, again[name]), name

    def test_a_run_goes_on_as_a_new_one(
        self,
        run: tuple[Training, dict[str, Any]],
        source: tuple[Any, ...],
        tmp_path: Path,
    ) -> None:
        start = run[0].folder.path
        more = prepare_training(source, {"steps": 2}, output=str(tmp_path / "on"), base=start)
        list(more.events())
        assert more.finish()["from"]["validation_loss"] is not None
        assert more.run.planned.bundle.config == run[0].run.planned.bundle.config
