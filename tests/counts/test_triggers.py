"""Words that begin documents: counted as their definition says, and mixed in any pieces of a text."""

import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rhapsode.counts.mixing import ngram_evidence as kernels
from rhapsode.counts.mixing.contributions import Groups
from rhapsode.counts.mixing.experts import Experts
from rhapsode.counts.mixing.triggers import learn_triggers
from rhapsode.counts.mixing.word_contexts import WordContexts
from rhapsode.counts.ngram import NGramModel

VOCABULARY, DOCUMENTS = 200, 150
# Elements from 140 on are other forms of those from 10 on.
FORMS = np.array([*range(140), *range(10, 70)])
LETTERS = -16 - FORMS


def documents(seed: int) -> list[list[int]]:
    """Documents whose first words raise others later."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(DOCUMENTS):
        begin = random.choice(np.arange(1, VOCABULARY), size=random.integers(2, 19)).tolist()
        raised = [2 + (7 * int(FORMS[e])) % 138 for e in begin]
        rest = random.choice([*raised, *random.integers(1, VOCABULARY, size=10)], size=30).tolist()
        found.append([0, *begin, *rest][: random.integers(5, 50)])
    return found


def corpus(seed: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Elements and starts of the documents."""
    found = documents(seed)
    starts_N = np.cumsum([0, *map(len, found)])[:-1]
    return np.concatenate(found).astype(np.int32), starts_N


def triggers(found: list[list[int]]) -> dict[int, dict[int, int]]:
    """Elements that each form raises, in hundredths of a nat, slow and obvious."""
    pairs: dict[int, Counter[int]] = defaultdict(Counter)
    late, begun = Counter[int](), Counter[int]()
    documents = 0
    for document in found:
        known = [element for element in document if element > 1]
        begin, later = {int(FORMS[e]) for e in known[:16]}, set(known[16:])
        if not later:
            continue
        documents += 1
        late.update(later)
        begun.update(begin)
        for form in begin:
            pairs[form].update(later)
    raised: dict[int, dict[int, int]] = {}
    for form, counts in pairs.items():
        if not 3 <= begun[form] <= 0.2 * documents:
            continue
        for element, count in counts.items():
            expected = begun[form] * late[element] / documents
            nats = math.log((count + 2) / (expected + 2))
            if count >= 3 and (count - expected) / math.sqrt(expected + 1) >= 2.5 and nats >= 0.2:
                raised.setdefault(form, {})[element] = math.floor(100 * nats + 0.5)
    return raised


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_those_that_occur_together_more_often_than_by_chance(seed: int) -> None:
    form_K, size_K, element_J, evidence_J = learn_triggers(*corpus(seed), LETTERS)
    ends = np.cumsum(size_K)
    found = {
        int(form): dict(
            zip(
                element_J[end - size : end].tolist(),
                evidence_J[end - size : end].tolist(),
                strict=True,
            )
        )
        for form, size, end in zip(form_K, size_K, ends, strict=True)
    }
    wanted = triggers(documents(seed))
    assert len(wanted) > 3
    assert found == wanted


def counted(seed: int) -> NGramModel:
    ids_N, starts_N = corpus(seed)
    model = NGramModel.learn(ids_N, VOCABULARY, order=2, starts=starts_N, opening=0)
    words = WordContexts.learn(ids_N, LETTERS, starts=starts_N)
    again = WordContexts.from_arrays(words.to_arrays(), VOCABULARY)
    return NGramModel(model.trie, model.order, model.smoothing, again)


def of_beginnings(experts: Experts, weight: float) -> Experts:
    """Experts with a weight for words that begin a document, which differs by kind."""
    weight_F = np.zeros(experts.size)
    weight_F[kernels.NETWORK] = 1.0
    weight_F[-2 * kernels.KINDS :] = weight * np.arange(1, 2 * kernels.KINDS + 1)
    return Experts(counted(0), weight_F, remember=True, keep=experts.keep)


@pytest.mark.parametrize("keep", [False, True])
def test_the_first_words_of_a_document_raise_later_ones(keep: bool) -> None:
    experts = of_beginnings(Experts(counted(0), remember=True, keep=keep), 0.1)
    raised = triggers(documents(0))
    one, other = (next(d for d in documents(seed) if len(d) > 40) for seed in (1, 2))
    read = [*one, *other]
    reset_1T = np.isin(np.arange(len(read)), [0, len(one)])[None]
    random = np.random.default_rng(0)
    own_1TV = random.normal(size=(1, len(read), VOCABULARY)).astype(np.float32)
    own_1TV -= np.logaddexp.reduce(own_1TV, axis=-1, keepdims=True)
    whole_1TV, _ = experts.mix(np.array([read]), experts.start(1), own_1TV, reset_BT=reset_1T)
    changed = 0
    for t in range(len(read)):
        begin = 0 if t < len(one) else len(one)
        known = [element for element in read[begin : t + 1] if element > 1]
        sums: dict[int, list[float]] = defaultdict(list)
        for form in {int(FORMS[e]) for e in known[:16]}:
            for element, parts in raised.get(form, {}).items():
                sums[element].append(parts / 100)
        z_V = own_1TV[0, t].astype(np.float64)
        for element, nats in sums.items():
            kind = min(len(nats), 4) - 1 + 4 * ((sum(nats) >= 1) + (sum(nats) >= 2))
            kind += 12 * (len(known) < 16)
            z_V[element] += 0.1 * (kind + 1) * sum(nats)
        changed += bool(sums)
        np.testing.assert_allclose(whole_1TV[0, t], z_V - np.logaddexp.reduce(z_V), atol=1e-5)
    assert changed > 20
    parts, state = [], experts.start(1)
    for begin, end in ((0, 7), (7, 16), (16, 17), (17, len(read))):
        part = slice(begin, end)
        mixed, state = experts.mix(
            np.array([read])[:, part], state.fork(), own_1TV[:, part], reset_BT=reset_1T[:, part]
        )
        parts.append(mixed)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole_1TV)


def test_their_weights_are_a_group_of_their_own() -> None:
    experts = Experts(counted(0), remember=True)
    groups = Groups.of(experts)
    assert groups.names[-2:] == ("read", "beginning")
    own_F = groups.group_F == len(groups.names) - 1
    assert own_F.sum() == 2 * kernels.KINDS
    assert own_F[-2 * kernels.KINDS :].all()
    assert "beginning" not in Groups.of(Experts(counted(0))).names


def test_pairs_of_another_kind_of_elements_are_refused() -> None:
    ids_N, starts_N = corpus(0)
    arrays: dict[str, NDArray[Any]] = WordContexts.learn(
        ids_N, LETTERS, starts=starts_N
    ).to_arrays()
    with pytest.raises(ValueError, match="contexts of words"):
        WordContexts.from_arrays({**arrays, "which_K": arrays["which_K"] - 1}, VOCABULARY)
    letters = {**arrays, "letter_V": np.arange(VOCABULARY)}
    with pytest.raises(ValueError, match="contexts of words"):
        WordContexts.from_arrays(letters, VOCABULARY)
