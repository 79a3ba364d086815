"""Threads change no number: parts of a batch, helpers at one product, whatever pays."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import Component, StretchRequest
from rhapsode.compiling import cores
from rhapsode.config import GenerateSettings
from rhapsode.engine import offsets, threads
from rhapsode.engine.compiled_predictor import CompiledPredictor, compiled_predictor
from rhapsode.engine.kernels import team
from rhapsode.engine.kernels.products import packed
from rhapsode.engine.kernels.products import product as inner_product
from rhapsode.engine.kernels.reduced import BLOCK, INPUT_BYTES
from rhapsode.engine.kernels.reduced import round_inputs as inner_round_inputs
from rhapsode.engine.kernels.tiles import PANEL
from rhapsode.engine.threads import AGAIN, Pace, abreast, parts_of
from rhapsode.generation import Chain, Job, chain_of
from tests.engine.compiled_calls import callable_form
from tests.engine.compiled_models import VOCABULARY, bundle_of, network_config, network_of

Written = dict[int, tuple[list[int], str | None]]


product, round_inputs = callable_form(inner_product), callable_form(inner_round_inputs)


def predictor_of(weights: str, count: int, hidden_size: int = 24) -> CompiledPredictor:
    config = network_config("lstm")
    model = Component("lstm.v1", {"hidden_size": hidden_size})
    config = type(config)(config.input, model, config.head, config.context)
    bundle = bundle_of(config, network_of(config, sharper=3))
    return compiled_predictor(bundle, weights=weights, threads=count)


def chain(**asked: Any) -> Chain:
    return chain_of(GenerateSettings(**asked), vocab_size=VOCABULARY, suppressed=(1,))


def jobs_of(rows: int, lengths: int = 40) -> list[Job]:
    return [Job(np.array([3]), row, lengths + row % 5) for row in range(rows)]


def written(predictor: CompiledPredictor, jobs: list[Job], made: Chain) -> Written:
    found = predictor.stretches(StretchRequest(jobs, made, 5, set()))
    assert found is not None
    told: Written = {}
    for one in found:
        before, last = told.get(one.job, ([], None))
        assert last is None
        told[one.job] = ([*before, *one.elements], one.last)
    return told


@pytest.fixture(params=[True, False], ids=["threads", "in turns"])
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """All rounds one way or the other."""
    monkeypatch.setattr(Pace, "together", lambda _: request.param)
    return bool(request.param)


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 7, 8, 9, 11, 64, 65])
@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_parts_are_all_rows_in_fours(rows: int, count: int) -> None:
    parts = parts_of(rows, count)
    assert [row for part in parts for row in part] == list(range(rows))
    assert len(parts) <= count
    assert all(len(part) % 4 == 0 for part in parts[:-1])
    if len(parts) > 1:
        assert max(map(len, parts)) <= min(map(len, parts[:-1])) + 4
    if rows >= 4 * count:
        assert len(parts) == count


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.usefixtures("together")
def test_a_batch_in_parts_writes_what_each_row_writes_alone(weights: str) -> None:
    made = chain(temperature=0.9, top_k=8, repetition_penalty=1.2)
    jobs = jobs_of(21)
    found = written(predictor_of(weights, 3), jobs, made)
    assert found == written(predictor_of(weights, 1), jobs, made)
    for row in (0, 7, 8, 20):
        alone = written(predictor_of(weights, 1), [jobs[row]], made)
        assert alone == {0: found[row]}
    assert {last for _, last in found.values()} <= {"stop", "length"}


def test_a_row_that_is_dropped_says_no_more_and_the_others_go_on(together: bool) -> None:
    predictor = predictor_of("float32", 2)
    made = chain()
    jobs = [Job(np.array([3]), row, 300) for row in range(16)]
    wanted = written(predictor, jobs, made)
    dropped: set[int] = set()
    told: dict[int, list[int]] = {row: [] for row in range(16)}
    found = predictor.stretches(StretchRequest(jobs, made, 5, dropped))
    assert found is not None
    for one in found:
        assert one.job not in dropped
        told[one.job] += one.elements
        if one.job == 2:  # and one whose elements of the same round are still to come
            dropped |= {2, 9}
    for row in range(16):
        whole = wanted[row][0]
        assert told[row] == (whole[: len(told[row])] if row in (2, 9) else whole)
    assert 0 < len(told[2]) < len(wanted[2][0])
    assert len(told[9]) < len(wanted[9][0])
    if not together:  # by threads, the part of row 9 may be ahead
        assert told[9] == []


@pytest.mark.parametrize("weights", ["float32", "bf16", "int8"])
def test_helpers_change_nothing(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pace, "together", lambda _: True)
    taken: list[int] = []
    real = threads.help_write
    monkeypatch.setattr(threads, "help_write", lambda *asked: taken.append(real(*asked)))
    jobs = [Job(np.zeros(0, dtype=np.int64), 0, 200)]
    hidden_size = 528  # the last panels of a product are no whole claim
    wanted = written(predictor_of(weights, 1, hidden_size), jobs, chain())
    assert not taken
    assert written(predictor_of(weights, 3, hidden_size), jobs, chain()) == wanted
    assert len(taken) > 0
    assert (
        len(taken) % 2 == 0
    )  # two of them beside every stretch; how much they take depends on the machine


@pytest.mark.parametrize("weights", ["float32", "bf16", "int8"])
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("turn", [0, 1])
def test_a_helper_makes_what_the_leader_leaves(weights: str, rows: int, turn: int) -> None:
    outputs, depth, panels, claims, led = 600, 900, 19, 5, 2  # the last claim is no whole one
    random = np.random.default_rng(0)
    matrix = packed(random.normal(size=(outputs, depth)).astype(np.float32), weights)
    x = random.normal(size=rows * depth).astype(np.float32)
    wanted, turned, found = (np.zeros(rows * panels * PANEL, dtype=np.float32) for _ in range(3))
    step = panels * PANEL
    spec = np.zeros(offsets.FIRST, dtype=np.int64)
    product(spec, wanted, 0, step, matrix, 0, depth, panels, x, 0, depth, rows)
    spec[offsets.TURN] = 1
    product(spec, turned, 0, step, matrix, 0, depth, panels, x, 0, depth, rows)
    assert np.array_equal(turned, wanted)
    # Both ways the leader's first claims are those below the middle.
    done = led * team.CLAIM * PANEL
    found.reshape(rows, step)[:, :done] = wanted.reshape(rows, step)[:, :done]
    room = np.zeros(team.BOARD, dtype=np.int64)
    inputs, x_step = x, depth
    if weights == "int8":
        x_step = -(-depth // BLOCK) * INPUT_BYTES
        inputs = np.zeros(rows * x_step, dtype=np.uint8)
        for row in range(rows):
            round_inputs(x, row * depth, depth, inputs, row * x_step)
    room[team.SHARED : team.SHARED + 11] = (
        found.ctypes.data, 0, step, 0, depth, panels, inputs.ctypes.data, 0, x_step, rows, turn,
    )  # fmt: skip
    room[team.TICKET] = (5 << team.NUMBER) + (led << team.LED) + claims - led
    helper = threading.Thread(
        target=threads.help_write, args=(room.ctypes.data, matrix), daemon=True
    )
    helper.start()
    began = time.monotonic()
    while room[team.DONE] < claims - led:
        assert time.monotonic() - began < 60
        time.sleep(0.001)
    room[team.ENDED] = 1
    helper.join(60)
    assert not helper.is_alive()
    assert room[team.DONE] == claims - led
    assert room[team.TICKET] == (5 << team.NUMBER) + (led << team.LED)
    assert np.array_equal(found, wanted)


def test_small_networks_are_not_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*asked: Any) -> Any:
        raise AssertionError(asked)

    monkeypatch.setattr(threads, "help_write", never)
    written(predictor_of("float32", 2), jobs_of(1), chain())


def test_iterators_go_on_abreast_each_in_its_order(together: bool) -> None:
    def counting(name: str, count: int) -> Iterator[str]:
        for number in range(count):
            yield f"{name}{number}"

    found = list(abreast([counting("a", 2), counting("b", 0), counting("c", 3)], len))
    assert sorted(found) == ["a0", "a1", "c0", "c1", "c2"]
    for name in "ac":
        own = [one for one in found if one.startswith(name)]
        assert own == sorted(own)
    if not together:
        assert found == ["a0", "c0", "a1", "c1", "c2"]


def test_no_iterator_waits_for_a_slower_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pace, "together", lambda _: True)
    gate = threading.Event()

    def slow() -> Iterator[str]:
        gate.wait(60)
        yield "slow"

    found = abreast([slow(), iter("abcdef")], len)
    assert [next(found) for _ in range(6)] == list("abcdef")
    gate.set()
    assert list(found) == ["slow"]


@pytest.mark.usefixtures("together")
def test_what_a_part_raises_is_raised() -> None:
    def failing() -> Iterator[str]:
        yield "x"
        raise ValueError("in a thread")

    found, told = abreast([iter(["a", "b", "c"]), failing()], len), []
    with pytest.raises(ValueError, match="in a thread"):
        told.extend(found)
    assert "".join(one for one in told if one != "x") in {"", "a", "ab", "abc"}


def test_the_faster_way_goes_on_and_the_other_is_tried_again() -> None:
    pace = Pace()
    for seconds in ({True: 1.0, False: 2.0}, {True: 3.0, False: 2.0}):
        ways = []
        for _ in range(3 * AGAIN):
            way = pace.together()
            ways.append(way)
            pace.told(way, seconds[way])
        faster = seconds[True] < seconds[False]
        assert ways.count(faster) > 2.7 * AGAIN
        assert ways[2:].count(not faster) in (2, 3)
    for _ in range(AGAIN + 1):  # what was slower has become the faster one
        pace.told(pace.together(), 1.0 if pace.together() == faster else 0.5)
    assert pace.together() != faster


def test_cores_are_counted() -> None:
    assert cores() >= 1
