"""Series to features and targets and back: round trips, one step at a time or at once, what a change of units costs."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rhapsode.config import from_mapping
from rhapsode.encoding.series.scaling import BinSettings, SeriesStats, learn_bins
from rhapsode.encoding.series.series_paths import SeriesPaths
from rhapsode.encoding.series.values import SeriesEncoder, SeriesEncoderSettings
from rhapsode.errors import BundleError, DataError, EncodingError, SettingsError
from rhapsode.heads import HEADS, DensityHead

PROVE = settings(max_examples=60, deadline=None, derandomize=True)
SCALINGS = ["mean_abs", "standard", "robust", "none"]

ordinary = st.floats(-1e6, 1e6, allow_subnormal=False)
awkward = st.sampled_from([0.0, -0.0, 1.0, 5.0, 1e-30, -1e-30, 1e30, -1e30, 1e-300, 144.0])
number = st.one_of(ordinary, awkward, st.integers(-1000, 1000).map(float))
value = st.one_of(number, number, number, st.just(math.nan))
compared = st.sampled_from(
    [{}, {}, {"difference": 1}, {"difference": 3}, {"centre": 1}, {"centre": 4}]
)
how = st.builds(
    lambda reference, **others: SeriesEncoderSettings(**reference, **others),
    reference=compared,
    scaling=st.sampled_from(SCALINGS),
    log=st.booleans(),
    lags=st.sampled_from([(), (3,), (12, 2)]),
)


@st.composite
def tables(draw: st.DrawFn, width: int = 2) -> np.ndarray:
    """Some steps of some targets, alike in size within a column more often than not."""
    length = draw(st.integers(0, 14))
    columns = [
        draw(st.lists(value, min_size=length, max_size=length))
        if draw(st.booleans())
        else [draw(value)] * length
        for _ in range(width)
    ]
    return np.array(columns, dtype=np.float64).T.reshape(length, width)


def fitting(values_TK: np.ndarray, chosen: SeriesEncoderSettings) -> np.ndarray:
    """The values, none negative where that is declared."""
    return np.abs(values_TK) if chosen.log or chosen.counts else values_TK


@PROVE
@given(values_TK=tables(), chosen=how)
@example(values_TK=np.zeros((5, 2)), chosen=SeriesEncoderSettings(scaling="standard"))
@example(
    values_TK=np.full((5, 2), 144.0), chosen=SeriesEncoderSettings(scaling="robust", difference=1)
)
@example(
    values_TK=np.full((4, 2), math.nan), chosen=SeriesEncoderSettings(scaling="standard", log=True)
)
@example(values_TK=np.full((1, 2), 3.0), chosen=SeriesEncoderSettings(difference=3, lags=(12, 2)))
def test_step_by_step_is_the_same_as_at_once_and_every_value_comes_back(
    values_TK: np.ndarray, chosen: SeriesEncoderSettings
) -> None:
    values_TK = fitting(values_TK, chosen)
    encoder = SeriesEncoder(chosen, 2)
    stats = encoder.stats(values_TK)
    whole = encoder.encode(values_TK, stats)
    assert whole.features_TD.shape == (len(values_TK), encoder.feature_size)
    assert np.isfinite(whole.features_TD).all()
    assert np.isfinite(whole.log_jacobian_T).all()
    paths = encoder.paths(stats)
    largest = np.nanmax(np.abs(values_TK), initial=0.0)
    for t, values_K in enumerate(values_TK):
        np.testing.assert_array_equal(paths.features()[0], whole.features_TD[t])
        targets_BK, jacobian_B = paths.encode_next(values_K[None])
        np.testing.assert_array_equal(targets_BK[0], whole.targets_TK[t])
        assert jacobian_B[0] == pytest.approx(whole.log_jacobian_T[t], rel=1e-12, abs=1e-12)
        assert whole.weights_T[t] == float(not np.isnan(targets_BK).all())
        known_K = ~np.isnan(targets_BK[0])
        decoded_K = paths.decode_next(np.nan_to_num(targets_BK))[0]
        # A change is known to the digits of the values it leads from and to.
        compares = chosen.difference or chosen.centre
        exact = 0.0 if not compares and chosen.scaling in ("mean_abs", "none") else largest
        # Scaled, a number far below the others may be none.
        least = np.finfo(np.float64).tiny * largest
        allowed_K = 1e-9 * np.abs(values_K) + 1e-12 * exact + least
        assert (np.abs(decoded_K - values_K)[known_K] <= allowed_K[known_K]).all()
        paths.push(values_K[None])
    after = encoder.paths_after(values_TK, stats)
    np.testing.assert_array_equal(after.features(), paths.features())
    more_BK = np.full((1, 2), 0.75)
    for _ in range(4):
        np.testing.assert_array_equal(after.decode_next(more_BK), paths.decode_next(more_BK))
        np.testing.assert_array_equal(after.features(), paths.features())
        for each in (after, paths):
            each.push(np.abs(more_BK))


@PROVE
@given(
    history_T=st.lists(st.floats(0.5, 50), min_size=4, max_size=12),
    x=st.floats(0.2, 90),
    chosen=how,
)
def test_the_log_jacobian_is_the_logarithm_of_the_slope(
    history_T: list[float], x: float, chosen: SeriesEncoderSettings
) -> None:
    encoder = SeriesEncoder(chosen)
    history_TK = np.array(history_T)[:, None]
    paths = encoder.paths_after(history_TK, encoder.stats(history_TK))
    width = 1e-4 * x
    (low,), (high,) = (paths.encode_next(np.array([[x + step]]))[0] for step in (-width, width))
    _, jacobian_B = paths.encode_next(np.array([[x]]))
    slope = (high[0] - low[0]) / (2 * width)
    assert jacobian_B[0] == pytest.approx(math.log(slope), abs=1e-5)


def test_log_jacobians_of_several_targets_add_up_over_those_that_are_known() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(), 2)
    stats = encoder.stats(np.array([[2.0, 5.0], [2.0, 5.0]]))
    encoded = encoder.encode(np.array([[1.0, 1.0], [1.0, np.nan], [np.nan, np.nan]]), stats)
    wanted_T = [-math.log(2) - math.log(5), -math.log(2), 0.0]
    assert encoded.log_jacobian_T.tolist() == pytest.approx(wanted_T)
    assert encoded.weights_T.tolist() == [1.0, 1.0, 0.0]
    assert np.isnan(encoded.targets_TK[1:, 1]).all()


def test_features_worked_out_by_hand() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(lags=(3,)))
    values_TK = np.array([[2.0], [np.nan], [4.0], [6.0], [8.0]])
    encoded = encoder.encode(values_TK, encoder.stats(values_TK[:3]))
    size = 0.1 * math.log(3.0)
    wanted_TD = [
        [0.0, 0.0, 0.0, 0.0, size],
        [2 / 3, 1.0, 0.0, 0.0, size],
        [0.0, 0.0, 0.0, 0.0, size],
        [4 / 3, 1.0, 2 / 3, 1.0, size],
        [2.0, 1.0, 0.0, 0.0, size],
    ]
    np.testing.assert_allclose(encoded.features_TD, wanted_TD, rtol=1e-6)
    np.testing.assert_allclose(encoded.targets_TK[:, 0], [2 / 3, np.nan, 4 / 3, 2.0, 8 / 3])
    assert encoder.feature_size == 5


@pytest.mark.parametrize(
    ("scaling", "shift", "scale"),
    [
        ("mean_abs", 0.0, 2.75),
        ("standard", 1.75, math.sqrt(8.1875)),
        ("robust", 1.5, 2.75 / 1.3489795),
        ("none", 0.0, 1.0),
    ],
)
def test_scales_worked_out_by_hand(scaling: str, shift: float, scale: float) -> None:
    history_TK = np.array([[np.nan], [-2.0], [1.0], [2.0], [6.0]])
    stats = SeriesEncoder(SeriesEncoderSettings(scaling=scaling)).stats(history_TK)
    assert stats.shift_K[0] == pytest.approx(shift)
    assert stats.scale_K[0] == pytest.approx(scale)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(
    "history", [[], [0.0] * 5, [7.0] * 5, [7.0], [math.nan] * 3, [1e30] * 3, [1e-30] * 3, [-1e-310]]
)
def test_series_that_do_not_vary_have_a_scale(scaling: str, history: list[float]) -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(scaling=scaling))
    history_TK = np.array(history, dtype=np.float64)[:, None]
    stats = encoder.stats(history_TK)
    for part in (stats.shift_K, stats.scale_K, stats.level_K, stats.count_scale_K):
        assert np.isfinite(part).all()
    assert (stats.scale_K > 0).all()
    encoded = encoder.encode(history_TK, stats)
    assert np.isfinite(encoded.features_TD).all()
    known_T = ~np.isnan(history_TK[:, 0])
    assert np.isfinite(encoded.targets_TK[known_T]).all()
    if scaling != "none":
        assert (np.abs(encoded.targets_TK[known_T]) <= 2).all()


def test_infinities_are_missing() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings())
    values_TK = np.array([[1.0], [math.inf], [-math.inf], [3.0]])
    stats = encoder.stats(values_TK)
    assert stats.scale_K[0] == 2.0
    assert encoder.encode(values_TK, stats).weights_T.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_what_is_to_be_forecast_does_not_reach_the_scale() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(scaling="standard", difference=1))
    history_TK = np.arange(10.0)[:, None] ** 1.5
    stats = encoder.stats(history_TK)
    both = np.concatenate((history_TK, np.full((3, 1), 1e9)))
    again = encoder.stats(both[:10])
    np.testing.assert_array_equal(stats.to_array(), again.to_array())
    np.testing.assert_array_equal(
        encoder.encode(both, stats).features_TD[:10], encoder.encode(history_TK, stats).features_TD
    )


def test_a_gap_is_bridged_by_the_last_value_known() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(scaling="none", difference=1))
    values_TK = np.array([[1.0], [2.0], [np.nan], [np.nan], [7.0]])
    encoded = encoder.encode(values_TK, encoder.stats(values_TK))
    np.testing.assert_array_equal(encoded.targets_TK[:, 0], [np.nan, 1.0, np.nan, np.nan, 5.0])
    paths = encoder.paths_after(values_TK[:4], encoder.stats(values_TK))
    assert paths.decode_next(np.array([[0.5]]))[0, 0] == 2.5


def test_a_centre_is_the_mean_of_what_is_known_before() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(scaling="none", centre=3))
    values = np.array([[1.0], [2.0], [math.nan], [6.0], [5.0]])
    found = encoder.encode(values, encoder.stats(values))
    wanted = [math.nan, 2.0 - 1.0, math.nan, 6.0 - 1.5, 5.0 - 4.0]
    np.testing.assert_allclose(found.targets_TK[:, 0], wanted)
    paths = encoder.paths_after(values, encoder.stats(values))
    np.testing.assert_allclose(paths.decode_next(np.array([[1.0]])), [[5.5 + 1.0]])


def test_seasons_are_differenced_and_bridged_season_by_season() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(scaling="none", difference=2))
    values_TK = np.array([[1.0], [10.0], [np.nan], [11.0], [4.0], [np.nan], [5.0], [13.0]])
    encoded = encoder.encode(values_TK, encoder.stats(values_TK))
    np.testing.assert_array_equal(
        encoded.targets_TK[:, 0], [np.nan, np.nan, np.nan, 1.0, 3.0, np.nan, 1.0, 2.0]
    )


def test_thousands_of_paths_go_on_from_their_own_histories() -> None:
    encoder = SeriesEncoder(
        SeriesEncoderSettings(scaling="standard", log=True, difference=1, lags=(4,))
    )
    random = np.random.default_rng(0)
    histories = [random.lognormal(size=(length, 1)) for length in (3, 9, 30)]
    starts = [encoder.paths_after(each, encoder.stats(each)) for each in histories]
    joined = SeriesPaths.join(starts).select(np.repeat(np.arange(3), 1000))
    assert len(joined) == 3000
    alone = [start.fork() for start in starts]
    for _ in range(6):
        drawn_BK = np.repeat(random.normal(size=(3, 1)), 1000, axis=0)
        values_BK = joined.decode_next(drawn_BK)
        features_BD = joined.features()
        joined.push(values_BK)
        for row, path in enumerate(alone):
            np.testing.assert_array_equal(path.features()[0], features_BD[1000 * row])
            value_BK = path.decode_next(drawn_BK[1000 * row][None])
            np.testing.assert_array_equal(value_BK[0], values_BK[1000 * row + 999])
            path.push(value_BK)
    # What the copies read has not reached the paths they began from.
    again = encoder.paths_after(histories[1], encoder.stats(histories[1]))
    np.testing.assert_array_equal(starts[1].features(), again.features())


def test_drawn_values_are_numbers_however_far_out_the_draw() -> None:
    for chosen in (
        SeriesEncoderSettings(),
        SeriesEncoderSettings(log=True),
        SeriesEncoderSettings(difference=1),
    ):
        encoder = SeriesEncoder(chosen)
        history_TK = np.array([[1.0], [3.0], [2.0]])
        paths = encoder.paths_after(history_TK, encoder.stats(history_TK))
        for drawn in (1e35, -1e35, 1e308):
            decoded_BK = paths.decode_next(np.array([[drawn]]))
            assert np.isfinite(decoded_BK).all()
            if chosen.log:
                assert (decoded_BK >= 0).all()


def test_a_series_without_a_past_starts_at_its_mean_level() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(difference=1))
    paths = encoder.paths(encoder.stats(np.array([[8.0], [12.0], [10.0]])), copies=2)
    assert paths.decode_next(np.zeros((2, 1))).tolist() == [[10.0], [10.0]]


def test_counts_stay_as_they_were_counted() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(counts=True))
    values_TK = np.array([[4.0], [np.nan], [8.0], [0.0]])
    stats = encoder.stats(values_TK)
    assert stats.count_scale_K[0] == 4.0
    encoded = encoder.encode(values_TK, stats)
    np.testing.assert_array_equal(encoded.targets_TK, values_TK)
    assert encoded.log_jacobian_T.tolist() == [0.0] * 4
    assert encoded.features_TD[1].tolist() == pytest.approx([1.0, 1.0, 0.1 * math.log(4)])
    paths = encoder.paths_after(values_TK, stats)
    assert paths.decode_next(np.array([[17.0]])).tolist() == [[17.0]]
    assert paths.log_scale().tolist() == [[math.log(4)]]
    assert encoder.stats(np.zeros((9, 1))).count_scale_K[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("chosen", "bad", "message"),
    [
        (SeriesEncoderSettings(log=True), -1.0, "negative"),
        (SeriesEncoderSettings(counts=True), -1.0, "negative"),
        (SeriesEncoderSettings(counts=True), 0.5, "not a whole number"),
    ],
)
def test_values_that_were_declared_impossible_are_refused_with_their_place(
    chosen: SeriesEncoderSettings, bad: float, message: str
) -> None:
    encoder = SeriesEncoder(chosen)
    with pytest.raises(EncodingError, match=message) as caught:
        encoder.stats(np.array([[1.0], [np.nan], [bad]]))
    assert "step 3" in str(caught.value)


def test_settings_that_exclude_one_another_are_refused() -> None:
    with pytest.raises(SettingsError, match="difference"):
        SeriesEncoder(SeriesEncoderSettings(counts=True, difference=1))
    with pytest.raises(SettingsError, match="centre and difference"):
        SeriesEncoder(SeriesEncoderSettings(centre=2, difference=1))
    with pytest.raises(SettingsError, match="centre and counts"):
        SeriesEncoder(SeriesEncoderSettings(centre=2, counts=True))
    with pytest.raises(SettingsError, match="twice"):
        SeriesEncoder(SeriesEncoderSettings(lags=(3, 3)))


def test_an_encoder_and_a_scale_are_read_back() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(scaling="robust", lags=(12, 24), difference=1), 3)
    again = SeriesEncoder.from_mapping(json.loads(json.dumps(encoder.to_mapping())))
    assert (again.settings, again.target_size) == (encoder.settings, 3)
    stats = encoder.stats(np.random.default_rng(0).normal(size=(9, 3)))
    read = SeriesStats.from_array(stats.to_array())
    np.testing.assert_array_equal(read.to_array(), stats.to_array())


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "words.v1"},
        {"settings": None},
        {"settings": {"scaling": "huge"}},
        {"settings": {"lags": [0]}},
        {"settings": {"lags": [3, 3]}},
        {"settings": {"no_such": 1}},
        {"target_size": 0},
        {"target_size": True},
        {"target_size": "1"},
    ],
)
def test_a_malformed_description_is_refused(broken: dict) -> None:
    whole = SeriesEncoder(SeriesEncoderSettings()).to_mapping()
    with pytest.raises(BundleError):
        SeriesEncoder.from_mapping({**whole, **broken})


# --- bins ---


@PROVE
@given(
    st.lists(number, min_size=2, max_size=60).filter(lambda each: len(set(each)) > 1),
    st.sampled_from(["quantile", "uniform"]),
    st.integers(2, 40),
)
def test_edges_of_bins_rise_and_every_bin_holds_something(
    values: list[float], spacing: str, bins: int
) -> None:
    z = np.array(values)
    try:
        edges, tails = learn_bins(z, BinSettings(bins=bins, spacing=spacing))
    except DataError:  # values that differ by less than their rounding
        return
    assert len(edges) <= bins - 1
    assert (np.diff(edges) > 0).all()
    assert min(tails) > 0
    if spacing == "quantile":
        held = np.bincount(np.searchsorted(edges, z, side="right"), minlength=len(edges) + 1)
        assert (held > 0).all()


def test_bins_at_quantiles_hold_equally_many() -> None:
    z = np.random.default_rng(0).permutation(1000).astype(float)
    edges, tails = learn_bins(np.append(z, math.nan), BinSettings(bins=10))
    assert edges == tuple(np.arange(99.5, 900, 100))
    assert tails == (50.0, 50.0)


def test_equal_values_do_not_cost_bins() -> None:
    z = np.random.default_rng(0).poisson(20, 5000).astype(float)
    edges, _ = learn_bins(z, BinSettings(bins=250))
    assert len(edges) + 1 >= len(np.unique(z)) - 8
    rounded = np.random.default_rng(1).normal(10, 5, 3650).round(0)
    edges, _ = learn_bins(rounded, BinSettings(bins=10))
    held = np.bincount(np.searchsorted(edges, rounded, side="right"))
    assert len(held) >= 8
    assert held.max() < 0.2 * len(rounded)


def test_equal_values_share_a_bin_of_their_own() -> None:
    z = np.array([0.0] * 50 + [1.0] * 3 + [2.0] * 2)
    edges, tails = learn_bins(z, BinSettings(bins=100))
    assert edges == (0.5, 1.5)
    assert tails == (0.5, 0.5)


def test_constant_data_have_no_quantiles() -> None:
    for values in ([3.0, 3.0], [math.nan], []):
        with pytest.raises(DataError, match="two different"):
            learn_bins(np.array(values), BinSettings(bins=4))
    edges, _ = learn_bins(np.array([3.0, 3.0]), BinSettings(bins=4, spacing="uniform", limit=2.0))
    assert edges == (-1.0, 0.0, 1.0)


@pytest.mark.parametrize("name", ["gaussian.v1", "laplace.v1", "student_t.v1", "quantiles.v1"])
def test_with_its_log_jacobian_a_density_is_one_in_total_in_the_datas_own_units(name: str) -> None:
    history_TK = np.random.default_rng(0).lognormal(5.0, 0.1, size=(40, 1))
    encoder = SeriesEncoder(SeriesEncoderSettings(scaling="standard", log=True, difference=1))
    paths = encoder.paths_after(history_TK, encoder.stats(history_TK))
    torch.manual_seed(1)
    entry = HEADS.get(name)
    head = entry(from_mapping(entry.Config, {"feature_size": 4}, where="x"))
    assert isinstance(head, DensityHead)
    parameters_P = head(0.3 * torch.randn(1, 1, 4)).detach()[0, 0]
    x_N = np.exp(np.linspace(0.0, 10.0, 200_001))
    every = paths.select(np.zeros(len(x_N), dtype=np.int64))
    z_NK, jacobian_N = every.encode_next(x_N[:, None])
    log_prob_N = head.log_prob(
        parameters_P.expand(len(x_N), 1, -1),
        torch.from_numpy(z_NK)[:, None],
        torch.from_numpy(jacobian_N.astype(np.float32))[:, None],
    )[:, 0]
    total = np.trapezoid(np.exp(log_prob_N.double().numpy()), x_N)
    assert total == pytest.approx(1.0, abs=2e-3)
