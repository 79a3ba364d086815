"""The training loop: a generator of events. It writes only its checkpoint."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor

from rhapsode.bundle.device import (
    CPU,
    has_fused_update,
    memory_of,
    random_state,
    scalar,
    set_random_state,
)
from rhapsode.bundle.network import Network
from rhapsode.config import OptimisationSettings
from rhapsode.data import Stream
from rhapsode.errors import RunError
from rhapsode.files import first_line
from rhapsode.log import log
from rhapsode.models import State
from rhapsode.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from rhapsode.training.clock import Clock
from rhapsode.training.distributed import Group
from rhapsode.training.events import Evaluated, Event, Finished, Sampled, Saved, Step
from rhapsode.training.gradients import BatchFeed, add_gradients, halved_once
from rhapsode.training.loop_progress import LoopHooks, Progress
from rhapsode.training.optimiser import (
    WeightAverage,
    learning_rate_factor,
    make_optimiser,
    update_weights,
)
from rhapsode.training.threads.thread_choice import ThreadMode, TrainingThreads


class _Next(NamedTuple):
    fraction: float
    look: bool
    save: bool
    over: bool
    stop: bool

    @property
    def goes_on(self) -> bool:
        return self.fraction < 1.0 and not self.over and not self.stop


class TrainingLoop:
    """Fits a network to a stream.

    All that the loop remembers is in `state()`; a loop given it by `resume` goes on bit for bit.

    Arguments:
        network: what is fitted.
        stream: windows by step.
        clock: how far the run is.
        settings: resolved: no `None`, no "auto".
        hooks: evaluation, samples, files; only those of the first process are called.
        group: the processes that share the work; None for this one alone. The stream is the same in
            all of them.
        threads: chooses those of the updates; None leaves them as they are.
        progress: the beginning of a further member; None: of the first.
    """

    def __init__(
        self,
        network: Network,
        stream: Stream,
        clock: Clock,
        settings: OptimisationSettings,
        hooks: LoopHooks,
        *,
        group: Group | None = None,
        threads: TrainingThreads | None = None,
        progress: Progress | None = None,
    ) -> None:
        if (
            settings.learning_rate is None
            or settings.averaging is None
            or settings.precision == "auto"
        ):
            raise ValueError("the settings are not resolved")
        self.network = network
        self._device = network.device
        self._stream = stream
        self._clock = clock
        self._settings = settings
        self._peak = settings.learning_rate
        self._hooks = hooks
        self._group = Group() if group is None else group
        self._feed = BatchFeed(network, stream, self._group)
        self._threads = (
            TrainingThreads([ThreadMode(torch.get_num_threads(), spin=True)])
            if threads is None
            else threads
        )
        self._group.start_random()
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._optimiser = make_optimiser(network, settings)
        self._average = WeightAverage(network, settings.averaging)
        self.progress = Progress() if progress is None else progress
        self._carried: State | None = None
        self._stopping = False
        self._saved_at = time.monotonic()

    def stop(self) -> None:
        """Ask the loop to end behind the current step, saved."""
        self._stopping = True

    def run(self) -> Iterator[Event]:
        """Train until the run is over or a process calls `stop`.

        Yields:
            Events, in order; the last is `Finished`. Evaluations and samples only in the first
            process.

        Raises:
            RunError: a checkpoint cannot be written, the device has no memory left, or another
                process is lost.
        """
        try:
            with memory_of(self._device):
                yield from self._run()
        finally:
            self._threads.end()

    def _run(self) -> Iterator[Event]:
        if self._settings.compile == "on":
            self.network.model.compile()
        self.network.train()
        self._group.copy_first(list(self.network.state_dict().values()))
        now = self._next()
        while now.goes_on:
            event = self._update(now.fraction)
            yield event
            if not math.isfinite(event.loss):
                yield Finished(self.progress.total, "diverged", self._clock.elapsed())
                return
            now = self._next()
            if now.look:
                self.progress.evaluations = int(now.fraction * self._settings.evaluations)
                yield from self._look()
                yield from self._save()
                now = self._next()
            elif now.save:
                yield from self._save()
        if now.stop and now.fraction < 1.0 and not now.over:
            yield from self._save()
            yield Finished(self.progress.total, "interrupted", self._clock.elapsed())
            return
        # A run that was stopped while its last figures were written has looked already, and so has
        # one whose time ran out in a look.
        if not self.progress.ended:
            if self.progress.looked != self.progress.step:
                yield from self._look()
            self.progress.ended = True
            yield from self._save()
        reason = "overfitting" if now.over else "done"
        yield Finished(self.progress.total, reason, self._clock.elapsed())

    def _next(self) -> _Next:
        progress, settings = self.progress, self._settings
        fraction = self._clock.fraction(progress.step)
        # The last evaluation comes at the very end.
        due = fraction < 1.0 and int(fraction * settings.evaluations) > progress.evaluations
        wishes = (
            fraction,
            float(due and self._clock.affords(progress.looking)),
            float(time.monotonic() - self._saved_at > self._hooks.seconds_between_saves),
            float(0 < settings.patience <= progress.worse),
        )
        (fraction, look, save, over), stop = self._group.decide(wishes, self._stopping)
        return _Next(fraction, bool(look), bool(save), bool(over), stop)

    def _update(self, fraction: float) -> Step:
        threads = self._threads.before(self.progress.total)
        before, began = self.elements, time.perf_counter()
        rate = self._peak * learning_rate_factor(fraction, self._settings)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        value = self._gradients()
        value = self._group.sum_gradients(self._parameters, value)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._settings.clip)
        if math.isfinite(value):  # a broken update must not reach the weights
            update_weights(self._optimiser)
        self.progress.step += 1
        self._average.update(self.progress.step)
        self._threads.took(self.elements - before, time.perf_counter() - began)
        return Step(
            step=self.progress.total,
            fraction=fraction,
            loss=value,
            gradient_norm=scalar(norm),
            learning_rate=rate,
            elements=self.elements,
            elapsed=self._clock.elapsed(),
            threads=threads,
            busy=self._threads.others_are_busy(),
            parts=self.progress.parts,
            member=self.progress.member,
        )

    @property
    def elements(self) -> int:
        """Elements that the run has read."""
        read = self._stream.scored(self.progress.step * self._settings.accumulate)
        return self.progress.elements_before + read

    def _shares(self, parts: int) -> list[float]:
        """Shares of accumulated batches in the elements that they score together."""
        if parts == 1:
            return [1.0]
        first = self.progress.step * parts
        batches = map(self._stream.batch, range(first, first + parts))
        counts = [float(batch.weights_BT.sum()) for batch in batches]
        return [count / max(1.0, sum(counts)) for count in counts]

    def _gradients(self) -> float:
        """Gradients of the next update, and its loss.

        Where memory is not sufficient for a batch, this update and all later ones read batches in
        two parts. What the failed attempt changed is undone.
        """
        progress, carried = self.progress, self._carried
        random = self._random() if progress.parts == 1 else None

        def attempt(parts: int) -> float:
            if parts != progress.parts and random is not None:
                self._carried = carried
                torch.set_rng_state(random[0])
                if random[1] is not None:
                    set_random_state(self._device, random[1])
            return self._add_gradients(parts)

        rows = self._stream.batch_size // self._group.size
        value, parts = halved_once(attempt, progress.parts, rows, self._device)
        if parts != progress.parts:
            log.warning(
                f"{self._device} has no memory left for {rows} rows at once: from update "
                f"{progress.total + 1} on they are read in {parts} parts, with the same updates"
            )
            progress.parts = parts
            self._saved_at = -math.inf  # the choice is kept with the next checkpoint, which is due
        return value

    def _add_gradients(self, parts: int) -> float:
        accumulate = self._settings.accumulate
        first = self.progress.step * accumulate
        self._optimiser.zero_grad(set_to_none=True)
        value = 0.0
        for step, share in enumerate(self._shares(accumulate), first):
            loss, state = add_gradients(
                self.network,
                self._feed,
                step,
                self._carried,
                self._settings.precision,
                parts=parts,
                share=share,
            )
            self._carried = state if self._stream.carries else None
            self._feed.prepare(step + 1, parts)
            value += scalar(loss) * share
        return value

    def _look(self) -> Iterator[Event]:
        self.progress.looked = self.progress.step
        if not self._group.first:
            return
        self._threads.rest()
        began = time.monotonic()
        compiling = self._settings.compile == "on"
        # Evaluations and samples have other shapes, each of which would be compiled.
        plain = torch.compiler.set_stance("force_eager") if compiling else nullcontext()
        with plain, self._average.in_place():  # and back again before anybody sees an event
            evaluated = self._evaluate()
            texts = self._hooks.sample()
        if evaluated is not None:
            yield evaluated
        if texts:
            yield Sampled(self.progress.total, texts)
        self.network.train()
        spent = time.monotonic() - began
        self.progress.looking += spent
        self._clock.reserve(spent * 1.1)

    def _evaluate(self) -> Evaluated | None:
        progress = self.progress
        if self._hooks.evaluate is None:
            self._hooks.keep_best(progress, None)
            return None
        loss = self._hooks.evaluate()
        rank, measures = self._hooks.rank(loss)
        better = rank < (math.inf if progress.best is None else progress.best)
        progress.worse = 0 if better else progress.worse + 1
        average = None
        if better:
            progress.best = rank
            average = self._hooks.keep_best(progress, loss)
        elapsed = self._clock.elapsed()
        values = None if measures is None else measures.values
        return Evaluated(progress.total, loss, better, elapsed, progress.member, average, values)

    def _save(self) -> Iterator[Event]:
        self._saved_at = time.monotonic()
        if self._hooks.checkpoint is not None:
            state = self.state()
            if self._group.first:
                self._hooks.secure()
                write_checkpoint(self._hooks.checkpoint, state)
            yield Saved(self.progress.total, str(self._hooks.checkpoint))

    def state(self) -> Checkpoint:
        """The whole state of the loop.

        Processes that share the work must call it together; each gets the whole.
        """
        tensors = {f"network.{name}": own for name, own in self.network.state_dict().items()}
        for index, parameter in enumerate(self._optimiser_parameters()):
            kept = self._optimiser.state[parameter]
            tensors |= {f"optimiser.{index}.{name}": tensor for name, tensor in kept.items()}
        tensors |= {f"average.{name}": mean for name, mean in self._average.tensors().items()}
        if self._carried is not None:
            # Shares of a memory cannot be put together unless each row has its own part of it.
            first = self._group.rows(self._stream.batch_size).start
            for name, tensor in self._carried.unshared(first).tensors().items():
                tensors[f"carried.{name}"] = self._group.gather(tensor)
        general, own = self._random()
        tensors["random"] = self._group.gather(general[None])
        if own is not None:
            tensors["random_of_device"] = self._group.gather(own[None])
        clock = self._clock
        timed = {"spent": clock.elapsed(), "origin": clock.origin, "begin": clock.begin}
        return Checkpoint(tensors, asdict(self.progress) | timed)

    def lengthen(self) -> Checkpoint:
        """Begin another stage of the run; return its first state.

        Weights, optimiser, best loss and place in the stream stay; evaluations and patience begin
        again. Processes that share the work must call it together.
        """
        before = self.progress
        self.progress = Progress(before.step, 0, 0.0, looked=before.looked, best=before.best)
        return self.state()

    def _random(self) -> tuple[Tensor, Tensor | None]:
        return torch.get_rng_state(), random_state(self._device)

    def _optimiser_parameters(self) -> list[Tensor]:
        return [p for group in self._optimiser.param_groups for p in group["params"]]

    def resume(self, path: Path) -> None:
        """Load the state of a checkpoint, written by any number of processes.

        Only the first process needs the file.

        Raises:
            RunError: it is damaged or of another network.
        """
        with self._group.copied(path) as file:
            checkpoint = read_checkpoint(file)
        tensors = checkpoint.tensors
        try:
            self.network.load_state_dict(_below("network.", tensors))
            for index, parameter in enumerate(self._optimiser_parameters()):
                kept = _below(f"optimiser.{index}.", tensors)
                if kept:
                    # The count of updates lies where torch looks for it.
                    here = self._device if has_fused_update(self._device) else CPU
                    self._optimiser.state[parameter] = {
                        name: tensor.to(here if name == "step" else self._device)
                        for name, tensor in kept.items()
                    }
            self._average.load(_below("average.", tensors))
            carried = _below("carried.", tensors)
            if carried:
                rows = self._group.rows(self._stream.batch_size)
                whole = self.network.model.init_state(self._stream.batch_size).rebuild(carried)
                own = whole.select(torch.arange(rows.start, rows.stop))
                self._carried = own.to(self._device)
            self._take_random(tensors["random"], tensors.get("random_of_device"))
            self.progress = msgspec.convert(checkpoint.values, Progress, strict=False)
        except (KeyError, TypeError, ValueError, RuntimeError, msgspec.ValidationError) as problem:
            raise RunError(
                f"the checkpoint does not fit this run ({first_line(problem)})",
                where=str(path),
            ) from None

    def _take_random(self, states: Tensor, of_device: Tensor | None) -> None:
        """Load this process's random states, new ones if there are more processes than before.

        The state of another kind of device is not loaded.
        """
        states = states.reshape(-1, torch.get_rng_state().numel())
        rank = self._group.rank
        if rank < len(states):
            torch.set_rng_state(states[rank].clone())
            now = random_state(self._device)
            if of_device is not None and now is not None and of_device[rank].shape == now.shape:
                set_random_state(self._device, of_device[rank].clone())
            return
        torch.set_rng_state(states[0].clone())
        torch.manual_seed(int(torch.randint(1 << 62, ())) + rank)

    def release(self) -> None:
        """Free gradients, the optimiser's state and the carried state."""
        self._optimiser.zero_grad(set_to_none=True)
        self._optimiser.state.clear()
        self._carried = None


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
