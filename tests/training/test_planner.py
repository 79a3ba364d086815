"""The plan: what is chosen from corpus, budget and context, and that it says why."""

import itertools

import pytest

from rhapsode.config import SeenContext, parse_context
from rhapsode.models import FAMILIES
from rhapsode.training import PlannedSettings, machine_speed, plan_id_run
from rhapsode.training.planner import Accelerator


def plan(family: str = "lstm.v1", context: str = "carried", **facts) -> PlannedSettings:
    known = {
        "elements": 1_000_000,
        "documents": 1,
        "vocab_size": 66,
        "context": parse_context(context),
        "seconds": 180.0,
        "epochs": None,
        "steps": None,
        "speed": 1.0,
    }
    return plan_id_run(family=family, **{**known, **facts})


@pytest.mark.parametrize("family", FAMILIES.names())
@pytest.mark.parametrize("context", ["carried", "fresh", "window:60"])
@pytest.mark.parametrize("elements", [300, 50_000, 10**6, 10**10])
@pytest.mark.parametrize("seconds", [5.0, 60.0, 180.0, 36_000.0])
@pytest.mark.parametrize("vocab_size", [66, 10_000])
def test_every_plan_is_of_settings_that_the_family_has(
    family: str, context: str, elements: int, seconds: float, vocab_size: int
) -> None:
    found = plan(
        family,
        context,
        elements=elements,
        seconds=seconds,
        documents=elements // 100,
        vocab_size=vocab_size,
    )
    network = dict(found.network)
    size = network.pop("embedding_size")
    assert not network.pop("tied", False) or size == network["hidden_size"]
    assert 0.0 <= network.pop("input_dropout", 0.0) <= 0.2
    assert 0.0 <= found.training["averaging"] < 1.0
    FAMILIES.get(family).Config(input_size=size, **network)
    assert found.training["batch_size"] >= 1
    assert 1e-4 < found.training["learning_rate"] < 1e-2
    assert 0.0 <= network["dropout"] <= 0.4
    assert all(found.reasons)


def test_passes_are_counted_by_the_elements_of_an_update() -> None:
    facts = {"context": "fresh", "elements": 700_000, "documents": 100_000, "seconds": None}
    assert plan(**facts, steps=2000, read_at_once=700).passes == pytest.approx(2.0)
    found = plan(**facts, steps=2000)  # of 7 elements a document
    assert found.passes == pytest.approx(2000 * 7 * found.training["batch_size"] / 700_000)


def test_short_documents_are_read_whole_with_units_that_remember() -> None:
    found = plan(context="fresh", elements=1_030_000, documents=10_000)
    assert found.training["window"] >= 2 * 103
    assert 500 <= found.training["batch_size"] * 103 <= 2000
    assert found.network["chrono"] == 103
    assert found.network["chrono_share"] == 0.25
    assert any("10,000" in reason and "103" in reason for reason in found.reasons)
    assert "chrono" not in plan().network
    assert "chrono" not in plan("rnn.v1", "fresh", documents=10_000).network


def test_documents_are_read_several_at_a_time_however_long() -> None:
    for length, documents, rows in ((328, 3000, 8), (5000, 200, 8), (20, 50_000, 51), (5000, 2, 2)):
        found = plan(context="fresh", elements=length * documents, documents=documents)
        assert found.training["batch_size"] == rows
        assert found.training["window"] <= 1024


def test_only_what_must_be_remembered_keeps_the_learning_rate_low() -> None:
    facts = {"context": "fresh", "elements": 200_000, "documents": 2000, "hidden_size": 256}
    assert plan(**facts).training["learning_rate"] == 6e-3
    assert plan(**facts, accelerator=H200).training["learning_rate"] == 6e-3
    assert plan(**facts, has_sources=True).training["learning_rate"] == 8e-3


def test_a_small_corpus_gets_a_small_model_and_dropout() -> None:
    small, large = plan(elements=100_000), plan(elements=10_000_000)
    assert small.network["hidden_size"] < large.network["hidden_size"]
    assert small.network["dropout"] > large.network["dropout"]


def test_more_time_gets_a_larger_model() -> None:
    sizes = [plan(elements=10**7, seconds=60.0 * m).network["hidden_size"] for m in (0.5, 1, 3, 10)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_window_is_the_contexts() -> None:
    found = plan("transformer_classic.v1", context="window:40")
    assert found.training["window"] == found.network["length"] == 40
    assert isinstance(parse_context("window:40"), SeenContext)


def test_what_was_asked_for_is_what_the_rest_is_fitted_to() -> None:
    planned, wide = plan(seconds=60.0), plan(seconds=60.0, hidden_size=1024)
    assert wide.network["hidden_size"] == 1024
    assert wide.training["learning_rate"] < planned.training["learning_rate"]
    assert wide.reasons[0].startswith("1024 units")


def test_weights_are_averaged_over_a_tenth_of_the_run_at_its_end() -> None:
    assert plan(steps=400, seconds=None).training["averaging"] == 0.0
    assert plan(steps=4000, seconds=None).training["averaging"] == 1 - 10 / 4000
    assert any("400 updates" in reason for reason in plan(steps=4000, seconds=None).reasons)
    assert plan(steps=10**7, seconds=None).training["averaging"] == 1 - 10 / 20_000


def test_a_large_vocabulary_is_one_table() -> None:
    found = plan(vocab_size=10_000, seconds=600.0)
    assert found.network["tied"]
    assert found.network["embedding_size"] == found.network["hidden_size"]
    assert "tied" not in plan().network


def test_slower_machines_get_narrower_networks_and_fewer_passes() -> None:
    fast, slow = plan(seconds=600.0), plan(seconds=600.0, speed=0.35)
    assert fast.network["hidden_size"] > slow.network["hidden_size"] >= 384
    assert plan(seconds=600.0 / 0.35, speed=0.35).network == fast.network


@pytest.mark.parametrize(
    ("rates", "threads", "wanted"),
    [
        ({"float32": 200.0, "bfloat16": 430.0}, 2, 1.0),
        ({"float32": 200.0, "bfloat16": 1.0}, 2, 2**-0.5),
        ({"float32": 70.0, "bfloat16": 1.0, "float32_one_thread": 70.0}, 2, 2**-1.5),
        ({"float32": 140.0, "bfloat16": 1.0, "float32_one_thread": 70.0}, 2, 2**-1.5),
        ({"float32": 210.0, "bfloat16": 410.0, "float32_one_thread": 100.0}, 2, 1.0),
    ],
)
def test_a_disturbed_measurement_is_mended_by_one_thread(
    rates: dict[str, float], threads: int, wanted: float
) -> None:
    assert machine_speed(rates, threads) == pytest.approx(wanted)


# Rates as one may expect of these machines: none was measured.
H200 = Accelerator("H200", 4.5e13, 3.8e14, 6.5e14, 4.0e12, 1.39e11, 2e-5, 6e-6)
RTX_3060 = Accelerator("RTX 3060", 9e12, 1.7e13, 2.4e13, 3.0e11, 1.1e10, 3e-5, 7e-6)
LAPTOP = Accelerator("mps", 2.5e12, 2.5e12, 2.5e12, 8.0e10, 1.0e10, 1.5e-4, 2e-5)
GPUS = [H200, RTX_3060, LAPTOP]


def words(gpu: Accelerator) -> str:
    return gpu.name


@pytest.mark.parametrize("gpu", GPUS, ids=words)
@pytest.mark.parametrize("family", FAMILIES.names())
def test_plans_for_gpus_keep_to_budget_memory_and_corpus(gpu: Accelerator, family: str) -> None:
    sizes, budgets = (300, 100_000, 10**6, 10**8, 10**10), (20.0, 180.0, 36_000.0)
    for elements, seconds, vocab_size in itertools.product(sizes, budgets, (66, 50_000)):
        keeps_to_limits(gpu, family, elements, seconds, vocab_size)


def keeps_to_limits(
    gpu: Accelerator, family: str, elements: int, seconds: float, vocab_size: int
) -> None:
    facts = {"elements": elements, "seconds": seconds, "vocab_size": vocab_size}
    context = "window:64" if family == "transformer_classic.v1" else "carried"
    found, of_cpu = (plan(family, context, **facts, accelerator=each) for each in (gpu, None))
    kind, rows = FAMILIES.get(family), found.training["batch_size"]
    shape = (rows, found.training["window"])
    # Units of a recurrent network: the least that may have been chosen.
    size = found.network.get("hidden_size", 128) if kind.sequential else 128
    update = gpu.seconds(kind, size, vocab_size, shape)
    least = of_cpu.training["batch_size"]
    assert rows >= least
    if rows > least:
        assert gpu.bytes(kind, size, vocab_size, shape) < gpu.memory
        assert seconds / update > 4000
        assert shape[0] * shape[1] * 16 <= elements
    if found.most_steps is not None:
        assert found.most_steps * shape[0] * shape[1] == pytest.approx(40 * elements, rel=0.01)
        assert found.most_steps * update < 1.01 * seconds
    assert of_cpu.training["learning_rate"] / 8 < found.training["learning_rate"] <= 0.01
    network = dict(found.network)
    wide = network.pop("embedding_size")
    for name in ("tied", "input_dropout"):
        network.pop(name, None)
    FAMILIES.get(family).Config(input_size=wide, **network)
    told = [reason for reason in found.reasons if "estimated" in reason]
    assert len(told) == 1
    assert gpu.name in told[0]
    assert "not measured" in told[0]
    assert not any("estimated" in reason for reason in of_cpu.reasons)


def test_a_faster_gpu_gets_more_rows_and_wider_networks() -> None:
    for family, width in (("lstm.v1", "hidden_size"), ("transformer.v1", "embedding_size")):
        plans = [plan(family, accelerator=gpu, seconds=120.0, elements=10**7) for gpu in GPUS]
        plans.append(plan(family, seconds=120.0, elements=10**7))
        for name, values in {
            "rows": [each.training["batch_size"] for each in plans],
            "width": [each.network[width] for each in plans],
        }.items():
            assert values == sorted(values, reverse=True), (family, name)
            assert values[0] > values[-1], (family, name)


def test_rows_are_free_while_positions_wait_for_one_another() -> None:
    lstm = FAMILIES.get("lstm.v1")
    few, more = (H200.seconds(lstm, 512, 66, (rows, 64)) for rows in (16, 64))
    assert more < 1.5 * few
    transformer = FAMILIES.get("transformer.v1")
    few, more = (RTX_3060.seconds(transformer, 1024, 66, (rows, 256)) for rows in (64, 256))
    assert more > 3 * few


def test_a_gpu_without_room_keeps_the_rows_of_a_cpu() -> None:
    small = Accelerator("small", 4.5e13, 3.8e14, 6.5e14, 4.0e12, 1.0e8, 2e-5, 6e-6)
    assert plan(accelerator=small).training["batch_size"] == plan().training["batch_size"]


def test_a_long_budget_stops_before_a_gpu_learns_by_heart() -> None:
    found = plan(accelerator=H200, seconds=36_000.0)
    assert found.most_steps is not None
    assert any("40 passes" in reason for reason in found.reasons)
    assert plan(accelerator=H200, seconds=None, epochs=100).most_steps is None
    assert plan(seconds=36_000.0).most_steps is None
