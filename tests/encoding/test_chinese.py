"""Chinese words: found by jieba, everything else kept exactly; the model needs jieba for encoding alone."""

import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from rhapsode.encoding import UNKNOWN_ID, Encoder, encoder_from_mapping
from rhapsode.encoding.text import JiebaEncoder, chinese
from rhapsode.errors import MissingExtraError, SettingsError
from tests.contracts.encoder_contract import PROVE, EncoderContract
from tests.encoding.normal import normal

TEXT = "紅樓夢是一本書。\n  寶玉說：「Hello, world 你好」 iPhone手機\n"


class Segmented(EncoderContract):
    encoding = "jieba.v1"

    def exported(self, text: str) -> str:
        return JiebaEncoder((), self.settings).segmented(text)


class TestJieba(Segmented):
    pass


class TestSpelled(Segmented):
    settings: ClassVar[dict[str, Any]] = {"unknown": "spell"}


class TestSimplified(Segmented):
    settings: ClassVar[dict[str, Any]] = {"chinese": "simplified", "lowercase": True}

    def normalised(self, text: str) -> str:
        return normal(text, **self.settings)

    searched = normalised


def learn(*texts: str, **settings: Any) -> JiebaEncoder:
    encoder = JiebaEncoder.learn(texts, settings)
    assert isinstance(encoder, JiebaEncoder)
    return encoder


def test_words_are_found_and_everything_else_is_kept():
    encoder = learn("我来到北京清华大学。\n a  cat, 3.5米")
    assert {"我", "来到", "北京", "清华大学", "。", "\n", " a", " ", " cat", ","} <= set(
        encoder.vocabulary
    )


def test_text_comes_back():
    for settings in ({}, {"hmm": False}, {"unknown": "spell"}):
        encoder = learn(TEXT, **settings)
        assert encoder.round_trip == "lossless"
        assert encoder.decode(encoder.encode(TEXT)) == TEXT
    simple = learn(TEXT, chinese="simplified")
    assert simple.round_trip == "with simplified Chinese"
    assert simple.decode(simple.encode(TEXT)).startswith("红楼梦")


@PROVE
@given(text=st.text(st.sampled_from("红楼梦宝玉 说a1.\n，"), max_size=30))
def test_unknown_words_are_spelled_in_known_characters(text: str):
    encoder = learn("红楼梦宝玉 说a1.\n，", unknown="spell")
    assert encoder.decode(encoder.encode(text)) == text
    assert encoder.unknown(text) == []


@pytest.mark.parametrize(
    "text", ["\ufdd0", "\ufdd1\ufdd0", "\ufdd0\ufdd1我\ufdd0 \ufdd1", " \ufdd0\ufdd0\ufdd1\ufdd1。"]
)
def test_the_mark_between_elements_may_be_in_the_text(text: str):
    encoder = learn(text)
    elsewhere = Tokenizer.from_str(encoder.to_tokenizer_json())
    assert elsewhere.encode(encoder.segmented(text)).ids == encoder.encode(text).tolist()
    assert encoder.decode(encoder.encode(text)) == text


def test_unknown_words_are_one_element_or_their_characters():
    assert learn("我").encode("北京大学").tolist() == [UNKNOWN_ID]
    assert learn("我北").encode("我们").tolist() == [UNKNOWN_ID]
    assert learn("我北", unknown="spell").unknown("北京") == ["京"]


def test_a_user_dictionary_is_kept_with_the_model(tmp_path: Path):
    words = tmp_path / "words.txt"
    words.write_text("\ufeff通灵宝玉石 99999\n\n太虚幻境仙\n", "utf-8")
    text = "那通灵宝玉石在太虚幻境仙"
    encoder = learn(text, user_dictionary=str(words))
    words.unlink()
    again = encoder_from_mapping(encoder.to_mapping())
    assert {"通灵宝玉石", "太虚幻境仙"} <= set(again.vocabulary)
    assert again.encode(text).tolist() == encoder.encode(text).tolist()
    assert again.fingerprint != learn(text).fingerprint
    with pytest.raises(SettingsError, match="user dictionary"):
        learn(text, user_dictionary=str(words))
    words.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        learn(text, user_dictionary=str(words))


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_words_of_a_user_dictionary_are_whole_elements(
    tmp_path: Path, told: list[str], ends: str, mark: str
):
    lines = {
        "Edu Trust认证 200": "Edu Trust认证", "迈克尔·乔丹 3 nr": "迈克尔·乔丹",
        "通灵宝玉石\t99999\tn": "通灵宝玉石", "太虚幻境仙\u3000999": "太虚幻境仙", "New york": "New york",
        "C++ 5 eng": "C++", "": "", "《红楼》 ": "《红楼》", "e.g.": "e.g.", "我们的 1": "",
    }  # fmt: skip
    words = tmp_path / "words.txt"
    words.write_bytes((mark + ends.join(lines)).encode())
    wanted = [word for word in lines.values() if word]
    text = "去" + "，".join(wanted) + "。NewNew york市 XC++ 我们的"
    encoder = learn(text, user_dictionary=str(words))
    assert set(wanted) <= set(encoder.vocabulary)
    assert encoder.decode(encoder.encode(text)) == text
    labels = [encoder.label(int(element)) for element in encoder.encode(text)]
    assert [labels.count(word) for word in wanted] == [1] * len(wanted)
    again = encoder_from_mapping(encoder.to_mapping())
    assert again.encode(text).tolist() == encoder.encode(text).tolist()
    assert [line for line in told if "still split" in line] == [
        "user dictionary, line 10: '我们的' is still split into 我们 / 的; leave out its "
        "frequency, or give a larger one"
    ]


def test_counts_add_up(tmp_path: Path):
    words = tmp_path / "words.txt"
    words.write_text("通灵宝玉石\n", "utf-8")
    settings = {"user_dictionary": str(words), "min_count": 2}
    parts = [JiebaEncoder.count([text], settings) for text in (TEXT, "红楼\n通灵宝玉石", TEXT)]
    whole = JiebaEncoder.learn((TEXT, "红楼\n通灵宝玉石", TEXT), settings)
    assert (
        JiebaEncoder.from_counts(sum(parts, Counter()), settings).fingerprint == whole.fingerprint
    )


def test_the_segmenter_is_named():
    encoder = learn(TEXT)
    assert set(encoder.settings["segmenter"]) == {"name", "version", "dictionary"}
    assert encoder.parallel == "processes"


def test_only_encoding_needs_jieba(monkeypatch: pytest.MonkeyPatch):
    encoder = learn(TEXT)
    ids_N = encoder.encode(TEXT)
    monkeypatch.setitem(sys.modules, "jieba", None)
    chinese._segmenter.cache_clear()
    chinese._described.cache_clear()
    again: Encoder = pickle.loads(pickle.dumps(encoder))
    assert again.decode(ids_N) == TEXT
    with pytest.raises(MissingExtraError, match=r"rhapsode\[zh\]"):
        again.encode(TEXT)


def test_jieba_says_nothing_and_writes_nothing(tmp_path: Path):
    program = "from rhapsode.encoding.text import JiebaEncoder as J; print(len(J.learn(['北京'], {}).vocabulary))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert not list(tmp_path.iterdir())
