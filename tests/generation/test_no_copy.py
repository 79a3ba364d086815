"""No run of the training data is completed: against brute force, across prompts, rows and passages."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.bundle import Component, IdBundle, NetworkConfig, Provenance
from rhapsode.config.sampling import ControlSettings
from rhapsode.counts import SuffixIndex
from rhapsode.encoding import Encoder
from rhapsode.encoding.text import BpeEncoder, CharacterEncoder, WordEncoder
from rhapsode.errors import RunError, SettingsError
from rhapsode.generation import Chain, Job, generate_elements
from rhapsode.generation.filters.contract import Suppress
from rhapsode.generation.filters.control_filters import NoCopy, control_filters
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.quality import elements_index as no_copy
from rhapsode.modalities.text.quality.elements_index import (
    ELEMENTS_INDEX,
    index_elements,
    open_elements_index,
)
from rhapsode.modalities.text.quality.text_index import Passage, TextIndex
from rhapsode.modalities.text.quality.writing_check import TEXT_INDEX, index_fingerprint
from tests.generation.even import Even

PROVE = settings(derandomize=True, deadline=None, max_examples=60)
ABC = CharacterEncoder.learn(["abc"], {})
DATA = st.lists(st.text(st.sampled_from("abc"), min_size=1, max_size=20), min_size=1, max_size=4)


class Parrot(Even):
    """Likes to go on as the training text does: what it writes would be copied without end."""

    def __init__(self, index: SuffixIndex, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.index = index

    def start(self, rows: int, condition: Any = None) -> np.ndarray:
        return self.index.start(rows)

    def logits(self, elements_BT: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits_BV = np.zeros((len(elements_BT), self.vocab_size), dtype=np.float32)
        for column in elements_BT.T:
            state = self.index.extend(state, column)
        for row, own in enumerate(state):
            logits_BV[row, self.index.followers(own)] = 12.0
        return logits_BV, state


def indexed(texts: list[str], encoder: Encoder = ABC) -> tuple[TextIndex, SuffixIndex]:
    text = TextIndex.build((f"document {n}", each) for n, each in enumerate(texts))
    assert isinstance(text, TextIndex)
    return text, index_elements(text, encoder)


def written(
    encoder: Encoder,
    index: SuffixIndex,
    *filters: Any,
    length: int,
    prompts: list[str],
) -> list[list[int]]:
    jobs = [
        Job(encoder.encode(prompt).astype(np.int64), sequence, length)
        for sequence, prompt in enumerate(prompts)
    ]
    chain = Chain([Suppress((0, 1), encoder.vocab_size), *filters])
    found: list[list[int]] = [[] for _ in jobs]
    for chosen in generate_elements(Parrot(index, encoder.vocab_size), jobs, chain, seed=7):
        found[chosen.job].append(chosen.element)
    return found


def copies(texts: list[str], whole: str, size: int, start: int) -> list[str]:
    """The runs of that size in a text that end at or behind `start` and stand in one of the texts."""
    runs = [whole[max(end - size, 0) : end] for end in range(start + 1, len(whole) + 1)]
    return [run for run in runs if len(run) == size and any(run in text for text in texts)]


@PROVE
@given(texts=DATA, size=st.integers(2, 5), prompt=st.text(st.sampled_from("abc"), max_size=6))
def test_no_run_of_the_data_is_completed(texts: list[str], size: int, prompt: str) -> None:
    _, index = indexed(texts)
    prompts = [prompt[::-1], prompt]
    try:
        found = written(ABC, index, NoCopy(size, index, ABC), length=25, prompts=prompts)
    except SettingsError:
        return  # said so, and wrote no copy; see below for what it says
    for before, ids in zip(prompts, found, strict=True):
        assert copies(texts, before + ABC.decode(ids), size, len(before)) == []


def test_without_it_there_are_copies() -> None:
    text = "abcbacabbcca" * 3
    _, index = indexed([text])
    plain = ABC.decode(written(ABC, index, length=30, prompts=["ab"])[0])
    assert copies([text], "ab" + plain, 6, 2) != []
    kept = ABC.decode(written(ABC, index, NoCopy(6, index, ABC), length=30, prompts=["ab"])[0])
    assert copies([text], "ab" + kept, 6, 2) == []


def test_only_what_would_complete_a_run_is_removed() -> None:
    _, index = indexed(["abcab", "abb"])
    step = NoCopy(3, index, ABC)
    prompts = ("ab", "b", "ac", "cab", "")
    from tests.contracts.filter_contract import context_of

    plain = context_of(len(prompts))
    context = type(plain)(
        tuple(ABC.encode(each).astype(np.int64) for each in prompts),
        plain.output,
        plain.position_B,
        plain.sequence_B,
        0,
    )
    logits_BV = np.ones((len(prompts), 5), dtype=np.float32)
    logits_BV.flags.writeable = False
    after_BV, _ = step.apply(logits_BV, context, step.init(len(prompts)))
    gone = [ABC.decode(np.flatnonzero(np.isneginf(row_V)).tolist()) for row_V in after_BV]
    assert [set(each) for each in gone] == [{"b", "c"}, set(), set(), {"b", "c"}, set()]


def test_no_run_goes_from_one_passage_into_the_next() -> None:
    passages = [Passage("one", "ab"), Passage("one", "c", opening=False), Passage("two", "ba")]
    text = TextIndex.build(passages)
    assert isinstance(text, TextIndex)
    assert list(text.passages()) == ["abc", "ba"]
    index = index_elements(text, ABC)
    assert index.count(ABC.encode("abc")) == 1
    assert index.count(ABC.encode("cb")) == 0


@pytest.mark.parametrize("name", ["bpe", "words"])
def test_runs_are_of_the_models_elements(name: str) -> None:
    data = "the cat sat on the mat and the dog sat on the cat\n" * 8
    encoder: Encoder = (
        BpeEncoder.learn([data], {"vocab_size": 290})
        if name == "bpe"
        else WordEncoder.learn([data], {})
    )
    _, index = indexed([data], encoder)
    ids = written(encoder, index, NoCopy(4, index, encoder), length=40, prompts=["the cat"])[0]
    whole = [*encoder.encode("the cat").tolist(), *ids]
    first = len(whole) - len(ids)
    for end in range(first + 1, len(whole) + 1):
        assert end < 4 or index.count(np.array(whole[end - 4 : end])) == 0


def test_rows_that_end_take_their_states_along() -> None:
    text = "abcbacabbccaacb"
    _, index = indexed([text])
    jobs = [
        Job(ABC.encode("ab").astype(np.int64), n, length) for n, length in enumerate((3, 20, 9))
    ]
    chain = Chain([Suppress((0, 1), 5), NoCopy(4, index, ABC)])

    def texts(jobs: list[Job]) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in jobs]
        for chosen in generate_elements(Parrot(index, 5), jobs, chain, seed=7):
            found[chosen.job].append(chosen.element)
        return found

    together = texts(jobs)
    assert together == [texts([job])[0] for job in jobs]


def test_where_all_would_be_a_copy_the_place_is_told() -> None:
    _, index = indexed(["ab", "aa", "ac"])
    with pytest.raises(SettingsError) as caught:
        written(ABC, index, NoCopy(2, index, ABC), length=9, prompts=["a"])
    assert str(caught.value).startswith(
        "continuation 0, element 0, after 'a': no element is possible here: all others would "
        "complete 2 elements of the training data"
    )


def test_a_prefix_may_copy_and_what_follows_may_not() -> None:
    text = "abcbacabbcca"
    _, index = indexed([text])
    filters = control_filters(
        ControlSettings(prefix=text, no_copy=4), ABC, lambda: index, length=30
    )
    found = ABC.decode(written(ABC, index, *filters, length=30, prompts=[""])[0])
    assert found.startswith(text)
    assert copies([text], found, 4, len(text)) == []


def bundle_of(encoder: Encoder, text: TextIndex) -> IdBundle:
    part = Component("none.v1", {})
    config = NetworkConfig(part, part, part, "carried")
    facts = TextFacts(np.ones(encoder.vocab_size, dtype=np.int64))
    provenance = Provenance(text_index=index_fingerprint(text))
    return IdBundle(config, encoder, facts, provenance=provenance)


def test_the_index_is_kept_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    text, index = indexed(["abcab", "bca"])
    text.save(tmp_path / TEXT_INDEX)
    model = tmp_path / "model.safetensors"
    bundle = bundle_of(ABC, text)
    made = open_elements_index(bundle, model)
    np.testing.assert_array_equal(made.elements_N, index.elements_N)
    assert len(told) == 1
    built: list[int] = []
    monkeypatch.setattr(
        no_copy, "index_elements", lambda *both: built.append(1) or index_elements(*both)
    )
    again = open_elements_index(bundle, model)
    np.testing.assert_array_equal(again.order_N, index.order_N)
    assert (built, len(told)) == ([], 1)
    # Of another encoding, of another text, torn: made anew.
    open_elements_index(bundle_of(CharacterEncoder.learn(["cba"] * 3 + ["c"], {}), text), model)
    other, _ = indexed(["ccc"])
    other.save(tmp_path / TEXT_INDEX)
    assert open_elements_index(bundle_of(ABC, other), model).count(ABC.encode("cc")) == 2
    kept = tmp_path / ELEMENTS_INDEX
    kept.write_bytes(kept.read_bytes()[:-3])
    open_elements_index(bundle_of(ABC, other), model)
    assert len(built) == 3
    assert any("rebuilding it" in line for line in told)


def test_an_index_that_cannot_be_kept_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    from rhapsode.counts import suffix_file

    def refuse(*arguments: Any) -> None:
        raise RunError("cannot write: read-only")

    text, index = indexed(["abcab"])
    text.save(tmp_path / TEXT_INDEX)
    monkeypatch.setattr(suffix_file, "write_index", refuse)
    made = open_elements_index(bundle_of(ABC, text), tmp_path / "model.safetensors")
    np.testing.assert_array_equal(made.elements_N, index.elements_N)
    assert any("was not saved" in line for line in told)
    assert not (tmp_path / ELEMENTS_INDEX).exists()


def test_without_the_index_of_the_text_nothing_is_promised(tmp_path: Path) -> None:
    text, _ = indexed(["abcab"])
    with pytest.raises(RunError, match=r"--no-copy: copies cannot be detected"):
        open_elements_index(bundle_of(ABC, text), tmp_path / "model.safetensors")
