"""A device without enough memory: batches in parts, the same updates, and one line that says so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rhapsode.bundle import device, read_bundle
from rhapsode.bundle.element_facts import History
from rhapsode.bundle.network import Network, load_network
from rhapsode.bundle.torch_predictor import TorchPredictor
from rhapsode.bundle.value_predictor import ValuePredictor
from rhapsode.data import Batch
from rhapsode.errors import RunError
from rhapsode.training import Saved, gradients, read_checkpoint
from rhapsode.workflows.runs.run import prepare_training
from tests.training.test_conditions import Toy, loop_of, network, run
from tests.training.test_resume import asked, assert_same_run, small_source, steps_of, train

__all__ = ["small_source"]

FAILURES: dict[str, Callable[[], BaseException]] = {
    "cuda": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    "cpu": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
    ),
    "numpy": lambda: MemoryError("Unable to allocate 20 GiB for an array"),
    "cudnn": lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
}
GOLDEN = Path(__file__).parents[1] / "golden" / "models"
STEPS, ROWS, TIME = 8, 5, 6


def limited(
    monkeypatch: pytest.MonkeyPatch, rows: int, failure: str = "cuda", *, after: int = 0
) -> list[int]:
    """Let the head fail for more rows, once the forward pass is half done; returns rows read."""
    scored, read = Network._scored, list[int]()

    def fail(self: Network, batch: Any, state: Any, *, by_loss: bool) -> Any:
        found = scored(self, batch, state, by_loss=by_loss)
        read.extend([batch.rows] if torch.is_grad_enabled() else [])  # evaluations do not count
        if torch.is_grad_enabled() and batch.rows > rows and len(read) > after:
            raise FAILURES[failure]()
        return found

    monkeypatch.setattr(Network, "_scored", fail)
    return read


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in steps_of(folder) if line["event"] == "step"]


def parts(folder: Path) -> list[int]:
    return [line["parts"] for line in steps_of(folder) if line["event"] == "step"]


@pytest.mark.parametrize("failure", sorted(FAILURES))
def test_a_batch_that_does_not_fit_is_halved_and_updates_stay_the_same(
    failure: str,
    small_source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = asked("lstm", steps=STEPS)
    plain["network"] = {**plain["network"], "dropout": 0.0}
    train(small_source, tmp_path / "whole", plain)
    limited(monkeypatch, 2, failure)
    with caplog.at_level("WARNING", logger="rhapsode"):
        train(small_source, tmp_path / "halved", plain)
    told = [each.message for each in caplog.records if "training" not in each.name]
    halved = [message for message in told if "from update 1 on" in message]
    assert len(halved) == 1
    assert "4 rows" in halved[0]
    assert parts(tmp_path / "halved") == [2] * STEPS
    assert losses(tmp_path / "halved") == pytest.approx(losses(tmp_path / "whole"), abs=1e-5)
    one, other = (read_bundle(tmp_path / name).arrays for name in ("whole", "halved"))
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], atol=1e-4, err_msg=name)


def test_halving_equals_accumulation_from_the_start(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows in order: half the rows of a batch come first, the other half after them."""
    plain = asked("transformer", steps=STEPS)
    plain["network"] = {**plain["network"], "dropout": 0.0}
    plain["reading"] = {"context": "window:16", "shuffle": False}
    given = {**plain, "training": {**plain["training"], "batch_size": 2, "accumulate": 2}}
    train(small_source, tmp_path / "given", given)
    limited(monkeypatch, 2)
    train(small_source, tmp_path / "halved", plain)
    assert losses(tmp_path / "halved") == pytest.approx(losses(tmp_path / "given"), abs=1e-5)


def test_a_failure_leaves_nothing_half_done(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose fourth update fails is, bit for bit, one that halves from there without failing.

    Dropout draws random numbers, which the failed attempt must not use up.
    """
    monkeypatch.setattr(device, "free_memory", lambda _: None)
    plain = asked("lstm", steps=STEPS)
    with monkeypatch.context() as patched:
        limited(patched, 2, after=3)
        train(small_source, tmp_path / "failed", plain)
    assert parts(tmp_path / "failed") == [1] * 3 + [2] * (STEPS - 3)
    work = gradients.halved_once

    def planned(attempt: Any, known: int, rows: int, where: torch.device) -> Any:
        calls.append(known)
        return (attempt(2), 2) if len(calls) > 3 else work(attempt, known, rows, where)

    calls: list[int] = []
    monkeypatch.setattr("rhapsode.training.training_loop.halved_once", planned)
    train(small_source, tmp_path / "planned", plain)
    assert_same_run(tmp_path / "failed", tmp_path / "planned")


def test_the_choice_is_checkpointed_and_kept_by_a_resumed_run(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = asked("lstm", steps=STEPS)
    with monkeypatch.context() as patched:
        limited(patched, 2, after=2)
        train(small_source, tmp_path / "whole", plain)
    with monkeypatch.context() as patched:
        limited(patched, 2, after=2)
        train(small_source, tmp_path / "parts", plain, stop_at=5)
    values = read_checkpoint(tmp_path / "parts" / "checkpoints" / "last.safetensors").values
    assert values["parts"] == 2
    train(small_source, tmp_path / "parts", {}, resume=True)  # with memory enough
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert parts(tmp_path / "parts") == [1, 1] + [2] * (STEPS - 2)


def test_the_checkpoint_with_the_choice_is_written_at_once(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, 2, after=2)
    training = prepare_training(
        (str(small_source),), asked("lstm", steps=STEPS), output=str(tmp_path / "run")
    )
    saved = [event.step for event in training.events() if isinstance(event, Saved)]
    assert 3 in saved
    assert 5 not in saved


def test_a_failure_in_the_second_of_two_batches_undoes_the_first(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = asked("lstm", steps=STEPS)
    plain["training"] = {**plain["training"], "accumulate": 2}
    plain["network"] = {**plain["network"], "dropout": 0.0}
    train(small_source, tmp_path / "whole", plain)
    limited(monkeypatch, 2, after=3)
    train(small_source, tmp_path / "halved", plain)
    assert parts(tmp_path / "halved") == [1] + [2] * (STEPS - 1)
    assert losses(tmp_path / "halved") == pytest.approx(losses(tmp_path / "whole"), abs=1e-5)


def test_a_second_failure_names_what_to_reduce(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, 1)
    with pytest.raises(RunError, match="cpu has no memory left") as caught:
        train(small_source, tmp_path / "run", asked("lstm", steps=STEPS))
    for name in ("training.batch_size", "training.window", "network.hidden_size"):
        assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_precision_is_measured_in_parts_too(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = asked("transformer", steps=2)  # its kernels exist everywhere
    plain["training"] = {**plain["training"], "precision": "bfloat16"}
    limited(monkeypatch, 2)
    train(small_source, tmp_path / "run", plain)
    assert parts(tmp_path / "run") == [2, 2]


def test_other_errors_are_no_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="shape"):
        gradients.halved_once(broken, 1, 4, device.CPU)
    with pytest.raises(RuntimeError, match="shape"):
        device.RowLimit(device.CPU).over(4, broken)
    with pytest.raises(RuntimeError, match="shape"), device.memory_of(device.CPU):
        broken(None)


def broken(_: object) -> None:
    raise RuntimeError("shape mismatch")


def test_the_allocator_of_the_cpu_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert device.is_out_of_memory(caught.value)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Networks that read at most two rows at once; the rows of every call."""
    read: list[int] = []
    forward, step = Network.read, Network.step

    def over(rows: int) -> None:
        read.append(rows)
        if rows > 2:
            raise FAILURES["cuda"]()

    def reading(self: Network, batch: Any, state: Any) -> Any:
        found = forward(self, batch, state)
        over(batch.rows)
        return found

    def stepping(self: Network, inputs_B: Tensor, state: Any) -> Any:
        over(len(inputs_B))
        return step(self, inputs_B, state)

    monkeypatch.setattr(Network, "read", reading)
    monkeypatch.setattr(Network, "step", stepping)
    return read


@pytest.mark.parametrize("name", ["lstm", "transformer", "tcn"])
def test_scoring_and_generation_read_fewer_rows(name: str, failing: list[int]) -> None:
    bundle: Any = read_bundle(GOLDEN / name)
    network, size = load_network(bundle), bundle.encoder.vocab_size
    ids_BT = np.random.default_rng(0).integers(1, size, (ROWS, TIME))
    batch = Batch(ids_BT, ids_BT, np.ones((ROWS, TIME), dtype=np.float32))
    singles = [batch.select(slice(row, row + 1)) for row in range(ROWS)]
    alone = [TorchPredictor(network, size) for _ in range(ROWS)]
    predictor = TorchPredictor(network, size)
    scored_BT, after = predictor.score(batch, predictor.start(ROWS))
    assert max(failing) == ROWS
    failing.clear()
    following, last = predictor.advance(ids_BT[:, :1], after)
    assert max(failing) == 2  # what did not fit is not tried again
    examined, _ = predictor.examine(batch, after)
    for row, (single, each) in enumerate(zip(singles, alone, strict=True)):
        own_1T, own = each.score(single, each.start(1))
        np.testing.assert_allclose(scored_BT[row], own_1T[0], atol=1e-5)
        wanted, own_last = each.advance(single.inputs[:, :1], own)
        np.testing.assert_allclose(following.logits_BV[row], wanted.logits_BV[0], atol=1e-4)
        for kept, tensor in own_last.tensors().items():
            torch.testing.assert_close(last.tensors()[kept][row], tensor[0])
        found, _ = each.examine(single, own)
        np.testing.assert_allclose(examined.entropy_BT[row], found.entropy_BT[0], atol=1e-5)
    assert len(following) == last.rows == ROWS


@pytest.mark.parametrize("name", ["s-known", "s-poisson"])
def test_series_are_scored_and_continued_in_fewer_rows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle: Any = read_bundle(GOLDEN / name)
    values_TK = np.arange(1.0, 1.0 + TIME * bundle.encoder.target_size).reshape(TIME, -1)
    known_TX = np.ones((TIME, bundle.facts.covariate_size), dtype=np.float32)
    histories = [History(values_TK * (row + 1), known_TX) for row in range(ROWS)]

    def continued() -> np.ndarray[Any, Any]:
        predictor = ValuePredictor(bundle, load_network(bundle))
        state = predictor.begin(histories)
        drawn = []
        for _ in range(3):
            elements = np.zeros((ROWS, 0, 1)) if not drawn else drawn[-1][:, None]
            ahead_BUX = np.stack([known_TX[: elements.shape[1] + 1]] * ROWS)
            following, state = predictor.advance(elements, state, ahead_BUX)
            uniforms_BK = np.full((ROWS, 1), 0.3)
            drawn.append(following.sample(uniforms_BK, 1.0, following.logits_BKV).elements)
        return np.stack(drawn)

    wanted = continued()
    step, read = Network.step, []

    def stepping(self: Network, inputs_BD: Tensor, state: Any) -> Any:
        read.append(len(inputs_BD))
        if len(inputs_BD) > 2:
            raise FAILURES["cuda"]()
        return step(self, inputs_BD, state)

    monkeypatch.setattr(Network, "step", stepping)
    np.testing.assert_allclose(continued(), wanted, rtol=1e-5)
    assert sorted(set(read)) == [1, 2, ROWS]


def test_one_row_that_does_not_fit_is_told_in_one_line(failing: list[int]) -> None:
    with pytest.raises(RunError, match="cpu has no memory left"):
        device.RowLimit(device.CPU).over(4, lambda _: torch.empty(1 << 60))


@pytest.mark.parametrize("given_once", [False, True])
def test_conditions_are_read_in_parts(given_once: bool) -> None:
    """Also where rows keep the condition that they began with: the memory must not grow."""

    class Once(Toy):
        def batch(self, step: int) -> Batch:
            batch = super().batch(step)
            return replace(batch, condition=None) if given_once and step else batch

    def losses_in(parts: int) -> tuple[list[float], dict[str, Tensor]]:
        loop = loop_of(network(), Once())
        loop.progress.parts = parts
        return run(loop), dict(loop.state().tensors)

    whole, tensors = losses_in(1)
    halved, others = losses_in(2)
    assert halved[:20] == pytest.approx(whole[:20], abs=1e-4)
    for name in (each for each in tensors if each.startswith("carried.")):
        assert others[name].shape == tensors[name].shape
