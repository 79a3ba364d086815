"""What every text encoder keeps: the round trip, the stream, the file, and its manners with hostile input."""

import contextlib
import json
import pickle
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from rhapsode.encoding import ENCODERS, END_ID, UNKNOWN_ID, Encoder, encoder_from_mapping
from rhapsode.errors import BundleError, EncodingError, RhapsodeError, SettingsError

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

PROVE = settings(
    max_examples=30,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)

AWKWARD = (
    "a", "b", "c", " ", "  ", "\t", "\n", "\n\n", "\r\n", "\r", "\x01", "\x1b", "\x7f", "\x85", "\u2028",
    "e\u0301", "\u0301", "\u0300\u0323", "ﬁ", "ß", "İ", "ı", "\u200d", "\ufeff", REPLACEMENT,
    "👍🏽", "👩\u200d👩\u200d👧", "❤\ufe0f", "🇨🇳", "🇨", "한", "\u1112\u1161\u11ab", "क्षि", "ก็", "漢", "𝔘", "\U0010ffff",
    "<end>", "<unknown>", " <end> ", "\n<unknown>\n", "word", " word", "Word", "Ġ", "##", "▁",
)  # fmt: skip


def texts(max_size: int = 24) -> st.SearchStrategy[str]:
    """Unicode texts without NUL: scripts, emoji, combining marks, all line ends, control characters."""
    anything = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
    return st.lists(st.sampled_from(AWKWARD) | anything, max_size=max_size).map("".join)


# As they come from a command line that is not UTF-8, or from UTF-16 cut in two.
LONE_SURROGATES = (
    chr(0xDC80),
    f"a{chr(0xDCFF)}{chr(0xDC80)}b",
    chr(0xD800),
    f"a{chr(0xD83D)}",
    f"{chr(0xDE00)}{chr(0xD83D)}",
)


@st.composite
def kindred(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts that share some of their pieces, in other orders."""
    pool = draw(st.lists(st.sampled_from(AWKWARD), min_size=1, max_size=6))
    learnt = draw(st.lists(st.sampled_from(pool), max_size=8))
    text = draw(st.lists(st.sampled_from(pool) | st.sampled_from(AWKWARD), max_size=10))
    return "".join(learnt), "".join(text)


def chunks_of(ids: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    """The ids cut at places, taken modulo their number."""
    places = sorted(cut % (len(ids) + 1) for cut in cuts)
    return np.split(ids, places)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_subnormal=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


class EncoderContract:
    """A subclass names the encoding and its settings; its instance learns from any texts."""

    encoding: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}

    def learn(self, *texts: str) -> Encoder:
        """An encoder that knows these texts."""
        return ENCODERS.get(self.encoding).learn(texts, self.settings)

    def normalised(self, text: str) -> str:
        """What the round trip gives; lossless encoders give the text itself."""
        return text

    def searched(self, text: str) -> str:
        """The text in which `unknown` finds its pieces: what is done to a text before it is cut into elements."""
        return text

    def exported(self, text: str) -> str:
        """What the `tokenizer.json` takes for a text."""
        return text

    def reread(self, encoder: Encoder) -> Encoder:
        """The encoder after a trip through JSON."""
        return encoder_from_mapping(json.loads(json.dumps(encoder.to_mapping())))

    @PROVE
    @given(text=texts())
    def test_known_text_survives_the_round_trip(self, text: str):
        encoder = self.learn(text)
        assert encoder.decode(encoder.encode(text)) == self.normalised(text)

    @PROVE
    @given(text=texts())
    def test_ids_of_known_text_are_elements_of_the_vocabulary(self, text: str):
        encoder = self.learn(text)
        ids_N = encoder.encode(text)
        assert ids_N.ndim == 1
        assert np.issubdtype(ids_N.dtype, np.unsignedinteger)
        assert END_ID not in ids_N
        assert UNKNOWN_ID not in ids_N
        assert (ids_N < encoder.vocab_size).all()
        assert encoder.vocab_size == len(encoder.vocabulary) + 2

    @PROVE
    @given(both=kindred() | st.tuples(texts(), texts()))
    def test_ids_of_any_text_are_in_range_and_never_end_of_sequence(self, both: tuple[str, str]):
        learnt, text = both
        encoder = self.learn(learnt)
        ids_N = encoder.encode(text)
        assert END_ID not in ids_N
        assert (ids_N < encoder.vocab_size).all()

    def test_nothing_encodes_to_nothing(self):
        encoder = self.learn("some text")
        assert encoder.encode("").shape == (0,)
        assert encoder.decode([]) == ""
        assert encoder.unknown("") == []
        assert encoder.without_unknown("") == ""
        assert encoder.decoder().feed([]) == ""

    def test_reserved_ids_decode_to_nothing_and_to_the_replacement_character(self):
        encoder = self.learn("a")
        known = encoder.encode("a").tolist()
        assert encoder.decode([END_ID]) == ""
        assert encoder.decode([UNKNOWN_ID]) == REPLACEMENT
        assert encoder.decode([*known, END_ID]) == encoder.decode([END_ID, *known]) == "a"
        assert encoder.decode([UNKNOWN_ID, END_ID, UNKNOWN_ID]).count(REPLACEMENT) == 2

    def test_labels_name_every_element(self):
        encoder = self.learn("the quick brown fox")
        labels = [encoder.label(element) for element in range(encoder.vocab_size)]
        assert all(labels)
        assert len(set(labels)) == encoder.vocab_size

    @PROVE
    @given(data=st.data(), learnt=texts(), cuts=st.lists(st.integers(0, 200), max_size=12))
    def test_pieces_of_a_stream_join_to_the_whole(self, data, learnt: str, cuts: list[int]):
        encoder = self.learn(learnt)
        element = st.integers(0, encoder.vocab_size - 1)
        ids_N = np.array(data.draw(st.lists(element, max_size=40)), dtype=np.int64)
        decoder = encoder.decoder()
        pieces = [decoder.feed(chunk_N) for chunk_N in chunks_of(ids_N, cuts)]
        assert "".join(pieces) + decoder.finish() == encoder.decode(ids_N)

    @PROVE
    @given(text=texts(), cuts=st.lists(st.integers(0, 200), max_size=12))
    def test_a_stream_never_shows_half_a_character(self, text: str, cuts: list[int]):
        encoder = self.learn(text)
        whole = encoder.decode(encoder.encode(text))
        decoder = encoder.decoder()
        shown = ""
        for chunk_N in chunks_of(encoder.encode(text), cuts):
            shown += decoder.feed(chunk_N)
            assert whole.startswith(shown)
        assert shown + decoder.finish() == whole

    @PROVE
    @given(learnt=texts(), lines=st.lists(texts(4), max_size=8), cuts=st.lists(st.booleans()))
    @example(learnt="a\n\nb", lines=["a", "", "", " b\r", "", "  "], cuts=[True] * 5)
    def test_pieces_cut_behind_line_ends_give_the_ids_of_the_whole(
        self, learnt: str, lines: list[str], cuts: list[bool]
    ):
        pieces = [""]
        for line, cut in zip_longest("\n".join(lines).split("\n"), cuts):
            if line is None:
                break
            pieces[-1] += line + "\n"
            if cut:
                pieces.append("")
        encoder = self.learn(learnt, "\n".join(lines[::2]))
        parts = [encoder.encode(piece) for piece in pieces]
        np.testing.assert_array_equal(encoder.encode("".join(pieces)), np.concatenate(parts))

    def test_an_encoder_travels_to_other_processes(self):
        encoder = self.learn("some text")
        again = pickle.loads(pickle.dumps(encoder))
        assert type(again) is type(encoder)
        assert again.fingerprint == encoder.fingerprint

    def test_every_decoder_begins_afresh(self):
        encoder = self.learn("ñ", "b")
        ids_N = encoder.encode("ñ")
        encoder.decoder().feed(ids_N[:1])
        fresh = encoder.decoder()
        assert fresh.feed(encoder.encode("b")) + fresh.finish() == "b"

    @PROVE
    @given(both=kindred() | st.tuples(texts(), texts()))
    def test_an_encoder_read_back_gives_the_identical_ids(self, both: tuple[str, str]):
        learnt, text = both
        encoder = self.learn(learnt)
        again = self.reread(encoder)
        assert type(again) is type(encoder)
        assert again.vocabulary == encoder.vocabulary
        assert again.settings == encoder.settings
        assert again.fingerprint == encoder.fingerprint
        np.testing.assert_array_equal(again.encode(text), encoder.encode(text))

    @PROVE
    @given(both=kindred() | st.tuples(texts(), texts()))
    @example(both=("a\n\nb\r\n\r\n \t ", "\n\n\n \r\r b"))
    def test_tokenizer_json_opens_elsewhere_with_identical_ids_and_text(
        self, both: tuple[str, str]
    ):
        learnt, text = both
        encoder = self.learn(learnt)
        theirs = Tokenizer.from_str(encoder.to_tokenizer_json())
        for each in (text, learnt + text, text[:3] + learnt):
            found = theirs.encode(self.exported(each), add_special_tokens=False).ids
            assert found == encoder.encode(each).tolist()
        if encoder.round_trip == "lossless":
            ids = encoder.encode(learnt).tolist()
            assert theirs.decode(ids, skip_special_tokens=False) == encoder.decode(ids)
        assert theirs.get_vocab_size() == encoder.vocab_size

    @PROVE
    @given(both=kindred() | st.tuples(texts(), texts()))
    def test_unknown_names_what_encodes_to_the_unknown_element(self, both: tuple[str, str]):
        learnt, text = both
        encoder = self.learn(learnt)
        pieces = encoder.unknown(text)
        assert len(set(pieces)) == len(pieces)
        assert bool(pieces) == bool((encoder.encode(text) == UNKNOWN_ID).any())
        rest = self.searched(text)
        for piece in pieces:
            assert piece in rest
            rest = rest[rest.index(piece) :]
            if encoder.unknown_prompt == "error":
                assert set(encoder.encode(piece).tolist()) == {UNKNOWN_ID}

    @PROVE
    @given(text=texts())
    def test_known_text_has_no_unknown_pieces(self, text: str):
        encoder = self.learn(text)
        assert encoder.unknown(text) == []
        assert encoder.without_unknown(text) == self.normalised(text)

    @PROVE
    @given(both=kindred() | st.tuples(texts(), texts()))
    def test_without_unknown_leaves_text_that_is_known(self, both: tuple[str, str]):
        learnt, text = both
        encoder = self.learn(learnt)
        rest = encoder.without_unknown(text)
        assert REPLACEMENT not in rest or REPLACEMENT in text
        if encoder.unknown_prompt == "error":
            assert encoder.unknown(rest) == []

    def test_a_setting_that_does_not_exist_is_named(self):
        with pytest.raises(SettingsError, match="no_such_setting"):
            ENCODERS.get(self.encoding).learn(["text"], {**self.settings, "no_such_setting": 1})

    @pytest.mark.parametrize("text", LONE_SURROGATES, ids=ascii)
    @pytest.mark.parametrize("use", ["encode", "unknown", "without_unknown"])
    def test_lone_surrogates_are_taken_or_refused_in_words(self, use: str, text: str):
        encoder = self.learn("ab")
        with contextlib.suppress(EncodingError):
            getattr(encoder, use)(text)

    @pytest.mark.parametrize("missing", ["name", "settings", "tokenizer"])
    @pytest.mark.parametrize(
        "instead", [None, 7, [], ["x"]], ids=["null", "number", "list", "full"]
    )
    def test_a_description_lacking_a_part_is_malformed(self, missing: str, instead: Any):
        whole = self.learn("ab").to_mapping()
        with pytest.raises(BundleError, match="malformed"):
            encoder_from_mapping({**whole, missing: instead})
        with pytest.raises(BundleError, match="malformed"):
            encoder_from_mapping({key: value for key, value in whole.items() if key != missing})

    def test_an_unregistered_name_is_refused(self):
        with pytest.raises(SettingsError, match=r"os\.system"):
            encoder_from_mapping({**self.learn("ab").to_mapping(), "name": "os.system"})

    @pytest.mark.parametrize(
        "tokenizer",
        [
            "",
            "null",
            "[]",
            "{}",
            '{"model": 3}',
            '{"model": {"vocab": 3}}',
            '{"model": {"vocab": "abc"}}',
            '{"model": {"vocab": null}}',
            '{"model": {"vocab": {}}}',
            '{"model": {"vocab": ["<end>", "<unknown>", "a"]}}',
            pytest.param('{"model": {"vocab": [5]}}', id="list of numbers"),
            '{"model": {"vocab": {"<end>": 0}}}',
            '{"model": {"vocab": {"<end>": 1, "<unknown>": 0}}}',
            '{"model": {"vocab": {"<end>": 0, "<unknown>": 1, "a": 3}}}',
            '{"model": {"vocab": {"<end>": 0, "<unknown>": 1, "a": 1}}}',
            '{"model": {"vocab": {"<end>": 0, "<unknown>": 1, "a": -1}}}',
            '{"model": {"vocab": {"<end>": 0, "<unknown>": 1, "a": "2"}}}',
            '{"model": {"vocab": {"<end>": 0, "<unknown>": 1, "a": null}}}',
            '{"model": {"vocab": {"<end>": 0, "<unknown>": 1, "a": NaN}}}',
            '{"model": {"vocab": {"<end>": 0, "<unknown>": 1, "a": [2]}}}',
            '{"model": {"vocab": {"a": 0, "b": 1, "c": 2}}}',
            pytest.param("[" * 100_000, id="deep list"),
            pytest.param('{"model":' * 100_000, id="deep table"),
        ],
    )
    def test_a_malformed_vocabulary_is_refused(self, tokenizer: str):
        with pytest.raises(BundleError) as caught:
            encoder_from_mapping({**self.learn("ab").to_mapping(), "tokenizer": tokenizer})
        assert "\n" not in str(caught.value)

    @PROVE
    @given(
        pieces=st.lists(
            st.text(st.characters(), max_size=3) | st.sampled_from(AWKWARD), max_size=6, unique=True
        )
    )
    def test_a_hostile_vocabulary_is_refused_or_works(self, pieces: list[str]):
        table = {piece: index for index, piece in enumerate(("<end>", "<unknown>", *pieces))}
        self.refused_or_works({"tokenizer": json.dumps({"model": {"vocab": table}})})

    @PROVE
    @given(settings=st.dictionaries(st.sampled_from(["graphemes", "min_count", "x"]), JSON_VALUES))
    def test_hostile_settings_are_refused_or_work(self, settings: dict[str, Any]):
        self.refused_or_works({"settings": settings})

    @PROVE
    @given(
        vocabulary=st.dictionaries(st.text(max_size=6), JSON_VALUES, max_size=5).map(
            lambda hostile: {"<end>": 0, "<unknown>": 1} | hostile
        )
        | JSON_VALUES
    )
    def test_hostile_ids_are_refused_or_work(self, vocabulary: Any):
        self.refused_or_works({"tokenizer": json.dumps({"model": {"vocab": vocabulary}})})

    @PROVE
    @given(at=st.integers(0, 999), byte=st.characters(max_codepoint=126), data=st.data())
    def test_an_altered_tokenizer_json_is_refused_or_works(self, at: int, byte: str, data):
        text = self.learn("ab").to_tokenizer_json()
        place = at * len(text) // 1000
        altered = text[:place] + data.draw(st.sampled_from(["", byte])) + text[place + 1 :]
        self.refused_or_works({"tokenizer": altered})

    def refused_or_works(self, hostile: Mapping[str, Any]) -> None:
        """A description with hostile parts raises an error of ours, or gives an encoder that works."""
        try:
            encoder = encoder_from_mapping({**self.learn("ab").to_mapping(), **hostile})
        except RhapsodeError:
            return
        text = "a<b>é👍🏽"
        ids_N = encoder.encode(text)
        assert (ids_N < encoder.vocab_size).all()
        assert isinstance(encoder.decode(ids_N), str)
        assert isinstance(encoder.unknown(text), list)
        assert self.reread(encoder).fingerprint == encoder.fingerprint
