"""The adaptive head: the contract, the product of two softmaxes, the same probabilities with and without all logits."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.network import Network, build_network
from rhapsode.data import Batch
from rhapsode.errors import SettingsError
from rhapsode.heads import Adaptive, AdaptiveConfig
from rhapsode.models.inputs import AdaptiveTable
from tests.contracts.head_contract import HeadContract, noise

VOCABULARY, SHORT, FEATURES, NARROW = 11, 4, 3, 2


def make(**asked: Any) -> Adaptive:
    head = Adaptive(AdaptiveConfig(FEATURES, VOCABULARY, SHORT, NARROW, **asked))
    with torch.no_grad():
        for seed, parameter in enumerate(head.parameters()):
            parameter.copy_(noise(*parameter.shape, seed=20 + seed))
    return head


class TestAdaptive(HeadContract):
    feature_size = FEATURES

    def make(self) -> Adaptive:
        return make()

    def outcomes(self) -> Tensor:
        return torch.arange(VOCABULARY)


def written_out(head: Adaptive, y_H: list[float]) -> list[float]:
    """The probability of every element, from the definition, in plain Python."""

    def affine(weight: Tensor, bias: Tensor | None, x: list[float]) -> list[float]:
        added = [0.0] * len(weight) if bias is None else bias.tolist()
        return [
            math.fsum(a * b for a, b in zip(row, x, strict=True)) + c
            for row, c in zip(weight.tolist(), added, strict=True)
        ]

    def softmax(logits: list[float]) -> list[float]:
        weights = [math.exp(logit) for logit in logits]
        return [weight / math.fsum(weights) for weight in weights]

    whole = affine(head.whole_weight, head.whole_bias, y_H)
    *short, tail = softmax(affine(head.weight, head.bias, y_H) + whole)
    narrow = affine(head.project, None, y_H)
    within = softmax(affine(head.tail_weight, head.tail_bias, narrow))
    return [*short, *(tail * share for share in within)]


@pytest.mark.parametrize("bias", [True, False])
def test_probabilities_are_the_product_of_two_softmaxes(bias: bool) -> None:
    head, y_BTH = make(bias=bias), noise(2, 5, FEATURES, seed=1)
    found_BTV = head(y_BTH).softmax(-1)
    wanted = [[written_out(head, y_H) for y_H in y_TH] for y_TH in y_BTH.tolist()]
    torch.testing.assert_close(found_BTV, torch.tensor(wanted), rtol=0, atol=1e-6)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    targets=st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=70),
    beside=st.booleans(),
)
def test_targets_get_the_same_without_all_logits_in_values_and_gradients(
    targets: list[int], beside: bool
) -> None:
    """For any number of rare targets, none included; evidence takes the tail as a whole."""
    heads, wanted = [make(), make()], torch.tensor([targets])
    features = [noise(1, len(targets), FEATURES, seed=3).requires_grad_() for _ in heads]
    evidence_BTV = noise(1, len(targets), SHORT + 1, seed=5) if beside else None
    one_BT = heads[0].log_prob_after(features[0], wanted, evidence_BTV)
    logits_BTV = heads[1](features[1])
    if evidence_BTV is not None:
        each_V = torch.arange(VOCABULARY).clamp(max=SHORT)
        logits_BTV = logits_BTV + evidence_BTV[..., each_V]
    other_BT = heads[1].log_prob(logits_BTV, wanted)
    assert one_BT is not None
    assert one_BT.dtype == torch.float32
    torch.testing.assert_close(one_BT, other_BT)
    weights_BT = noise(1, len(targets), seed=4)
    (one_BT * weights_BT).sum().backward()
    (other_BT * weights_BT).sum().backward()
    torch.testing.assert_close(features[0].grad, features[1].grad, rtol=1e-4, atol=1e-5)
    for one, other in zip(heads[0].parameters(), heads[1].parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def network(*, tied: bool = True, **head: Any) -> Network:
    sizes = {"vocab_size": VOCABULARY, "shortlist": SHORT, "tail_size": NARROW}
    torch.manual_seed(0)
    return build_network(
        NetworkConfig(
            Component("adaptive_table", {**sizes, "embedding_size": 6}),
            Component("lstm", {"hidden_size": 6}),
            Component("adaptive", {**sizes, "tied": tied, **head}),
        )
    )


def test_a_tied_table_gives_the_weights_of_the_head_projected_where_they_are_narrow() -> None:
    tied, free = network(), network(tied=False)
    table, head = tied.input, tied.head
    assert isinstance(table, AdaptiveTable)
    assert isinstance(head, Adaptive)
    shared = (SHORT * 6, (VOCABULARY - SHORT) * NARROW, NARROW * 6)
    assert free.parameter_count() - tied.parameter_count() == sum(shared)
    ids_BT = torch.arange(VOCABULARY)[None]
    wanted_VD = torch.cat((head.weight, head.tail_weight @ head.project))
    torch.testing.assert_close(table(ids_BT)[0], wanted_VD)


def test_a_table_of_other_sizes_cannot_be_tied() -> None:
    with pytest.raises(SettingsError, match="tied head needs"):
        network(shortlist=SHORT + 1)
    with pytest.raises(SettingsError, match="leaves none of 11"):
        network(shortlist=VOCABULARY)


@pytest.mark.parametrize("masked", [False, True])
def test_a_network_scores_what_its_logits_say(masked: bool) -> None:
    """Within a mask it is normalised over what is allowed."""
    made = network().eval()
    random = torch.Generator().manual_seed(5)
    ids_BT = torch.randint(VOCABULARY, (3, 8), generator=random)
    allowed_BTV = torch.rand(3, 7, VOCABULARY, generator=random) < 0.6
    allowed_BTV.scatter_(-1, ids_BT[:, 1:, None], value=True)
    inputs, targets = ids_BT[:, :-1].numpy(), ids_BT[:, 1:].numpy()
    batch = Batch(inputs, targets, (targets >= 0).astype("float32"), None)
    logits_BTV, _ = made(ids_BT[:, :-1])
    if masked:
        batch = Batch(
            inputs,
            targets,
            batch.weights_BT,
            None,
            allowed_BTV=allowed_BTV.numpy(),
        )
        logits_BTV = logits_BTV.masked_fill(~allowed_BTV, -math.inf)
    wanted_BT = logits_BTV.log_softmax(-1).gather(-1, ids_BT[:, 1:, None])[..., 0]
    torch.testing.assert_close(made.log_prob(batch)[0], wanted_BT)
    torch.testing.assert_close(made.loss(batch)[0], -wanted_BT)
