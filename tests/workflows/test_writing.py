"""What a model writes, measured beside real text: planted copies, text that is all new, and what cannot be measured."""

import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rhapsode.bundle import IdBundle, Provenance
from rhapsode.config import from_mapping
from rhapsode.encoding import END_ID
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.modalities.text.corpus import TextCorpus, prepare_corpus
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.quality.writing_check import (
    LENGTHS,
    TEXT_INDEX,
    RealText,
    index_fingerprint,
    learn_text_index,
    measure_model,
    open_text_index,
    read_real_text,
)
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.views.writing_table import (
    copying_in_short,
    longest_copies,
    writing_rows,
    writing_verdict,
)
from tests.counts.test_text_index import places_of
from tests.generation.even import Ruled


class Script(Ruled):
    """A predictor that writes what it is told, row after row, and then ends."""

    def __init__(self, encoder: CharacterEncoder, texts: list[str]) -> None:
        super().__init__(encoder.vocab_size)
        self.encoder = encoder
        self.texts = texts

    def start(self, rows: int, condition: object = None) -> NDArray[np.int64]:
        return np.stack((np.zeros(rows, np.int64), np.full(rows, -1)), axis=1)

    def logits(self, elements_BT: NDArray[np.int64], state: Any) -> tuple[NDArray[np.float32], Any]:
        logits_BV = np.full((len(state), self.vocab_size), -1e9, np.float32)
        for row, (text, at) in enumerate(state.tolist()):
            script = self.encoder.encode(self.texts[text % len(self.texts)])
            logits_BV[row, script[at + 1] if at + 1 < len(script) else END_ID] = 0.0
        return logits_BV, state + np.array([0, 1])

    def select(self, state: Any, rows_R: NDArray[np.int64]) -> Any:
        chosen = state[rows_R]
        if len(rows_R) > len(state):  # rows of one prompt: each writes a text of its own
            chosen[:, 0] = np.arange(len(rows_R))
        return chosen


@pytest.fixture
def corpus(tmp_path: Path, prose: str) -> TextCorpus:
    """Two documents, of which the second is held out from its middle on."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(prose[:15_000], encoding="utf-8")
    (tmp_path / "texts" / "b.txt").write_text(prose[15_000:], encoding="utf-8")
    asked = {"encoding": "characters", "steps": 1, "data": {"validation_share": 0.25}}
    settings = from_mapping(TrainSettings, asked, where="test")
    return prepare_corpus([str(tmp_path / "texts")], settings)


def bundle_of(corpus: TextCorpus, **source: str) -> IdBundle:
    provenance = Provenance(settings={"source": source})
    facts = TextFacts(corpus.train.counts_V)
    return IdBundle(None, corpus.encoder, facts, provenance=provenance)


def random_texts(corpus: TextCorpus, number: int, length: int) -> list[str]:
    letters = [text for text in corpus.encoder.vocabulary if text.isalpha()]
    return [
        "".join(" " if i % 8 == 7 else rng.choice(letters) for i in range(length))
        for rng in map(random.Random, range(number))
    ]


def measured(corpus: TextCorpus, texts: list[str], **options: Any) -> dict[str, Any]:
    index = learn_text_index(corpus)
    real = read_real_text(corpus.texts, corpus.splits.test, corpus.encoder)
    assert isinstance(corpus.encoder, CharacterEncoder)
    script = Script(corpus.encoder, texts)
    return measure_model(script, bundle_of(corpus), index, real, **options)  # type: ignore[arg-type]


def test_the_index_knows_documents_offsets_and_lines_of_parts(corpus: TextCorpus, prose: str):
    index = learn_text_index(corpus)
    assert not isinstance(index, str)
    documents = {"a.txt": prose[:15_000], "b.txt": prose[15_000:]}
    parts = corpus.splits.train.tolist()
    assert len(parts) > 2  # the validation slices lie between them
    names = [Path(name).name for name in corpus.texts.names]
    assert len(index) == sum(end - begin for _, begin, end in parts)
    for number, begin, end in parts:
        name = names[number]
        stretch = documents[name][max(begin, end - 80) : end]
        places = places_of(index, stretch)
        assert (name, end - len(stretch)) in [
            (Path(place.document).name, place.offset) for place in places
        ]
        for place in places:
            before = documents[Path(place.document).name][: place.offset]
            assert place.line == before.count("\n") + 1
    # Nothing of what was held out can be found.
    held = [int(begin) for _, begin, _ in corpus.splits.test]
    assert places_of(index, documents["b.txt"][held[0] + 10 : held[0] + 200]) == []


def test_a_model_that_recites_is_found_with_the_place(corpus: TextCorpus, prose: str):
    number, begin, end = corpus.splits.train[-1].tolist()
    assert number == 1
    document = prose[15_000:]
    at = document.index("\n", (begin + end) // 2) + 1
    assert at + 200 < end
    passage = document[at : at + 200]
    texts = random_texts(corpus, 16, 600)
    other = "q" if document[at + 200] != "q" else "z"  # the copy ends here
    texts[3] = texts[3][:50] + passage + other + texts[3][251:]
    found = measured(corpus, texts)
    assert found["reason"] is None
    assert [one["temperature"] for one in found["temperatures"]] == [1.0, 0.7]
    for one in found["temperatures"]:
        copy = one["written"]["longest_copy"]
        assert copy["text"] == passage
        assert Path(copy["document"]).name == "b.txt"
        assert copy["offset"] == at
        assert copy["line"] == document[:at].count("\n") + 1
        characters = found["texts"] * found["length"]
        assert one["written"]["copied_share"] == pytest.approx(200 / characters)
        assert one["held_out"]["longest_copy"]["length"] < 200
        assert one["held_out"]["texts"] == one["written"]["texts"] == found["texts"]
        assert one["held_out"]["length"] == one["written"]["length"] == found["length"]
        assert one["elements_per_text"] == found["length"]
    _, copy = longest_copies(found)[0]
    assert copy["text"] == passage
    assert "has 200 characters" in writing_verdict(found)
    assert f"{200 / characters:.1%} of the generated text" in writing_verdict(found)
    assert "200 characters at temperature 1" in copying_in_short(found)


def test_what_nobody_wrote_is_new(corpus: TextCorpus):
    found = measured(corpus, random_texts(corpus, 16, 600))
    written = found["temperatures"][0]["written"]
    assert written["novelty"]["16"] == 1.0
    assert written["copied_share"] == 0.0
    assert written["invented_words"] > 0.99
    assert "no more than" in writing_verdict(found)
    rows = dict(writing_rows(found))
    assert rows["new at 16 characters"][0] == "100.0%"
    assert "new at 64 characters" not in rows  # everything is new before


def test_no_copy_goes_from_one_document_into_the_next(corpus: TextCorpus, prose: str):
    _, begin, _ = corpus.splits.train[1].tolist()
    passage = prose[begin + 100 : begin + 160]
    found = measured(corpus, [passage[30:] + passage[:30]])
    length = found["temperatures"][0]["written"]["longest_copy"]["length"]
    assert 30 <= length <= 31


def test_texts_that_end_are_joined_by_line_feeds(corpus: TextCorpus):
    found = measured(corpus, random_texts(corpus, 16, 30))
    assert found["reason"] is None
    one = found["temperatures"][0]
    each = -(-found["length"] // 31)
    assert each * found["texts"] <= one["documents"] < each * found["texts"] + 64
    assert one["elements_per_text"] == found["length"]


def test_a_model_that_writes_nothing_ends(corpus: TextCorpus):
    ticks = itertools.count()
    found = measured(corpus, [""], clock=lambda: next(ticks), seconds=50)
    assert found["temperatures"] is None
    assert "too short" in found["reason"]


def test_too_little_time_gives_shorter_texts(corpus: TextCorpus):
    full = measured(corpus, random_texts(corpus, 16, 600))
    ticks = itertools.count()
    found = measured(
        corpus, random_texts(corpus, 16, 600), clock=lambda: next(ticks), seconds=2 * 140
    )
    assert found["length"] in LENGTHS
    assert found["length"] < full["length"]
    assert found["texts"] >= full["texts"]


def test_too_short_a_test_share(corpus: TextCorpus):
    script = Script(corpus.encoder, ["a"])  # type: ignore[arg-type]
    found = measure_model(script, bundle_of(corpus), "none", RealText("x" * 1000))  # type: ignore[arg-type]
    assert found == {
        "temperatures": None,
        "reason": "the held-out text has 1,000 characters, at least 1,600 are needed",
    }
    assert "1,000 characters" in writing_verdict(found)
    assert "1,000 characters" in copying_in_short(found)
    assert longest_copies(found) == writing_rows(found) == []


def test_without_an_index_the_other_measures_are_there(corpus: TextCorpus):
    real = read_real_text(corpus.texts, corpus.splits.test, corpus.encoder)
    script = Script(corpus.encoder, random_texts(corpus, 16, 600))  # type: ignore[arg-type]
    found = measure_model(script, bundle_of(corpus), "it was lost", real)  # type: ignore[arg-type]
    written = found["temperatures"][0]["written"]
    assert written["copied_share"] is None
    assert written["reason"] == "it was lost"
    assert written["distinct_1"] is not None
    assert writing_verdict(found) == "Copying was not measured: it was lost."
    assert copying_in_short(found) == "copying not measured: it was lost"
    names = [name for name, _ in writing_rows(found)]
    assert "longest copy, characters" not in names
    assert "self-BLEU" in names


def test_the_sidecar_is_whole_and_of_this_model(
    corpus: TextCorpus, tmp_path: Path, told: list[str]
):
    model = tmp_path / "model.safetensors"
    assert open_text_index(model, "") == f"there is no {TEXT_INDEX} beside the model"
    assert told == []
    index = learn_text_index(corpus)
    assert not isinstance(index, str)
    index.save(tmp_path / TEXT_INDEX)
    opened = open_text_index(model, index_fingerprint(index))
    assert not isinstance(opened, str)
    assert len(opened) == len(index)
    other = replace(corpus, splits=replace(corpus.splits, train=corpus.splits.train[:1]))
    of_other = learn_text_index(other)
    assert not isinstance(of_other, str)
    for expected in (index_fingerprint(of_other), None):
        refused = open_text_index(model, expected)
        assert refused == f"{TEXT_INDEX} holds another text than the one this model learnt from"
    assert len(told) == 2
    raw = bytearray((tmp_path / TEXT_INDEX).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / TEXT_INDEX).write_bytes(raw)
    damaged = open_text_index(model, index_fingerprint(index))
    assert isinstance(damaged, str)
    assert damaged.startswith(f"{TEXT_INDEX} cannot be used")
    assert len(told) == 3


def test_a_model_of_pairs_writes_from_held_out_prompts(tmp_path: Path):
    source = tmp_path / "pairs.csv"
    words = ["red", "green", "blue", "white", "black", "brown"]
    draws = random.Random(0)
    rows = [f"colour {number},{' '.join(draws.choices(words, k=25))}" for number in range(400)]
    source.write_text("\n".join(["question,answer", *rows]) + "\n", encoding="utf-8")
    fields = {"prompt_field": "question", "completion_field": "answer"}
    settings = from_mapping(
        TrainSettings, {"encoding": "characters", "steps": 1, "source": fields}, where="test"
    )
    corpus = prepare_corpus([str(source)], settings)
    index = learn_text_index(corpus)
    assert not isinstance(index, str)
    assert len(places_of(index, "colour 0\n")) == 1  # prompts are training text too
    real = read_real_text(corpus.texts, corpus.splits.test, corpus.encoder)
    assert "colour" not in real.text
    assert real.text.strip().count("\n") == 39
    assert len(real.prompts) == 40
    assert all(prompt.startswith("colour ") for prompt in real.prompts)
    script = Script(corpus.encoder, random_texts(corpus, 16, 120))  # type: ignore[arg-type]
    found = measure_model(script, bundle_of(corpus, **fields), index, real)  # type: ignore[arg-type]
    assert found["prompt"] == "held-out prompts"
    assert found["reason"] is None
    none = measure_model(
        script,  # type: ignore[arg-type]
        bundle_of(corpus, **fields),
        index,
        RealText(real.text),
    )
    assert none["reason"] == "this model completes prompts, but the text has none"


def test_a_lower_case_model_is_compared_with_lower_case_text(tmp_path: Path, prose: str):
    (tmp_path / "text.txt").write_text(prose, encoding="utf-8")
    asked = {"encoding": "characters", "steps": 1, "encoder": {"lowercase": True}}
    settings = from_mapping(TrainSettings, asked, where="test")
    corpus = prepare_corpus([str(tmp_path / "text.txt")], settings)
    index = learn_text_index(corpus)
    assert not isinstance(index, str)
    _, begin, _ = corpus.splits.train[0].tolist()
    place = places_of(index, prose[begin : begin + 100].lower())[0]
    assert place.offset == begin
    assert read_real_text(corpus.texts, corpus.splits.test, corpus.encoder).text.islower()


def test_a_short_test_split_still_tells_what_is_copied(corpus: TextCorpus):
    store = corpus.texts
    learnt = "".join(piece.text for piece in store.pieces(corpus.splits.train))
    index = learn_text_index(corpus)
    script = Script(corpus.encoder, [learnt[n * 700 : n * 700 + 600] for n in range(16)])  # type: ignore[arg-type]
    found = measure_model(script, bundle_of(corpus), index, RealText("x" * 250))  # type: ignore[arg-type]
    one = found["temperatures"][0]
    assert one["held_out"] is None
    assert one["written"]["copied_share"] > 0.99
    assert one["written"]["longest_copy"]["length"] == found["length"]
    assert "learnt its text by heart" in writing_verdict(found)
    assert "250 characters" in writing_verdict(found)
    assert "100% of the generated text is copied" in copying_in_short(found)
    assert [name for name, _ in longest_copies(found)] == ["temperature 1", "temperature 0.7"]
    assert all(len(values) == 2 for _, values in writing_rows(found))
