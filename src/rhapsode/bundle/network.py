"""The network of a bundle: input module, model, head. Loads torch."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rhapsode.bundle.device import CPU, numbers, tensor_on
from rhapsode.bundle.model_file import Bundle, Component, NetworkConfig
from rhapsode.config import from_mapping
from rhapsode.data import Batch
from rhapsode.errors import BundleError, RhapsodeError, SettingsError
from rhapsode.heads import HEADS, Categorical, DensityHead, Head
from rhapsode.models import (
    CONDITIONERS,
    FAMILIES,
    INPUTS,
    Conditioned,
    InputModule,
    SequenceModel,
    State,
)
from rhapsode.models.inputs import Table

SCORED_AT_ONCE = 1 << 24
"""Numbers (64 MB of float32) of the distributions that scoring holds at once."""


class Reading(NamedTuple):
    """Result of the model on a batch, for a head to score.

    Arguments:
        y_BTH: features after every input.
        targets: of the batch.
        masks: allowed elements, (B, T, V), and targets that are not allowed, (B, T), which have
            weight 0; both bool. None if all are allowed.
        state: after the batch.
    """

    y_BTH: Tensor
    targets: Tensor
    masks: tuple[Tensor, Tensor] | None
    state: State


class Network(nn.Module):
    """Network from elements to distributions over the next element.

    Arguments:
        input: elements to features.
        model: features to features, carrying a state.
        head: features to a distribution.
    """

    def __init__(self, input: InputModule, model: SequenceModel, head: Head) -> None:
        super().__init__()
        self.input = input
        self.model = model
        self.head = head
        self.tie()

    def tie(self) -> None:
        """Tie the weights of input table and head, if configured.

        Raises:
            SettingsError: the input is not a table, or not as wide as the head's features.
        """
        if not (isinstance(self.head, Categorical) and self.head.config.tied):
            return
        if not isinstance(self.input, Table):
            raise SettingsError("a tied head needs a table as input", where="[network] tied")
        if self.input.weight.shape != self.head.weight.shape:
            raise SettingsError(
                f"a tied head needs embedding_size {self.head.config.feature_size}, "
                f"that of its features, not {self.input.output_size}",
                where="[network] tied",
            )
        self.input.weight = self.head.weight

    def forward(
        self, inputs: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Parameters of the distribution after each input, and the last state."""
        y_BTH, state = self.model(self.input(inputs), state, reset_BT=reset_BT)
        return self.head(y_BTH), state

    def step(self, inputs_B: Tensor, state: State) -> tuple[Tensor, State]:
        """`forward` for one element per row, (B,)."""
        y_BH, state = self.model.step(self.input(inputs_B[:, None])[:, 0], state)
        return self.head(y_BH[:, None])[:, 0], state

    def read(self, batch: Batch, state: State | None) -> Reading:
        """Read a batch.

        Arguments:
            batch: its condition applies to its rows, whether they begin or continue; without one, a
                continued state keeps its own.
            state: after the previous batch; None if rows begin with this one.

        Raises:
            DataError: a target of a weight above 0 is not allowed.
            SettingsError: the batch has a condition that this network cannot use.
        """
        device = self.device
        masks, allowed_BTV = None, batch.mask()
        if allowed_BTV is not None:
            exempt_BT = tensor_on(device, batch.forbidden_targets())
            masks = tensor_on(device, allowed_BTV), exempt_BT
        inputs, targets, reset_BT = batch_tensors(batch, device)
        if batch.condition is not None:
            begun = self.model.init_state(batch.rows, condition=batch.condition)
            state = begun if state is None else state.under(begun)
        y_BTH, state = self.model(self.input(inputs), state, reset_BT=reset_BT)
        return Reading(y_BTH, targets, masks, state)

    def log_prob(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State]:
        """Log-probability (nats) of every target, (B, T) float32.

        The state after the batch is returned, too. Targets of weight 0 may get 0. Rows are under
        the condition of the batch; without one, a continued state keeps its own.
        """
        return self._scored(self.head.log_prob, batch, state)

    def loss(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State]:
        """Training loss of every target, (B, T) float32.

        The state after the batch is returned, too. The loss is the negative of `log_prob`, unless
        the head defines another one.
        """
        return self._scored(self.head.loss, batch, state)

    def _scored(
        self, score: Callable[..., Tensor], batch: Batch, state: State | None
    ) -> tuple[Tensor, State]:
        y_BTH, targets, masks, state = self.read(batch, state)
        time = targets.shape[1]
        jacobian_BT = batch.log_jacobian_BT
        # If only the last target counts, the head skips the others: they get 0.
        skipped = 0 if batch.weights_BT[:, :-1].any() else time - 1
        # Training needs all positions at once anyway; scoring limits them to save memory.
        most = time
        if not torch.is_grad_enabled():
            most = max(1, SCORED_AT_ONCE // (targets.shape[0] * self.head.width))
        parts = []
        for start in range(skipped, time, most):
            place = slice(start, start + most)
            parameters = self.head(y_BTH[:, place])
            if batch.log_scale_BK is not None and isinstance(self.head, DensityHead):
                log_scale_BK = tensor_on(parameters.device, batch.log_scale_BK)
                parameters = self.head.scaled(
                    parameters, log_scale_BK[:, None].expand(-1, parameters.shape[1], -1)
                )
            if masks is not None:
                parameters = mask_logits(parameters, masks[0][:, place], masks[1][:, place])
            own_BT = None
            if jacobian_BT is not None:
                own_BT = tensor_on(targets.device, jacobian_BT[:, place])
            scored_BT = score(parameters, targets[:, place], own_BT)
            if masks is not None:
                scored_BT = scored_BT.masked_fill(masks[1][:, place], 0.0)
            parts.append(scored_BT)
        scored_BT = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return nn.functional.pad(scored_BT, (skipped, 0)) if skipped else scored_BT, state

    @property
    def device(self) -> torch.device:
        """The device that the weights lie on."""
        return next(self.parameters()).device

    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.parameters())


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Keep a network in evaluation mode."""
    was_training = network.training
    # Walking through all modules takes longer than a step of a small network.
    if was_training:
        network.eval()
    try:
        yield
    finally:
        if was_training:
            network.train()


@contextmanager
def torch_workers(calls: int) -> Iterator[Executor | None]:
    """Threads that each use one core in torch; None for one.

    There are as many as torch has threads. Most of a step is too small to be shared by threads, and
    much of it is NumPy's, which has only one. The number of torch's threads is that of the process:
    a thread that first uses torch meanwhile has one.

    Arguments:
        calls: number of calls that could run in parallel.
    """
    before = torch.get_num_threads()
    threads = min(before, calls)
    if threads < 2:
        yield None
        return
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        # After a failure or an interruption, calls that have not begun are cancelled.
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def batch_tensors(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Inputs, targets and resets of a batch as tensors.

    Covariates that are known ahead are appended to the inputs.
    """
    reset = None if batch.reset_BT is None else tensor_on(device, batch.reset_BT)
    inputs = tensor_on(device, batch.inputs)
    if batch.known_BTK is not None:
        inputs = torch.cat((inputs, tensor_on(device, batch.known_BTK)), dim=-1)
    return inputs, tensor_on(device, batch.targets), reset


def mask_logits(logits_BTV: Tensor, allowed_BTV: Tensor, exempt_BT: Tensor | None = None) -> Tensor:
    """Set the logits of elements that are not allowed to -inf.

    Arguments:
        logits_BTV: unnormalised log-probabilities.
        allowed_BTV: elements that may follow, bool.
        exempt_BT: positions that are not changed, so that their gradients are finite.

    Raises:
        ValueError: the logits are not those of V identifiers.
    """
    if logits_BTV.shape != allowed_BTV.shape:
        raise ValueError(
            f"a mask {tuple(allowed_BTV.shape)} does not fit logits {tuple(logits_BTV.shape)}"
        )
    if exempt_BT is not None:
        allowed_BTV = allowed_BTV | exempt_BT[..., None]
    return logits_BTV.masked_fill(~allowed_BTV, -torch.inf)


def _make(entry: type[Any], component: Component, extra: Mapping[str, Any]) -> Any:
    for name in extra:
        if name in component.settings:
            raise SettingsError(
                f"{name!r} cannot be set: the preceding component determines it",
                where=f"[network] of {component.name}",
            )
    settings = {**component.settings, **extra}
    return entry(from_mapping(entry.Config, settings, where=f"[network] of {component.name}"))


def build_network(config: NetworkConfig) -> Network:
    """Build a network with new weights, on torch's current default device.

    The input width of a component follows from the one before it and must not be set.

    Raises:
        SettingsError: an unknown component, or a setting it lacks or refuses.
    """
    input_module: InputModule = _make(INPUTS.get(config.input.name), config.input, {})
    family = FAMILIES.get(config.model.name).load()
    model: SequenceModel = _make(family, config.model, {"input_size": input_module.output_size})
    if config.conditioner is not None:
        conditioner = _make(CONDITIONERS.get(config.conditioner.name), config.conditioner, {})
        model = Conditioned(model, conditioner)
    head: Head = _make(
        HEADS.get(config.head.name), config.head, {"feature_size": model.output_size}
    )
    return Network(input_module, model, head)


def _check_sizes(bundle: Bundle[Any, Any]) -> None:
    config, sizes = bundle.config, bundle.facts.sizes(bundle.encoder)
    for part, component, (name, size) in (
        ("input", config.input, sizes.input),
        ("head", config.head, sizes.head),
    ):
        found = component.settings.get(name, size)
        if found != size:
            raise BundleError(f"the {part} has {found} {sizes.noun}, the encoder {size}")
    if sizes.conditioner is not None:
        name, size = sizes.conditioner
        found = {} if config.conditioner is None else config.conditioner.settings
        if found.get(name) != size:
            raise BundleError(f"its network has no conditioner of {name} {size}")


def load_network(bundle: Bundle[Any, Any], member: int = 0) -> Network:
    """Load a network of a bundle, in evaluation mode.

    All shapes are compared with the file before memory is allocated.

    Arguments:
        bundle: the model.
        member: which of its networks.

    Raises:
        BundleError: unknown components, or arrays that do not fit them.
    """
    config = bundle.config
    try:
        with torch.device("meta"):
            network = build_network(config)
    except SettingsError as problem:
        raise BundleError(problem.what, where=problem.where, hint=problem.hint) from None
    except (RhapsodeError, RuntimeError, ValueError, OverflowError) as problem:
        raise BundleError(f"the network cannot be built ({problem})") from None
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    arrays = bundle.members[member].arrays if bundle.members else {}
    found = {name: array.shape for name, array in arrays.items()}
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise BundleError(
                f"the array {name!r} has shape {found.get(name)}, "
                f"its configuration asks for {wanted.get(name)}"
            )
    _check_sizes(bundle)
    network = network.to_empty(device=CPU)
    network.tie()
    network.load_state_dict({name: torch.from_numpy(arrays[name].copy()) for name in wanted})
    return network.eval()


def network_arrays(network: Network) -> dict[str, Any]:
    """Copies of the weights by name, as float32 arrays."""
    return {name: numbers(tensor.float()).copy() for name, tensor in network.state_dict().items()}
