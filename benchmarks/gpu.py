"""What a GPU does with rhapsode: every figure that plans need, and the checks that need a GPU, in ten minutes.

    python benchmarks/gpu.py                      # all that is missing in gpu-results.jsonl
    python benchmarks/gpu.py --only check         # the checks alone
    python benchmarks/gpu.py --device cpu --quick # the same measurements, tiny: does it run at all

Each measurement is a line of the results file. A line that is there is not measured again, so that an interrupted or
timed-out session goes on where it ended. Measurements run in a process of their own; one that fails, crashes or takes too
long becomes a line that says so, and the next ones go on. Nothing else may use the GPU meanwhile.
"""

import argparse
import json
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rhapsode as rh
from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.device import (
    choose_device,
    float32_products,
    free_memory,
    is_out_of_memory,
    most_memory,
    synchronise,
)
from rhapsode.bundle.network import build_network
from rhapsode.bundle.torch_predictor import TorchPredictor
from rhapsode.config import OptimisationSettings
from rhapsode.data import Batch, read_pieces
from rhapsode.models import FAMILIES
from rhapsode.models.families import PlanRequest
from rhapsode.training.machine import measure_accelerator
from rhapsode.training.optimiser import make_optimiser, update_weights
from rhapsode.training.planner import Accelerator

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
VOCABULARY, WINDOW = 66, 64
# A run of sixty seconds on tinyshakespeare must be better than this, without counts.
WANTED_LOSS, WANTED_DIFFERENCE = 1.42, 1e-3
Measured = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """Sizes of the measurements.

    Arguments:
        sizes: units of a recurrent network of the wanted cost.
        rows: of a batch.
        window: steps of an update.
        seconds: of one timing.
        limit: seconds after which a measurement is given up.
        budget: of a training run.
        texts: characters of the two texts.
        steps: updates of the checks.
    """

    sizes: tuple[int, ...] = (512, 1024)
    rows: tuple[int, ...] = (16, 64, 256)
    window: int = WINDOW
    seconds: float = 0.5
    limit: float = 150.0
    budget: str = "20s"
    texts: tuple[int, int] = (1_000_000, 20_000_000)
    steps: int = 60


QUICK = Scale(
    sizes=(32,), rows=(2,), window=8, seconds=0.02, budget="2s", texts=(20_000, 40_000), steps=6
)


def network_of(family: str, size: int, window: int) -> torch.nn.Module:
    """A network as it is planned, without dropout."""
    planned = FAMILIES.get(family).plan(PlanRequest(size, VOCABULARY, window, 0.0))
    own = dict(planned.network)
    width = own.pop("embedding_size")
    table = Component("table", {"vocab_size": VOCABULARY, "embedding_size": width})
    head = Component("categorical", {"vocab_size": VOCABULARY})
    return build_network(NetworkConfig(table, Component(family, own), head))


def computing(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Compute in one of `PRECISIONS`."""
    stack = ExitStack()
    stack.enter_context(float32_products(device, tf32=precision == "tf32"))
    if precision in ("bfloat16", "float16"):
        stack.enter_context(torch.autocast(device.type, getattr(torch, precision)))
    return stack


def seconds_of(work: Callable[[], Any], device: torch.device, seconds: float) -> float:
    """Median time of a piece of work, after two that set things up."""
    for _ in range(2):
        work()
    synchronise(device)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        began = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


@dataclass(frozen=True)
class Update:
    """An update to be timed: family, units of a recurrent network of that cost, rows, precision."""

    family: str
    size: int
    rows: int
    precision: str
    compiled: bool = False

    @property
    def name(self) -> str:
        """Of the measurement."""
        parts = ("train", self.family, str(self.size), str(self.rows), self.precision)
        return "/".join((*parts, *(["compiled"] if self.compiled else [])))


def time_update(device: torch.device, scale: Scale, asked: Update) -> Measured:
    """Time and memory of one update."""
    torch.manual_seed(0)
    network: Any = network_of(asked.family, asked.size, scale.window).to(device).train()
    if asked.compiled:
        network.model.compile()
    optimiser = make_optimiser(network, OptimisationSettings(learning_rate=1e-3))
    ids_BT = np.random.default_rng(0).integers(1, VOCABULARY, (asked.rows, scale.window))
    batch = network.moved(Batch(ids_BT, ids_BT, np.ones(ids_BT.shape, dtype=np.float32)))

    def update() -> None:
        optimiser.zero_grad(set_to_none=True)
        with computing(device, asked.precision):
            loss_BT, _ = network.loss(batch)
        torch.autograd.backward(loss_BT.mean())
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        update_weights(optimiser)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    took = seconds_of(update, device, scale.seconds)
    found = {
        "milliseconds": round(1e3 * took, 3),
        "elements_per_second": round(asked.rows * scale.window / took),
        "parameters": network.parameter_count(),
        "most_memory": most_memory(device),
    }
    measured = measure_once(device, scale)
    if measured is not None:
        kind, shape = FAMILIES.get(asked.family), (asked.rows, scale.window)
        estimated = measured.seconds(kind, asked.size, VOCABULARY, shape)
        found["measured_over_estimated"] = round(took / estimated, 2)
        found["estimated_bytes"] = round(measured.bytes(kind, asked.size, VOCABULARY, shape))
    return found


_machine: list[Accelerator | None] = []


def measure_once(device: torch.device, scale: Scale) -> Accelerator | None:
    """The device as plans see it, measured once in a process."""
    if not _machine:
        found = measure_accelerator(device, 256 if scale is QUICK else 4096)
        _machine.append(None if found is None else Accelerator(**found))
    return _machine[0]


def measure_machine(device: torch.device, scale: Scale) -> Measured:
    """The figures that plans begin with."""
    found = measure_once(device, scale)
    if found is None:
        raise RuntimeError("the device could not be measured")
    figures = dict(vars(found))
    return {"device": figures.pop("name"), **figures, "torch": torch.__version__}


def time_generation(device: torch.device, scale: Scale, family: str, rows: int) -> Measured:
    """Elements a second of many texts at once, in torch on the device."""
    network: Any = network_of(family, scale.sizes[0], scale.window).to(device).eval()
    predictor = TorchPredictor(network, VOCABULARY)
    ids_B1 = np.ones((rows, 1), dtype=np.int64)
    state = predictor.start(rows)

    def step() -> None:
        nonlocal state
        _, state = predictor.advance(ids_B1, state)

    return {"elements_per_second": round(rows / seconds_of(step, device, scale.seconds))}


def time_scoring(device: torch.device, scale: Scale, family: str) -> Measured:
    """Elements a second of scoring, in torch on the device."""
    network: Any = network_of(family, scale.sizes[0], scale.window).to(device).eval()
    predictor, rows = TorchPredictor(network, VOCABULARY), scale.rows[-1]
    ids_BT = np.ones((rows, scale.window), dtype=np.int64)
    batch = Batch(ids_BT, ids_BT, np.ones(ids_BT.shape, dtype=np.float32))
    state = predictor.start(rows)
    took = seconds_of(lambda: predictor.score(batch, state), device, scale.seconds)
    return {"elements_per_second": round(rows * scale.window / took)}


def time_engine(_: torch.device, scale: Scale, family: str) -> Measured:
    """Elements a second of one text in the compiled engine on the CPU, for comparison."""
    sizes = {"hidden_size": scale.sizes[0]} if FAMILIES.get(family).sequential else {}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "text.txt"
        source.write_text(text_of(20_000), encoding="utf-8")
        model = rh.train(
            str(source), output=f"{scratch}/run", model=family, steps=1, device="cpu",
            network=sizes, samples={"length": 0},
        )  # fmt: skip
        length = 2000 if scale is not QUICK else 20
        model.generate("a", length=length)  # compiles
        began = time.perf_counter()
        model.generate("a", length=length)
        return {"elements_per_second": round(length / (time.perf_counter() - began))}


def text_of(characters: int) -> str:
    """A text of some length: the embedded manual, as often as necessary."""
    manual = "".join(piece.text for piece in read_pieces(["python-docs"]))
    return (manual * (characters // len(manual) + 1))[:characters]


def train_text(device: torch.device, scale: Scale, characters: int) -> Measured:
    """A planned run on a text."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "text.txt"
        source.write_text(text_of(characters), encoding="utf-8")
        model = rh.train(
            str(source), output=f"{scratch}/run", budget=scale.budget, device=str(device)
        )
        return figures_of(model.summary)


def figures_of(summary: dict[str, Any]) -> Measured:
    """Figures of a run."""
    names = (
        "loss",
        "validation_loss",
        "elements_per_second",
        "epochs",
        "steps",
        "seconds",
        "ended",
    )
    found = {name: summary.get(name) for name in names}
    return {**found, "machine": summary["machine"], "reasons": summary["plan"]["reasons"]}


def check_loss(device: torch.device, scale: Scale) -> Measured:
    """Sixty seconds on tinyshakespeare, without counts."""
    with tempfile.TemporaryDirectory() as scratch:
        budget = "60s" if scale is not QUICK else scale.budget
        model = rh.train(
            "tinyshakespeare", output=f"{scratch}/run", budget=budget, device=str(device),
            training={"counts_share": 0.0},
        )  # fmt: skip
        found = figures_of(model.summary)
    return {**found, "wanted": WANTED_LOSS, "passed": found["loss"] < WANTED_LOSS}


def sources_of(kind: str, folder: Path) -> tuple[str, dict[str, Any]]:
    """A source and the settings of a check."""
    if kind == "series":
        return "airline", {}
    path = folder / "text.txt"
    path.write_text(text_of(60_000), encoding="utf-8")
    return str(path), {"model": kind}


def check_course(device: torch.device, scale: Scale, kind: str) -> Measured:
    """Train, stop, resume, and continue a text or a series; the model opens on the CPU."""
    with tempfile.TemporaryDirectory() as scratch:
        source, settings = sources_of(kind, Path(scratch))
        folder, steps = f"{scratch}/run", scale.steps

        asked = {"steps": steps, "device": str(device), "training": {"evaluations": 4}, **settings}
        training = rh.prepare((source,), asked, output=folder)
        for event in training.events():
            if isinstance(event, rh.Step) and event.step == steps // 2:
                training.loop.stop()
        model = rh.train(output=folder, resume=True)
        written = (
            model.forecast(source, horizon=4)
            if kind == "series"
            else model.generate("The ", length=40)
        )
        summary = model.summary
        return {
            "passed": summary["steps"] == steps,
            "loss": summary["loss"],
            "written": str(written)[:60],
        }


def check_agreement(device: torch.device, scale: Scale, kind: str) -> Measured:
    """Losses of the same updates on the CPU and on the device, in float32 and without dropout."""
    found: list[list[float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        source, settings = sources_of(kind, Path(scratch))
        # Planned once: a plan follows the speed of its device.
        decided = rh.plan(
            source, steps=scale.steps, device="cpu", network={"dropout": 0.0}, samples={"length": 0},
            training={"precision": "float32"}, **settings,
        ).to_mapping()  # fmt: skip
        for place, name in enumerate(("cpu", str(device))):
            losses: list[float] = []

            def keep(event: Any, losses: list[float] = losses) -> None:
                if isinstance(event, rh.Step):
                    losses.append(event.loss)

            asked = {**decided, "device": name}
            rh.train(source, output=f"{scratch}/run{place}", on_event=keep, **asked)
            found.append(losses)
    difference = float(np.abs(np.subtract(*found)).max())
    return {"largest_difference": difference, "passed": difference <= WANTED_DIFFERENCE}


def measurements(scale: Scale) -> dict[str, Callable[[torch.device, Scale], Measured]]:
    """All measurements by name, the most important ones first."""
    found: dict[str, Callable[[torch.device, Scale], Measured]] = {"machine": measure_machine}
    found["check/loss"] = check_loss
    for kind in ("lstm", "transformer", "series"):
        found[f"check/course/{kind}"] = partial(check_course, kind=kind)
        found[f"check/agreement/{kind}"] = partial(check_agreement, kind=kind)
    families = FAMILIES.names()
    updates = [
        Update(family, size, rows, precision)
        for size in scale.sizes
        for family in families
        for rows in scale.rows
        for precision in PRECISIONS
    ]
    found |= {update.name: partial(time_update, asked=update) for update in updates}
    for family in families:
        for rows in (1, 64):
            found[f"generate/{family}/{rows}/torch"] = partial(
                time_generation, family=family, rows=rows
            )
        found[f"generate/{family}/1/engine"] = partial(time_engine, family=family)
        found[f"score/{family}"] = partial(time_scoring, family=family)
    for characters in scale.texts:
        found[f"text/{characters}"] = partial(train_text, characters=characters)
    largest = (scale.sizes[-1], scale.rows[-1], "bfloat16")
    updates = [
        Update(family, *largest, compiled=True)
        for family in families
        if not FAMILIES.get(family).sequential
    ]
    return found | {update.name: partial(time_update, asked=update) for update in updates}


def work(names: list[str], device: torch.device, scale: Scale) -> None:
    """Measure, and print a line before and after each measurement."""
    known = measurements(scale)
    for name in names:
        print(json.dumps({"begins": name}), flush=True)
        began = time.perf_counter()
        try:
            row: Measured = known[name](device, scale)
        except Exception as problem:
            kind = "no memory" if is_out_of_memory(problem) else type(problem).__name__
            row = {"failed": f"{kind}: {problem}"[:300]}
        free_memory(device)
        took = round(time.perf_counter() - began, 2)
        print(json.dumps({"name": name, **row, "took": took}), flush=True)


def watched(command: list[str], limit: float) -> Iterator[Measured]:
    """Lines of a worker; its last line tells what was the matter if it crashed or took too long.

    Arguments:
        command: starts it; the names of the measurements are its last arguments.
        limit: seconds that it may be silent.
    """
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    lines: queue.Queue[str | None] = queue.Queue()

    def read(stream: Any) -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read, args=(worker.stdout,), daemon=True)
    reader.start()
    name = None
    try:
        while True:
            try:
                line = lines.get(timeout=limit)
            except queue.Empty:
                yield {"name": name, "failed": f"took more than {limit:g} s"}
                return
            if line is None:
                if name is not None:
                    yield {"name": name, "failed": f"the process ended with {worker.wait()}"}
                return
            if not line.startswith("{"):
                continue
            row = json.loads(line)
            name = row.get("begins")
            if name is None:
                yield row
    finally:
        worker.kill()
        worker.wait()
        reader.join()
        worker.stdout.close()


def shown(row: Measured) -> str:
    """A line for people."""
    facts = [
        f"{key} {value}" for key, value in row.items() if key not in ("name", "reasons", "machine")
    ]
    return f"{row['name']}: {', '.join(facts)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--only", default="", help="measure what this regular expression finds")
    parser.add_argument("--out", type=Path, default=Path("gpu-results.jsonl"))
    parser.add_argument("--minutes", type=float, default=10.0, help="begin nothing after this time")
    parser.add_argument("--work", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    scale = QUICK if asked.quick else Scale()
    device = choose_device(asked.device)
    if asked.work is not None:
        work(asked.work, device, scale)
        return
    done = set()
    if asked.out.exists():
        done = {json.loads(line)["name"] for line in asked.out.read_text().splitlines()}
    pending = [
        name for name in measurements(scale) if re.search(asked.only, name) and name not in done
    ]
    print(
        f"{device}: {len(pending)} measurements, {len(done)} done before, in {asked.out}",
        flush=True,
    )
    end = time.monotonic() + 60 * asked.minutes
    with asked.out.open("a") as file:
        while pending and time.monotonic() < end:
            command = [sys.executable, __file__, "--device", str(device)]
            command += ["--quick"] if asked.quick else []
            before = len(pending)
            for row in watched([*command, "--work", *pending], scale.limit):
                if row["name"] in pending:
                    pending.remove(row["name"])
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(shown(row), flush=True)
                if time.monotonic() > end:
                    break
            if len(pending) == before:
                raise SystemExit("the measuring process does not start")
    if pending:
        print(f"{len(pending)} measurements are left: run the same command again")


if __name__ == "__main__":
    main()
