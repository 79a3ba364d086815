"""Ready tokenizers: their elements behind ours, kept in the model, and an honest round trip."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from rhapsode.encoding import UNKNOWN_ID, Encoder, encoder_from_mapping
from rhapsode.encoding.text import ReadyEncoder
from rhapsode.errors import SettingsError
from tests.contracts.encoder_contract import EncoderContract

TEXT = "the cat sat on the mat,\n\n  and the dog sat on it\n"


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [TEXT] * 3,
        trainers.BpeTrainer(
            vocab_size=300,
            show_progress=False,
            special_tokens=["<|endoftext|>", "<pad>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=10)
    return tokenizer


def byte_fallback() -> Tokenizer:
    pieces = [("<unk>", 0.0), ("<s>", 0.0), *((f"<0x{byte:02X}>", -9.0) for byte in range(256))]
    pieces += [("▁", -2.0), ("▁the", -3.0), ("t", -4.0), ("h", -4.0), ("e", -4.0), ("a", -4.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, 0, byte_fallback=True))
    tokenizer.add_special_tokens(
        [AddedToken("<unk>", special=True), AddedToken("<s>", special=True)]
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def word_piece() -> Tokenizer:
    vocabulary = ["[PAD]", "[UNK]", "the", "cat", "##s", "a", "b", ",", "[CLS]"]
    tokenizer = Tokenizer(
        models.WordPiece(
            {token: index for index, token in enumerate(vocabulary)}, unk_token="[UNK]"
        )
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]"])
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


class TestReady(EncoderContract):
    encoding = "tokenizer.v1"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def file(cls, tmp_path_factory: pytest.TempPathFactory):
        path = tmp_path_factory.mktemp("ready") / "tokenizer.json"
        cls.tokenizer().save(str(path))
        cls.settings = {"file": str(path)}

    @staticmethod
    def tokenizer() -> Tokenizer:
        return byte_level()

    # The file stays as it was given, with the ids that it had.
    test_tokenizer_json_opens_elsewhere_with_identical_ids_and_text = None


class TestByteFallback(TestReady):
    @staticmethod
    def tokenizer() -> Tokenizer:
        return byte_fallback()

    def normalised(self, text: str) -> str:
        return text.replace("▁", " ")


def learn(tokenizer: Tokenizer, folder: Path, *texts: str) -> Encoder:
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    encoder = ReadyEncoder.learn(texts, {"file": str(path)})
    path.unlink()
    return encoder


@pytest.mark.parametrize("make", [byte_level, byte_fallback])
def test_the_file_is_kept_and_text_comes_back(tmp_path: Path, make: Any):
    encoder = learn(make(), tmp_path, TEXT)
    assert encoder.round_trip == "lossless"
    again = encoder_from_mapping(json.loads(json.dumps(encoder.to_mapping())))
    assert again.round_trip == "lossless"
    assert again.settings["file"] == "tokenizer.json"
    for text in (TEXT, " \n  the\n", "é漢👍🏽\n\n", "\0"):
        assert again.decode(again.encode(text)) == text


def test_ids_keep_their_order_behind_ours(tmp_path: Path):
    tokenizer = byte_level()
    encoder = learn(tokenizer, tmp_path, TEXT)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    theirs = tokenizer.encode("the cat", add_special_tokens=False).ids
    # Two special tokens stood first: our two reserved elements stand there now.
    assert encoder.encode("the cat").tolist() == theirs
    assert encoder.vocab_size == tokenizer.get_vocab_size()


def test_special_tokens_are_never_read_from_text(tmp_path: Path):
    for make in (byte_level, byte_fallback):
        tokenizer = make()
        encoder = learn(tokenizer, tmp_path, TEXT)
        assert not {"<|endoftext|>", "<pad>", "<s>", "<unk>"} & set(encoder.vocabulary)
    text = "<|endoftext|>a<pad>"
    encoder = learn(byte_level(), tmp_path, TEXT)
    assert encoder.decode(encoder.encode(text)) == text


def test_the_unknown_piece_of_a_unigram_model_is_the_unknown_element(tmp_path: Path):
    encoder = learn(Tokenizer(models.Unigram([("?", 0.0), ("a", -1.0)], 0)), tmp_path, "a")
    assert encoder.vocabulary == ("a",)
    assert encoder.encode("ab").tolist() == [2, UNKNOWN_ID]


def test_what_is_lost_is_said(tmp_path: Path):
    encoder = learn(word_piece(), tmp_path, "The  Cats, a dog\n")
    assert encoder.round_trip == "as its tokenizer.json decodes"
    ids_N = encoder.encode("The  Cats, a dog")
    assert encoder.decode(ids_N) == "the cats, a\N{REPLACEMENT CHARACTER}"
    assert ids_N[-1] == UNKNOWN_ID
    assert encoder.unknown("a dog b cow") == ["dog", "cow"]
    assert encoder.without_unknown("a dog b cow") == "a b"


def test_a_file_that_is_none_is_named(tmp_path: Path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(SettingsError, match="file"):
        ReadyEncoder.learn([], {})
    with pytest.raises(SettingsError, match="cannot read"):
        ReadyEncoder.learn([], {"file": str(path)})
    for content in (
        b"{}",
        b"\xff",
        b"[",
        b'{"model": {"type": "BPE", "vocab": {}, "merges": [["a"]]}}',
    ):
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=r"tokenizer\.json"):
            ReadyEncoder.learn([], {"file": str(path)})
