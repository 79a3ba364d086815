"""The model file: what is written is read again, and whatever is torn, altered or hostile gives one line of words."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.bundle import (
    COUNTS,
    FORMAT_VERSION,
    Bundle,
    Component,
    NetworkConfig,
    bundle_path,
    read_bundle,
    write_bundle,
)
from rhapsode.encoding import ByteEncoder, CharacterEncoder, Encoder
from rhapsode.errors import BundleError, RhapsodeError, RunError

PROVE = settings(
    max_examples=250,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def bundle_of(encoder: Encoder | None = None, **arrays: np.ndarray) -> Bundle:
    if encoder is None:
        encoder = CharacterEncoder.learn(["hello wörld 漢\n"], {})
    config = NetworkConfig(
        input=Component("embedding.v1", {"size": 2}),
        model=Component("lstm.v1", {"hidden_size": 3, "dropout": 0.1}),
        head=Component("categorical.v1"),
    )
    counts_V = np.arange(encoder.vocab_size, dtype=np.int64)
    weights = {"model.weight": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}
    provenance = {"data": {"sha256": "00", "name": "漢.txt"}, "figures": [1, 2.5, None, True]}
    return Bundle(config, encoder, provenance, {**weights, COUNTS: counts_V, **arrays})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a small model file."""
    path = tmp_path_factory.mktemp("whole") / "model.safetensors"
    write_bundle(path, bundle_of())
    return path.read_bytes()


def parts(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and what follows it."""
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def joined(header: dict[str, Any], rest: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def refused(path: Path, raw: bytes) -> str:
    """The message with which a file is refused: one line that begins with its path."""
    path.write_bytes(raw)
    with pytest.raises(BundleError) as caught:
        read_bundle(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    return message


def read_or_refuse(path: Path, raw: bytes) -> None:
    """Any other exception than ours is a bug."""
    path.write_bytes(raw)
    try:
        read_bundle(path)
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
    again = read_bundle(path)
    assert again.config == bundle.config
    assert again.provenance == bundle.provenance
    assert type(again.encoder) is type(encoder)
    assert again.encoder.fingerprint == encoder.fingerprint
    assert set(again.arrays) == set(bundle.arrays)
    for name, array in bundle.arrays.items():
        assert again.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(again.arrays[name], array)
    np.testing.assert_array_equal(again.counts_V, np.arange(encoder.vocab_size))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_arrays_in_any_memory_order_are_written_as_they_read(tmp_path: Path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = {"turned": base.T, "strided": base[::2, 1::2], "scalar": np.float32(3).reshape(())}
    write_bundle(tmp_path / "m", bundle_of(**views))
    again = read_bundle(tmp_path / "m")
    for name, view in views.items():
        np.testing.assert_array_equal(again.arrays[name], view)
        assert again.arrays[name].shape == view.shape


def test_names_that_are_no_utf_8_are_kept(tmp_path: Path):
    bundle = bundle_of()
    named = Bundle(bundle.config, bundle.encoder, {"source": f"caf{chr(0xDCE9)}"}, bundle.arrays)
    write_bundle(tmp_path / "m", named)
    assert read_bundle(tmp_path / "m").provenance == named.provenance


def test_the_header_is_plain_json_and_names_its_format(whole: bytes):
    header, _ = parts(whole)
    metadata = header["__metadata__"]
    assert metadata["format"] == "rhapsode"
    assert metadata["format_version"] == str(FORMAT_VERSION)
    assert json.loads(metadata["config"])["model"] == {
        "name": "lstm.v1",
        "settings": {"hidden_size": 3, "dropout": 0.1},
    }
    assert json.loads(metadata["encoder"])["name"] == "characters.v1"


def test_a_run_folder_means_its_model(tmp_path: Path, whole: bytes):
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole)
    assert bundle_path(tmp_path) == path
    assert bundle_path(str(path)) == path
    assert read_bundle(tmp_path).config == read_bundle(path).config


def test_a_folder_without_a_model_is_named(tmp_path: Path):
    (tmp_path / "other.safetensors").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"holds no model\.safetensors") as caught:
        read_bundle(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")


def test_a_folder_in_the_place_of_the_model_is_named(tmp_path: Path):
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'model.safetensors'}: ")


@pytest.mark.parametrize("name", ["none", "none/model.safetensors", "a\0b", "x" * 5000], ids=len)
def test_a_missing_path_is_named(tmp_path: Path, name: str):
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path / name)
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
            st.sampled_from(["name", "settings", "tokenizer", "input", "model", "head", "context"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@PROVE
@given(
    entry=st.sampled_from(["config", "encoder", "provenance", "format", "format_version"]),
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


@pytest.mark.parametrize("version", ["0", "2", "", "1.0", " 1", "one"])
def test_another_version_is_refused(tmp_path: Path, whole: bytes, version: str):
    header, rest = parts(whole)
    header["__metadata__"]["format_version"] = version
    message = refused(tmp_path / "m", joined(header, rest))
    assert f"format version {version!r} cannot be read" in message


@pytest.mark.parametrize("key", ["format", "format_version", "config", "encoder", "provenance"])
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


@pytest.mark.parametrize("key", ["config", "encoder", "provenance"])
@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", '"x"', "{}x", pytest.param("[" * 100_000, id="deep")],
)
def test_an_entry_that_is_no_table_is_named(tmp_path: Path, whole: bytes, key: str, text: str):
    header, rest = parts(whole)
    header["__metadata__"][key] = text
    assert f"metadata entry {key!r} is not" in refused(tmp_path / "m", joined(header, rest))


def changed(raw: bytes, key: str, change: Callable[[dict[str, Any]], None]) -> bytes:
    header, rest = parts(raw)
    entry = json.loads(header["__metadata__"][key])
    change(entry)
    header["__metadata__"][key] = json.dumps(entry)
    return joined(header, rest)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("config", lambda entry: entry.pop("model"), "missing setting model"),
        ("config", lambda entry: entry.update(extra=1), "unknown setting 'extra'"),
        ("config", lambda entry: entry.update(model=3), "setting 'model'"),
        ("config", lambda entry: entry["model"].update(name=3), "setting 'model.name'"),
        ("config", lambda entry: entry["model"].update(path="os"), "unknown setting 'model.path'"),
        ("config", lambda entry: entry["head"].update(settings=[1]), "setting 'head.settings'"),
        ("config", lambda entry: entry.update(context="dreamt"), "unknown context 'dreamt'"),
        ("config", lambda entry: entry.update(context=None), "setting 'context'"),
        ("encoder", lambda entry: entry.update(name="os.system"), "unknown encoding 'os.system'"),
        ("encoder", lambda entry: entry.update(name="characters.v9"), "'characters.v9'"),
        ("encoder", lambda entry: entry.update(name=None), "description is malformed"),
        ("encoder", lambda entry: entry.pop("tokenizer"), "description is malformed"),
        ("encoder", lambda entry: entry.update(tokenizer="{}"), "vocabulary is malformed"),
        ("encoder", lambda entry: entry["settings"].update(x=1), "unknown setting 'x'"),
        ("encoder", lambda entry: entry["settings"].update(min_count=0), "'min_count'"),
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
    arrays = {name: array for name, array in bundle.arrays.items() if name != COUNTS}
    if counts is not None:
        arrays[COUNTS] = counts
    write_bundle(tmp_path / "m", Bundle(bundle.config, bundle.encoder, bundle.provenance, arrays))
    assert COUNTS in refused(tmp_path / "m", (tmp_path / "m").read_bytes())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, whole: bytes):
    path = tmp_path / "m"
    path.write_bytes(whole)
    failing = mock.Mock(side_effect=PermissionError(13, "Permission denied"))
    with (
        mock.patch("rhapsode.bundle.reading.safe_open", failing),
        pytest.raises(BundleError, match="cannot read: Permission denied"),
    ):
        read_bundle(path)


def test_a_file_too_large_for_the_memory_is_named(tmp_path: Path, whole: bytes):
    path = tmp_path / "m"
    path.write_bytes(whole)
    with (
        mock.patch("rhapsode.bundle.reading.safe_open", mock.Mock(side_effect=MemoryError)),
        pytest.raises(BundleError) as caught,
    ):
        read_bundle(path)
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
