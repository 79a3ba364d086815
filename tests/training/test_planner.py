"""The plan: what is chosen from corpus, budget and context, and that it says why."""

import pytest

from rhapsode.config import SeenContext, parse_context
from rhapsode.models import FAMILIES
from rhapsode.training import PlannedSettings, machine_speed, plan_id_run


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


def test_short_documents_are_read_whole_with_units_that_remember() -> None:
    found = plan(context="fresh", elements=1_030_000, documents=10_000)
    assert found.training["window"] >= 2 * 103
    assert 500 <= found.training["batch_size"] * 103 <= 2000
    assert found.network["chrono"] == 103
    assert found.network["chrono_share"] == 0.25
    assert any("10,000" in reason and "103" in reason for reason in found.reasons)
    assert "chrono" not in plan().network
    assert "chrono" not in plan("rnn.v1", "fresh", documents=10_000).network


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
