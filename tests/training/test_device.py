"""Training on another device, checked on fake tensors, and what a device must not change."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    FakeTensorDeviceMismatchError,
    FakeTensorMode,
)

from rhapsode.bundle import device, read_bundle, torch_predictor, value_predictor
from rhapsode.bundle.element_facts import History
from rhapsode.bundle.model_file import Component, NetworkConfig
from rhapsode.bundle.network import Network, build_network
from rhapsode.config import OptimisationSettings
from rhapsode.data import Batch
from rhapsode.errors import RunError, SettingsError
from rhapsode.heads import HEADS, DensityHead, count_data
from rhapsode.models import FAMILIES
from rhapsode.models import contract as model_contract
from rhapsode.models.awd_lstm import network as awd_lstm
from rhapsode.models.transformer_classic import network as transformer_classic
from rhapsode.training import (
    LoopHooks,
    Step,
    StepClock,
    TrainingLoop,
    gradients,
    join_group,
    machine,
    read_checkpoint,
    training_loop,
)
from rhapsode.training.machine import measure_accelerator
from rhapsode.training.planner import Accelerator
from rhapsode.workflows.runs import planning
from rhapsode.workflows.runs import training as run_training
from rhapsode.workflows.runs.run import prepare_training
from tests.modalities import brackets, zigzag
from tests.modalities.registered import registered
from tests.modalities.sources import bracket_lines, write, zigzag_lines
from tests.training.test_resume import asked, small_source, steps_of, train

__all__ = ["small_source"]

META = torch.device("meta")
ROWS, TIME, KINDS, FEATURES = 3, 6, 7, 4
SOURCE = Path(device.__file__).parents[1]
GOLDEN = Path(__file__).parents[1] / "golden" / "models"
MODELS: dict[str, dict[str, Any]] = {
    "transformer.v1": {"num_layers": 2, "num_heads": 2, "window": 5, "dropout": 0.1},
    "transformer_classic.v1": {"num_layers": 2, "num_heads": 2, "length": 32, "dropout": 0.1},
}
RECURRENT: dict[str, Any] = {"hidden_size": 8, "num_layers": 2, "dropout": 0.1}
HEAD_SETTINGS: dict[str, dict[str, Any]] = {
    "pen.v1": {"target_size": 3, "components": 2},
    "bins.v1": {"edges": (-1.0, 0.0, 1.0), "tails": (1.0, 1.0)},
    "joint.v1": {"target_size": 3, "kinds": (2,)},
}


class Fixed:
    """The same batch at every step, its states carried."""

    carries, elements_per_epoch = True, ROWS * TIME

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.batch_size = batch.rows

    def batch(self, step: int) -> Batch:
        return self._batch

    def scored(self, steps: int) -> int:
        return steps * self.elements_per_epoch

    def steps(self, epochs: float) -> int:
        return 1


def resets() -> np.ndarray[Any, np.dtype[np.bool_]]:
    reset_BT = np.zeros((ROWS, TIME), dtype=bool)
    reset_BT[1, 0] = True
    return reset_BT


def ids_batch() -> Batch:
    ids_BT = 1 + np.arange(ROWS * TIME).reshape(ROWS, TIME) % (KINDS - 1)
    allowed_BTV = np.ones((ROWS, TIME, KINDS), dtype=bool)
    allowed_BTV[..., 0] = False
    return Batch(
        ids_BT,
        ids_BT,
        np.ones((ROWS, TIME), dtype=np.float32),
        reset_BT=resets(),
        allowed_BTV=allowed_BTV,
    )


def values_batch(head: DensityHead) -> Batch:
    targets_BTK = np.ones((ROWS, TIME, head.target_size), dtype=np.float32)
    weights_BT = np.ones((ROWS, TIME), dtype=np.float32)
    return Batch(
        np.ones((ROWS, TIME, FEATURES - 1), dtype=np.float32),
        targets_BTK,
        weights_BT,
        reset_BT=resets(),
        known_BTK=np.ones((ROWS, TIME, 1), dtype=np.float32),
        log_jacobian_BT=weights_BT,
        log_scale_BK=np.zeros((ROWS, head.target_size), np.float32) if head.counts else None,
    )


def ones(tensor: Tensor) -> Any:
    assert tensor.device == META
    return np.ones(tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tensors without numbers, which know their device; places where numbers leave it are stubs."""
    monkeypatch.setattr(device, "_fetched", ones)
    monkeypatch.setattr(count_data, "_flat", lambda tensor: np.ones(tensor.numel()))
    monkeypatch.setattr(transformer_classic, "_furthest", lambda _: 0)
    monkeypatch.setattr(model_contract, "segments", lambda reset_BT: [(0, reset_BT.shape[1])])
    monkeypatch.setattr(awd_lstm.AWDLSTM, "_kept", lambda _, weight_GH: torch.ones_like(weight_GH))
    # Fake tensors know no autocasting.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def fake_network(config: NetworkConfig) -> Network:
    with META:
        network = build_network(config)
    assert {parameter.device for parameter in network.parameters()} == {META}
    # Fake tensors let a lookup of ids on another device pass.
    network.input.register_forward_pre_hook(check_place)
    network.head.register_forward_pre_hook(check_place)
    return network


def check_place(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
    assert inputs[0].device == META


def fit(network: Network, batch: Batch, optimiser: str, parts: int = 1) -> list[float]:
    """Take two updates, and return the learning rates that they had."""
    settings = OptimisationSettings(
        learning_rate=0.01,
        averaging=0.9,
        precision="float32",
        optimiser=optimiser,  # type: ignore[arg-type]
    )
    hooks = LoopHooks(None, tuple, lambda *_: None)
    loop = TrainingLoop(network, Fixed(batch), StepClock(2, spent=0.0), settings, hooks)
    loop.progress.parts = parts
    events = [event for event in loop.run() if isinstance(event, Step)]
    assert [event.loss for event in events] == [1.0, 1.0]
    state = loop.state().tensors
    parts = {"network", "optimiser", "average", "carried"}
    assert {name.partition(".")[0] for name in state} == parts | {"random"}
    # The count of updates alone may lie on the CPU, as in PyTorch.
    places = {t.device for name, t in state.items() if name != "random" and t.dim()}
    assert places == {META}
    return [event.learning_rate for event in events]


@pytest.mark.parametrize(
    ("family", "adaptive"), [*((name, "") for name in FAMILIES.names()), ("lstm.v1", "adaptive")]
)
@pytest.mark.usefixtures("fake")
def test_families_train_and_predict_on_their_device(family: str, adaptive: str) -> None:
    sizes = {"vocab_size": KINDS} | ({"shortlist": 2, "tail_size": 3} if adaptive else {})
    network = fake_network(
        NetworkConfig(
            Component("adaptive_table" if adaptive else "table", {**sizes, "embedding_size": 8}),
            Component(family, MODELS.get(family, RECURRENT)),
            Component(adaptive or "categorical", sizes),
        )
    )
    assert all(fit(network, ids_batch(), "adamw"))
    predictor = torch_predictor.TorchPredictor(network, KINDS)
    ids_BT = np.ones((ROWS, TIME), dtype=np.int64)
    following, state = predictor.advance(ids_BT[:, :3], predictor.start(ROWS), features=True)
    following, state = predictor.advance(ids_BT[:, :1], state)
    assert {tensor.device for tensor in state.tensors().values()} == {META}
    assert len(following) == ROWS
    assert predictor.score(ids_batch())[0].shape == (ROWS, TIME)
    assert predictor.examine(ids_batch())[0].log_prob_BT.shape == (ROWS, TIME)
    logits_BV = network(torch.ones(ROWS, 1, dtype=torch.int64, device=META))[0][:, 0]
    drawn_B = network.head.sample(logits_BV, torch.rand(ROWS, device=META))
    assert drawn_B.device == META


@pytest.mark.parametrize(
    "name", [name for name in HEADS.names() if issubclass(HEADS.get(name), DensityHead)]
)
@pytest.mark.usefixtures("fake")
def test_heads_over_numbers_train_and_draw_on_their_device(name: str) -> None:
    network = fake_network(
        NetworkConfig(
            Component("linear", {"value_size": FEATURES, "embedding_size": 8}),
            Component("lstm", RECURRENT),
            Component(name, HEAD_SETTINGS.get(name, {"target_size": 2})),
        )
    )
    head = network.head
    assert isinstance(head, DensityHead)
    assert all(fit(network, values_batch(head), "sgd"))
    x_BTK = torch.ones(ROWS, 1, FEATURES, device=META)
    parameters_BP = network(x_BTK)[0][:, 0]
    uniforms_BK = torch.rand(ROWS, head.target_size, device=META)
    for temperature in (1.0, 0.0):
        assert head.sample(parameters_BP, uniforms_BK, temperature).device == META
    assert head.quantile(parameters_BP, 0.5).device == META


TOY: dict[str, Any] = {
    "network": {"hidden_size": 8},
    "training": {"batch_size": 4, "precision": "float32"},
    "samples": {"length": 0},
    "device": "cpu",
}
MODALITIES: dict[str, tuple[dict[str, str] | None, Any]] = {
    "text.v1": (None, lambda folder: write(folder / "a.txt", bracket_lines())),
    "series.v1": (None, lambda _: ("airline",)),
    brackets.NAME: (
        brackets.REGISTRATION,
        lambda folder: write(folder / "a.brackets", bracket_lines()),
    ),
    zigzag.NAME: (zigzag.REGISTRATION, lambda folder: write(folder / "a.zigzag", zigzag_lines())),
}


@pytest.mark.parametrize("name", MODALITIES)
def test_modalities_train_on_their_device(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With their own encoders, batches, masks and conditions; in one part and in two."""
    registration, sources = MODALITIES[name]
    with nullcontext() if registration is None else registered(name, **registration):
        run = planning.plan_training(
            sources(tmp_path), TOY, resumed=None, base=None, group=join_group()
        )
        assert run.modality.name == name
        batch = run.stream.batch(0)
    config = run.planned.bundle.config
    request.getfixturevalue("fake")
    for parts in (1, 2):
        network = fake_network(config)
        assert all(fit(network, batch, "sgd", parts))
    moved = network.moved(batch)
    parameters_BP = network(moved.inputs)[0][:, 0]
    head = network.head
    if isinstance(head, DensityHead):
        uniforms_BK = torch.rand(batch.rows, head.target_size, device=META)
        assert head.sample(parameters_BP, uniforms_BK, 1.0).device == META
        return
    predictor = torch_predictor.TorchPredictor(
        network.eval(), run.planned.bundle.encoder.vocab_size
    )
    state = predictor.start(batch.rows, batch.condition)
    following, _ = predictor.advance(batch.inputs[:, :1], state)
    assert len(following.sample(np.full((batch.rows, 1), 0.5)).elements) == batch.rows


@pytest.mark.parametrize("name", ["s-gaussian", "s-binned", "s-poisson", "s-known", "s-season"])
@pytest.mark.usefixtures("fake")
def test_values_are_predicted_on_their_device(name: str) -> None:
    bundle: Any = read_bundle(GOLDEN / name)
    network = fake_network(bundle.config).eval()
    predictor = value_predictor.ValuePredictor(bundle, network)
    known_TX = np.ones((TIME, bundle.facts.covariate_size), dtype=np.float32)
    size = bundle.encoder.target_size
    values_TK = np.arange(float(TIME * size)).reshape(TIME, size)
    lengths = (TIME, TIME - 2)
    state = predictor.begin([History(values_TK[:n], known_TX[:n]) for n in lengths])
    ahead_BUX = np.stack([known_TX[:2]] * 2)
    values_BTK = np.stack([values_TK[:1]] * 2)
    following, state = predictor.advance(values_BTK, state, ahead_BUX)
    assert {tensor.device for tensor in state.memory.tensors().values()} == {META}
    drawn = following.sample(np.full((2, size), 0.5), 1.0, following.logits_BKV)
    assert drawn.elements.shape == (2, size)
    assert following.given(drawn.elements).elements.shape == (2, size)
    assert following.log_prob(drawn.elements).shape == (2,)
    assert following.select(np.array([1])).table(3).elements.shape == (1, 3, size)


def test_fake_tensors_would_tell() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        with META:
            layer = torch.nn.Linear(3, 2)
        with pytest.raises(FakeTensorDeviceMismatchError):
            layer(torch.ones(ROWS, 3))
        with pytest.raises(RuntimeError, match="numpy"):
            device.scalar(layer.weight.sum())


def test_only_one_module_names_devices() -> None:
    named = re.compile(r"""["']cpu["']|\.cuda\b|\.mps\b|device=["']""")
    places = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if named.search(path.read_text(encoding="utf-8"))
        and not path.is_relative_to(SOURCE / "engine")
    }
    assert places == {"bundle/device.py", "heads/contract.py"}


def test_numbers_leave_a_device_in_few_places() -> None:
    leaves = re.compile(r"\.numpy\(\)|\.item\(\)|\.cpu\(\)")
    places = {
        str(path.relative_to(SOURCE))
        for room in ("bundle", "heads", "models", "training", "workflows", "modalities")
        for path in (SOURCE / room).rglob("*.py")
        if leaves.search(path.read_text(encoding="utf-8"))
    }
    # Processes exchange tensors of the CPU, and compiled loops run on it.
    assert places == {
        "bundle/device.py",
        "heads/count_data.py",
        "models/attention/window_steps.py",
        "training/distributed.py",
    }


def test_the_next_batch_is_moved_while_the_device_computes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each batch is made once, the next one before the loss of this one is fetched."""
    plain = [event.loss for event in loop_to(seeded(), None, 4).run() if isinstance(event, Step)]
    made: list[str] = []
    fetched, batch = training_loop.scalar, Fixed.batch
    monkeypatch.setattr(gradients, "CPU", META)
    monkeypatch.setattr(Fixed, "batch", lambda self, step: made.append(f"{step}") or batch(self, 0))
    monkeypatch.setattr(
        training_loop, "scalar", lambda tensor: made.append("loss") or fetched(tensor)
    )
    ahead = [event.loss for event in loop_to(seeded(), None, 4).run() if isinstance(event, Step)]
    assert ahead == plain
    assert [each for each in made if each != "loss"] == ["0", "1", "2", "3", "4"]
    assert made[:3] == ["0", "1", "loss"]


def seeded() -> Network:
    torch.manual_seed(5)
    return build_network(lstm_config())


@pytest.mark.parametrize(
    ("family", "mode"),
    [("lstm.v1", "LSTM"), ("gru.v1", "GRU"), ("rnn.v1", "RNN_TANH"), ("awd_lstm.v1", "LSTM")],
)
def test_weights_are_packed_for_cudnn_on_every_way_to_a_device(
    family: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[tuple[Any, ...]] = []
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "is_acceptable", lambda _: True)
    monkeypatch.setattr(cudnn.rnn, "get_cudnn_mode", lambda name: name)
    monkeypatch.setattr(torch, "_cudnn_rnn_flatten_weight", lambda *told: packed.append(told))
    network = FAMILIES.get(family).load()
    config = FAMILIES.get(family).Config(input_size=4, hidden_size=6, num_layers=2)
    made: Any = network(config)
    assert not packed
    made.to(device.CPU)
    assert [told[1:] for told in packed] == [
        (4, width, mode, 6, 0, 1, True, False) for width in (4, 6)
    ]
    assert [each is own for each, own in zip(packed[1][0], made.weights_of(1), strict=True)] == [
        True
    ] * 4


def test_float32_is_not_shortened_and_nothing_stays_changed() -> None:
    cuda = torch.device("cuda")
    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    assert any(before)
    with device.exact_float32(cuda, "float32"):
        assert [place.allow_tf32 for place in places] == [False, False]
    with device.float32_products(cuda, tf32=True):
        assert [place.allow_tf32 for place in places] == [True, True]
    for where, precision in ((device.CPU, "float32"), (cuda, "bfloat16")):
        with device.exact_float32(where, precision):
            assert [place.allow_tf32 for place in places] == before
    assert [place.allow_tf32 for place in places] == before


def test_the_figures_of_plans_are_measured() -> None:
    found = measure_accelerator(device.CPU, 64)
    assert found is not None
    figures = vars(Accelerator(**found))
    assert all(figures[name] > 0 for name in figures if name not in {"name", "memory"})


def test_a_gpu_that_cannot_be_measured_is_planned_like_a_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: torch.device) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(machine, "synchronise", broken)
    with caplog.at_level("INFO", logger="rhapsode"):
        assert measure_accelerator(device.CPU, 64) is None
    assert "no kernel image" in caplog.text


def test_a_run_on_a_gpu_is_planned_for_it_and_says_so(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands for the GPU: what is measured comes from a table."""
    figures = ("H200", 4.5e13, 3.8e14, 6.5e14, 4.0e12, 1.39e11, 2e-5, 6e-6)
    told = dict(zip(Accelerator.__dataclass_fields__, figures, strict=True))
    monkeypatch.setattr(planning, "measure_accelerator", lambda _: told)
    monkeypatch.setattr(planning, "CPU", META)
    settings = {"steps": 2, "samples": {"length": 0}, "device": "cpu"}
    found = planning.plan(str(small_source), **settings)
    assert any("estimated for H200, not measured" in reason for reason in found.reasons)
    assert "# " in found.toml()
    assert "not measured" in found.toml()


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # raised and hidden by the compiler
@pytest.mark.parametrize("family", ["transformer", "tcn"])
def test_a_compiled_run_is_the_plain_one(
    family: str, small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as for the compiler, and run as it is: compiling takes a minute."""
    compiled: list[str] = []
    make = torch.nn.Module.compile

    def traced(self: torch.nn.Module) -> None:
        compiled.append(type(self).__name__)
        make(self, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    monkeypatch.setattr(planning, "check_compiler", lambda _: None)
    network = {"num_layers": 1, "dropout": 0.0}
    plain = {**asked("transformer", steps=4), "model": family, "network": network}
    train(small_source, tmp_path / "plain", plain)
    given = {**plain, "training": {**plain["training"], "compile": "on"}}
    train(small_source, tmp_path / "compiled", given)
    assert len(compiled) == 1
    losses = [
        [line["loss"] for line in steps_of(tmp_path / name) if line["event"] == "step"]
        for name in ("plain", "compiled")
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    names = [
        sorted(read_checkpoint(tmp_path / name / "checkpoints" / "last.safetensors").tensors)
        for name in ("plain", "compiled")
    ]
    assert names[0] == names[1]


def test_what_cannot_be_compiled_is_told(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"training": {"compile": "on"}, "steps": 2}
    with pytest.raises(SettingsError, match="lstm runs in kernels") as caught:
        train(small_source, tmp_path / "run", given)
    assert caught.value.where == "[training] compile"

    def missing(_: object) -> Any:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(torch, "compile", missing)
    with pytest.raises(SettingsError, match="Failed to find C compiler"):
        train(small_source, tmp_path / "run", {**given, "model": "tcn"})


def present(monkeypatch: pytest.MonkeyPatch, *, cards: int = 0, mps: bool = False) -> None:
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cards", "mps", "name", "expected"),
    [
        (0, False, "auto", "cpu"),
        (2, True, "auto", "cuda:0"),
        (0, True, "auto", "mps"),
        (2, False, "cuda", "cuda:0"),
        (2, False, "cuda:1", "cuda:1"),
        (2, True, "mps", "mps"),
        (2, True, "cpu", "cpu"),
    ],
)
def test_choice(
    monkeypatch: pytest.MonkeyPatch, cards: int, mps: bool, name: str, expected: str
) -> None:
    present(monkeypatch, cards=cards, mps=mps)
    assert device.choose_device(name) == torch.device(expected)


@pytest.mark.parametrize("name", ["cuda", "cuda:2", "mps", "gpu", "cuda:x", ""])
def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    present(monkeypatch)
    with pytest.raises(SettingsError, match=r"this PyTorch has no device .*only cpu") as caught:
        device.choose_device(name)
    assert caught.value.where == "device"
    assert "auto" in str(caught.value.hint)


def test_processes_have_a_card_each(monkeypatch: pytest.MonkeyPatch) -> None:
    present(monkeypatch, cards=2, mps=True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert device.choose_device("auto") == device.choose_device("cuda") == torch.device("cuda:1")
    for name in ("cuda:1", "mps"):
        with pytest.raises(SettingsError, match=f"2 processes cannot share {name}"):
            device.choose_device(name)
    # Where cards do not suffice, all processes take the CPU, or none begins.
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert device.choose_device("auto") == device.CPU
    with pytest.raises(SettingsError, match="no device cuda:2, only cpu, cuda:0, cuda:1, mps"):
        device.choose_device("cuda")


def test_the_backend_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    present(monkeypatch)
    assert device.join_backend(0) == "gloo"
    present(monkeypatch, cards=2)
    assert {device.join_backend(rank) for rank in (1, 2)} == {"cpu:gloo,cuda:nccl"}
    assert taken == [1]


def test_no_memory_left_is_told_in_one_line() -> None:
    with (
        pytest.raises(RunError, match="cpu has no memory left") as caught,
        device.memory_of(device.CPU),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    for name in ("training.batch_size", "training.window", "network.hidden_size"):
        assert name in str(caught.value)


def test_no_memory_left_ends_a_loop(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training_loop, "add_gradients", exhausted)
    with pytest.raises(RunError, match="has no memory left"):
        train(small_source, tmp_path / "run", asked("lstm", steps=2))


def lstm_config() -> NetworkConfig:
    return NetworkConfig(
        Component("table", {"vocab_size": KINDS, "embedding_size": 8}),
        Component("lstm", RECURRENT),
        Component("categorical", {"vocab_size": KINDS}),
    )


def loop_to(
    network: Network, path: Path | None, steps: int, optimiser: Any = "adamw"
) -> TrainingLoop:
    settings = OptimisationSettings(
        learning_rate=0.01, averaging=0.9, precision="float32", optimiser=optimiser
    )
    hooks = LoopHooks(None, tuple, lambda *_: None, path)
    clock = StepClock(steps, spent=0.0)
    return TrainingLoop(network, Fixed(ids_batch()), clock, settings, hooks)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")
def test_a_checkpoint_of_the_cpu_goes_on_elsewhere(
    optimiser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "last.safetensors"
    list(loop_to(build_network(lstm_config()), path, 2, optimiser).run())
    checkpoint = read_checkpoint(path)
    monkeypatch.setattr(training_loop, "read_checkpoint", lambda _: checkpoint)
    monkeypatch.setattr(TrainingLoop, "_take_random", lambda *_: None)  # it is the CPU's
    request.getfixturevalue("fake")
    loop = loop_to(fake_network(lstm_config()), None, 4, optimiser)
    loop.resume(path)
    before = loop.state().tensors
    assert {t.device for name, t in before.items() if name != "random" and t.dim()} == {META}
    if optimiser == "adamw":  # reads its count of updates, of which fake tensors have none
        assert {t.device for name, t in before.items() if name.endswith(".step")} == {device.CPU}
        return
    loop.progress.ended = False
    assert [event.step for event in loop.run() if isinstance(event, Step)] == [3, 4]


def test_the_random_state_of_a_device_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    restored: list[list[int]] = []
    monkeypatch.setattr(training_loop, "random_state", lambda _: torch.arange(5))
    monkeypatch.setattr(
        training_loop, "set_random_state", lambda _, state: restored.append(state.tolist())
    )
    list(loop_to(build_network(lstm_config()), path, 2).run())
    loop_to(build_network(lstm_config()), path, 2).resume(path)
    assert restored == [[0, 1, 2, 3, 4]]
    monkeypatch.setattr(training_loop, "random_state", lambda _: None)
    loop_to(build_network(lstm_config()), path, 2).resume(path)
    assert len(restored) == 1


def same(one: Path, other: Path) -> None:
    assert steps_of(one) == steps_of(other)
    for name, array in read_bundle(one).arrays.items():
        assert np.array_equal(array, read_bundle(other).arrays[name]), name


def test_the_summary_names_the_device_and_its_memory(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_training, "most_memory", lambda _: 123)
    training = prepare_training(
        (str(small_source),), asked("lstm", steps=2), output=str(tmp_path / "run")
    )
    list(training.events())
    told = training.finish()["machine"]
    assert (told["device"], told["most_memory"]) == ("cpu", 123)
    assert "gpu" not in told


def test_cpu_by_name_is_the_default_bit_for_bit(small_source: Path, tmp_path: Path) -> None:
    train(small_source, tmp_path / "auto", asked("lstm", steps=6))
    train(small_source, tmp_path / "cpu", asked("lstm", steps=6, device="cpu"))
    same(tmp_path / "auto", tmp_path / "cpu")


def test_auto_leaves_a_device_that_cannot_run_the_network(
    small_source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    train(small_source, tmp_path / "cpu", asked("lstm", steps=6, device="cpu"))
    monkeypatch.setattr(planning, "choose_device", lambda _: META)
    with caplog.at_level("INFO", logger="rhapsode"):
        train(small_source, tmp_path / "auto", asked("lstm", steps=6))
    assert "cpu: meta cannot run this network" in caplog.text
    same(tmp_path / "auto", tmp_path / "cpu")


def test_a_resumed_run_may_change_its_device(small_source: Path, tmp_path: Path) -> None:
    train(small_source, tmp_path / "whole", asked("lstm", steps=8))
    folder = tmp_path / "parts"
    train(small_source, folder, asked("lstm", steps=8), stop_at=3)
    tensors = read_checkpoint(folder / "checkpoints" / "last.safetensors").tensors
    assert {tensor.device for tensor in tensors.values()} == {device.CPU}
    train(small_source, folder, {"device": "cpu"}, resume=True)
    same(tmp_path / "whole", folder)
