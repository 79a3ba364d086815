"""The network of a bundle: input module, model, head. Loads torch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rhapsode.bundle.device import CPU, numbers, tensor_on
from rhapsode.bundle.model_file import Bundle, Component, NetworkConfig, SourceReader
from rhapsode.config import from_mapping
from rhapsode.data import Batch, Condition
from rhapsode.errors import BundleError, RhapsodeError, SettingsError
from rhapsode.heads import HEADS, Adaptive, Categorical, DensityHead, Head
from rhapsode.models import (
    CONDITIONERS,
    FAMILIES,
    INPUTS,
    Conditioned,
    InputModule,
    SequenceModel,
    State,
)
from rhapsode.models.attention.attentive import Attentive
from rhapsode.models.attention.contract import ATTENTIONS
from rhapsode.models.attention.crossed import Crossed
from rhapsode.models.attention.fed_back import FedBack
from rhapsode.models.attention.source_encoders import SOURCE_ENCODERS, SourceEncoder
from rhapsode.models.inputs import AdaptiveTable, Table

SCORED_AT_ONCE = 1 << 24
"""Numbers (64 MB of float32) of the distributions that scoring holds at once."""


class MovedBatch(NamedTuple):
    """A batch on the device of a network.

    Arguments:
        inputs: of the batch, covariates that are known ahead appended.
        targets: of the batch.
        weights_BT: of the targets.
        reset_BT: rows that are reset before an input; None: nowhere.
        masks: as in `Reading`.
        log_jacobian_BT: of the batch.
        log_scale_BK: of the batch.
        condition: of the batch.
        last_only: True if only the last target counts.
        evidence_BTV: of the batch.
    """

    inputs: Tensor
    targets: Tensor
    weights_BT: Tensor
    reset_BT: Tensor | None
    masks: tuple[Tensor, Tensor] | None
    log_jacobian_BT: Tensor | None
    log_scale_BK: Tensor | None
    condition: Condition | None
    last_only: bool
    evidence_BTV: Tensor | None = None

    @property
    def rows(self) -> int:
        """B, the number of rows."""
        return len(self.inputs)


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
        head, table = self.head, self.input
        if not (isinstance(head, Categorical | Adaptive) and head.config.tied):
            return
        if not isinstance(table, Table if isinstance(head, Categorical) else AdaptiveTable):
            raise SettingsError("a tied head needs a table as input", where="[network] tied")
        if table.weight.shape != head.weight.shape:
            raise SettingsError(
                f"a tied head needs embedding_size {head.config.feature_size}, "
                f"that of its features, not {table.output_size}",
                where="[network] tied",
            )
        table.weight = head.weight
        if isinstance(head, Adaptive) and isinstance(table, AdaptiveTable):
            table.tail_weight, table.project = head.tail_weight, head.project

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

    def moved(self, batch: Batch) -> MovedBatch:
        """A batch on the device of the network.

        Raises:
            DataError: a target of a weight above 0 is not allowed.
        """
        device, masks = self.device, None
        allowed_BTV = batch.mask()
        if allowed_BTV is not None:
            masks = (tensor_on(device, allowed_BTV), tensor_on(device, batch.forbidden_targets()))
        inputs = tensor_on(device, batch.inputs)
        if batch.known_BTK is not None:
            inputs = torch.cat((inputs, tensor_on(device, batch.known_BTK)), dim=-1)
        optional = (batch.reset_BT, batch.log_jacobian_BT, batch.log_scale_BK)
        reset_BT, jacobian_BT, scale_BK = (
            None if array is None else tensor_on(device, array) for array in optional
        )
        return MovedBatch(
            inputs,
            tensor_on(device, batch.targets),
            tensor_on(device, batch.weights_BT),
            reset_BT,
            masks,
            jacobian_BT,
            scale_BK,
            batch.condition,
            last_only=not batch.weights_BT[:, :-1].any(),
            evidence_BTV=None
            if batch.evidence_BTV is None
            else tensor_on(device, batch.evidence_BTV),
        )

    def read(self, batch: Batch | MovedBatch, state: State | None) -> Reading:
        """Read a batch.

        Arguments:
            batch: its condition applies to its rows, whether they begin or continue; without one, a
                continued state keeps its own.
            state: after the previous batch; None if rows begin with this one.

        Raises:
            DataError: a target of a weight above 0 is not allowed.
            SettingsError: the batch has a condition that this network cannot use.
        """
        if isinstance(batch, Batch):
            batch = self.moved(batch)
        if batch.condition is not None:
            begun = self.model.init_state(batch.rows, condition=batch.condition)
            state = begun if state is None else state.under(begun)
        y_BTH, state = self.model(self.input(batch.inputs), state, reset_BT=batch.reset_BT)
        return Reading(y_BTH, batch.targets, batch.masks, state)

    def log_prob(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State]:
        """Log-probability (nats) of every target, (B, T) float32.

        The state after the batch is returned, too. Targets of weight 0 may get 0. Rows are under
        the condition of the batch; without one, a continued state keeps its own. Evidence in the
        batch is added to the logits.
        """
        return self._scored(self.moved(batch), state, by_loss=False)

    def loss(self, batch: Batch | MovedBatch, state: State | None = None) -> tuple[Tensor, State]:
        """Training loss of every target, (B, T) float32.

        The state after the batch is returned, too. The loss is the negative of `log_prob`, unless
        the head defines another one.
        """
        moved = self.moved(batch) if isinstance(batch, Batch) else batch
        return self._scored(moved, state, by_loss=True)

    def _scored(
        self, batch: MovedBatch, state: State | None, *, by_loss: bool
    ) -> tuple[Tensor, State]:
        score = self.head.loss if by_loss else self.head.log_prob
        y_BTH, targets, masks, state = self.read(batch, state)
        time = targets.shape[1]
        # If only the last target counts, the head skips the others: they get 0.
        skipped = time - 1 if batch.last_only else 0
        # Training needs all positions at once anyway; scoring limits them to save memory.
        most = time
        if not torch.is_grad_enabled():
            most = max(1, SCORED_AT_ONCE // (batch.rows * self.head.width))
        parts = []
        for start in range(skipped, time, most):
            place = slice(start, start + most)
            evidence_BTV = batch.evidence_BTV
            if evidence_BTV is not None:
                evidence_BTV = evidence_BTV[:, place]
            # A slice of columns is not contiguous: torch would multiply row by row instead of once.
            part_BTH = y_BTH[:, place].contiguous()
            if masks is None:
                log_prob_BT = self.head.log_prob_after(part_BTH, targets[:, place], evidence_BTV)
                if log_prob_BT is not None:
                    parts.append(-log_prob_BT if by_loss else log_prob_BT)
                    continue
            parameters = self.head(part_BTH)
            if batch.log_scale_BK is not None and isinstance(self.head, DensityHead):
                scale_B1K = batch.log_scale_BK[:, None]
                parameters = self.head.scaled(
                    parameters, scale_B1K.expand(-1, parameters.shape[1], -1)
                )
            if evidence_BTV is not None:
                parameters = parameters.float() + evidence_BTV
            if masks is not None:
                parameters = mask_logits(parameters, masks[0][:, place], masks[1][:, place])
            jacobian_BT = batch.log_jacobian_BT
            own_BT = None if jacobian_BT is None else jacobian_BT[:, place]
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
    source = config.source
    encoder: SourceEncoder | None = None
    width = input_module.output_size
    if source is not None:
        encoder = _make(SOURCE_ENCODERS.get(source.encoder.name), source.encoder, {})
        width += encoder.value_size if source.feedback else 0
    model: SequenceModel = _make(family, config.model, {"input_size": width})
    if source is not None and encoder is not None:
        model = _attentive(model, source, encoder)
    if config.conditioner is not None:
        conditioner = _make(CONDITIONERS.get(config.conditioner.name), config.conditioner, {})
        model = Conditioned(model, conditioner)
    head: Head = _make(
        HEADS.get(config.head.name), config.head, {"feature_size": model.output_size}
    )
    return Network(input_module, model, head)


def _attentive(below: SequenceModel, source: SourceReader, encoder: SourceEncoder) -> SequenceModel:
    """A model that attends to sources between its layers or after them."""
    if source.attention is None:
        return Crossed(below, encoder)
    sizes = {"query_size": below.output_size, "value_size": encoder.value_size}
    attention = _make(ATTENTIONS.get(source.attention.name), source.attention, sizes)
    above = None
    if source.above is not None:
        family = FAMILIES.get(source.above.name).load()
        width = below.output_size + encoder.value_size
        above = _make(family, source.above, {"input_size": width})
    kind = FedBack if source.feedback else Attentive
    return kind(below, encoder, attention, above)


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
    if (config.source is None) != (sizes.source is None):
        raise BundleError("its network and its encoder of sources do not belong together")
    if sizes.source is not None and config.source is not None:
        name, size = sizes.source
        if config.source.encoder.settings.get(name) != size:
            raise BundleError(f"its network has no encoder of sources of {name} {size}")


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
