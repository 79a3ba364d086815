"""Attention to a source: the contract of a model under every mechanism, parity with torch, padding, shared memories."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rhapsode.bundle import Component, NetworkConfig, SourceReader
from rhapsode.bundle.network import build_network
from rhapsode.data import Condition
from rhapsode.errors import SettingsError
from rhapsode.models import SequenceModel, State
from rhapsode.models.attention.attentive import Attentive, AttentiveState
from rhapsode.models.attention.contract import ATTENTIONS, Memory
from rhapsode.models.attention.crossed import Crossed
from rhapsode.models.attention.fed_back import FedBack
from rhapsode.models.attention.source_encoders import (
    Bidirectional,
    BidirectionalConfig,
    Embedded,
    EmbeddedConfig,
    SourceEncoder,
    TransformerSource,
    TransformerSourceConfig,
)
from rhapsode.models.gru.network import GRU
from rhapsode.models.lstm.network import LSTM
from rhapsode.models.recurrent_config import GatedConfig
from rhapsode.models.transformer.config import TransformerConfig
from rhapsode.models.transformer.network import Transformer
from rhapsode.models.transformer_classic.config import TransformerClassicConfig
from rhapsode.models.transformer_classic.network import TransformerClassic
from tests.contracts.model_contract import (
    ROWS,
    TIME,
    TOLERANCE,
    ModelContract,
    assert_same,
    in_pieces,
    noise,
    row_tensors,
    stirred,
    traced,
)

IDS = 7
LENGTHS = (4, 1, 6)


def sources(lengths: tuple[int, ...] = LENGTHS, width: int | None = None) -> Condition:
    """Identifiers, different in every row, padded with identifiers that must not matter."""
    random = np.random.default_rng(3)
    ids_BS = random.integers(0, IDS, size=(len(lengths), width or max(lengths)))
    return Condition(ids_BS=ids_BS, lengths_B=np.array(lengths))


@dataclass(frozen=True)
class Spec:
    """An attentive model: the mechanism with its settings, and the layers around it."""

    attention: str
    settings: dict[str, Any]
    family: str = "lstm"
    above: bool = False
    layers: int = 1
    input_size: int = 4
    dropout: float = 0.0
    feedback: bool = False
    embedded: bool = False


def attentive(spec: Spec) -> SequenceModel:
    if spec.attention == "layers":
        config = TransformerConfig(
            input_size=8, num_layers=2, num_heads=2, window=40, feedforward_size=6,
            dropout=spec.dropout,
        )  # fmt: skip
        source = TransformerSourceConfig(IDS, hidden_size=6, num_heads=2, feedforward_size=5)
        return Crossed(Transformer(config), TransformerSource(source))
    encoder: SourceEncoder = Bidirectional(
        BidirectionalConfig(IDS, embedding_size=3, hidden_size=3, num_layers=spec.layers)
    )
    if spec.embedded:
        encoder = Embedded(EmbeddedConfig(IDS, embedding_size=3))
    family: Any = {"lstm": LSTM, "gru": GRU}[spec.family]
    read = spec.input_size + (encoder.value_size if spec.feedback else 0)
    below = family(GatedConfig(input_size=read, hidden_size=5, dropout=spec.dropout))
    kind = ATTENTIONS.get(spec.attention)
    sizes = {"query_size": 5, "value_size": encoder.value_size}
    attention = kind(kind.Config(**sizes, **spec.settings))
    above = family(GatedConfig(input_size=5 + encoder.value_size, hidden_size=4))
    made = FedBack if spec.feedback else Attentive
    return made(below, encoder, attention, above if spec.above else None)


class AttentiveContract(ModelContract):
    """The suite of a model under a mechanism, and what is told of memories."""

    family = Attentive

    def condition(self, rows: int) -> Condition:
        return sources(LENGTHS[:rows])

    def make(self, config: Spec) -> Any:
        made: Any = stirred(attentive, config)  # type: ignore[arg-type]
        return made

    def test_gradients_of_all_windows_reach_the_memory(self, config: Spec) -> None:
        model, condition = self.make(config), self.condition(ROWS)
        x_BTD = self.window(model)
        cuts = [t in {2, 4} for t in range(TIME - 1)]
        pieces = traced(model, in_pieces(model, cuts, None, condition), x_BTD, None)
        whole = traced(model, in_pieces(model, [], None, condition), x_BTD, None)
        names = [name for name in whole if "source_encoder" in name]
        assert len(names) > (0 if config.embedded else 8)
        for name in names:
            assert whole[name].abs().max() > 0
            torch.testing.assert_close(pieces[name], whole[name], rtol=TOLERANCE, atol=TOLERANCE)

    def test_selecting_and_forking_leave_the_memory_where_it_lies(self, config: Spec) -> None:
        model = self.make(config)
        _, state = model(self.window(model), model.init_state(ROWS, condition=self.condition(ROWS)))
        for other in (
            state.fork(),
            state.select(torch.tensor([2, 0, 0, 1, 2])),
            state.select(torch.tensor([2])).select(torch.tensor([0, 0])).fork(),
            model.step(self.window(model)[:, 0], state)[1],
            state.to("cpu"),
            type(state).join([state.select(torch.tensor([1])), state.fork()]),
        ):
            for name, tensor in state.memory.tensors().items():
                assert other.memory.tensors()[name].data_ptr() == tensor.data_ptr()

    def test_rows_under_one_source_equal_separate_ones(self, config: Spec) -> None:
        model, one = self.make(config), self.condition(ROWS).select(slice(0, 1))
        x_BTD = self.window(model)
        shared = model.init_state(ROWS, condition=one)
        separate = model.init_state(ROWS, condition=one.select(np.zeros(ROWS, dtype=np.int64)))
        assert shared.memory.rows == 1
        assert separate.memory.rows == ROWS
        found, wanted = model(x_BTD, shared), model(x_BTD, separate)
        torch.testing.assert_close(found[0], wanted[0], rtol=TOLERANCE, atol=TOLERANCE)
        assert_same(row_tensors(found[1]), row_tensors(wanted[1]))

    def test_padding_is_never_seen(self, config: Spec) -> None:
        model, x_BTD = self.make(config), self.window(self.make(config))
        begun = model.init_state(ROWS, condition=sources())
        wanted_BTH, after = model(x_BTD, begun)
        condition = sources(width=11)
        ids_BS = condition.ids_BS
        assert ids_BS is not None
        known = sources().ids_BS
        assert known is not None
        ids_BS[:, : known.shape[1]] = known
        wider = model.init_state(ROWS, condition=condition)
        found_BTH, _ = model(x_BTD, wider)
        torch.testing.assert_close(found_BTH, wanted_BTH, rtol=1e-12, atol=1e-12)
        # A state goes on over a memory that is padded otherwise, and is joined with such ones.
        both = type(after).join([after, wider])
        again_BTH, _ = model(torch.cat((x_BTD, x_BTD)), both)
        torch.testing.assert_close(
            again_BTH, torch.cat((model(x_BTD, after)[0], wanted_BTH)), rtol=1e-9, atol=1e-9
        )
        moved = after.under(wider)
        torch.testing.assert_close(
            model(x_BTD, moved)[0], model(x_BTD, after)[0], rtol=1e-9, atol=1e-9
        )

    def test_the_probe_gives_weights_within_the_source(self, config: Spec) -> None:
        model = self.make(config)
        state = model.init_state(ROWS, condition=self.condition(ROWS))
        weights_BTS = model.probe(self.window(model), state)["attention"]
        assert weights_BTS.shape == (ROWS, TIME, max(LENGTHS))
        inside_BS = state.memory.inside_MS
        assert not weights_BTS.masked_select(~inside_BS[:, None]).any()
        if "window" not in config.attention:
            torch.testing.assert_close(weights_BTS.sum(-1), torch.ones_like(weights_BTS[..., 0]))

    def test_other_conditions_are_refused(self, config: Spec) -> None:
        model = self.make(config)
        with pytest.raises(SettingsError, match="3 rows for 2"):
            model.init_state(2, condition=sources())
        with pytest.raises(SettingsError, match="no identifiers"):
            model.init_state(1, condition=Condition(static_BK=np.zeros((1, 2), np.float32)))
        high = Condition(ids_BS=np.array([[IDS]]), lengths_B=np.array([1]))
        with pytest.raises(SettingsError, match="reads 7 identifiers"):
            model.init_state(1, condition=high)


class TestMechanismsThatCarryAState(AttentiveContract):
    configurations: ClassVar = {
        "location": Spec("location", {"attention_size": 3, "filters": 2, "filter_width": 3}),
        "window": Spec("gaussian_window", {"components": 2, "advance": 0.5}, layers=2),
        "reading window": Spec(
            "reading_window",
            {"components": 2, "advance": 0.5, "attention_size": 3},
            above=True,
            embedded=True,
        ),
        "window fed back": Spec(
            "gaussian_window",
            {"components": 2, "advance": 0.5},
            above=True,
            embedded=True,
            feedback=True,
        ),
    }


@pytest.mark.slow
class TestOtherMechanisms(AttentiveContract):
    configurations: ClassVar = {
        "dot, layers above": Spec("dot", {"attention_size": 3}, above=True),
        "additive": Spec("additive", {"attention_size": 3}, family="gru"),
        "layers": Spec("layers", {}),
    }


def memory_of(attention: Any, values_MSH: Tensor, lengths: tuple[int, ...]) -> Memory:
    lengths_M = torch.tensor(lengths)
    inside_MS = torch.arange(values_MSH.shape[1]) < lengths_M[:, None]
    values_MSH = values_MSH * inside_MS[..., None]
    return Memory(attention.keys(values_MSH), values_MSH, values_MSH[:, 0], lengths_M)


def mechanism(name: str, **settings: Any) -> Any:
    kind = ATTENTIONS.get(name)
    torch.manual_seed(1)
    return kind(kind.Config(query_size=4, value_size=6, **settings)).double()


def test_dot_products_equal_those_of_torch() -> None:
    dot = mechanism("dot", attention_size=8)
    memory = memory_of(dot, noise(3, 6, 6, seed=1), LENGTHS)
    query_BTH = noise(3, 5, 4, seed=2)
    context_BTH, _, weights_BTS = dot(query_BTH, memory, dot.zero_state(3, memory))
    wanted_BTH = nn.functional.scaled_dot_product_attention(
        dot.query(query_BTH),
        memory.keys_MSD,
        memory.values_MSH,
        attn_mask=memory.inside_MS[:, None],
    )
    torch.testing.assert_close(context_BTH, wanted_BTH, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(weights_BTS @ memory.values_MSH, wanted_BTH)


@torch.no_grad()
def test_additive_scores_are_the_formula() -> None:
    additive = mechanism("additive", attention_size=5)
    memory = memory_of(additive, noise(1, 4, 6, seed=1), (4,))
    query_BTH = noise(1, 2, 4, seed=2)
    _, _, weights_BTS = additive(query_BTH, memory, additive.zero_state(1, memory))
    scores = [
        float(
            additive.score.weight[0]
            @ torch.tanh(
                additive.query.weight @ query_BTH[0, 1]
                + additive.query.bias
                + additive.key.weight @ memory.values_MSH[0, place]
            )
        )
        for place in range(4)
    ]
    torch.testing.assert_close(
        weights_BTS[0, 1], torch.tensor(scores, dtype=torch.float64).softmax(0)
    )


@torch.no_grad()
def test_a_window_is_the_formula_and_moves_forward_only() -> None:
    window = mechanism("gaussian_window", components=3, advance=0.7)
    memory = memory_of(window, noise(1, 6, 6, seed=1), (6,))
    query_BTH = noise(1, 5, 4, seed=2)
    _, after, weights_BTS = window(query_BTH, memory, window.zero_state(1, memory))
    kappa = torch.zeros(3, dtype=torch.float64)
    for time in range(5):
        height, width, step = (
            (window.shape.weight @ query_BTH[0, time] + window.shape.bias).exp().chunk(3)
        )
        kappa = kappa + step
        for place in range(6):
            value = (height * torch.exp(-width * (kappa - (place + 1)) ** 2)).sum()
            assert math.isclose(float(weights_BTS[0, time, place]), float(value), rel_tol=1e-9)
    torch.testing.assert_close(after.kappa_BK[0], kappa)
    assert (kappa > 0).all()


def test_location_sees_where_it_attended_before() -> None:
    location = mechanism("location", attention_size=5)
    memory = memory_of(location, noise(1, 6, 6, seed=1), (6,))
    query_BTH = noise(1, 1, 4, seed=2)
    state = location.zero_state(1, memory)
    _, after, first_BTS = location(query_BTH, memory, state)
    _, _, second_BTS = location(query_BTH, memory, after)
    torch.testing.assert_close(after.last_BS, first_BTS[:, 0])
    assert not torch.allclose(first_BTS, second_BTS)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_encoder_equals_torch_on_packed_sources(layers: int) -> None:
    config = BidirectionalConfig(IDS, embedding_size=3, hidden_size=4, num_layers=layers)
    encoder = Bidirectional(config).double()
    torch.manual_seed(2)
    other = nn.LSTM(3, 4, num_layers=layers, bidirectional=True, batch_first=True).double()
    for layer in range(layers):
        for ours, suffix in ((encoder.onward, ""), (encoder.reverse, "_reverse")):
            own = {
                f"{name}_l0": getattr(other, f"{name}_l{layer}{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            ours[layer].load_state_dict(own)
    condition = sources()
    values_MSH, summary_MC, lengths_M = encoder(condition)
    packed = nn.utils.rnn.pack_padded_sequence(
        encoder.table(torch.as_tensor(condition.ids_BS)),
        lengths_M,
        batch_first=True,
        enforce_sorted=False,
    )
    y, (h, _) = other(packed)
    wanted_MSH, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    torch.testing.assert_close(values_MSH, wanted_MSH, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(summary_MC, torch.cat((h[-2], h[-1]), dim=-1))


@torch.no_grad()
def test_layers_with_attention_to_a_source_equal_those_of_torch() -> None:
    layers, width, heads = 2, 8, 2
    torch.manual_seed(3)
    layer = nn.TransformerDecoderLayer(width, heads, 10, 0.0, batch_first=True)
    other = nn.TransformerDecoder(layer, layers).double().eval()
    for parameter in other.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    config = TransformerClassicConfig(
        width, num_layers=layers, num_heads=heads, length=12, feedforward_size=10
    )
    encoder = TransformerSource(TransformerSourceConfig(IDS, hidden_size=width, num_heads=2))
    model = Crossed(TransformerClassic(config), encoder).double().eval()
    inner: Any = model.inner
    inner.position.weight.zero_()
    for number in range(layers):
        theirs: Any = other.layers[number]
        block, cross = inner.layers[number], model.crosses[number]
        block.self_attn.load_state_dict(theirs.self_attn.state_dict())
        for name in ("linear1", "linear2", "norm1"):
            getattr(block, name).load_state_dict(getattr(theirs, name).state_dict())
        block.norm2.load_state_dict(theirs.norm3.state_dict())
        cross.norm.load_state_dict(theirs.norm2.state_dict())
        weights = theirs.multihead_attn.in_proj_weight.chunk(3)
        biases = theirs.multihead_attn.in_proj_bias.chunk(3)
        for projection, weight, bias in zip(
            (cross.q_proj, cross.k_proj, cross.v_proj), weights, biases, strict=True
        ):
            projection.load_state_dict({"weight": weight, "bias": bias})
        cross.out_proj.load_state_dict(theirs.multihead_attn.out_proj.state_dict())
    condition, x_BTD = sources(), noise(3, 6, width, seed=4)
    values_MSH, _, lengths_M = encoder(condition)
    found_BTH, _ = model(x_BTD, model.init_state(3, condition=condition))
    wanted_BTH = other(
        x_BTD,
        values_MSH,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64),
        memory_key_padding_mask=torch.arange(6) >= lengths_M[:, None],
    )
    torch.testing.assert_close(found_BTH, wanted_BTH, rtol=1e-9, atol=1e-9)


def test_only_transformers_attend_in_their_layers() -> None:
    encoder = Bidirectional(BidirectionalConfig(IDS, hidden_size=3))
    with pytest.raises(SettingsError, match="needs a transformer"):
        Crossed(LSTM(GatedConfig(input_size=4, hidden_size=5)), encoder)


def config_of(attention: str = "dot") -> NetworkConfig:
    return NetworkConfig(
        Component("table", {"vocab_size": 5, "embedding_size": 4}),
        Component("lstm", {"hidden_size": 6}),
        Component("categorical", {"vocab_size": 5}),
        "fresh",
        source=SourceReader(
            Component("bidirectional", {"vocab_size": IDS, "hidden_size": 3}),
            Component(attention, {}),
            Component("lstm", {"hidden_size": 7}),
        ),
    )


def test_a_network_is_built_of_its_components() -> None:
    network = build_network(config_of())
    assert isinstance(network.model, Attentive)
    assert network.model.output_size == 7
    state: State = network.model.init_state(3, condition=sources())
    assert isinstance(state, AttentiveState)
    logits_BTV, _ = network(torch.zeros(3, 2, dtype=torch.int64), state)
    assert logits_BTV.shape == (3, 2, 5)
    with pytest.raises(SettingsError, match="attention"):
        build_network(config_of("nothing"))


def test_compiled_steps_of_a_window_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    window = mechanism("reading_window", components=3, advance=0.7, attention_size=5)
    values_MSH = noise(3, 6, 6, seed=1).requires_grad_()
    query_BTH = noise(3, 7, 4, seed=2).requires_grad_()
    found = []
    for by_steps in (True, False):
        monkeypatch.setattr(type(window), "by_steps", by_steps)
        memory = memory_of(window, values_MSH, LENGTHS)
        begun = window.zero_state(3, memory).map(lambda tensor: tensor + 1)
        context_BTH, after, weights_BTS = window(query_BTH, memory, begun)
        total = sum(
            (each * noise(*each.shape, seed=3)).sum()
            for each in (context_BTH, after.kappa_BK, after.seen_BD)
        )
        leaves = [query_BTH, values_MSH, *window.parameters()]
        found.append([weights_BTS, *torch.autograd.grad(total, leaves)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["gaussian_window", "reading_window"])
@pytest.mark.parametrize("time", [1, 3])
def test_a_window_far_from_its_source_stands_on_the_nearest_element(name: str, time: int) -> None:
    window = mechanism(name, components=3)
    memory = memory_of(window, noise(2, 6, 6, seed=1), (6, 4))
    state = window.zero_state(2, memory)
    state = replace(state, kappa_BK=torch.full_like(state.kappa_BK, 1000.0))
    _, after, weights_BTS = window(noise(2, time, 4, seed=2), memory, state)
    assert not weights_BTS[:, -1].any()
    assert after.place_B1.tolist() == [[5], [3]]
