"""Weights of fewer bits: what is rounded, what comes of it, and that a row still has the same bits whoever is beside it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import pytest

from rhapsode.bundle import Member, Predictor, log_softmax
from rhapsode.engine.compiled_predictor import compiled_predictor
from rhapsode.engine.kernels import reduced, tiles
from rhapsode.engine.kernels.products import matrix_size, packed
from rhapsode.engine.kernels.products import product as inner_product
from rhapsode.engine.kernels.reduced import BLOCK, INPUT_BYTES, pack_bf16, pack_int8
from rhapsode.engine.kernels.reduced import round_inputs as inner_round_inputs
from rhapsode.engine.kernels.tiles import PANEL, features_of, padded
from rhapsode.engine.offsets import FIRST
from rhapsode.engine.packed_weights import lay_out
from rhapsode.engine.rounding import rounding_of
from rhapsode.errors import BundleError
from tests.contracts.predictor_contract import PredictorContract
from tests.engine.compiled_calls import callable_form
from tests.engine.compiled_models import FAMILIES, VOCABULARY, bundle_of, network_config, network_of

product, round_inputs = callable_form(inner_product), callable_form(inner_round_inputs)

# How far log-probabilities of these small networks may lie from those of float32 (nats).
TOLERANCE = {"bf16": 0.02, "int8": 0.06}
REDUCED = tuple(TOLERANCE)
SHAPES = [(1, 1), (33, 5), (70, 64), (31, 65), (160, 130), (257, 20)]


def predictor_of(family: str, weights: str) -> Predictor:
    config = network_config(family)
    return compiled_predictor(bundle_of(config, network_of(config)), weights=weights, threads=1)


class TestInt8(PredictorContract):
    def make(self) -> Predictor:
        return predictor_of("transformer", "int8")


class TestBf16(PredictorContract):
    def make(self) -> Predictor:
        return predictor_of("gru", "bf16")


def widened(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bf16_of(weight: np.ndarray) -> np.ndarray:
    """Nearest bfloat16, ties to even, one by one."""
    bits = weight.astype(np.float32).view(np.uint32).astype(np.uint64)
    low, high = bits & 0xFFFF, bits >> 16
    up = (low > 0x8000) | ((low == 0x8000) & (high % 2 == 1))
    return widened((high + up).astype(np.uint32))


def int8_of(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (R, K) as whole numbers in blocks (R, N, 64), and the scales (R, N)."""
    rows, depth = number.shape
    blocks = -(-depth // BLOCK)
    split = np.zeros((rows, blocks * BLOCK), dtype=np.float32)
    split[:, :depth] = number
    split = split.reshape(rows, blocks, BLOCK)
    most = np.abs(split).max(axis=-1)
    return most, split


def multiplied(weight_GK: np.ndarray, x_RK: np.ndarray, y_RG: np.ndarray, kind: str) -> np.ndarray:
    """y + x W', by the compiled product."""
    outputs, depth = weight_GK.shape
    rows, row = len(x_RK), padded(outputs)
    y = np.zeros((rows, row), dtype=np.float32)
    y[:, :outputs] = y_RG
    flat = y.reshape(-1)
    x = np.ascontiguousarray(x_RK, dtype=np.float32).reshape(-1)
    matrix = packed(weight_GK, kind)
    assert len(matrix) == matrix_size(outputs, depth, kind)
    spec = np.zeros(FIRST, dtype=np.int64)
    product(spec, flat, 0, row, matrix, 0, depth, row // PANEL, x, 0, depth, rows)
    return y[:, :outputs]


@pytest.mark.parametrize("rows", [1, 4, 7])
@pytest.mark.parametrize(("outputs", "depth"), SHAPES)
def test_bf16_rounds_weights_and_nothing_else(outputs: int, depth: int, rows: int) -> None:
    random = np.random.default_rng(outputs)
    weight_GK = random.normal(size=(outputs, depth)).astype(np.float32)
    x_RK = random.normal(size=(rows, depth)).astype(np.float32)
    y_RG = random.normal(size=(rows, outputs)).astype(np.float32)
    wanted = y_RG + x_RK.astype(np.float64) @ bf16_of(weight_GK).astype(np.float64).T
    np.testing.assert_allclose(multiplied(weight_GK, x_RK, y_RG, "bf16"), wanted, atol=2e-5)


@pytest.mark.parametrize("rows", [1, 4, 7])
@pytest.mark.parametrize(("outputs", "depth"), SHAPES)
def test_int8_rounds_weights_and_inputs_to_127_steps_a_block(
    outputs: int, depth: int, rows: int
) -> None:
    random = np.random.default_rng(outputs)
    weight_GK = random.normal(size=(outputs, depth)).astype(np.float32)
    weight_GK[0] *= 1000  # blocks of other outputs do not feel it
    x_RK = random.normal(size=(rows, depth)).astype(np.float32)
    y_RG = random.normal(size=(rows, outputs)).astype(np.float32)
    sums = []
    for number in (weight_GK, x_RK):
        most, split = int8_of(number)
        scale = most / np.float32(127)
        with np.errstate(invalid="ignore", divide="ignore"):
            whole = np.nan_to_num(np.rint(split / scale[..., None]))
        sums.append((whole * scale[..., None]).astype(np.float64))
    weights, inputs = (each.reshape(len(each), -1) for each in sums)
    wanted = y_RG + inputs @ weights.T
    found = multiplied(weight_GK, x_RK, y_RG, "int8")
    # A number that lies halfway may be rounded the other way: by a step of one product.
    slack = np.abs(weight_GK).max(axis=-1) * 2e-5 * depth + 1e-5
    assert (np.abs(found - wanted) <= slack + 1e-5 * np.abs(wanted)).mean() > 0.98
    exact = y_RG + x_RK.astype(np.float64) @ weight_GK.astype(np.float64).T
    assert np.abs(found - exact).max() <= np.abs(exact).max() * 0.05


def test_bf16_ties_go_to_even_and_what_is_not_finite_stays_so() -> None:
    number = np.array(
        [0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x7F800000, 0x7F800001], "u4"
    )
    words = pack_bf16(np.pad(number, (0, 26)).view(np.float32)[:, None])
    told = words[:6] & 0xFFFF
    assert told.tolist() == [0x3F80, 0x3F82, 0x3F81, 0x7F80, 0x7F80, 0x7FC0]


def test_int8_takes_weights_of_any_finite_size() -> None:
    for size in (0.0, 1e-45, 1e-38, 1.0, 3.4e38):
        weight_GK = np.full((3, 5), size, dtype=np.float32)
        x_RK = np.full((1, 5), 1e-3, dtype=np.float32)
        found = multiplied(weight_GK, x_RK, np.zeros((1, 3), dtype=np.float32), "int8")
        np.testing.assert_allclose(
            found, np.float64(np.float32(size)) * 5e-3, rtol=0.01, atol=1e-39
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_int8_refuses_weights_that_are_no_numbers(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        pack_int8(np.array([[1.0, bad]], dtype=np.float32))
    config = network_config("lstm")
    bundle = bundle_of(config, network_of(config))
    head = np.array(bundle.arrays["head.weight"])
    head[0, 0] = bad
    arrays = {**bundle.arrays, "head.weight": head}
    with pytest.raises(BundleError, match="not finite"):
        lay_out(replace(bundle, members=(Member(arrays),)), "int8")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_no_numbers_give_none(bad: float) -> None:
    x_RK = np.array([[1.0, bad, 0.0], [1.0, 2.0, 3.0]], dtype=np.float32)
    weight_GK = np.ones((2, 3), dtype=np.float32)
    found = multiplied(weight_GK, x_RK, np.zeros((2, 2), dtype=np.float32), "int8")
    assert not np.isfinite(found[0]).any()
    np.testing.assert_allclose(found[1], 6.0, rtol=0.01)


def machine() -> set[str]:
    from numba.core.registry import cpu_target

    return features_of(cpu_target.target_context)


def ways() -> list[str]:
    """All ways of adding up products of bytes that this machine has, its own first."""
    return [*(way for way in ("avx512vnni", "avxvnni", "avx2") if f"+{way}" in machine()), "plain"]


def blocks_of(x_RK: np.ndarray) -> np.ndarray:
    """Inputs (R, K) rounded, in blocks."""
    rows, depth = x_RK.shape
    step = depth // BLOCK * INPUT_BYTES
    rounded = np.empty(rows * step, dtype=np.uint8)
    for row in range(rows):
        round_inputs(np.ascontiguousarray(x_RK[row]), 0, depth, rounded, row * step)
    return rounded


def tile_of(shape: tuple[int, int]) -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    """The int8 tile of some rows and panels as it is compiled just now."""
    rows, panels = shape
    tile: Callable[..., None] = reduced._tile_int8(rows, panels)
    outputs = panels * PANEL

    @numba.njit
    def one(y: Any, m: Any, x: Any, depth: int) -> None:
        tile(y, m, x, 0, len(m) // panels, depth // BLOCK, (0,), (0,))

    @numba.njit
    def four(y: Any, m: Any, x: Any, depth: int) -> None:
        step = depth // BLOCK * INPUT_BYTES
        places = (0, outputs, 2 * outputs, 3 * outputs)
        starts = (0, step, 2 * step, 3 * step)
        tile(y, m, x, 0, len(m) // panels, depth // BLOCK, places, starts)

    def told(m: np.ndarray, x: np.ndarray, depth: int) -> np.ndarray:
        y = np.zeros(rows * outputs, dtype=np.float32)
        (one if rows == 1 else four)(y, m, x, depth)
        return y.reshape(rows, outputs)

    return told


@pytest.mark.parametrize("shape", [(1, 4), (4, 1)])
@pytest.mark.parametrize("way", ["avx512vnni", "avxvnni", "avx2", "plain"])
def test_every_way_of_adding_up_bytes_gives_the_same_bits(
    way: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if way not in ways():
        pytest.skip("this machine has no such sums")
    rows, panels = shape
    random = np.random.default_rng(0)
    weight_GK = random.normal(size=(panels * PANEL, 256)).astype(np.float32)
    # The largest sums there are: whole blocks of weights and inputs at either end.
    weight_GK[:4, :] = 1.0
    weight_GK[4:8, :] = -1.0
    weight_GK[8:12, ::2] = 1.0
    weight_GK[12:16, 1::2] = -1.0
    x_RK = random.normal(size=(rows, 256)).astype(np.float32)
    x_RK[:, 64:128] = -1.0
    x_RK[:, 128:192] = 1.0
    m, x = pack_int8(weight_GK), blocks_of(x_RK)
    monkeypatch.setattr(reduced, "_way", lambda _: way)
    found = tile_of(shape)(m, x, 256)
    monkeypatch.setattr(reduced, "_way", lambda _: "plain")
    np.testing.assert_array_equal(found, tile_of(shape)(m, x, 256))
    np.testing.assert_allclose(found, x_RK @ weight_GK.T, atol=1.0)


@pytest.mark.parametrize("kind", ["float32", "bf16"])
def test_tiles_made_part_by_part_give_the_same_bits(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    weight_GK = random.normal(size=(160, 65)).astype(np.float32)
    x = random.normal(size=(5, 65)).astype(np.float32).reshape(-1)
    step = PANEL * 65 // (2 if kind == "bf16" else 1)
    m = packed(weight_GK, kind)

    def told(lanes: int) -> np.ndarray:
        for module in (tiles, reduced):
            monkeypatch.setattr(module, "lanes_of", lambda _: lanes)
        made = tiles._tile if kind == "float32" else reduced._tile_bf16
        one, rest, four = made(1, 4), made(1, 1), made(4, 1)

        @numba.njit(fastmath={"contract"})
        def all_of_them(y: Any, m: Any, x: Any) -> None:
            one(y, m, x, 0, step, 65, (4 * 160,), (4 * 65,))
            rest(y, m, x, 4 * step, step, 65, (4 * 160 + 128,), (4 * 65,))
            for panel in range(5):
                a = panel * PANEL
                places = (a, a + 160, a + 320, a + 480)
                four(y, m, x, panel * step, step, 65, places, (0, 65, 130, 195))

        y = np.zeros(5 * 160, dtype=np.float32)
        all_of_them(y, m, x)
        return y.reshape(5, 160)

    wide, parts = told(16), told(8)
    np.testing.assert_array_equal(wide, parts)
    np.testing.assert_allclose(wide, x.reshape(5, 65) @ weight_GK.T, atol=0.2)


@pytest.mark.parametrize("weights", REDUCED)
@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_are_near_those_of_float32(family: str, weights: str) -> None:
    exact, rounded = predictor_of(family, "float32"), predictor_of(family, weights)
    ids_BT = np.random.default_rng(1).integers(VOCABULARY, size=(5, 40))
    states = [each.start(5) for each in (exact, rounded)]
    for start, end in pairwise([0, 13, *range(14, 30), 40]):
        found = []
        for which, each in enumerate((exact, rounded)):
            following, states[which] = each.advance(ids_BT[:, start:end], states[which])
            found.append(log_softmax(following.logits_BV))
        np.testing.assert_allclose(found[1], found[0], rtol=0, atol=TOLERANCE[weights])
        assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("weights", REDUCED)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_has_the_same_bits_alone_and_among_others(family: str, weights: str) -> None:
    predictor = predictor_of(family, weights)
    ids_BT = np.random.default_rng(2).integers(VOCABULARY, size=(64, 12))
    wanted, _ = predictor.advance(ids_BT, predictor.start(64))
    state = predictor.start(64)
    for start, end in pairwise([0, 1, 5, 12]):
        following, state = predictor.advance(ids_BT[:, start:end], state)
    assert np.array_equal(following.logits_BV, wanted.logits_BV)
    for row in range(64):
        alone, _ = predictor.advance(ids_BT[row : row + 1], predictor.start(1))
        assert np.array_equal(alone.logits_BV[0], wanted.logits_BV[row])


def test_rounding_tells_how_far_two_networks_lie_apart() -> None:
    exact = predictor_of("gru", "float32")
    assert rounding_of(exact, exact).nats == 0.0
    assert rounding_of(exact, exact).other == 0.0
    found = {weights: rounding_of(exact, predictor_of("gru", weights)) for weights in REDUCED}
    assert 0.0 < found["bf16"].nats < found["int8"].nats < 1e-3
    config = network_config("gru")
    other = compiled_predictor(bundle_of(config, network_of(config, seed=1)))
    apart = rounding_of(exact, other)
    assert apart.nats > 0.01
    assert 0.0 < apart.other <= 1.0
    assert apart.elements == 256
    # Of random weights, the one's entropy and the other's cross entropy on the same texts.
    assert "nats per element on 256" in apart.in_words()
