"""Series side by side: what a history leads to, whatever stands beside it; what values cost, one by one and in windows."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from rhapsode.bundle import (
    Component,
    History,
    Member,
    NetworkConfig,
    Predictor,
    ValueCondition,
    modality_of,
    read_bundle,
    write_bundle,
)
from rhapsode.bundle import value_predictor as module
from rhapsode.bundle.network import build_network, load_network, network_arrays
from rhapsode.bundle.value_predictor import ValuePredictor
from rhapsode.config import SamplingSettings, from_mapping
from rhapsode.data import Condition, ValueArrays
from rhapsode.encoding.series import SeriesEncoder, SeriesEncoderSettings
from rhapsode.errors import BundleError, DataError, SettingsError
from rhapsode.evaluation.losses import value_losses
from rhapsode.generation import paths as paths_module
from rhapsode.generation.chain import Chain, chain_of
from rhapsode.generation.draw import uniforms
from rhapsode.generation.paths import path_seed, sample_paths
from rhapsode.heads import HEADS, AlikeHead
from rhapsode.modalities.series.facts import (
    Covariates,
    SeriesBundle,
    SeriesFacts,
)
from rhapsode.modalities.text.facts import TextFacts
from tests.contracts.predictor_contract import ROWS, TIME, ValueContract

FAMILIES = {
    "lstm.v1": {"hidden_size": 6, "num_layers": 2},
    "gru.v1": {"hidden_size": 6},
    "transformer.v1": {"num_layers": 1, "num_heads": 2, "window": 8},
}


BINS = {"edges": [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0], "tails": [1.0, 1.0]}


def bundle_of(
    family: str = "lstm.v1",
    head: str = "student_t.v1",
    *,
    of_head: dict[str, object] | None = None,
    width: int = 1,
    covariates: Covariates | None = None,
    run_up: int = 1000,
    conditioner: Component | None = None,
    **settings: object,
) -> SeriesBundle:
    encoder = SeriesEncoder(SeriesEncoderSettings(**settings), width)
    fed = Covariates() if covariates is None else covariates
    config = NetworkConfig(
        Component(
            "linear.v1", {"value_size": encoder.feature_size + fed.size, "embedding_size": 8}
        ),
        Component(family, FAMILIES[family]),
        Component(head, {"target_size": width, **(of_head or {})}),
        conditioner=conditioner,
    )
    torch.manual_seed(3)
    arrays = network_arrays(build_network(config))
    names = tuple(f"y{number}" for number in range(width))
    facts = SeriesFacts(fed, 4, 3, run_up, "daily", names)
    return SeriesBundle(config, encoder, facts, (Member(arrays),))


def predictor_of(bundle: SeriesBundle) -> ValuePredictor:
    return ValuePredictor(bundle, load_network(bundle))


def series_of(lengths: list[int], width: int = 1, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    made = [10 + random.normal(size=(length, width)).cumsum(axis=0) for length in lengths]
    for values in made:
        values[random.random(values.shape) < 0.1] = np.nan
    return made


class SeriesContract(ValueContract):
    """The suite over small networks; values walk, some are missing, covariates swing."""

    counts = False

    def elements(
        self, predictor: Predictor, time: int = TIME, rows: int = ROWS, seed: int = 0
    ) -> np.ndarray:
        random = np.random.default_rng(seed)
        width = predictor.element_size
        values = 10 + random.normal(size=(rows, time, width)).cumsum(axis=1)
        values = np.round(np.abs(values)) if self.counts else values
        values[random.random(values.shape) < 0.1] = np.nan
        return values

    def probes(self, predictor: Predictor) -> list[np.ndarray]:
        values = [np.full(predictor.element_size, level) for level in (1.0, 9.0, 10.0, 14.0)]
        return [*values, np.array([np.nan, *values[0]][: predictor.element_size])]

    def condition(self, predictor: Predictor, rows: int) -> object:
        encoder = predictor.bundle.encoder
        return encoder.stats(
            10 + 2.0 * np.sin(np.arange(20.0))[:, None].repeat(encoder.target_size, 1).round()
        )

    def known(self, predictor: Predictor, rows: int, first: int, count: int) -> np.ndarray | None:
        size = predictor.bundle.facts.covariates.size
        times_T = np.arange(first, first + count, dtype=np.float32)
        return np.broadcast_to(np.sin(times_T)[None, :, None], (rows, count, size)).copy()


class TestStudentT(SeriesContract):
    def make(self) -> Predictor:
        return predictor_of(bundle_of("lstm.v1", lags=(2, 3)))


class TestLogarithmsOfDifferences(SeriesContract):
    def make(self) -> Predictor:
        return predictor_of(bundle_of("transformer.v1", "gaussian.v1", log=True, difference=2))


class TestCounts(SeriesContract):
    counts = True

    def make(self) -> Predictor:
        return predictor_of(bundle_of("gru.v1", "negative_binomial.v1", counts=True))


class TestCovariates(SeriesContract):
    def make(self) -> Predictor:
        known = Covariates((), ("price",), (0.0,), (1.0,))
        return predictor_of(bundle_of("gru.v1", "laplace.v1", covariates=known, centre=4))

    def test_covariates_of_other_times_are_refused(self) -> None:
        predictor = self.make()
        state = self.start(predictor, ROWS)
        with pytest.raises(SettingsError, match="need 2 covariates at 10 times"):
            predictor.advance(self.elements(predictor), state, self.known(predictor, ROWS, 0, TIME))


class TestBinsOfTwoNumbers(SeriesContract):
    def make(self) -> Predictor:
        return predictor_of(bundle_of("lstm.v1", "bins.v1", of_head=BINS, width=2))


def histories(values: list[np.ndarray], size: int = 0) -> list[History]:
    return [History(v, np.full((len(v), size), 0.25, dtype=np.float32)) for v in values]


def parameters(predictor: ValuePredictor, state: module.ValueState) -> torch.Tensor:
    """Parameters of what comes next."""
    following, _ = predictor.advance(np.empty((len(state.paths), 0, 1)), state)
    return following.parameters_BP


def observed(
    predictor: ValuePredictor, value: np.ndarray, state: module.ValueState
) -> module.ValueState:
    return predictor.observe(value[None], state, np.zeros((1, 0), np.float32))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("settings", [{}, {"log": True, "difference": 2, "lags": (3, 5)}])
def test_a_state_is_that_of_reading_one_value_after_another(
    family: str, settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", 5)
    predictor = predictor_of(bundle_of(family, **settings))
    values = series_of([9, 0, 14, 9, 1])
    together = parameters(predictor, predictor.begin(histories(values)))
    for row, own in enumerate(values):
        one = parameters(predictor, predictor.begin(histories([own])))
        torch.testing.assert_close(together[row], one[0], rtol=1e-5, atol=1e-5)
        state = predictor.start(1, predictor.bundle.encoder.stats(own))
        for value in own:
            state = observed(predictor, value, state)
        step = parameters(predictor, state)
        torch.testing.assert_close(together[row], step[0], rtol=1e-5, atol=1e-5)


def test_only_the_run_up_is_read() -> None:
    values = series_of([40])[0]
    bundle = bundle_of(run_up=6, scaling="none")
    predictor = predictor_of(bundle)
    long = parameters(predictor, predictor.begin(histories([values])))
    short = parameters(predictor, predictor.begin(histories([values[-7:]])))
    # The first of the last seven is known from the features of the second only.
    torch.testing.assert_close(long, short)


@pytest.mark.parametrize("settings", [{"difference": 4}, {"centre": 6}, {}])
@pytest.mark.parametrize("gaps", [False, True])
def test_what_is_spared_changes_nothing(settings: dict[str, int], gaps: bool) -> None:
    values = series_of([60])[0]
    if not gaps:
        values = np.nan_to_num(values, nan=10.0)
    predictor = predictor_of(bundle_of(run_up=9, lags=(4, 8), **settings))
    encoder = predictor.bundle.encoder
    stats = encoder.stats(values)
    whole = encoder.encode(values, stats).features_TD[-9:]
    state = predictor.begin(histories([values]))
    memory = predictor._memory([whole])
    for name, tensor in memory.tensors().items():
        torch.testing.assert_close(state.memory.tensors()[name], tensor)
    paths = encoder.paths_after(values, stats)
    np.testing.assert_array_equal(state.paths.features(), paths.features())


@pytest.mark.parametrize("head", ["gaussian.v1", "negative_binomial.v1"])
def test_losses_are_the_sums_of_single_steps(head: str) -> None:
    counts = head == "negative_binomial.v1"
    predictor = predictor_of(bundle_of(head=head, counts=counts))
    encoder = predictor.bundle.encoder
    values = [np.round(np.abs(v)) if counts else v for v in series_of([12, 7])]
    first = np.array([4, 2])
    parts, logs = [], []
    for own, known in zip(values, first, strict=True):
        stats = encoder.stats(own[:known])
        parts.append(encoder.encode(own, stats))
        logs.append(np.log(stats.count_scale_K))
    arrays = ValueArrays(
        np.array([0, 12, 19]),
        np.concatenate([p.features_TD for p in parts]),
        np.zeros((19, 0), np.float32),
        np.concatenate([p.targets_TK for p in parts]).astype(np.float32),
        np.concatenate([p.weights_T for p in parts]),
        np.concatenate([p.log_jacobian_T for p in parts]).astype(np.float32),
        np.stack(logs).astype(np.float32) if counts else None,
    )
    nats_N = value_losses(predictor, arrays, arrays.offsets[:-1] + first, warm_up=1000)
    for series, own in enumerate(values):
        state = predictor.begin(histories([own[: first[series]]]))
        for step in range(first[series], len(own)):
            following, state = predictor.advance(np.empty((1, 0, 1)), state)
            wanted = -following.log_prob(own[step][None])[0]
            row = arrays.offsets[series] + step
            if np.isnan(own[step]).all():
                assert np.isnan(nats_N[row])
            else:
                assert nats_N[row] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
            state = observed(predictor, own[step], state)
        assert np.isnan(
            nats_N[arrays.offsets[series] : arrays.offsets[series] + first[series]]
        ).all()


def test_a_fork_never_sees_its_twin() -> None:
    predictor = predictor_of(bundle_of())
    state = predictor.begin(histories(series_of([8])))
    before = parameters(predictor, state.fork())
    known = np.zeros((1, 5, 0), np.float32)
    sample_paths(predictor, state, known, samples=1, seeds=[0])
    assert torch.equal(before, parameters(predictor, state))


@pytest.mark.parametrize("width", [1, 2])
def test_paths_do_not_depend_on_what_is_drawn_beside_them(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = predictor_of(bundle_of(width=width))
    values = series_of([8, 11, 5], width)
    names = ["a", "b", "c"]

    def draw(which: list[int], samples: int) -> np.ndarray:
        state = predictor.begin(histories([values[i] for i in which]))
        seeds = [path_seed(7, names[i]) for i in which]
        known = np.zeros((len(which), 4, 0), np.float32)
        return sample_paths(predictor, state, known, samples=samples, seeds=seeds)

    whole = draw([0, 1, 2], 20)
    np.testing.assert_allclose(draw([1], 20)[0], whole[1], rtol=1e-5)
    np.testing.assert_allclose(draw([2, 0], 6), whole[[2, 0], :6], rtol=1e-5)
    monkeypatch.setattr(paths_module, "AT_ONCE", 7)
    np.testing.assert_allclose(draw([0, 1, 2], 20), whole, rtol=1e-5)
    assert len(np.unique(whole)) == whole.size


@pytest.mark.parametrize(
    ("head", "filtered"),
    [("gaussian.v1", False), ("student_t.v1", False), ("bins.v1", False), ("bins.v1", True)],
)
def test_every_number_of_a_step_is_drawn_by_a_uniform_of_its_own(head: str, filtered: bool) -> None:
    predictor = predictor_of(
        bundle_of(head=head, of_head=BINS if head == "bins.v1" else {}, width=3)
    )
    paths, seed = 400, path_seed(0, "a")
    drawn = sample_paths(
        predictor,
        predictor.begin(histories(series_of([9], width=3))),
        np.zeros((1, 2, 0), np.float32),
        samples=paths,
        seeds=[seed],
        chain=chain_of(SamplingSettings(), vocab_size=8, suppressed=()) if filtered else Chain([]),
    )[0, :, 0]
    # Behind one history a number of the first step rises with its uniform, so that ranks tell it.
    ranks_SK = drawn.argsort(axis=0).argsort(axis=0)
    number_S, position_S = np.arange(paths), np.zeros(paths, dtype=np.int64)
    for lane in range(3):
        wanted_S = uniforms(seed, number_S, position_S, lane)
        np.testing.assert_array_equal(ranks_SK[:, lane], wanted_S.argsort().argsort())
    alike_KK = np.corrcoef(ranks_SK, rowvar=False)
    assert np.abs(alike_KK[~np.eye(3, dtype=bool)]).max() < 4.5 / paths**0.5


def test_one_step_paths_are_draws_of_the_distribution() -> None:
    predictor = predictor_of(bundle_of(head="gaussian.v1", scaling="none"))
    state = predictor.begin(histories(series_of([9])))
    drawn = sample_paths(
        predictor, state, np.zeros((1, 1, 0), np.float32), samples=4000, seeds=[path_seed(0, "a")]
    )[0, :, 0, 0]
    told = parameters(predictor, state)
    mean, deviation = float(told[0, 0]), float(told[0, 1].exp())
    assert drawn.mean() == pytest.approx(mean, abs=4 * deviation / 4000**0.5)
    assert drawn.std() == pytest.approx(deviation, rel=0.05)
    middle = sample_paths(
        predictor, state, np.zeros((1, 1, 0), np.float32), samples=3, seeds=[1], temperature=0.0
    )
    np.testing.assert_allclose(middle, mean, rtol=1e-5)


def test_a_file_comes_back_whole(tmp_path: Path) -> None:
    covariates = Covariates(
        ("month of year",), ("price",), (1.5,), (2.0,), (), (), (), ("kind",), (("x", "y"),)
    )
    bundle = bundle_of(covariates=covariates, log=True, lags=(2, 4))
    path = tmp_path / "model.safetensors"
    write_bundle(path, bundle)
    assert modality_of(path) == "series.v1"
    again = read_bundle(path, SeriesFacts)
    assert dataclasses.replace(again, members=(), encoder=None) == dataclasses.replace(
        bundle, members=(), encoder=None
    )
    assert len(again.members) == 1
    assert again.weights == (1.0,)
    assert sorted(again.arrays) == sorted(bundle.arrays)
    assert again.encoder.to_mapping() == bundle.encoder.to_mapping()
    for name, array in bundle.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    with pytest.raises(BundleError, match="series of numbers, not for text; use rhapsode forecast"):
        read_bundle(path, TextFacts)


def rewritten(path: Path, **changes: str) -> None:
    with safe_open(path, framework="np") as file:
        metadata = {**file.metadata(), **changes}
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(arrays, path, metadata=metadata)


@pytest.mark.parametrize(
    ("entry", "change"),
    [
        ("facts", {"season": 0}),
        ("facts", {"names": ["a", "b"]}),
        ("facts", {"covariates": {"known": ["x"]}}),
        ("facts", {"covariates": {"known": ["x"], "known_shift": [0], "known_scale": [0]}}),
        ("facts", {"run_up": "many"}),
        ("encoder", {"target_size": 0}),
        ("encoder", {"name": "other"}),
        ("network", {"context": "sideways"}),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path: Path, entry: str, change: dict[str, object]) -> None:
    path = tmp_path / "model.safetensors"
    write_bundle(path, bundle_of())
    with safe_open(path, framework="np") as file:
        table = json.loads(file.metadata()[entry])
    rewritten(path, **{entry: json.dumps({**table, **change})})
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        read_bundle(path, SeriesFacts)


def test_a_network_of_another_width_than_the_encoder(tmp_path: Path) -> None:
    bundle = bundle_of()
    other = dataclasses.replace(bundle, encoder=SeriesEncoder(SeriesEncoderSettings(lags=(2,)), 1))
    with pytest.raises(BundleError, match="the input has 3 numbers, the encoder 5"):
        load_network(other)


def test_covariates_refuse_what_lacks_them() -> None:
    from rhapsode.data.tables import read_series

    given = read_series(np.arange(20.0))
    with pytest.raises(DataError, match="without the month of year"):
        Covariates(calendar=("month of year",)).check(given)
    with pytest.raises(DataError, match="no column 'price', a known column that the model needs"):
        Covariates(known=("price",), known_shift=(0.0,), known_scale=(1.0,)).check(given)


def binned(predictor: ValuePredictor, values: np.ndarray) -> np.ndarray:
    """Bins of values that are encoded as they are."""
    return np.searchsorted(BINS["edges"], values, side="right")


def test_filters_of_elements_narrow_every_step_of_every_number() -> None:
    predictor = predictor_of(
        bundle_of("lstm.v1", "bins.v1", of_head=BINS, width=2, scaling="none", lags=())
    )
    assert predictor.vocab_size == 8
    state = predictor.begin(histories(series_of([9, 14], width=2)))
    known = np.zeros((2, 12, 0), dtype=np.float32)

    def drawn(**asked: object) -> np.ndarray:
        settings = from_mapping(SamplingSettings, asked, where="x")
        chain = chain_of(settings, vocab_size=8, suppressed=())
        return sample_paths(predictor, state, known, samples=20, seeds=[5, 6], chain=chain)

    free = sample_paths(predictor, state, known, samples=20, seeds=[5, 6])
    np.testing.assert_array_equal(drawn(), free)
    likeliest = drawn(top_k=1)
    for path in likeliest[0]:
        # Within a bin the draw is even, so that only the first step is the same for all.
        assert (binned(predictor, path[0]) == binned(predictor, likeliest[0, 0, 0])).all()
    # No bin twice in a row in any path, of either number.
    parted = binned(predictor, drawn(no_repeat_ngram=1, top_k=0)[..., :8, :])
    for path in parted.reshape(-1, 8, 2):
        for number in range(2):
            assert sorted(path[:, number]) == list(range(8))
    # What is drawn for a series does not depend on the others.
    alone = sample_paths(
        predictor,
        state.select(np.array([1])),
        known[:1],
        samples=20,
        seeds=[6],
        chain=chain_of(
            from_mapping(SamplingSettings, {"xtc_probability": 0.5}, where="x"),
            vocab_size=8,
            suppressed=(),
        ),
    )
    np.testing.assert_array_equal(alone[0], drawn(xtc_probability=0.5)[1])


@pytest.mark.parametrize("head", [n for n in HEADS.names() if issubclass(HEADS.get(n), AlikeHead)])
def test_a_network_read_back_is_the_one_that_was_written(head: str, tmp_path: Path) -> None:
    of_head = BINS if head == "bins.v1" else {}
    bundle = bundle_of(head=head, of_head=of_head, counts=HEADS.get(head).counts)
    torch.manual_seed(3)
    network = build_network(bundle.config).eval()
    write_bundle(tmp_path / "m.safetensors", bundle)
    again = load_network(read_bundle(tmp_path / "m.safetensors"))
    inputs = torch.randn(2, 5, bundle.facts.sizes(bundle.encoder).input[1])
    targets = torch.tensor([0.0, 1.0, 2.0, 7.0, 3.0]).expand(2, 5)[..., None]
    found = []
    for each in (network, again):
        with torch.no_grad():
            parameters, _ = each(inputs)
            drawn = each.head.sample(parameters[:, 0], torch.full((2, 1), 0.3))
            found.append((each.head.log_prob(parameters, targets), drawn))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_series_begin_under_their_own_attributes() -> None:
    conditioner = Component("static.v1", {"static_size": 2})
    predictor = predictor_of(bundle_of("gru.v1", conditioner=conditioner))
    sources = Condition(static_BK=np.array([[1, 2], [-2, 0], [0, np.nan]], dtype=np.float32))
    values = series_of([9, 4, 0])
    read = histories(values)
    together = parameters(predictor, predictor.begin(read, sources))
    for row in range(3):
        own = predictor.begin(read[row : row + 1], sources.select(slice(row, row + 1)))
        np.testing.assert_allclose(parameters(predictor, own)[0], together[row], atol=1e-6)
    unconditional = parameters(predictor, predictor.begin(read))
    assert ((unconditional - together).abs().amax(dim=1) > 1e-4).all()
    scale = predictor.bundle.encoder.stats(values[0])
    started = predictor.start(3, ValueCondition(scale, sources))
    assert len(started.memory.memory_MC) == 3
    assert started.fork().memory.memory_MC is started.memory.memory_MC
    with pytest.raises(SettingsError, match="3 rows for 2 series"):
        predictor.begin(read[:2], sources)
    with pytest.raises(SettingsError, match="cannot use a condition"):
        predictor_of(bundle_of("gru.v1")).start(3, ValueCondition(scale, sources))
