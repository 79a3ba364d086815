"""What every sequence model proves, in float64: the law of splits in values and in gradients, causality, rows that never
meet, resets that start afresh, states that are values, dropout in training only.

A family claims the contract with a subclass that names its class and a few configurations::

    class TestGRU(ModelContract):
        family = GRU
        configurations = {"one layer": GatedConfig(input_size=4, hidden_size=5)}

A model that can use a condition gives one by `condition(rows)`: all laws are then proved under it. A model without one is
shown to refuse a condition.

Two states are compared by their tensors where both have read the same, and by what follows from them where the
contract promises no more than that.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from rhapsode.data import Condition
from rhapsode.errors import SettingsError
from rhapsode.models import SequenceModel, State
from rhapsode.models.contract import is_shared, state_dataclass

ROWS = 3
TIME = 8
PASTS = ("nothing", "ragged")
# How much each row has read; the first stands at the zero state.
RAGGED = (0, 2, 9)
TOLERANCE = 1e-9

few_examples = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.differing_executors],
)
every_past = pytest.mark.parametrize("past", PASTS)
cut_lists = st.lists(st.booleans(), min_size=TIME - 1, max_size=TIME - 1)
reset_grids = st.lists(
    st.lists(st.booleans(), min_size=TIME, max_size=TIME), min_size=ROWS, max_size=ROWS
)
SINGLE_STEPS = [True] * (TIME - 1)
NOWHERE = [[False] * TIME] * ROWS
EVERYWHERE = [[True] * TIME] * ROWS
AT_THE_START = [[True] + [False] * (TIME - 1)] * ROWS
SCATTERED = [
    [t == 3 for t in range(TIME)],
    [t in {0, 1, 2, 6} for t in range(TIME)],
    [t == TIME - 1 for t in range(TIME)],
]

with_and_without_resets = pytest.mark.parametrize(
    "resets", [None, SCATTERED], ids=["no resets", "resets"]
)

Grid = list[list[bool]]
Reader = Callable[[Tensor, State | None], tuple[Tensor, State]]


@state_dataclass
class ForeignState(State):
    """A state that belongs to no family."""

    nothing_B: Tensor


def noise(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal values that depend on nothing but the seed and the shape."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@torch.no_grad()
def stirred(
    family: type[SequenceModel], config: Any, dtype: torch.dtype = torch.float64
) -> SequenceModel:
    """A model whose weights are large enough for every path through it to matter, in evaluation mode.

    The same configuration always gives the same weights, and dropout changes none of them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = family(config).to(dtype).eval()
    for seed, parameter in enumerate(model.parameters()):
        if parameter.dim() == 1:
            parameter.add_(noise(*parameter.shape, seed=seed, dtype=dtype), alpha=0.3)
        else:
            scale = math.sqrt(parameter[0].numel())
            parameter.copy_(noise(*parameter.shape, seed=seed, dtype=dtype) / scale)
    return model


def joined(states: list[State]) -> State:
    """The rows of several states in one."""
    return type(states[0]).join(states)


def memory_fields(state: State) -> dict[str, Any]:
    """The shared fields of a state by name, tensors or states; none where its family uses no condition."""
    return {
        field.name: getattr(state, field.name)
        for field in dataclasses.fields(state)
        if is_shared(field)
    }


def memory_tensors(state: State) -> dict[str, Tensor]:
    """The shared tensors of a state by name, named as in `State.tensors`."""
    tensors: dict[str, Tensor] = {}
    for name, part in memory_fields(state).items():
        nested = isinstance(part, State)
        tensors |= {f"{name}.{n}": t for n, t in part.tensors().items()} if nested else {name: part}
    return tensors


def own_tensors(state: State) -> dict[str, Tensor]:
    """The tensors of a state that belong to its rows, but for where they point."""
    memory = memory_tensors(state)
    return {n: t for n, t in state.tensors().items() if n not in {*memory, "source_B"}}


def row_tensors(state: State) -> dict[str, Tensor]:
    """The tensors of a state as every row sees them, the row first, wherever its memory lies."""
    memory = memory_tensors(state)
    return own_tensors(state) | {name: t[state.source_B] for name, t in memory.items()}


def began_anew(fresh: State, before: State | None) -> State:
    """A fresh state under the condition of one before."""
    memory = {} if before is None else memory_fields(before)
    kept = {**memory, "source_B": before.source_B} if memory else {}
    return dataclasses.replace(fresh, **kept)


def in_pieces(
    model: SequenceModel,
    cuts: list[bool],
    reset_BT: Tensor | None,
    condition: Condition | None = None,
) -> Reader:
    """A reader that goes through a window piece by piece, with a cut behind position t where `cuts[t]`."""
    ends = [t + 1 for t, cut in enumerate(cuts) if cut]

    def read(x_BTD: Tensor, state: State | None) -> tuple[Tensor, State]:
        if state is None and condition is not None:
            state = model.init_state(len(x_BTD), condition=condition)
        outputs = []
        for start, end in pairwise([0, *ends, x_BTD.shape[1]]):
            reset = None if reset_BT is None else reset_BT[:, start:end]
            y_BTH, state = model(x_BTD[:, start:end], state, reset_BT=reset)
            outputs.append(y_BTH)
        assert state is not None
        return torch.cat(outputs, dim=1), state

    return read


def in_steps(
    model: SequenceModel, reset_BT: Tensor | None = None, condition: Condition | None = None
) -> Reader:
    """A reader that takes one step for each position."""

    def read(x_BTD: Tensor, state: State | None) -> tuple[Tensor, State]:
        known = state
        if known is None:
            known = model.init_state(len(x_BTD), condition=condition)
        outputs = []
        for t in range(x_BTD.shape[1]):
            reset_B = None if reset_BT is None else reset_BT[:, t]
            y_BH, known = model.step(x_BTD[:, t], known, reset_B=reset_B)
            outputs.append(y_BH)
        return torch.stack(outputs, dim=1), known

    return read


def started_afresh(
    model: SequenceModel, reset_BT: Tensor, condition: Condition | None = None
) -> Reader:
    """A reader that never resets: each row is read alone, and begins afresh where it should be reset.

    Without a condition that is with no state; with one, with a fresh state over the memory of its row.
    """

    def read(x_BTD: Tensor, state: State | None) -> tuple[Tensor, State]:
        rows, states = [], []
        if state is None and condition is not None:
            state = model.init_state(len(x_BTD), condition=condition)
        for row, resets_T in enumerate(reset_BT.tolist()):
            known = None if state is None else state.select(torch.tensor([row]))
            before = known
            bounds = sorted({0, *(t for t, reset in enumerate(resets_T) if reset), len(resets_T)})
            outputs = []
            for start, end in pairwise(bounds):
                if resets_T[start] and condition is None:
                    known = None
                elif resets_T[start]:
                    known = began_anew(model.init_state(1), before)
                y_BTH, known = model(x_BTD[row : row + 1, start:end], known)
                outputs.append(y_BTH)
            assert known is not None
            rows.append(torch.cat(outputs, dim=1))
            states.append(known)
        return torch.cat(rows), joined(states)

    return read


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.is_floating_point())


def _random_function(tensor: Tensor, seed: int) -> Tensor:
    return (noise(*tensor.shape, seed=seed, dtype=tensor.dtype) * tensor.sin()).sum()


def traced(
    model: SequenceModel,
    read: Reader,
    x_BTD: Tensor,
    state: State | None,
    *,
    tensors: bool = True,
) -> dict[str, Tensor]:
    """All that a reader gives, by name, and the gradients of a random function of it.

    Gradients are taken in every parameter, the inputs and the state that came before. `tensors` adds the tensors
    of the state behind the window to what follows from it.
    """
    x_BTD = _leaf(x_BTD)
    before = None if state is None else tree_map(_leaf, state)
    y_BTH, after = read(x_BTD, before)
    follows_BTH, _ = model(noise(len(x_BTD), 4, model.input_size, seed=90), after)
    given_out = {"output": y_BTH, "what follows": follows_BTH}
    if tensors:
        given_out |= {f"state {name}": tensor for name, tensor in after.tensors().items()}
    sources = {**dict(model.named_parameters()), "x": x_BTD}
    if before is not None:
        sources |= {
            f"state {name}": tensor
            for name, tensor in before.tensors().items()
            if tensor.is_floating_point()
        }
    objective = sum(
        _random_function(tensor, seed)
        for seed, tensor in enumerate(given_out.values())
        if tensor.is_floating_point()
    )
    gradients = torch.autograd.grad(objective, list(sources.values()), materialize_grads=True)
    found = {name: tensor.detach() for name, tensor in given_out.items()}
    return found | {f"gradient in {name}": g for name, g in zip(sources, gradients, strict=True)}


def assert_same(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], tolerance: float = TOLERANCE
) -> None:
    """Every named tensor agrees to the tolerance; whole numbers agree exactly."""
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        exact = 0.0 if not tensor.is_floating_point() else tolerance
        torch.testing.assert_close(
            found[name],
            tensor,
            rtol=exact,
            atol=exact,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def assert_continues_alike(
    model: SequenceModel, one: State, other: State, tolerance: float = TOLERANCE
) -> None:
    """What follows from two states is the same."""
    x_BTD = noise(one.rows, 5, model.input_size, seed=91)
    with torch.no_grad():
        found, wanted = model(x_BTD, one)[0], model(x_BTD, other)[0]
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


class ModelContract:
    """The suite. `family` is the model's class, `configurations` its settings under names for test ids."""

    family: ClassVar[type[SequenceModel]]
    configurations: ClassVar[Mapping[str, Any]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "config" in metafunc.fixturenames:
            named = self.configurations
            metafunc.parametrize("config", list(named.values()), ids=list(named))

    def condition(self, rows: int) -> Condition | None:
        """A condition of different sources, one a row; None where the model cannot use one."""
        return None

    def make(self, config: Any) -> SequenceModel:
        return stirred(self.family, config)

    def begun(self, model: SequenceModel, state: State | None = None) -> State | None:
        """The state, else, where the model uses a condition, one that begins under it."""
        condition = self.condition(ROWS)
        if state is not None or condition is None:
            return state
        return model.init_state(ROWS, condition=condition)

    def window(self, model: SequenceModel, time: int = TIME) -> Tensor:
        return noise(ROWS, time, model.input_size, seed=time)

    @torch.no_grad()
    def past(self, model: SequenceModel, kind: str) -> State | None:
        """No state, or rows that have read documents of different lengths, one of them nothing."""
        if kind == "nothing":
            return None
        return joined(list(self.ragged_rows(model)))

    def ragged_rows(self, model: SequenceModel) -> Iterator[State]:
        condition = self.condition(ROWS)
        for row, time in enumerate(RAGGED):
            own = None if condition is None else condition.select(slice(row, row + 1))
            state = model.init_state(1, condition=own)
            if time:
                reset_BT = torch.arange(time)[None] == time // 2
                x_BTD = noise(1, time, model.input_size, seed=40 + row)
                _, state = model(x_BTD, state, reset_BT=reset_BT)
            yield state

    # The law

    @every_past
    @few_examples
    @given(cuts=cut_lists, resets=st.none() | reset_grids)
    @example(cuts=SINGLE_STEPS, resets=None)
    @example(cuts=SINGLE_STEPS, resets=SCATTERED)
    def test_a_window_equals_its_pieces(
        self, config: Any, past: str, cuts: list[bool], resets: Grid | None
    ) -> None:
        model = self.make(config)
        state, x_BTD = self.past(model, past), self.window(model)
        reset_BT = None if resets is None else torch.tensor(resets)
        condition = self.condition(ROWS)
        whole = in_pieces(model, [], reset_BT, condition)
        assert_same(
            traced(model, in_pieces(model, cuts, reset_BT, condition), x_BTD, state),
            traced(model, whole, x_BTD, state),
        )

    @every_past
    @with_and_without_resets
    def test_steps_equal_windows_of_one_position(
        self, config: Any, past: str, resets: Grid | None
    ) -> None:
        model = self.make(config)
        state, x_BTD = self.past(model, past), self.window(model)
        reset_BT = None if resets is None else torch.tensor(resets)
        condition = self.condition(ROWS)
        assert_same(
            traced(model, in_steps(model, reset_BT, condition), x_BTD, state),
            traced(model, in_pieces(model, SINGLE_STEPS, reset_BT, condition), x_BTD, state),
        )

    def test_a_long_window_equals_its_steps(self, config: Any) -> None:
        model = self.make(config)
        x_BTD = self.window(model, 50)
        condition = self.condition(ROWS)
        assert_same(
            traced(model, in_steps(model, None, condition), x_BTD, None),
            traced(model, in_pieces(model, [], None, condition), x_BTD, None),
        )

    def test_no_state_is_the_zero_state(self, config: Any) -> None:
        model = self.make(config)
        x_BTD = self.window(model)
        none, zeros = model(x_BTD), model(x_BTD, model.init_state(ROWS))
        torch.testing.assert_close(none[0], zeros[0], rtol=TOLERANCE, atol=TOLERANCE)
        assert_same(none[1].tensors(), zeros[1].tensors())

    # Who sees whom

    @every_past
    def test_nothing_sees_what_comes_after_it(self, config: Any, past: str) -> None:
        model = self.make(config)
        state, x_BTD = self.past(model, past), self.window(model).requires_grad_()
        state = self.begun(model, state)
        y_BTH, _ = model(x_BTD, state)
        for t in range(TIME - 1):
            (gradient_BTD,) = torch.autograd.grad(
                _random_function(y_BTH[:, : t + 1], t), x_BTD, retain_graph=True
            )
            assert gradient_BTD[:, : t + 1].any()
            assert not gradient_BTD[:, t + 1 :].any()
            changed_BTD = x_BTD.detach().clone()
            changed_BTD[:, t + 1 :] += 1
            again_BTH, _ = model(changed_BTD, state)
            torch.testing.assert_close(again_BTH[:, : t + 1], y_BTH[:, : t + 1], rtol=0, atol=1e-12)

    @with_and_without_resets
    @pytest.mark.parametrize("row", [0, 2])
    def test_rows_never_meet(self, config: Any, row: int, resets: Grid | None) -> None:
        model = self.make(config)
        state = tree_map(_leaf, self.past(model, "ragged"))
        x_BTD = self.window(model).requires_grad_()
        reset_BT = None if resets is None else torch.tensor(resets)
        y_BTH, after = model(x_BTD, state, reset_BT=reset_BT)
        floating = [tensor for tensor in tree_leaves(state) if tensor.is_floating_point()]
        reached = [y_BTH, *(tensor for tensor in tree_leaves(after) if tensor.requires_grad)]
        gradients = torch.autograd.grad(
            sum(_random_function(tensor[row], 1) for tensor in reached), [x_BTD, *floating]
        )
        others = [other for other in range(ROWS) if other != row]
        assert not any(gradient[others].any() for gradient in gradients)

        spoilt_BTD = x_BTD.detach().clone()
        spoilt_BTD[others] = math.nan
        spoilt_BTH, spoilt = model(spoilt_BTD, state, reset_BT=reset_BT)
        torch.testing.assert_close(spoilt_BTH[row], y_BTH[row], rtol=0, atol=1e-12)
        assert_same(
            {name: tensor[row] for name, tensor in row_tensors(spoilt).items()},
            {name: tensor[row] for name, tensor in row_tensors(after).items()},
            1e-12,
        )

    def test_a_row_of_any_batch_is_as_if_alone(self, config: Any) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, "ragged")
        y_BTH, after = model(x_BTD, state)
        for row, alone in enumerate(self.ragged_rows(model)):
            alone_BTH, behind = model(x_BTD[row : row + 1], alone)
            torch.testing.assert_close(
                y_BTH[row : row + 1], alone_BTH, rtol=TOLERANCE, atol=TOLERANCE
            )
            assert_same(
                {name: tensor[row : row + 1] for name, tensor in row_tensors(after).items()},
                row_tensors(behind),
            )

    # Resets

    @every_past
    @few_examples
    @given(resets=reset_grids)
    @example(resets=NOWHERE)
    @example(resets=AT_THE_START)
    @example(resets=SCATTERED)
    @example(resets=EVERYWHERE)
    def test_a_reset_starts_afresh(self, config: Any, past: str, resets: Grid) -> None:
        model = self.make(config)
        state, x_BTD, reset_BT = self.past(model, past), self.window(model), torch.tensor(resets)
        condition = self.condition(ROWS)
        whole = in_pieces(model, [], reset_BT, condition)
        afresh = started_afresh(model, reset_BT, condition)
        assert_same(
            traced(model, whole, x_BTD, state, tensors=False),
            traced(model, afresh, x_BTD, state, tensors=False),
        )

    @pytest.mark.parametrize("t", [0, 1, 5])
    def test_no_gradient_crosses_a_reset(self, config: Any, t: int) -> None:
        model = self.make(config)
        state = tree_map(_leaf, self.past(model, "ragged"))
        x_BTD = self.window(model).requires_grad_()
        reset_BT = torch.zeros(ROWS, TIME, dtype=torch.bool)
        reset_BT[1:, t] = True
        y_BTH, after = model(x_BTD, state, reset_BT=reset_BT)
        follows_BTH, _ = model(self.window(model, 3), after)
        floating = [t for t in own_tensors(state).values() if t.is_floating_point()]
        gradients = torch.autograd.grad(
            _random_function(y_BTH[1:, t:], 1) + _random_function(follows_BTH[1:], 2),
            [x_BTD, *floating],
        )
        assert not gradients[0][:, :t].any()
        assert not any(gradient.any() for gradient in gradients[1:])

    # States are values

    @pytest.mark.parametrize("rows", [[2, 0, 1], [1, 1, 0, 2, 1], [2], [0, 2]])
    def test_selected_rows_go_on_as_before(self, config: Any, rows: list[int]) -> None:
        model = self.make(config)
        state, x_BTD = self.past(model, "ragged"), self.window(model)
        rows_R = torch.tensor(rows)
        chosen = state.select(rows_R)
        assert chosen.rows == len(rows)
        found, wanted = model(x_BTD[rows_R], chosen), model(x_BTD, state)
        torch.testing.assert_close(found[0], wanted[0][rows_R], rtol=TOLERANCE, atol=TOLERANCE)
        assert_same(found[1].tensors(), wanted[1].select(rows_R).tensors())

    def test_a_fork_never_sees_its_twin(self, config: Any) -> None:
        model = self.make(config)
        state = self.past(model, "ragged")
        kept = tree_map(torch.clone, state)
        twin = state.fork()
        assert type(twin) is type(state)
        model(self.window(model), twin)
        model.step(self.window(model)[:, 0], twin)
        assert_same(twin.tensors(), kept.tensors(), 0.0)
        for tensor in own_tensors(twin).values():
            tensor.zero_()
        assert_same(state.tensors(), kept.tensors(), 0.0)
        assert_continues_alike(model, state, kept, 0.0)

    @with_and_without_resets
    def test_reading_leaves_the_state_and_the_inputs_alone(
        self, config: Any, resets: Grid | None
    ) -> None:
        model = self.make(config)
        state, x_BTD = self.past(model, "ragged"), self.window(model)
        reset_BT = None if resets is None else torch.tensor(resets)
        kept = tree_map(torch.clone, (state.tensors(), x_BTD))
        model(x_BTD, state, reset_BT=reset_BT)
        model.step(x_BTD[:, 0], state, reset_B=None if reset_BT is None else reset_BT[:, 0])
        model.probe(x_BTD, state)
        state.select(torch.tensor([0]))
        state.detach()
        assert_same(state.tensors(), kept[0], 0.0)
        assert torch.equal(x_BTD, kept[1])

    def test_a_detached_state_has_the_values_and_no_graph(self, config: Any) -> None:
        model = self.make(config)
        _, state = model(self.window(model), self.begun(model, self.past(model, "ragged")))
        assert any(tensor.requires_grad for tensor in tree_leaves(state))
        cut = state.detach()
        assert type(cut) is type(state)
        assert not any(tensor.requires_grad for tensor in tree_leaves(cut))
        assert_same(cut.tensors(), state.tensors(), 0.0)
        assert any(tensor.requires_grad for tensor in tree_leaves(state))

    def test_a_state_moves_between_devices(self, config: Any) -> None:
        model = self.make(config)
        state = self.past(model, "ragged")
        assert_same(state.to("cpu").tensors(), state.tensors(), 0.0)
        moved = state.to("meta")
        assert type(moved) is type(state)
        assert {tensor.device.type for tensor in tree_leaves(moved)} == {"meta"}
        assert {tensor.device.type for tensor in tree_leaves(state)} == {"cpu"}
        shapes = {name: tensor.shape for name, tensor in state.tensors().items()}
        assert {name: tensor.shape for name, tensor in moved.tensors().items()} == shapes

    def test_a_state_is_a_pytree_and_a_frozen_dataclass(self, config: Any) -> None:
        model = self.make(config)
        state = self.past(model, "ragged")
        mapped = tree_map(lambda tensor: tensor + 1, state)
        assert type(mapped) is type(state)
        assert len(tree_leaves(state)) == len(state.tensors()) > 0
        for name, tensor in state.tensors().items():
            assert torch.equal(mapped.tensors()[name], tensor + 1)
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(state, name, tensor)

    def test_the_zero_state_is_made_as_asked(self, config: Any) -> None:
        model = self.make(config)
        condition = self.condition(2)
        plain = model.init_state(2, condition=condition)
        floating = [t for t in tree_leaves(plain) if t.is_floating_point()]
        assert {tensor.dtype for tensor in floating} == {torch.float64}
        asked = model.init_state(2, condition=condition, dtype=torch.float32, device="meta")
        assert asked.rows == 2
        assert all(tensor.shape[0] == 2 for tensor in tree_leaves(asked))
        assert {tensor.device.type for tensor in tree_leaves(asked)} == {"meta"}
        floating = [tensor for tensor in tree_leaves(asked) if tensor.is_floating_point()]
        assert {tensor.dtype for tensor in floating} == {torch.float32}

    def test_a_condition_is_used_or_refused(self, config: Any) -> None:
        model, condition = self.make(config), self.condition(ROWS)
        assert model.uses_condition == (condition is not None)
        if condition is None:
            given = Condition(static_BK=np.zeros((ROWS, 2), dtype=np.float32))
            with pytest.raises(SettingsError, match="cannot use a condition"):
                model.init_state(ROWS, condition=given)
            return
        x_BTD = self.window(model)
        state = model.init_state(ROWS, condition=condition)
        other = model.init_state(ROWS, condition=condition.select(np.array([1, 2, 0])))
        differ_BTH = (model(x_BTD, state)[0] - model(x_BTD, other)[0]).abs()
        assert (differ_BTH.amax(dim=(1, 2)) > 1e-3).all()
        assert not torch.allclose(model(x_BTD, state)[0], model(x_BTD)[0])
        with pytest.raises(SettingsError, match="3 rows for 2 sequences"):
            model.init_state(2, condition=condition)

    def test_a_state_of_another_family_is_refused(self, config: Any) -> None:
        model = self.make(config)
        x_BTD = self.window(model)
        with pytest.raises(TypeError, match="ForeignState"):
            model(x_BTD, ForeignState(torch.zeros(ROWS)))
        with pytest.raises(TypeError, match="ForeignState"):
            model.step(x_BTD[:, 0], ForeignState(torch.zeros(ROWS)))

    # Modes and views

    def test_shapes_and_type_of_what_comes_out(self, config: Any) -> None:
        model = self.make(config)
        y_BTH, state = model(self.window(model))
        assert y_BTH.shape == (ROWS, TIME, model.output_size)
        assert y_BTH.dtype == torch.float64
        assert state.rows == ROWS
        y_BH, state = model.step(self.window(model)[:, 0], state)
        assert y_BH.shape == (ROWS, model.output_size)
        assert state.rows == ROWS

    def test_dropout_acts_in_training_only(self, config: Any) -> None:
        model, plain = self.make(dataclasses.replace(config, dropout=0.5)), self.make(config)
        x_BTD = self.window(model)
        wanted_BTH = plain(x_BTD)[0]
        assert torch.equal(model(x_BTD)[0], wanted_BTH)
        assert torch.equal(model.step(x_BTD[:, 0], model.init_state(ROWS))[0],
                           plain.step(x_BTD[:, 0], plain.init_state(ROWS))[0])  # fmt: skip
        model.train()
        torch.manual_seed(0)
        one_BTH, other_BTH = model(x_BTD)[0], model(x_BTD)[0]
        assert not torch.equal(one_BTH, other_BTH)
        assert not torch.equal(one_BTH, wanted_BTH)
        steps = [model.step(x_BTD[:, 0], model.init_state(ROWS))[0] for _ in range(2)]
        assert not torch.equal(*steps)
        assert torch.equal(model.eval()(x_BTD)[0], wanted_BTH)

    def test_training_without_dropout_is_evaluation(self, config: Any) -> None:
        model = self.make(dataclasses.replace(config, dropout=0.0))
        x_BTD, state = self.window(model), self.past(model, "ragged")
        wanted_BTH = model(x_BTD, state)[0]
        assert torch.equal(model.train()(x_BTD, state)[0], wanted_BTH)

    @every_past
    def test_a_probe_is_named_tensors_of_the_undropped_rows(self, config: Any, past: str) -> None:
        model = self.make(dataclasses.replace(config, dropout=0.5))
        x_BTD, state = self.window(model), self.past(model, past)
        found = model.probe(x_BTD, state)
        assert found
        assert all(tensor.shape[0] == ROWS for tensor in found.values())
        assert all(tensor.isfinite().all() for tensor in found.values())
        assert_same(model.train().probe(x_BTD, state), found, 0.0)
        if state is not None:
            row = torch.tensor([1])
            alone = model.probe(x_BTD[row], state.select(row))
            assert_same({name: tensor[row] for name, tensor in found.items()}, alone)
