"""Many series side by side, each at its own step: reading values, and what the next ones are likely to be. Loads torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rhapsode.bundle.network import Network
from rhapsode.bundle.predictor import Narrowing
from rhapsode.bundle.series_bundle import SeriesBundle
from rhapsode.data import SeriesArrays, sweep_series
from rhapsode.encoding import SeriesPaths
from rhapsode.errors import BundleError
from rhapsode.heads import Bins, DensityHead
from rhapsode.models import State

__all__ = ["History", "SeriesPredictor", "SeriesState"]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

# Steps that one call of the network reads.
WINDOW = 256
ROWS = 256


@dataclass(frozen=True)
class History:
    """What is known of one series before a forecast.

    Arguments:
        values_TK: NaN where missing.
        known_TX: its covariates, scaled, at the same times; at least those of as many last ones as a model reads.
    """

    values_TK: Floats
    known_TX: Singles


@dataclass(frozen=True)
class SeriesState:
    """Where B paths stand: what the network remembers, and the last values.

    Arguments:
        memory: of the network, B rows.
        paths: the last values, B paths.
    """

    memory: State
    paths: SeriesPaths

    def select(self, rows_R: NDArray[np.int64]) -> SeriesState:
        """Some of the paths, in that order; a row may occur twice."""
        return SeriesState(
            self.memory.select(torch.from_numpy(rows_R)), self.paths.select(np.asarray(rows_R))
        )

    def fork(self) -> SeriesState:
        """The same paths, which never see what these read."""
        return self.select(np.arange(len(self.paths)))


class SeriesPredictor:
    """Predicts what comes next in series.

    Arguments:
        bundle: encoder and covariates.
        network: its network, in evaluation mode.

    Raises:
        BundleError: a head that does not fit.
    """

    def __init__(self, bundle: SeriesBundle, network: Network) -> None:
        if not isinstance(network.head, DensityHead):
            raise BundleError("its head is no distribution over numbers")
        if network.head.counts != bundle.encoder.settings.counts:
            raise BundleError("its head and its encoder do not agree whether values are counts")
        self.bundle = bundle
        self.network = network
        self.head = network.head
        self._rescaled = self.head.counts

    @torch.no_grad()
    def start(self, histories: Sequence[History]) -> SeriesState:
        """Read histories: at most the last `run_up` values of each go through the network, all of them set its scale.

        What a series' state becomes does not depend on the others.

        Raises:
            EncodingError: values that the encoder's settings declare impossible.
        """
        encoder = self.bundle.encoder
        paths, features = [], []
        for history in histories:
            scale = encoder.stats(history.values_TK)
            length = len(history.values_TK)
            read = min(length, self.bundle.run_up)
            # What lies further back than features reach is spared; over gaps a difference reaches any distance.
            gaps = encoder.settings.difference and not np.isfinite(history.values_TK).all()
            spared = 0 if gaps else max(0, length - read - encoder.span)
            tail_TK = history.values_TK[spared:]
            encoded = encoder.encode(tail_TK, scale)
            paths.append(encoder.paths_after(tail_TK, scale))
            parts = (encoded.features_TD[len(tail_TK) - read :], history.known_TX[-read:])
            features.append(np.concatenate(parts, axis=1) if read else self._no_features())
        return SeriesState(self._memory(features), SeriesPaths.join(paths))

    def _no_features(self) -> Singles:
        return np.zeros((0, self.bundle.input_size), dtype=np.float32)

    def _memory(self, features: Sequence[Singles]) -> State:
        """The network's state behind each of some series (T, D) of whatever lengths.

        All end together; a shorter one joins when those before it have as many steps left.
        """
        lengths = np.array([len(each) for each in features])
        order = np.argsort(-lengths, kind="stable")
        left = int(lengths.max(initial=0))
        states: list[State] = []
        joined = 0
        while True:
            enter = [row for row in order[joined:] if lengths[row] == left]
            if enter:
                states.append(self.network.model.init_state(len(enter)))
                joined += len(enter)
            rows = order[:joined]
            state = _cat(states)
            if left == 0:
                break
            later = lengths[order[joined:]].max(initial=0) if joined < len(order) else 0
            time = min(left - int(later), WINDOW)
            x_BTD = np.stack([features[r][len(features[r]) - left :][:time] for r in rows])
            _, state = self.network.model(self.network.input(torch.from_numpy(x_BTD)), state)
            states = [state]
            left -= time
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return state.select(torch.from_numpy(back))

    @torch.no_grad()
    def parameters(
        self, state: SeriesState, known_BX: Singles | None = None
    ) -> tuple[Tensor, State]:
        """Parameters (B, P) of the distribution of every path's next target, and the network's state behind them.

        Arguments:
            state: where the paths stand.
            known_BX: covariates of the time to come, scaled; None where the model has none.
        """
        inputs_BD = torch.from_numpy(state.paths.features())
        if known_BX is not None and known_BX.shape[1]:
            inputs_BD = torch.cat((inputs_BD, torch.from_numpy(known_BX)), dim=1)
        parameters_BP, memory = self.network.step(inputs_BD, state.memory)
        if self._rescaled:
            log_scale_BK = torch.from_numpy(state.paths.log_scale()).float()
            parameters_BP = self.head.scaled(parameters_BP, log_scale_BK)
        return parameters_BP, memory

    @property
    def target_size(self) -> int:
        """K, the numbers of one step."""
        return self.bundle.encoder.target_size

    @property
    def numbers(self) -> int:
        """Numbers that describe the distribution of one step."""
        return self.head.width

    @property
    def bins(self) -> int | None:
        """V where a number is drawn as an element, one of so many bins; None for a density."""
        return self.head.bins if isinstance(self.head, Bins) else None

    def paths(
        self,
        state: SeriesState,
        known_RHX: Singles,
        uniforms_RHK: Floats,
        temperature: float,
        narrow: Narrowing | None = None,
    ) -> Floats:
        """Values (R, H, K), in the data's own units, that follow R states; each is drawn, read, and followed.

        Arguments:
            state: R rows; used up.
            known_RHX: covariates of the steps to come, scaled.
            uniforms_RHK: in [0, 1), inverted.
            temperature: as the head takes it.
            narrow: what is left of the bins, instead of the temperature.
        """
        drawn_RHK = np.empty_like(uniforms_RHK)
        paths = state.paths
        for step in range(uniforms_RHK.shape[1]):
            parameters_RP, memory = self.parameters(state, known_RHX[:, step])
            state = SeriesState(memory, paths)
            uniforms_RK = torch.from_numpy(np.ascontiguousarray(uniforms_RHK[:, step]))
            if narrow is None:
                targets_RK = self.head.sample(parameters_RP, uniforms_RK, temperature).numpy()
            else:
                targets_RK = self._narrowed(parameters_RP, uniforms_RK, narrow)
            drawn_RHK[:, step] = paths.decode_next(targets_RK)
            paths.push(drawn_RHK[:, step])
        return drawn_RHK

    def each(self, work: Callable[[slice], None], parts: Sequence[slice]) -> None:
        """Do some work on every part, as many at a time as PyTorch has threads; within a part there is one.

        Most of a step is too small to be shared by threads, and much of it is NumPy's, which has only one. PyTorch's
        number of threads is that of the process: a thread that first uses it meanwhile has one.
        """
        threads = min(torch.get_num_threads(), len(parts))
        if threads < 2:
            for part in parts:
                work(part)
            return
        before = torch.get_num_threads()
        pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            for done in [pool.submit(work, part) for part in parts]:
                done.result()
        finally:
            # Where one failed, or somebody interrupts, those that have not begun are not waited for.
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before)

    def _narrowed(self, parameters_RP: Tensor, uniforms_RK: Tensor, narrow: Narrowing) -> Floats:
        assert isinstance(self.head, Bins)
        kept_RKV = narrow.keep(self.head.logits(parameters_RP).float().numpy())
        targets_RK, bins_RK = self.head.draw_bins(torch.from_numpy(kept_RKV), uniforms_RK)
        narrow.wrote(bins_RK.numpy())
        if narrow.middles:
            targets_RK = self.head.centres()[bins_RK]
        return np.asarray(targets_RK.numpy())

    def observe(
        self, values_BK: Floats, state: SeriesState, known_BX: Singles | None = None
    ) -> SeriesState:
        """The state behind the next value of every path; NaN where it is missing.

        Arguments:
            values_BK: in the data's own units.
            state: before it; it is not changed.
            known_BX: covariates of that time, scaled.

        Raises:
            EncodingError: values that the encoder's settings declare impossible.
        """
        _, memory = self.parameters(state, known_BX)
        paths = state.paths.fork()
        paths.push(values_BK)
        return SeriesState(memory, paths)

    def log_density(
        self, values_BK: Floats, state: SeriesState, known_BX: Singles | None = None
    ) -> Floats:
        """Log-density (nats, in the data's own units) of what comes next on every path, (B,); missing numbers add nothing."""
        targets_BK, jacobian_B = state.paths.encode_next(values_BK)
        parameters_BP, _ = self.parameters(state, known_BX)
        found = self.head.log_prob(parameters_BP[:, None], torch.from_numpy(targets_BK)[:, None])
        return np.asarray(found[:, 0].double().numpy() + jacobian_B)

    @torch.no_grad()
    def losses(
        self, arrays: SeriesArrays, scored_S: NDArray[np.int64], *, run_up: int | None = None
    ) -> Floats:
        """Nats of every known target from a row of each series on, (N,); NaN where none is scored.

        Arguments:
            arrays: encoded series.
            scored_S: the first row that is scored in each, over all series.
            run_up: rows read before it, at most; None for the model's own.
        """
        reach = self.bundle.run_up if run_up is None else run_up
        starts_S = np.maximum(arrays.offsets[:-1], scored_S - reach)
        nats_N = np.full(int(arrays.offsets[-1]), np.nan)
        state: State | None = None
        for fresh, batch in sweep_series(
            arrays, starts_S, arrays.offsets[1:], rows=ROWS, window=WINDOW
        ):
            log_prob_BT, state = self.network.log_prob(batch, None if fresh else state)
            assert batch.positions_BT is not None
            wanted = (batch.weights_BT > 0) & (batch.positions_BT >= 0)
            nats_N[batch.positions_BT[wanted]] = -log_prob_BT.numpy()[wanted].astype(np.float64)
        for series, first in enumerate(scored_S):
            nats_N[arrays.offsets[series] : first] = np.nan
        return nats_N


def _cat(states: Sequence[State]) -> State:
    """The rows of several states, one behind the other."""
    if len(states) == 1:
        return states[0]
    tensors = [state.tensors() for state in states]
    return type(states[0])(
        **{name: torch.cat([each[name] for each in tensors]) for name in tensors[0]}
    )
