"""Predictors within a grammar: the contract, and exact likelihoods."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rhapsode.bundle import Grammatical, Job, Predictor, log_softmax
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor, NGramPredictor
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.config import GenerateSettings, parse_context
from rhapsode.data import Batch
from rhapsode.encoding import Grammar
from rhapsode.errors import DataError
from rhapsode.generation import Chain, chain_of, continue_jobs, generate_elements
from tests.bundle.test_mixed_predictor import counted, mixture_of
from tests.contracts.predictor_contract import ROWS, TIME, PredictorContract, batch_of
from tests.encoding.brackets import (
    CLOSING,
    END,
    OPENING,
    UNKNOWN,
    Brackets,
    counting_up,
    everything,
    last_element_grammar,
    walk,
)
from tests.engine.compiled_models import FAMILIES, VOCABULARY, network_config, network_of


def network(family: str = "lstm") -> Any:
    context = parse_context(FAMILIES[family][2])
    return torch_predictor(network_of(network_config(family), sharper=2), VOCABULARY, context)


MAKERS: dict[str, Callable[[], Predictor]] = {
    "network": network,
    "window": lambda: network("lstm in a window"),
    "counts": lambda: NGramPredictor(counted()),
    "mixture": lambda: mixture_of(network(), counted()),
    "mixture in a window": lambda: mixture_of(network("lstm in a window"), counted()),
    "mixture of documents": lambda: mixture_of(network("lstm of two layers"), counted(opening=END)),
}
WIDTH = {"window": 5, "mixture in a window": 5}


class GrammaticalContract(PredictorContract):
    """The contract on texts that obey a grammar."""

    restricted = True

    def elements(
        self, predictor: Predictor, time: int = TIME, rows: int = ROWS, seed: int = 0
    ) -> NDArray[np.int64]:
        return walk(last_element_grammar(VOCABULARY), time, rows, seed)


class TestNetwork(GrammaticalContract):
    def make(self) -> Predictor:
        return network().restricted(last_element_grammar(VOCABULARY))


class TestTransformer(GrammaticalContract):
    def make(self) -> Predictor:
        return network("transformer").restricted(last_element_grammar(VOCABULARY))


class TestWindow(GrammaticalContract):
    window = 5

    def make(self) -> Predictor:
        return network("lstm in a window").restricted(last_element_grammar(VOCABULARY))


class TestCounts(GrammaticalContract):
    spreads = False

    def make(self) -> Predictor:
        return NGramPredictor(counted()).restricted(last_element_grammar(VOCABULARY))


class TestMixture(GrammaticalContract):
    def make(self) -> Predictor:
        return MAKERS["mixture"]().restricted(last_element_grammar(VOCABULARY))


class TestMixtureInAWindow(GrammaticalContract):
    window = 5

    def make(self) -> Predictor:
        return MAKERS["mixture in a window"]().restricted(last_element_grammar(VOCABULARY))


def chain(**asked: Any) -> Chain:
    return chain_of(GenerateSettings(**asked), vocab_size=VOCABULARY, suppressed=(UNKNOWN,))


def jobs_of(count: int, length: int, prompt: tuple[int, ...] = ()) -> list[Job]:
    return [Job(np.array(prompt, dtype=np.int64), index, length) for index in range(count)]


def texts_of(predictor: Predictor, jobs: list[Job], made: Chain, seed: int = 3) -> list[list[int]]:
    """What the loop writes for each job, and the same by the fast path where there is one."""
    texts: list[list[int]] = [[] for _ in jobs]
    for chosen in generate_elements(predictor, jobs, made, seed=seed):
        texts[chosen.job].append(chosen.element)
    fast: list[list[int]] = [[] for _ in jobs]
    for part in continue_jobs(predictor, jobs, made, seed=seed):
        fast[part.job] += part.elements
    assert fast == texts
    return texts


def check_that_all_allowed_changes_nothing(plain: Predictor, width: int = 0) -> None:
    """A grammar that allows everything leaves every number and every text as it is, bit for bit."""
    within = plain.restricted(everything(VOCABULARY))
    ids_BT = np.random.default_rng(0).integers(VOCABULARY, size=(3, (width or 19) + 1))
    reset_BT = np.random.default_rng(1).random((3, ids_BT.shape[1] - 1)) < 0.2
    batch = batch_of(ids_BT, reset_BT)
    masks = np.ones((*batch.inputs.shape, VOCABULARY), dtype=np.bool_)
    masked = Batch(batch.inputs, batch.targets, batch.weights_BT, reset_BT, allowed_BTV=masks)
    one, one_state = plain.advance(ids_BT, plain.start(3))
    other, other_state = within.advance(ids_BT, within.start(3))
    np.testing.assert_array_equal(other.logits_BV, one.logits_BV)
    targets_B = ids_BT[:, 0]
    np.testing.assert_array_equal(other.log_prob(targets_B), one.log_prob(targets_B))
    wanted_BT, _ = plain.score(batch, None if width else one_state.fork())
    found_BT, _ = within.score(batch, None if width else other_state.fork())
    np.testing.assert_array_equal(found_BT, wanted_BT)
    wanted_BT, _ = plain.score(batch)
    np.testing.assert_array_equal(plain.score(masked)[0], wanted_BT)
    told = [vars(each.examine(some)[0]) for each, some in ((plain, batch), (within, batch))]
    told.append(vars(plain.examine(masked)[0]))
    for name, value in told[0].items():
        np.testing.assert_array_equal(told[1][name], value)
        np.testing.assert_array_equal(told[2][name], value)
    made, jobs = chain(temperature=1.2), jobs_of(4, 40, (3, 4))
    assert texts_of(within, jobs, made) == texts_of(plain, jobs, made)


def check_that_a_single_element_is_certain(plain: Predictor, width: int = 0) -> None:
    """What alone may follow has probability 1: the log-probability is 0, not nearly 0."""
    grammar = counting_up(VOCABULARY)
    within = plain.restricted(grammar)
    ids_BT = walk(grammar, (width or 16) + 1, 2, 0)
    batch = batch_of(ids_BT)
    following, _ = within.advance(ids_BT[:, :-1], within.start(2))
    assert following.log_prob(ids_BT[:, -1]).tolist() == [0.0, 0.0]
    assert np.isneginf(following.log_prob((ids_BT[:, -1] + 1) % VOCABULARY)).all()
    assert not within.score(batch)[0].any()
    examined, _ = within.examine(batch)
    assert not examined.log_prob_BT.any()
    assert not examined.top_log_prob_BT.any()
    assert not examined.entropy_BT.any()
    np.testing.assert_array_equal(examined.top_BT, batch.targets)
    looping = plain.restricted(counting_up(VOCABULARY, first=2))
    made, jobs = chain(), jobs_of(2, 15, (1,))
    assert texts_of(looping, jobs, made) == [[2, *range(3, VOCABULARY), 2, 3, 4, 5, 6]] * 2


def obeys(grammar: Grammar, prompt: tuple[int, ...], text: list[int]) -> bool:
    state = grammar.advance(np.array([[END, *prompt]]), grammar.init(1))
    for element in text:
        if not grammar.allowed_BV(state)[0, element]:
            return False
        state = grammar.advance(np.array([[element]]), state)
    return True


def check_that_texts_obey(plain: Predictor) -> None:
    """Sampled texts obey a grammar; one without a table writes the same."""
    grammar = Brackets(VOCABULARY)
    for asked in ({"temperature": 1.5}, {"top_k": 3, "min_p": 0.05}, {"repetition_penalty": 1.3}):
        made = chain(**asked)
        for prompt in ((), (OPENING, 5), (CLOSING,)):
            jobs = jobs_of(6, 60, prompt)
            texts = texts_of(plain.restricted(grammar), jobs, made)
            assert all(obeys(grammar, prompt, text) for text in texts)
            slow = plain.restricted(Brackets(VOCABULARY, finite=False))
            assert texts_of(slow, jobs, made) == texts
    free = texts_of(plain, jobs_of(6, 60), chain())
    assert not all(obeys(grammar, (), text) for text in free)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_grammar_that_allows_everything_changes_nothing(kind: str) -> None:
    check_that_all_allowed_changes_nothing(MAKERS[kind](), WIDTH.get(kind, 0))


@pytest.mark.parametrize("kind", MAKERS)
def test_what_alone_may_follow_is_certain(kind: str) -> None:
    check_that_a_single_element_is_certain(MAKERS[kind](), WIDTH.get(kind, 0))


@pytest.mark.parametrize("kind", MAKERS)
def test_sampled_texts_obey(kind: str) -> None:
    check_that_texts_obey(MAKERS[kind]())


@pytest.mark.parametrize("kind", MAKERS)
def test_texts_of_brackets_are_scored_as_they_are_read(kind: str) -> None:
    grammar = Brackets(VOCABULARY)
    plain = MAKERS[kind]()
    within = plain.restricted(grammar)
    ids_BT = walk(grammar, WIDTH.get(kind, 18) + 1, 4, seed=2, first=END)
    state, wanted, told = within.start(4), [], []
    for t in range(ids_BT.shape[1] - 1):
        following, state = within.advance(ids_BT[:, t : t + 1], state)
        wanted.append(following.log_prob(ids_BT[:, t + 1]))
        told.append(log_softmax(following.logits_BV))
    scores_BT, _ = within.score(batch_of(ids_BT))
    np.testing.assert_allclose(scores_BT, np.stack(wanted, axis=1), atol=1e-5)
    examined, _ = within.examine(batch_of(ids_BT))
    np.testing.assert_allclose(examined.log_prob_BT, scores_BT, atol=1e-5)
    log_prob_BTV = np.stack(told, axis=1)
    np.testing.assert_allclose(np.exp(log_prob_BTV).sum(axis=-1), 1)
    entropy_BT = -(np.exp(log_prob_BTV) * np.where(np.isneginf(log_prob_BTV), 0, log_prob_BTV))
    np.testing.assert_allclose(examined.entropy_BT, entropy_BT.sum(axis=-1), atol=1e-4)
    # Unlike the plain model, which spends probability on what cannot follow.
    assert (scores_BT >= plain.score(batch_of(ids_BT))[0] - 1e-5).mean() > 0.6


@pytest.mark.parametrize("kind", ["mixture", "mixture of documents"])
def test_counts_are_added_to_what_the_grammar_leaves_of_the_network(kind: str) -> None:
    grammar = Brackets(VOCABULARY)
    plain = MAKERS[kind]()
    within = plain.restricted(grammar)
    ids_BT = walk(grammar, 9, 3, seed=1)
    following, _ = within.advance(ids_BT, within.start(3))
    allowed_BV = grammar.allowed_BV(grammar.advance(ids_BT, grammar.init(3)))
    own, _ = plain.network.advance(ids_BT, plain.network.start(3))
    masked_B1V = np.where(allowed_BV, own.logits_BV, -np.inf)[:, None].astype(np.float32)
    wanted_B1V, _ = plain.experts.mix(ids_BT, plain.experts.start(3), masked_B1V)
    np.testing.assert_allclose(log_softmax(following.logits_BV), wanted_B1V[:, 0], atol=1e-5)
    assert np.array_equal(np.isneginf(following.logits_BV), ~allowed_BV)
    masked_after_BV = np.where(
        allowed_BV, plain.advance(ids_BT, plain.start(3))[0].logits_BV, -np.inf
    )
    gap_BV = np.exp(log_softmax(masked_after_BV)) - np.exp(wanted_B1V[:, 0])
    # Only what a document is remembered by depends on what the network may say.
    assert (abs(gap_BV).max() > 1e-3) == (kind == "mixture of documents")


def masked_batch(random: np.random.Generator) -> Batch:
    """A batch with free positions, and forbidden targets of weight 0."""
    ids_BT = random.integers(VOCABULARY, size=(3, 13))
    inputs_BT, targets_BT = ids_BT[:, :-1], ids_BT[:, 1:]
    allowed_BTV = random.random((3, 12, VOCABULARY)) < 0.5
    np.put_along_axis(allowed_BTV, targets_BT[..., None], True, axis=-1)
    weights_BT = np.ones((3, 12), dtype=np.float32)
    weights_BT[:, ::3] = 0
    allowed_BTV[:, ::3] &= np.arange(VOCABULARY) != targets_BT[:, ::3, None]
    allowed_BTV[:, ::3, 0] |= targets_BT[:, ::3] != 0
    allowed_BTV[:, ::3, 1] |= targets_BT[:, ::3] == 0
    allowed_BTV[:, 1::3] = True
    return Batch(inputs_BT, targets_BT, weights_BT, allowed_BTV=allowed_BTV)


def check_masks_of_a_batch(plain: Predictor) -> None:
    """Free positions keep their bits, exempt targets get 0, a forbidden target is refused."""
    batch = masked_batch(np.random.default_rng(5))
    assert batch.allowed_BTV is not None
    free = Batch(batch.inputs, batch.targets, batch.weights_BT)
    scores_BT, _ = plain.score(batch)
    wanted_BT, _ = plain.score(free)
    assert np.array_equal(scores_BT[:, 1::3], wanted_BT[:, 1::3])
    assert not scores_BT[:, ::3].any()
    assert (scores_BT[:, 2::3] > wanted_BT[:, 2::3]).mean() > 0.6
    examined, _ = plain.examine(batch)
    free_examined, _ = plain.examine(free)
    assert np.array_equal(examined.entropy_BT[:, 1::3], free_examined.entropy_BT[:, 1::3])
    np.testing.assert_allclose(examined.log_prob_BT, scores_BT, atol=1e-5)
    assert np.isfinite(examined.entropy_BT).all()
    assert np.take_along_axis(batch.allowed_BTV, examined.top_BT[..., None], axis=-1).all()
    weights_BT = batch.weights_BT.copy()
    weights_BT[1, 3] = 0.5
    forbidden = Batch(batch.inputs, batch.targets, weights_BT, allowed_BTV=batch.allowed_BTV)
    for ask in (plain.score, plain.examine):
        with pytest.raises(DataError, match=r"row 1, position 3 .*is not allowed"):
            ask(forbidden)


@pytest.mark.parametrize("kind", ["network", "counts", "mixture"])
def test_masks_of_a_batch_are_honoured(kind: str) -> None:
    check_masks_of_a_batch(MAKERS[kind]())


def test_masks_that_do_not_fit_are_refused() -> None:
    batch = masked_batch(np.random.default_rng(5))
    assert batch.allowed_BTV is not None
    for mask_BTV, message in (
        (batch.allowed_BTV[:, :-1], "does not fit"),
        (np.zeros_like(batch.allowed_BTV), "at least one"),
    ):
        wrong = Batch(batch.inputs, batch.targets, batch.weights_BT, allowed_BTV=mask_BTV)
        with pytest.raises(ValueError, match=message):
            wrong.mask()
    narrow_BTV = np.concatenate((batch.allowed_BTV,) * 2, axis=-1)
    wrong = Batch(batch.inputs, batch.targets, batch.weights_BT, allowed_BTV=narrow_BTV)
    with pytest.raises(ValueError, match="does not fit logits"):
        network().score(wrong)


def test_a_network_trains_on_batches_with_masks() -> None:
    grammar = Brackets(VOCABULARY)
    net = network_of(network_config("gru")).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for step in range(40):
        ids_BT = walk(grammar, 21, 4, seed=step % 5, first=END)
        allowed_BTV, _ = grammar.masks(ids_BT[:, :-1], grammar.init(4))
        batch = batch_of(ids_BT)
        batch = Batch(batch.inputs, batch.targets, batch.weights_BT, allowed_BTV=allowed_BTV)
        loss_BT, _ = net.loss(batch)
        optimiser.zero_grad()
        loss = loss_BT.mean()
        torch.autograd.backward(loss)
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
        assert float(net.head.bias.grad[UNKNOWN]) == 0.0  # which may follow nowhere
        assert not net.head.weight.grad[UNKNOWN].any()
        assert net.head.weight.grad[OPENING].any()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1


def test_exempt_targets_leave_gradients_finite_and_untouched() -> None:
    batch = masked_batch(np.random.default_rng(5))
    assert batch.allowed_BTV is not None
    net = network_of(network_config("gru"))
    gradients = []
    for mask_BTV in (batch.allowed_BTV, batch.allowed_BTV | (batch.weights_BT == 0)[..., None]):
        net.zero_grad()
        some = Batch(batch.inputs, batch.targets, batch.weights_BT, allowed_BTV=mask_BTV)
        loss_BT, _ = net.loss(some)
        torch.autograd.backward((loss_BT * torch.from_numpy(batch.weights_BT)).sum())
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert torch.isfinite(gradients[0]).all()
    torch.testing.assert_close(*gradients)


def test_only_the_last_target_of_a_window_is_scored_within_a_mask() -> None:
    batch = masked_batch(np.random.default_rng(5))
    weights_BT = np.zeros_like(batch.weights_BT)
    weights_BT[:, -1] = 1
    last = Batch(batch.inputs, batch.targets, weights_BT, allowed_BTV=batch.allowed_BTV)
    plain = network()
    np.testing.assert_allclose(plain.score(last)[0][:, -1], plain.score(batch)[0][:, -1], atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit a predictor"):
        Grammatical(network(), Brackets(VOCABULARY + 1))


def test_a_mixture_within_a_grammar_is_one_of_parts_within_it() -> None:
    within = MAKERS["mixture"]().restricted(Brackets(VOCABULARY))
    assert type(within) is MixedPredictor
    assert type(within.network) is Grammatical
    assert type(MAKERS["counts"]().restricted(Brackets(VOCABULARY))) is Grammatical
    assert network("lstm in a window").restricted(Brackets(VOCABULARY)).window == 5


def test_it_loads_no_torch() -> None:
    code = "import sys, rhapsode.bundle.combined.grammatical; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
