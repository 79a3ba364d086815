"""The encoder of vectors: sweeps equal paths, targets come back, and what is impossible is refused."""

import numpy as np
import pytest

from rhapsode.config import from_mapping
from rhapsode.errors import BundleError, EncodingError
from tests.modalities.vector_encoder import VectorEncoder, VectorPaths, VectorSettings

ENCODER = VectorEncoder(VectorSettings(scale=(0.5, 4.0), kinds=(3, 2)))
VALUES = np.array([[1.0, -2, 0, 1], [np.nan, 8, 2, 0], [0.25, np.inf, np.nan, 1], [3, 3, 1, 1]])


def test_a_sweep_gives_the_vector_before_scaled_and_one_hot() -> None:
    encoded = ENCODER.encode(VALUES)
    assert ENCODER.feature_size == encoded.features_TD.shape[1] == 7
    assert ENCODER.target_size == encoded.targets_TK.shape[1] == 4
    np.testing.assert_array_equal(
        encoded.features_TD,
        [
            [0, 0, 0, 0, 0, 0, 0],
            [2, -0.5, 1, 0, 0, 0, 1],
            [0, 2, 0, 0, 1, 1, 0],
            [0.5, 0, 0, 0, 0, 0, 1],
        ],
    )
    assert encoded.features_TD.dtype == encoded.weights_T.dtype == np.float32
    np.testing.assert_array_equal(encoded.targets_TK[0], [2, -0.5, 0, 1])
    np.testing.assert_array_equal(np.isnan(encoded.targets_TK).sum(1), [0, 1, 2, 0])
    whole = -np.log(0.5) - np.log(4)
    np.testing.assert_allclose(encoded.log_jacobian_T, [whole, -np.log(4), -np.log(0.5), whole])
    assert ENCODER.encode(np.full((2, 4), np.nan)).weights_T.tolist() == [0, 0]
    assert ENCODER.encode(VALUES[:0]).features_TD.shape == (0, 7)


def test_paths_go_the_way_of_the_sweep() -> None:
    encoded, paths = ENCODER.encode(VALUES), ENCODER.paths(None, 2)
    for step, values_K in enumerate(VALUES):
        np.testing.assert_array_equal(paths.features(), encoded.features_TD[[step, step]])
        targets_BK, jacobian_B = paths.encode_next(values_K[None].repeat(2, 0))
        np.testing.assert_array_equal(targets_BK[1], encoded.targets_TK[step])
        assert jacobian_B.tolist() == [encoded.log_jacobian_T[step]] * 2
        known = np.isfinite(values_K)
        np.testing.assert_allclose(paths.decode_next(targets_BK)[0, known], values_K[known])
        paths.push(values_K[None].repeat(2, 0))
        behind = ENCODER.paths_after(VALUES[: step + 1])
        np.testing.assert_array_equal(behind.features(), paths.features()[:1])
    np.testing.assert_array_equal(ENCODER.paths_after(VALUES[:0]).features(), np.zeros((1, 7)))
    assert paths.log_scale().tolist() == [[0] * 4] * 2


def test_paths_are_chosen_and_joined() -> None:
    paths = ENCODER.paths(None, 3)
    paths.push(VALUES[[0, 1, 3]])
    chosen = paths.select(np.array([2, 2, 0]))
    kept = chosen.features().copy()
    joined = VectorPaths.join([chosen, paths])
    paths.push(VALUES[[3, 3, 3]])
    np.testing.assert_array_equal(chosen.features(), kept)
    np.testing.assert_array_equal(joined.features()[:3], kept)
    assert len(joined) == 6


def test_scales_are_learnt_from_what_varies() -> None:
    random = np.random.default_rng(0)
    parts = [np.column_stack([3 * random.normal(size=n), np.ones(n), np.ones(n)]) for n in (900, 2)]
    encoder = VectorEncoder.learn(parts, kinds=(2,))
    assert encoder.settings.scale[0] == pytest.approx(3, rel=0.1)
    assert encoder.settings.scale[1] == 1
    assert encoder.settings.kinds == (2,)


def test_it_is_read_back() -> None:
    again = VectorEncoder.from_mapping(ENCODER.to_mapping())
    assert again.settings == ENCODER.settings
    good = ENCODER.to_mapping()
    for bad in (
        {},
        {**good, "name": "other.v1"},
        {**good, "settings": {"scale": [0.0]}},
        {**good, "settings": {"scale": [1.0], "kinds": [1]}},
    ):
        with pytest.raises(BundleError):
            VectorEncoder.from_mapping(bad)
    assert from_mapping(VectorSettings, {}, where="x") == VectorSettings()


@pytest.mark.parametrize("kind", [-1.0, 3.0, 0.5])
def test_kinds_that_there_are_not_are_refused(kind: float) -> None:
    values = VALUES.copy()
    values[1, 2] = kind
    with pytest.raises(EncodingError, match="none of the kinds 0 to 2"):
        ENCODER.encode(values)
    with pytest.raises(EncodingError):
        ENCODER.paths().push(values[1:2])
    with pytest.raises(ValueError, match="targets"):
        ENCODER.encode(values[:, :3])
