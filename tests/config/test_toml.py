"""Settings files and assignments: what is wrong with a file is told with its line, and `--set` reads TOML values."""

import copy
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import apply_assignments, dump_toml, merge, read_toml
from rhapsode.errors import SettingsError

PROVE = settings(derandomize=True, deadline=None)
KEYS = st.sampled_from(["a", "b", "c"])
TREES = st.recursive(
    st.integers(), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
SECTIONS = st.dictionaries(KEYS, TREES, max_size=3)


def test_a_file_is_read(tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_text('model = "lstm"\n[training]\nwindow = 64\n[samples]\nprompt = "é"\n', "utf-8")
    assert read_toml(path) == {
        "model": "lstm",
        "training": {"window": 64},
        "samples": {"prompt": "é"},
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = = 2\n", "not valid TOML: .*line 2, column 5"),
        (b"a = 1\na = 2\n", "not valid TOML: .*line 2"),
        (b"[training\n", "not valid TOML: .*line 1"),
        (b"a = 1\n\xff = 2\n", r"not UTF-8 text \(byte 6\)"),
        pytest.param(b"a = " + b"[" * 10_000, "not valid TOML", id="deep nesting"),
        pytest.param(b"a = " + b"9" * 5_000, "not valid TOML", id="long number"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(
    tmp_path: Path, content: bytes, message: str
):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=message) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"none\.toml: no such settings file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="this is a folder"):
        read_toml(tmp_path)
    with pytest.raises(SettingsError, match="cannot read"):
        read_toml(tmp_path / ("a" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_an_unreadable_file_is_named(tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_text("a = 1")
    path.chmod(0)
    with pytest.raises(SettingsError, match="cannot read: Permission denied"):
        read_toml(path)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("64", 64),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("false", False),
        ("[0.5, 0.8]", [0.5, 0.8]),
        ("[]", []),
        ('"64"', "64"),
        ("'a b'", "a b"),
        ("{ x = 1 }", {"x": 1}),
        ("bfloat16", "bfloat16"),
        ("True", "True"),
        ("hello world", "hello world"),
        ("", ""),
        ("[1, 2", "[1, 2"),
        ("a=b", "a=b"),
        (" 64 ", 64),
        ("línea", "línea"),
    ],
)
def test_values_are_toml_and_bare_words_are_text(value: str, read: Any):
    assert apply_assignments({}, [f"section.key={value}"]) == {"section": {"key": read}}


@pytest.mark.parametrize("value", ["1\nb = 2", "1\n[x]", "one\ntwo", "1\n"])
def test_a_value_of_several_lines_is_never_cut_to_its_first(value: str):
    try:
        read = apply_assignments({}, [f"a={value}"])["a"]
    except SettingsError:
        return
    assert read in (value, value.strip()) or (value == "1\n" and read == 1)


@pytest.mark.parametrize("value", ["[" * 10_000, "{a=" * 10_000, "9" * 5_000], ids=len)
def test_an_absurd_value_is_text_or_refused(value: str):
    try:
        read = apply_assignments({}, [f"a={value}"])
    except SettingsError:
        return
    assert read == {"a": value}


@pytest.mark.parametrize("assignment", ["", "=", "=3", "a", "a.b", "a.=3", ".a=3", "a..b=3", " =3"])
def test_an_assignment_without_name_or_value_is_refused(assignment: str):
    with pytest.raises(SettingsError) as caught:
        apply_assignments({}, [assignment])
    assert str(caught.value) == f"--set: cannot read {assignment!r}; write section.key=value"


def test_assignments_lie_on_top_of_the_mapping_and_the_last_one_wins():
    base = {"training": {"window": 64, "clip": 1.0}, "model": "lstm"}
    result = apply_assignments(
        base, ["training.window=32", "training.window=16", "network.hidden_size=8", "model=gru"]
    )
    assert result == {
        "training": {"window": 16, "clip": 1.0},
        "model": "gru",
        "network": {"hidden_size": 8},
    }
    assert base == {"training": {"window": 64, "clip": 1.0}, "model": "lstm"}


def test_deeper_names_and_spaces_around_them_are_read():
    assert apply_assignments({}, ["a.b.c = 1", " a . d = 2"]) == {"a": {"b": {"c": 1}, "d": 2}}


def test_a_value_gives_way_to_a_section_and_a_section_to_a_value():
    assert apply_assignments({"a": 1}, ["a.b=2"]) == {"a": {"b": 2}}
    assert apply_assignments({"a": {"b": 2}}, ["a=1"]) == {"a": 1}


@PROVE
@given(SECTIONS, SECTIONS)
def test_the_upper_layer_of_a_merge_wins(base: dict, over: dict):
    before = copy.deepcopy((base, over))
    merged = merge(base, over)
    assert set(merged) == set(base) | set(over)
    assert merge(merged, over) == merged
    assert merge({}, over) == over
    assert merge(base, {}) == base
    for key, value in over.items():
        if not isinstance(value, dict):
            assert merged[key] == value
        elif isinstance(base.get(key), dict):
            assert merged[key] == merge(base[key], value)
    for key in base.keys() - over.keys():
        assert merged[key] == base[key]
    assert (base, over) == before


@PROVE
@given(SECTIONS)
def test_what_is_written_reads_back(tree: dict):
    assert tomllib.loads(dump_toml(tree)) == tree


def test_a_written_file_reads_back(tmp_path: Path):
    tree = {"model": 'l"s\ntm\x1b', "training": {"window": 3, "clip": 0.1}, "x": {"y": {"z": [1]}}}
    path = tmp_path / "run.toml"
    path.write_text(dump_toml(tree), encoding="utf-8")
    assert read_toml(path) == tree
