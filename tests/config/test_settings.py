"""Settings: plain mappings in and out without loss, and every error names the setting and its place."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.config import (
    DEFAULT_BUDGET,
    GenerateSettings,
    SourceSettings,
    dump_toml,
    from_mapping,
    parse_duration,
    to_mapping,
)
from rhapsode.errors import BundleError, SettingsError
from rhapsode.modalities.text.settings import DataSettings, TrainSettings

PROVE = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_subnormal=False)
PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
TABLES = st.dictionaries(WORDS, PLAIN, max_size=4)


def values_of(annotation: Any, limits: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """A strategy for all values that a field of settings may have, by its annotation."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        found = {
            name: getattr(meta, name)
            for meta in arguments[1:]
            if isinstance(meta, msgspec.Meta)
            for name in ("ge", "le", "lt", "gt", "max_length")
            if getattr(meta, name) is not None
        }
        return values_of(arguments[0], {**found, **limits})
    if origin in (types.UnionType, typing.Union):
        return st.one_of(
            st.none() if each is types.NoneType else values_of(each) for each in arguments
        )
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        most = limits.get("max_length", 5)
        return st.lists(values_of(arguments[0]), max_size=most).map(tuple)
    if annotation is SourceSettings:
        # Fields that exclude one another.
        return st.builds(
            SourceSettings,
            field=st.none() | WORDS,
            limit=st.none() | st.integers(1, 2**62),
            pattern=st.none() | WORDS,
            text_encoding=WORDS,
            errors=st.sampled_from(["stop", "replace", "skip"]),
            newlines=st.sampled_from(["lf", "keep"]),
        ) | st.builds(SourceSettings, prompt_field=WORDS, completion_field=WORDS)
    if dataclasses.is_dataclass(annotation):
        hints = typing.get_type_hints(annotation, include_extras=True)
        return st.builds(annotation, **{name: values_of(hint) for name, hint in hints.items()})
    if annotation is int:
        return st.integers(limits.get("ge", 0), limits.get("le", 2**62))
    if annotation is float:
        most = limits.get("le", limits.get("lt", 1e9))
        return st.floats(limits["ge"], most, exclude_max="lt" in limits, allow_subnormal=False)
    return {bool: st.booleans(), str: WORDS, Mapping[str, Any]: TABLES}[annotation]


TRAIN = values_of(TrainSettings)
GENERATE = values_of(GenerateSettings)


@PROVE
@given(TRAIN)
def test_training_settings_survive_a_mapping_and_a_file(train: TrainSettings):
    plain = to_mapping(train)
    assert from_mapping(TrainSettings, plain, where="here") == train
    assert from_mapping(TrainSettings, tomllib.loads(dump_toml(plain)), where="here") == train


@PROVE
@given(GENERATE)
def test_generation_settings_survive_a_mapping(generate: GenerateSettings):
    assert from_mapping(GenerateSettings, to_mapping(generate), where="here") == generate


@pytest.mark.parametrize("cls", [TrainSettings, GenerateSettings])
def test_an_empty_mapping_gives_the_defaults(cls: type[Any]):
    assert from_mapping(cls, {}, where="here") == cls()


def test_unset_entries_are_left_out_everywhere():
    plain = to_mapping(TrainSettings(network={"hidden_size": 8, "num_layers": None}))
    assert plain["network"] == {"hidden_size": 8}
    assert "budget" not in plain
    assert "window" not in plain["training"]
    assert plain["samples"]["temperatures"] == [0.5, 0.8, 1.1]


def test_settings_cannot_be_changed():
    for frozen in (TrainSettings(), GenerateSettings(), DataSettings()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            frozen.seed = 1


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"modle": "x"}, "unknown setting 'modle'; did you mean 'model'?"),
        (
            {"training": {"bach_size": 3}},
            "unknown setting 'training.bach_size'; did you mean 'batch_size'?",
        ),
        ({"data": {"xyz": 3}}, "unknown setting 'data.xyz'; known: test_share, validation_share"),
        ({"training": 3}, "setting 'training' is a section, not a value; write training.<key>"),
        ({"training": None}, "setting 'training' is a section, not a value"),
        ({"network": 3}, "setting 'network': expected a table, got a whole number"),
        ({"training": {"window": "big"}}, "setting 'training.window': expected a whole number"),
        ({"training": {"window": 1.5}}, "setting 'training.window': expected a whole number"),
        ({"training": {"window": True}}, "setting 'training.window': expected a whole number"),
        ({"training": {"window": 0}}, "setting 'training.window': expected a whole number >= 1"),
        ({"training": {"window": 2**31}}, "setting 'training.window': expected a whole number <="),
        ({"training": {"window": 2**70}}, "setting 'training.window': "),
        ({"training": {"beta1": 1.0}}, "setting 'training.beta1': expected a number < 1.0"),
        ({"training": {"clip": 0}}, "setting 'training.clip': expected a number >"),
        (
            {"training": {"learning_rate": "x"}},
            "setting 'training.learning_rate': expected a number",
        ),
        ({"budget": 3}, "setting 'budget': expected text, got a whole number"),
        ({"training": {"precision": "int8"}}, "setting 'training.precision': no such choice:"),
        ({"data": {"test_share": 0.6}}, "setting 'data.test_share': expected a number <= 0.5"),
        ({"data": {"test_share": float("nan")}}, "setting 'data.test_share': "),
        ({"samples": {"temperatures": [0.5, -1]}}, "setting 'samples.temperatures"),
        ({"samples": {"temperatures": 0.5}}, "setting 'samples.temperatures': expected a list"),
        ({"samples": {"temperatures": [1.0] * 9}}, "setting 'samples.temperatures': "),
        ({"samples": {"prompt": 5}}, "setting 'samples.prompt': expected text"),
        ({"model": 5}, "setting 'model': expected text, got a whole number"),
        ({"seed": -1}, "setting 'seed': expected a whole number >= 0"),
        ({"epochs": 0}, "setting 'epochs': "),
        ({"epochs": float("inf")}, "setting 'epochs': "),
        ({"steps": 0}, "setting 'steps': "),
        ({7: 1}, "unknown setting '7'"),
    ],
    ids=str,
)
def test_an_error_names_the_setting_and_its_place(mapping: dict[Any, Any], message: str):
    with pytest.raises(SettingsError) as caught:
        from_mapping(TrainSettings, mapping, where="run.toml")
    assert str(caught.value).startswith("run.toml: " + message)
    assert "`" not in str(caught.value)
    assert "$" not in str(caught.value)


@pytest.mark.parametrize(
    "mapping",
    [
        {"temperature": -0.1},
        {"temperature": 1e7},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 1.1},
        {"length": -1},
        {"count": 0},
        {"seed": 2**63},
        {"stop": "abc"},
        {"unknown": "maybe"},
        {"format": "xml"},
    ],
    ids=str,
)
def test_generation_values_out_of_range_are_named(mapping: dict[str, Any]):
    with pytest.raises(SettingsError, match=f"^here: setting '{next(iter(mapping))}': "):
        from_mapping(GenerateSettings, mapping, where="here")


def test_a_missing_setting_is_named():
    @dataclasses.dataclass(frozen=True)
    class Needed:
        size: int

    with pytest.raises(SettingsError, match="missing setting size"):
        from_mapping(Needed, {}, where="here")


@dataclasses.dataclass(frozen=True)
class Leaf:
    size: int = 1


@dataclasses.dataclass(frozen=True)
class Branch:
    leaf: Leaf = dataclasses.field(default_factory=Leaf)


@dataclasses.dataclass(frozen=True)
class Tree:
    branch: Branch = dataclasses.field(default_factory=Branch)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        ({"sise": 1}, "unknown setting 'branch.leaf.sise'"),
        ({"size": "x"}, "setting 'branch.leaf.size': expected a whole number"),
        (3, "setting 'branch.leaf' is a section, not a value; write branch.leaf.<key>"),
    ],
)
def test_the_name_is_whole_however_deep_the_setting_lies(leaf: Any, message: str):
    with pytest.raises(SettingsError) as caught:
        from_mapping(Tree, {"branch": {"leaf": leaf}}, where="here")
    assert str(caught.value).startswith(f"here: {message}")
    assert from_mapping(Tree, {"branch": {"leaf": {"size": 5}}}, where="here").branch.leaf.size == 5


@dataclasses.dataclass(frozen=True)
class Bush:
    leaf: "Leaf"
    other: "Leaf | None" = None
    more: "tuple[Leaf, ...]" = ()


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"leaf": {"sise": 1}}, "unknown setting 'leaf.sise'"),
        ({"leaf": 3}, "setting 'leaf' is a section, not a value"),
        ({"leaf": {}, "other": {"sise": 1}}, "unknown setting 'other.sise'"),
        ({"leaf": {}, "other": 3}, "setting 'other': expected a table"),
        ({"leaf": {}, "more": [{}, {"sise": 1}]}, "unknown setting 'more[1].sise'"),
        ({"leaf": {}, "more": [{}, 3]}, "setting 'more[1]': expected a table"),
        ({"leaf": {}, "more": {"size": 1}}, "setting 'more': expected a list"),
    ],
)
def test_settings_that_may_be_missing_or_many_are_looked_into(
    mapping: dict[str, Any], message: str
):
    # Annotations are text here, as in modules that put off their evaluation.
    with pytest.raises(SettingsError) as caught:
        from_mapping(Bush, mapping, where="here")
    assert str(caught.value).startswith(f"here: {message}")
    whole = from_mapping(
        Bush, {"leaf": {"size": 2}, "other": None, "more": [{"size": 3}, {}]}, where="here"
    )
    assert whole == Bush(Leaf(2), None, (Leaf(3), Leaf()))


def test_the_error_is_of_the_class_that_was_asked_for():
    with pytest.raises(BundleError):
        from_mapping(TrainSettings, {"x": 1}, where="here", error=BundleError)
    with pytest.raises(BundleError):
        from_mapping(TrainSettings, {"seed": "x"}, where="here", error=BundleError)


@PROVE
@given(
    st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(TrainSettings)]) | WORDS,
        PLAIN | st.none() | TABLES,
        max_size=4,
    )
)
def test_any_mapping_is_settings_or_an_error_of_ours(mapping: dict[str, Any]):
    try:
        train = from_mapping(TrainSettings, mapping, where="here")
    except SettingsError as problem:
        assert problem.where == "here"  # noqa: PT017
        return
    assert isinstance(train, TrainSettings)


@pytest.mark.parametrize(
    ("chosen", "seconds"),
    [
        ({}, parse_duration(DEFAULT_BUDGET)),
        ({"budget": "90s"}, 90),
        ({"epochs": 2.0}, None),
        ({"steps": 7}, None),
    ],
)
def test_budget_epochs_or_steps_rule(chosen: dict[str, Any], seconds: float | None):
    assert TrainSettings(**chosen).budget_seconds() == seconds


@pytest.mark.parametrize(
    "chosen",
    [
        {"budget": "3m", "epochs": 1.0},
        {"budget": "3m", "steps": 1},
        {"epochs": 1.0, "steps": 1},
        {"budget": "3m", "epochs": 1.0, "steps": 1},
    ],
)
def test_budget_epochs_and_steps_exclude_each_other(chosen: dict[str, Any]):
    with pytest.raises(SettingsError, match="cannot be given together") as caught:
        TrainSettings(**chosen).budget_seconds()
    assert all(name in str(caught.value) for name in chosen)


def test_a_budget_that_is_no_time_is_refused():
    with pytest.raises(SettingsError, match="not a length of time"):
        TrainSettings(budget="soon").budget_seconds()


def test_an_empty_budget_is_not_the_default():
    with pytest.raises(SettingsError):
        TrainSettings(budget="").budget_seconds()
