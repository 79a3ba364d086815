"""The model file: what is written is read again, and whatever is torn, altered or hostile gives one line of words."""

import contextlib
import json
import random
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.bundle import (
    FORMAT_VERSION,
    Bundle,
    Calibration,
    Component,
    IdBundle,
    Member,
    Mixture,
    NetworkConfig,
    Provenance,
    bundle_path,
    modality_of,
    read_bundle,
    write_bundle,
)
from rhapsode.bundle.element_facts import COUNTS
from rhapsode.bundle.network import load_network
from rhapsode.encoding import Encoder
from rhapsode.encoding.text import ByteEncoder, CharacterEncoder
from rhapsode.errors import BundleError, RhapsodeError, RunError
from rhapsode.modalities.ids.counting.ngram_sidecar import inner_ngram
from rhapsode.modalities.series.facts import SeriesFacts
from rhapsode.modalities.series.model import SeriesModel
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.model import TextModel
from tests.bundle.file_mutations import joined, mutated, parts
from tests.bundle.models_whole import series_model, text_model

read_text_bundle = partial(read_bundle, facts=TextFacts)
read_series_bundle = partial(read_bundle, facts=SeriesFacts)

ENTRIES = ("network", "members", "encoder", "facts", "calibration", "provenance")
TABLES = tuple(name for name in ENTRIES if name != "members")

PROVE = settings(
    max_examples=250,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def bundle_of(encoder: Encoder | None = None, **arrays: np.ndarray) -> IdBundle:
    if encoder is None:
        encoder = CharacterEncoder.learn(["hello wörld 漢\n"], {})
    config = NetworkConfig(
        input=Component("embedding.v1", {"size": 2}),
        model=Component("lstm.v1", {"hidden_size": 3, "dropout": 0.1}),
        head=Component("categorical.v1"),
    )
    facts = TextFacts(np.arange(encoder.vocab_size, dtype=np.int64))
    weights = {"model.weight": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}
    provenance = Provenance(
        data_sha256="00",
        documents=3,
        test_share=0.1,
        settings={"source": {"name": "漢.txt"}, "figures": [1, 2.5, None, True]},
        ancestors=({"step": 3}, {"step": None}),
        test={"loss": 1.5, "baselines": [None, {"unigram": 2.0}]},
    )
    calibration = Calibration(Mixture((0.75, -0.25), (0.5, 2, 0), "ab", 1.0, None, 2, "why"))
    members = (Member({**weights, **arrays}),)
    return IdBundle(config, encoder, facts, members, calibration, provenance)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a small model file."""
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    write_bundle(path, bundle_of())
    return path.read_bytes()


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a whole model of text, its n-gram counts inside."""
    path = tmp_path_factory.mktemp("text") / "model.safetensors"
    write_bundle(path, text_model())
    return path.read_bytes()


@pytest.fixture(scope="module")
def series_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a whole model of series."""
    path = tmp_path_factory.mktemp("series") / "model.safetensors"
    write_bundle(path, series_model())
    return path.read_bytes()


Read = Callable[[Path], Bundle[Any, Any]]


def refused(path: Path, raw: bytes, read: Read = read_text_bundle) -> str:
    """The message with which a file is refused: one line that begins with its path."""
    path.write_bytes(raw)
    with pytest.raises(BundleError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    return message


def read_or_refuse(path: Path, raw: bytes) -> None:
    """Any other exception than ours is a bug."""
    path.write_bytes(raw)
    try:
        read_text_bundle(path)
    except RhapsodeError as problem:
        message = str(problem)
    else:
        return
    assert message.startswith(f"{path}: ")
    assert message.isprintable()


@pytest.mark.parametrize(
    "encoder",
    [
        CharacterEncoder.learn(['aé漢👍\r\n"\\\x01'], {}),
        CharacterEncoder.learn(["e\u0301👩\u200d👩"], {"graphemes": True}),
        ByteEncoder(),
    ],
    ids=["characters", "graphemes", "bytes"],
)
def test_what_is_written_is_read_again(tmp_path: Path, encoder: Encoder):
    path = tmp_path / "model.safetensors"
    bundle = bundle_of(encoder)
    write_bundle(path, bundle)
    again = read_text_bundle(path)
    assert again.network == again.config == bundle.network
    assert again.modality == "text.v1"
    assert again.calibration == bundle.calibration
    assert again.provenance == bundle.provenance
    assert again.weights == (1.0,)
    assert type(again.encoder) is type(encoder)
    assert again.encoder.fingerprint == encoder.fingerprint
    assert set(again.arrays) == set(bundle.arrays)
    for name, array in bundle.arrays.items():
        assert again.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(again.arrays[name], array)
    np.testing.assert_array_equal(again.facts.counts_V, np.arange(encoder.vocab_size))
    assert again.facts.ngram is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_arrays_in_any_memory_order_are_written_as_they_read(tmp_path: Path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = {"turned": base.T, "strided": base[::2, 1::2], "scalar": np.float32(3).reshape(())}
    write_bundle(tmp_path / "m", bundle_of(**views))
    again = read_text_bundle(tmp_path / "m")
    for name, view in views.items():
        np.testing.assert_array_equal(again.arrays[name], view)
        assert again.arrays[name].shape == view.shape


def test_names_that_are_no_utf_8_are_kept(tmp_path: Path):
    provenance = Provenance(settings={"source": f"caf{chr(0xDCE9)}"})
    named = replace(bundle_of(), provenance=provenance)
    write_bundle(tmp_path / "m", named)
    assert read_text_bundle(tmp_path / "m").provenance == provenance


def test_the_header_is_plain_json_and_names_its_format(whole: bytes):
    header, _ = parts(whole)
    metadata = header["__metadata__"]
    assert metadata["format"] == "rhapsode"
    assert metadata["format_version"] == str(FORMAT_VERSION)
    assert FORMAT_VERSION == 2
    assert metadata["modality"] == "text.v1"
    assert set(metadata) == {"format", "format_version", "modality", *ENTRIES}
    assert json.loads(metadata["network"])["model"] == {
        "name": "lstm.v1",
        "settings": {"hidden_size": 3, "dropout": 0.1},
    }
    assert json.loads(metadata["members"]) == [1.0]
    assert json.loads(metadata["encoder"])["name"] == "characters.v1"
    assert json.loads(metadata["facts"]) == {}
    assert json.loads(metadata["calibration"])["mixture"]["weights"] == [0.75, -0.25]
    assert json.loads(metadata["provenance"])["documents"] == 3
    assert set(header) == {"__metadata__", "counts.elements", "network.0.model.weight"}


def test_a_run_folder_means_its_model(tmp_path: Path, whole: bytes):
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole)
    assert bundle_path(tmp_path) == path
    assert bundle_path(str(path)) == path
    assert read_text_bundle(tmp_path).config == read_text_bundle(path).config


def test_a_folder_without_a_model_is_named(tmp_path: Path):
    (tmp_path / "other.safetensors").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"holds no model\.safetensors") as caught:
        read_text_bundle(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")


def test_a_folder_in_the_place_of_the_model_is_named(tmp_path: Path):
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(BundleError) as caught:
        read_text_bundle(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'model.safetensors'}: ")


@pytest.mark.parametrize("name", ["none", "none/model.safetensors", "a\0b", "x" * 5000], ids=len)
def test_a_missing_path_is_named(tmp_path: Path, name: str):
    with pytest.raises(BundleError) as caught:
        read_text_bundle(tmp_path / name)
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("tenths", range(10))
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, whole: bytes, tenths: int):
    refused(tmp_path / "m", whole[: len(whole) * tenths // 10])


@pytest.mark.parametrize("size", [1, 7, 8, 9])
def test_a_file_cut_at_its_very_beginning_is_refused(tmp_path: Path, whole: bytes, size: int):
    refused(tmp_path / "m", whole[:size])


def test_a_file_cut_by_a_byte_or_grown_by_one_is_refused(tmp_path: Path, whole: bytes):
    refused(tmp_path / "m", whole[:-1])
    refused(tmp_path / "m", whole + b"\0")


@PROVE
@given(data=st.data())
def test_a_flipped_bit_of_the_header_is_refused_or_harmless(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data
):
    raw = bytearray(whole)
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    for _ in range(data.draw(st.integers(1, 2))):
        raw[data.draw(st.integers(0, header - 1))] ^= 1 << data.draw(st.integers(0, 7))
    read_or_refuse(tmp_path_factory.getbasetemp() / "flipped", bytes(raw))


@PROVE
@given(content=st.binary(max_size=64), length=st.none() | st.integers(0, 2**64 - 1))
def test_any_bytes_are_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, length: int | None
):
    head = b"" if length is None else struct.pack("<Q", length)
    refused(tmp_path_factory.getbasetemp() / "bytes", head + content)


NAN = float("nan")

KEYS = (
    "name", "settings", "tokenizer", "input", "model", "head", "context", "conditioner", "ngram", "chosen", "opening",
    "mixture", "weights", "adapting", "ancestors", "test_share",
)  # fmt: skip
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_subnormal=False)
    | st.text(max_size=6)
    | st.sampled_from(["characters.v1", "bytes.v1", "carried"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@PROVE
@given(
    entry=st.sampled_from([*ENTRIES, "modality", "format", "format_version"]),
    value=JSON_VALUES,
)
def test_hostile_metadata_is_refused_or_harmless(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, entry: str, value: Any
):
    header, rest = parts(whole)
    header["__metadata__"][entry] = json.dumps(value)
    read_or_refuse(tmp_path_factory.getbasetemp() / "hostile", joined(header, rest))


@pytest.mark.parametrize(
    "length", [0, 1, 7, 5000, 10**8 + 1, 2**31, 2**40, 2**63, 2**64 - 1], ids=hex
)
def test_a_header_that_lies_about_its_length_is_refused(tmp_path: Path, whole: bytes, length: int):
    refused(tmp_path / "m", struct.pack("<Q", length) + whole[8:])


@pytest.mark.parametrize("by", [-1, 1])
def test_a_header_length_that_is_off_by_one_is_refused(tmp_path: Path, whole: bytes, by: int):
    (length,) = struct.unpack("<Q", whole[:8])
    refused(tmp_path / "m", struct.pack("<Q", length + by) + whole[8:])


@pytest.mark.parametrize("version", ["0", "1", "3", "", "2.0", " 2", "two"])
def test_another_version_is_refused(tmp_path: Path, whole: bytes, version: str):
    header, rest = parts(whole)
    header["__metadata__"]["format_version"] = version
    message = refused(tmp_path / "m", joined(header, rest))
    assert f"format version {version!r} cannot be read, only 2" in message


def test_a_file_of_version_1_is_refused_in_a_line_that_names_2(tmp_path: Path) -> None:
    weights = np.zeros((2, 3), dtype=np.float32).tobytes()
    header = {
        "__metadata__": {
            "format": "rhapsode",
            "format_version": "1",
            "config": "{}",
            "encoder": "{}",
            "provenance": "{}",
        },
        "head.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    }
    for read in (read_text_bundle, read_series_bundle):
        message = refused(tmp_path / "m", joined(header, weights), read)
        assert "format version '1' cannot be read, only 2" in message
        assert "train it again, or use the rhapsode release that wrote it" in message


@pytest.mark.parametrize("key", ["format", "format_version", "modality", *ENTRIES])
def test_a_missing_entry_is_named(tmp_path: Path, whole: bytes, key: str):
    header, rest = parts(whole)
    del header["__metadata__"][key]
    message = refused(tmp_path / "m", joined(header, rest))
    assert key.replace("_", " ") in message or "not written by rhapsode" in message


def test_files_of_others_are_refused(tmp_path: Path, whole: bytes):
    header, rest = parts(whole)
    for metadata in ({}, {"format": "pt"}):
        message = refused(tmp_path / "m", joined({**header, "__metadata__": metadata}, rest))
        assert "was not written by rhapsode" in message
    del header["__metadata__"]
    assert "was not written by rhapsode" in refused(tmp_path / "m", joined(header, rest))
    refused(tmp_path / "m", b"PK\x03\x04 a zip archive of pickles")
    refused(tmp_path / "m", b"\x80\x04\x95 a pickle")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (key, text)
        for key in TABLES
        for text in ("", "{", "[]", "3", "null", '"x"', "{}x", "[" * 100_000)
        if (key, text) != ("network", "null")  # a model may have no network
    ],
    ids=lambda value: value[:10],
)
def test_an_entry_that_is_no_table_is_named(tmp_path: Path, whole: bytes, key: str, text: str):
    header, rest = parts(whole)
    header["__metadata__"][key] = text
    assert f"metadata entry {key!r} is not" in refused(tmp_path / "m", joined(header, rest))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not JSON"),
        ("[1.0", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("1.0", "is not a list of weights"),
        ("null", "is not a list of weights"),
        ('{"0": 1.0}', "is not a list of weights"),
        ('"1"', "is not a list of weights"),
        ("[-1.0]", "is not a list of weights above 0"),
        ("[0]", "is not a list of weights above 0"),
        ("[0.0]", "is not a list of weights above 0"),
        ("[true]", "is not a list of weights above 0"),
        ("[NaN]", "is not a list of weights above 0"),
        ("[Infinity]", "is not a list of weights above 0"),
        ("[1e300]", "is not a list of weights above 0"),
        (f"[{10**400}]", "is not a list of weights above 0"),
        ("[null]", "is not a list of weights above 0"),
        ('["1"]', "is not a list of weights above 0"),
        ("[[1.0]]", "is not a list of weights above 0"),
        ("[1.0, -1.0]", "is not a list of weights above 0"),
        (json.dumps([1.0] * 65), "is not a list of weights"),
        ("[]", "its members do not match its network"),
    ],
    ids=lambda value: value[:12],
)
def test_members_that_are_no_weights_are_named(
    tmp_path: Path, text_file: bytes, text: str, told: str
) -> None:
    header, rest = parts(text_file)
    header["__metadata__"]["members"] = text
    message = refused(tmp_path / "m", joined(header, rest))
    assert told in message
    assert "members" in message


@pytest.mark.parametrize("weights", ["[1.0, 1.0]", "[1.0, 1.0, 1.0]"])
def test_more_members_than_networks_are_refused(
    tmp_path: Path, text_file: bytes, weights: str
) -> None:
    header, rest = parts(text_file)
    header["__metadata__"]["members"] = weights
    path = tmp_path / "m"
    path.write_bytes(joined(header, rest))
    bundle = read_text_bundle(path)
    load_network(bundle)
    for member in range(1, len(bundle.members)):
        with pytest.raises(BundleError, match="has shape None, its configuration asks for"):
            load_network(bundle, member)
    with pytest.raises(BundleError, match="has shape None") as caught:
        _ = TextModel(path).predictor
    assert str(caught.value).startswith(f"{path}: ")


def test_a_network_without_members_and_members_without_a_network_are_refused(
    tmp_path: Path, text_file: bytes
) -> None:
    for name, text in (("network", "null"), ("members", "[]")):
        header, rest = parts(text_file)
        header["__metadata__"][name] = text
        message = refused(tmp_path / "m", joined(header, rest))
        assert "its members do not match its network" in message


@pytest.mark.parametrize(
    ("modality", "told"),
    [
        (
            "video.v1",
            "unknown modality 'video.v1'; known: music.v1, series.v1, strokes.v1, text.v1",
        ),
        ("text.v9", "unknown modality 'text.v9'"),
        ("", "unknown modality ''"),
        ("os.system", "unknown modality 'os.system'"),
        ("\x1b[31m\n", "unknown modality"),
        ("series.v1", "this model is for series of numbers, not for text"),
    ],
)
def test_another_modality_is_named(tmp_path: Path, whole: bytes, modality: str, told: str) -> None:
    header, rest = parts(whole)
    header["__metadata__"]["modality"] = modality
    assert told in refused(tmp_path / "m", joined(header, rest))
    assert modality_of(tmp_path / "m") == modality


def test_text_and_series_are_not_taken_for_one_another(
    tmp_path: Path, text_file: bytes, series_file: bytes
) -> None:
    message = refused(tmp_path / "m", text_file, read_series_bundle)
    assert "is for text, not for series of numbers; use rhapsode generate" in message
    message = refused(tmp_path / "m", series_file, read_text_bundle)
    assert "is for series of numbers, not for text; use rhapsode forecast" in message
    # A file whose modality alone was changed.
    for raw, other, read in (
        (text_file, "series.v1", read_series_bundle),
        (series_file, "text.v1", read_text_bundle),
    ):
        header, rest = parts(raw)
        header["__metadata__"]["modality"] = other
        refused(tmp_path / "m", joined(header, rest), read)


def test_the_modality_of_what_is_no_model_is_none(tmp_path: Path, series_file: bytes) -> None:
    path = tmp_path / "m"
    assert modality_of(path) is None
    for raw in (b"", b"x" * 100, series_file[:200], series_file[:-1]):
        path.write_bytes(raw)
        assert modality_of(path) is None
    path.write_bytes(joined({}, b""))
    assert modality_of(path) is None
    path.write_bytes(series_file)
    assert modality_of(path) == "series.v1"


def changed(raw: bytes, key: str, change: Callable[[Any], Any]) -> bytes:
    header, rest = parts(raw)
    entry = json.loads(header["__metadata__"][key])
    change(entry)
    header["__metadata__"][key] = json.dumps(entry)
    return joined(header, rest)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("network", lambda entry: entry.pop("model"), "missing setting model"),
        ("network", lambda entry: entry.update(extra=1), "unknown setting 'extra'"),
        ("network", lambda entry: entry.update(model=3), "setting 'model'"),
        ("network", lambda entry: entry["model"].update(name=3), "setting 'model.name'"),
        ("network", lambda entry: entry["model"].update(path="os"), "unknown setting 'model.path'"),
        ("network", lambda entry: entry["head"].update(settings=[1]), "setting 'head.settings'"),
        ("network", lambda entry: entry.update(context="dreamt"), "unknown context 'dreamt'"),
        ("network", lambda entry: entry.update(context=None), "setting 'context'"),
        ("encoder", lambda entry: entry.update(name="os.system"), "unknown encoding 'os.system'"),
        ("encoder", lambda entry: entry.update(name="characters.v9"), "'characters.v9'"),
        ("encoder", lambda entry: entry.update(name=None), "description is malformed"),
        ("encoder", lambda entry: entry.pop("tokenizer"), "description is malformed"),
        ("encoder", lambda entry: entry.update(tokenizer="{}"), "vocabulary is malformed"),
        ("encoder", lambda entry: entry["settings"].update(x=1), "unknown setting 'x'"),
        ("encoder", lambda entry: entry["settings"].update(min_count=0), "'min_count'"),
        ("network", lambda entry: entry.update(conditioner=3), "setting 'conditioner'"),
        (
            "network",
            lambda entry: entry.update(conditioner={"name": "a", "x": 1}),
            "unknown setting 'conditioner.x'",
        ),
        ("facts", lambda entry: entry.update(extra=1), "unknown entry 'extra'"),
        ("facts", lambda entry: entry.update(ngram=3), "n-gram counts are not described"),
        ("facts", lambda entry: entry.update(ngram=[]), "n-gram counts are not described"),
        ("facts", lambda entry: entry.update(ngram="{}"), "n-gram counts are not described"),
        ("calibration", lambda entry: entry.update(extra=1), "unknown setting 'extra'"),
        (
            "calibration",
            lambda entry: entry.update(mixture=3),
            "setting 'mixture': expected a table",
        ),
        (
            "calibration",
            lambda entry: entry.update(mixture=[]),
            "setting 'mixture': expected a table",
        ),
        ("calibration", lambda entry: entry["mixture"].update(x=1), "unknown setting 'mixture.x'"),
        (
            "calibration",
            lambda entry: entry["mixture"].update(share=0.5),
            "mixture.share: its network and counts",
        ),
        *(
            (
                "calibration",
                lambda entry, key=key, value=value: entry["mixture"].update({key: value}),
                message.replace("weights", key),
            )
            for key in ("weights", "adapting")
            for value, message in (
                (0.5, "setting 'mixture.weights'"),
                ({}, "setting 'mixture.weights'"),
                (None, "setting 'mixture.weights'"),
                ("1", "setting 'mixture.weights'"),
                ([1, "1"], "setting 'mixture.weights[1]'"),
                ([True], "setting 'mixture.weights[0]'"),
                ([None], "setting 'mixture.weights[0]'"),
                ([[1.0]], "setting 'mixture.weights[0]'"),
                ([101.0], "setting 'mixture.weights[0]'"),
                ([-101], "setting 'mixture.weights[0]'"),
                ([1.0, NAN], "setting 'mixture.weights[1]'"),
                ([float("inf")], "setting 'mixture.weights[0]'"),
                ([10**400], "setting 'mixture.weights[0]'"),
                ([0.5] * 1025, "setting 'mixture.weights'"),
            )
        ),
        (
            "calibration",
            lambda entry: entry["mixture"].update(ngram=None),
            "does not name its n-gram model",
        ),
        ("calibration", lambda entry: entry["mixture"].update(ngram=3), "setting 'mixture.ngram'"),
        (
            "calibration",
            lambda entry: entry["mixture"].update(validation_loss="1"),
            "setting 'mixture.validation_loss'",
        ),
        ("provenance", lambda entry: entry.update(extra=1), "unknown setting 'extra'"),
        ("provenance", lambda entry: entry.update(data_sha256=3), "setting 'data_sha256'"),
        ("provenance", lambda entry: entry.update(documents="3"), "setting 'documents'"),
        ("provenance", lambda entry: entry.update(documents=1.5), "setting 'documents'"),
        ("provenance", lambda entry: entry.update(documents=True), "setting 'documents'"),
        ("provenance", lambda entry: entry.update(test_share="all"), "setting 'test_share'"),
        ("provenance", lambda entry: entry.update(selected_on=[]), "setting 'selected_on'"),
        ("provenance", lambda entry: entry.update(settings=[]), "setting 'settings'"),
        ("provenance", lambda entry: entry.update(settings=None), "setting 'settings'"),
        *(
            ("provenance", lambda entry, value=value: entry.update(settings=value), message)
            for value, message in (
                ({"": 1}, "expected text of length >= 1"),
                ({"a" * 257: 1}, "expected text of length <= 256"),
                ({"seed": 2**63}, "expected a whole number <= 9223372036854775807"),
                ({"prompt": "a" * ((1 << 20) + 1)}, "expected text of length <= 1048576"),
                ({"lags": [[1]]}, "got a list"),
                ({"lags": [{"a": 1}]}, "got a table"),
                ({"lags": [1] * ((1 << 16) + 1)}, "length <= 65536"),
                ({"a": {"b": {"c": {"d": 1}}}}, "got a table"),
                ({"a": {"b": {"c": [None, [1]]}}}, "got a list"),
                ({str(number): 1 for number in range(1025)}, "length <= 1024"),
            )
        ),
        ("provenance", lambda entry: entry.update(ancestors={}), "setting 'ancestors'"),
        ("provenance", lambda entry: entry.update(ancestors=[3]), "setting 'ancestors[0]'"),
        ("provenance", lambda entry: entry.update(step="last"), "setting 'step'"),
        ("provenance", lambda entry: entry.update(validation_loss={}), "setting 'validation_loss'"),
        ("provenance", lambda entry: entry.update(test=1.5), "setting 'test'"),
        ("provenance", lambda entry: entry.update(text_index=0), "setting 'text_index'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unknown_component_or_setting_is_named(
    tmp_path: Path,
    whole: bytes,
    key: str,
    change: Callable[[dict[str, Any]], None],
    message: str,
):
    assert message in refused(tmp_path / "m", changed(whole, key, change))


def test_settings_of_training_are_read_as_they_were(tmp_path: Path, whole: bytes):
    kept = {"steps": None, "network": {"hidden": [2, 0.5, "a"], "segmenter": {"version": "1"}}}
    (tmp_path / "m").write_bytes(
        changed(whole, "provenance", lambda entry: entry.update(settings=kept))
    )
    provenance = read_text_bundle(tmp_path / "m").provenance
    assert provenance.settings == kept
    assert provenance.section("network") == kept["network"]
    assert provenance.section("steps") == {}


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("facts", lambda entry: entry.update(extra=1), "unknown setting 'extra'"),
        ("facts", lambda entry: entry.pop("season"), "missing setting season"),
        ("facts", lambda entry: entry.update(season=0), "setting 'season'"),
        ("facts", lambda entry: entry.update(horizon=2**30), "setting 'horizon'"),
        ("facts", lambda entry: entry.update(run_up="many"), "setting 'run_up'"),
        ("facts", lambda entry: entry.update(run_up=True), "setting 'run_up'"),
        ("facts", lambda entry: entry.update(frequency=3), "setting 'frequency'"),
        ("facts", lambda entry: entry.update(names="ab"), "setting 'names'"),
        ("facts", lambda entry: entry.update(names=["a"]), "its series of numbers is malformed"),
        ("facts", lambda entry: entry.update(names=["a", 1]), "setting 'names[1]'"),
        ("facts", lambda entry: entry.update(covariates=3), "'covariates'"),
        ("facts", lambda entry: entry["covariates"].update(x=1), "unknown setting 'covariates.x'"),
        ("facts", lambda entry: entry["covariates"].update(known=[]), "covariates is malformed"),
        ("facts", lambda entry: entry["covariates"].update(known_scale=[0]), "covariates is malformed"),
        ("facts", lambda entry: entry["covariates"].update(known_scale=[NAN]), "covariates is malformed"),
        ("facts", lambda entry: entry["covariates"].update(levels=[]), "covariates is malformed"),
        ("facts", lambda entry: entry["covariates"].update(conditioned=1), "covariates.conditioned"),
        ("facts", lambda entry: entry["covariates"].update(
            conditioned=True, static=[], static_shift=[], static_scale=[], categories=[], levels=[]),
         "covariates is malformed"),
        ("facts", lambda entry: entry.update(templates=3), "setting 'templates'"),
        ("facts", lambda entry: entry["templates"].update(kind="sideways"), "setting 'templates.kind'"),
        ("facts", lambda entry: entry["templates"].update(kind="\ud800"), "half of a surrogate pair"),
        ("facts", lambda entry: entry["templates"]["series"][1].update(x=1),
         "unknown setting 'templates.series[1].x'"),
        ("facts", lambda entry: entry["templates"]["series"][1].update(length=-1),
         "setting 'templates.series[1].length'"),
        ("encoder", lambda entry: entry.update(target_size=0), "number of targets is malformed"),
        ("encoder", lambda entry: entry.update(name="other"), "description is malformed"),
        ("encoder", lambda entry: entry["settings"].update(lags=[0]), "setting 'lags[0]'"),
        ("encoder", lambda entry: entry["settings"].update(lags=[2, 2]), "a lag occurs twice"),
        ("network", lambda entry: entry.update(context="sideways"), "unknown context 'sideways'"),
        ("calibration", lambda entry: entry.update(mixture={"weights": [2]}),
         "does not name its n-gram model"),
        ("provenance", lambda entry: entry.update(values="many"), "setting 'values'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_a_model_of_series_says_is_looked_over(
    tmp_path: Path,
    series_file: bytes,
    key: str,
    change: Callable[[dict[str, Any]], None],
    message: str,
):
    raw = changed(series_file, key, change)
    assert message in refused(tmp_path / "m", raw, read_series_bundle)


ARRAYS_OF_NOTHING = (
    "more", "head.bias", "corpus.counts", "network", "network.0", "network.1.head.bias", "network.00.head.bias",
    "counts", "counts.ngram", "counts.elements.more", "", "\n\x1b[31m",
)  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS_OF_NOTHING)
def test_an_array_that_belongs_to_nothing_is_named(
    tmp_path: Path, text_file: bytes, series_file: bytes, name: str
) -> None:
    for raw, read in ((text_file, read_text_bundle), (series_file, read_series_bundle)):
        header, rest = parts(raw)
        offsets = [len(rest), len(rest) + 4]
        header[name] = {"dtype": "F32", "shape": [1], "data_offsets": offsets}
        message = refused(tmp_path / "m", joined(header, rest + bytes(4)), read)
        assert "unknown array" in message
    for own in ("counts.elements", "counts.ngram.children_M"):
        header, rest = parts(series_file)
        offsets = [len(rest), len(rest) + 4]
        header[own] = {"dtype": "I32", "shape": [1], "data_offsets": offsets}
        message = refused(tmp_path / "m", joined(header, rest + bytes(4)), read_series_bundle)
        assert f"unknown array {own!r}" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float):
    array = np.zeros((2, 3), dtype=np.float32)
    array[1, 2] = value
    write_bundle(tmp_path / "m", bundle_of(bad=array))
    message = refused(tmp_path / "m", (tmp_path / "m").read_bytes())
    assert "the array 'bad' holds values that are not finite" in message


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.int64, np.uint8, np.bool_])
def test_weights_of_another_type_are_refused(tmp_path: Path, dtype: type[np.generic]):
    write_bundle(tmp_path / "m", bundle_of(bad=np.zeros(3, dtype=dtype)))
    message = refused(tmp_path / "m", (tmp_path / "m").read_bytes())
    assert f"the array 'bad' is {np.dtype(dtype)}, not float32" in message


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2", "U64", "F128", "", 3])
def test_types_that_numpy_may_lack_are_refused(tmp_path: Path, dtype: object):
    size = {"BF16": 12, "U64": 3}.get(str(dtype), 24)
    header = {
        "__metadata__": {"format": "rhapsode"},
        "w": {"dtype": dtype, "shape": [size], "data_offsets": [0, 24]},
    }
    refused(tmp_path / "m", joined(header, bytes(24)))


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [2**62, 4]},
        {"shape": [2**64]},
        {"shape": [-1]},
        {"shape": [7]},
        {"shape": []},
        {"shape": "6"},
        {"shape": [6] + [1] * 100},
        {"data_offsets": [0, 2**63]},
        {"data_offsets": [24, 0]},
        {"data_offsets": [0]},
        {"data_offsets": [-8, 16]},
    ],
    ids=str,
)
def test_shapes_and_offsets_that_do_not_fit_are_refused(tmp_path: Path, entry: dict[str, Any]):
    fitting = {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}
    header = {"__metadata__": {"format": "rhapsode"}, "w": {**fitting, **entry}}
    refused(tmp_path / "m", joined(header, bytes(24)))


@pytest.mark.parametrize(
    "counts",
    [
        None,
        np.arange(3, dtype=np.int64),
        np.arange(13, dtype=np.int32),
        np.zeros((13, 1), dtype=np.int64),
        np.zeros(13, dtype=np.float32),
        np.full(13, -1, dtype=np.int64),
    ],
    ids=["missing", "short", "int32", "two axes", "float32", "negative"],
)
def test_counts_that_do_not_fit_the_vocabulary_are_refused(
    tmp_path: Path, counts: np.ndarray | None
):
    bundle = bundle_of()
    assert bundle.encoder.vocab_size == 13
    given = np.zeros(13, dtype=np.int64) if counts is None else counts
    write_bundle(tmp_path / "m", replace(bundle, facts=TextFacts(given)))
    raw = (tmp_path / "m").read_bytes()
    if counts is None:
        header, rest = parts(raw)
        begin, end = header.pop(COUNTS)["data_offsets"]
        for name, entry in header.items():
            if name != "__metadata__" and entry["data_offsets"][0] >= end:
                entry["data_offsets"] = [at - (end - begin) for at in entry["data_offsets"]]
        raw = joined(header, rest[:begin] + rest[end:])
    assert f"the array {COUNTS!r}" in refused(tmp_path / "m", raw)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, whole: bytes):
    path = tmp_path / "m"
    path.write_bytes(whole)
    failing = mock.Mock(side_effect=PermissionError(13, "Permission denied"))
    with (
        mock.patch("safetensors.safe_open", failing),
        pytest.raises(BundleError, match="cannot read: Permission denied"),
    ):
        read_text_bundle(path)


def test_a_file_too_large_for_the_memory_is_named(tmp_path: Path, whole: bytes):
    path = tmp_path / "m"
    path.write_bytes(whole)
    with (
        mock.patch("safetensors.safe_open", mock.Mock(side_effect=MemoryError)),
        pytest.raises(BundleError) as caught,
    ):
        read_text_bundle(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_writing_into_a_folder_that_is_missing_is_told(tmp_path: Path):
    with pytest.raises(RunError, match="cannot write"):
        write_bundle(tmp_path / "none" / "m", bundle_of())


def test_a_failed_write_leaves_the_old_model(tmp_path: Path, whole: bytes):
    path = tmp_path / "m"
    path.write_bytes(whole)
    full = mock.Mock(side_effect=OSError(28, "No space left on device"))
    with (
        mock.patch("safetensors.numpy.save_file", full),
        pytest.raises(RunError, match="No space left on device"),
    ):
        write_bundle(path, bundle_of())
    assert path.read_bytes() == whole
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]


# Without a network, and with several


def test_a_model_without_a_network_is_read_again(tmp_path: Path) -> None:
    bundle = replace(text_model(), network=None, members=(), calibration=Calibration())
    path = tmp_path / "m"
    write_bundle(path, bundle)
    again = read_text_bundle(path)
    assert again.network is None
    assert again.members == ()
    assert again.weights == ()
    assert dict(again.arrays) == {}
    assert again.mixture is None
    assert again.provenance == bundle.provenance
    np.testing.assert_array_equal(again.facts.counts_V, bundle.facts.counts_V)
    assert again.facts.ngram is not None
    assert bundle.facts.ngram is not None
    assert again.facts.ngram.numbers == bundle.facts.ngram.numbers
    assert sorted(again.facts.ngram.arrays) == sorted(bundle.facts.ngram.arrays)
    assert inner_ngram(again.facts).fingerprint == inner_ngram(bundle.facts).fingerprint
    ids_N = again.encoder.encode("the cat").astype(np.int64)
    np.testing.assert_array_equal(
        inner_ngram(again.facts).log_prob(ids_N), inner_ngram(bundle.facts).log_prob(ids_N)
    )
    assert str(again.context) == "carried"
    header, _ = parts(path.read_bytes())
    assert header["__metadata__"]["network"] == "null"
    assert header["__metadata__"]["members"] == "[]"
    assert not any(name.startswith("network.") for name in header)
    with pytest.raises(BundleError, match="this model has no network"):
        _ = again.config
    with pytest.raises(BundleError, match=r"^this model has no network$"):
        load_network(again)


def test_two_members_are_read_again(tmp_path: Path) -> None:
    bundle = text_model(members=2)
    path = tmp_path / "m"
    write_bundle(path, replace(bundle, members=tuple(
        Member(member.arrays, weight) for member, weight in zip(bundle.members, (3, 0.5), strict=True)
    )))  # fmt: skip
    again = read_text_bundle(path)
    assert [member.weight for member in again.members] == [3.0, 0.5]
    assert all(type(member.weight) is float for member in again.members)
    assert again.weights == pytest.approx((6 / 7, 1 / 7))
    assert sum(again.weights) == pytest.approx(1, abs=1e-15)
    for number, (found, wanted) in enumerate(zip(again.members, bundle.members, strict=True)):
        assert sorted(found.arrays) == sorted(wanted.arrays)
        network = load_network(again, number)
        state = network.state_dict()
        for name, array in wanted.arrays.items():
            np.testing.assert_array_equal(found.arrays[name], array)
            np.testing.assert_array_equal(again.arrays[f"{number}.{name}"], array)
            np.testing.assert_array_equal(state[name].numpy(), array)
    assert len(again.arrays) == 2 * len(bundle.members[0].arrays)
    different = (
        again.members[0].arrays[name] != array for name, array in again.members[1].arrays.items()
    )
    assert any(one.any() for one in different)
    header, _ = parts(path.read_bytes())
    assert header["__metadata__"]["members"] == "[3, 0.5]"
    names = [name for name in header if name.startswith("network.")]
    assert {name.partition(".")[2].partition(".")[0] for name in names} == {"0", "1"}


def test_as_many_members_as_a_file_may_have_are_read_again(tmp_path: Path) -> None:
    bundle = bundle_of()
    weights = [float(number + 1) for number in range(64)]
    many = tuple(
        Member({"w": np.full(2, number, dtype=np.float32)}, weight)
        for number, weight in enumerate(weights)
    )
    write_bundle(tmp_path / "m", replace(bundle, members=many))
    again = read_text_bundle(tmp_path / "m")
    # Numbers, not their text, order them: 2 comes before 10.
    assert [member.arrays["w"].tolist() for member in again.members] == [[n, n] for n in range(64)]
    assert again.weights == pytest.approx([weight / sum(weights) for weight in weights])
    write_bundle(tmp_path / "m", replace(bundle, members=(*many, many[0])))
    assert "members" in refused(tmp_path / "m", (tmp_path / "m").read_bytes())


def test_weights_of_another_number_than_the_counts_have_are_refused_when_they_are_used(
    tmp_path: Path, text_file: bytes
) -> None:
    path = tmp_path / "m.safetensors"
    header, _ = parts(text_file)
    weights = json.loads(header["__metadata__"]["calibration"])["mixture"]["weights"]
    for wrong in (weights[:1], weights[:-1], [*weights, 0.5], [0.5] * 1024):
        change = {"weights": wrong}
        raw = changed(text_file, "calibration", lambda entry, c=change: entry["mixture"].update(c))
        path.write_bytes(raw)
        for ask in (lambda model: model.predictor, lambda model: model.scorer):
            with pytest.raises(BundleError, match="its mixture does not fit its counts") as caught:
                ask(TextModel(path))
            one_line(caught.value, path)


# A thousand mutations

MUTATIONS = 1000


def one_line(problem: BundleError, path: Path) -> None:
    message = str(problem)
    assert message.startswith(f"{path}: "), message
    assert message.isprintable(), message


def open_mutant(path: Path, *, series: bool) -> str:
    """How far a file can be used; every error is ours, names the file and is one line."""
    try:
        bundle: Bundle[Any, Any] = read_series_bundle(path) if series else read_text_bundle(path)
    except BundleError as problem:
        one_line(problem, path)
        return "refused"
    with contextlib.suppress(BundleError):
        for member in range(max(1, len(bundle.members))):
            load_network(bundle, member)
    try:
        _ = (SeriesModel if series else TextModel)(path).predictor
    except BundleError as problem:
        one_line(problem, path)
        return "opened"
    return "usable"


def test_a_thousand_mutations_are_refused_in_one_line_or_harmless(
    tmp_path: Path, text_file: bytes, series_file: bytes
) -> None:
    path = tmp_path / "m.safetensors"
    for raw, series in ((text_file, False), (series_file, True)):
        path.write_bytes(raw)
        assert open_mutant(path, series=series) == "usable"
    ends: Counter[str] = Counter()
    for number in range(MUTATIONS):
        series = number % 2 == 1
        kind, raw = mutated(random.Random(number), series_file if series else text_file)
        path.write_bytes(raw)
        try:
            ends[open_mutant(path, series=series)] += 1
        except Exception as problem:
            problem.add_note(f"mutation {number}: {kind}, of {'series' if series else 'text'}")
            raise
    assert sum(ends.values()) == MUTATIONS
    # Neither is the whole of it refused at the door, nor does everything pass.
    assert ends["refused"] > MUTATIONS // 3
    assert min(ends["opened"], ends["usable"]) > MUTATIONS // 20
