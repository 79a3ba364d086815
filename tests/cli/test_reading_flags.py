"""Every flag of every command reaches its setting, however it is spelled."""

import dataclasses
import importlib
import itertools
import subprocess
import sys
from typing import Annotated, Any

import pytest
from msgspec import Meta

from rhapsode.cli.main import COMMANDS
from rhapsode.cli.parse import parse
from rhapsode.config import Positional, Repeated, convert, option
from rhapsode.config.options import POSITIONAL, REPEATED, Option, options_of
from rhapsode.errors import SettingsError
from rhapsode.modalities import MODALITIES
from tests.cli.test_flags_are_tested import OF_MODALITIES

TOGETHER = {"prompt_field": ["--completion-field=y"], "completion_field": ["--prompt-field=y"]}
"""Flags that go only with another one."""


def classes_of(name: str) -> list[type[Any]]:
    """The dataclass of a command, and those of modalities whose fields are its flags too."""
    module = importlib.import_module(f"rhapsode.cli.{name}")
    modalities = MODALITIES.names() if name in OF_MODALITIES else ()
    return [
        getattr(module, f"{name.capitalize()}Command"),
        *(getattr(MODALITIES.get(each), OF_MODALITIES[name]) for each in modalities),
    ]


def places_of(options: dict[str, Option]) -> list[str]:
    """Words for the positional arguments that must be there."""
    return ["run" for option in options.values() if POSITIONAL in option.marks and option.required]


CASES = [
    pytest.param(command, name, id=f"{command}-{name}")
    for command in sorted(COMMANDS)
    for name, option in options_of(*classes_of(command)).items()
    if POSITIONAL not in option.marks
]


# Words of options whose form is checked with the command line.
OWN_WORDS = {"pairs": "0:1"}


def word_for(option: Option) -> str:
    """A word that the option takes and that is not its default."""
    words = (
        option.choices
        or {str: ("x", "3m"), int: ("3",), float: ("0.25", "0.7", "1.5")}[option.kind]
    )
    for word in reversed(words):
        value = word if option.kind is str or option.choices else option.kind(word)
        try:
            convert((value,) if option.many else value, option.hint, where="")
        except SettingsError:
            continue
        if value != option.field.default:
            return word
    raise AssertionError(option)


@pytest.mark.parametrize(("command", "name"), CASES)
def test_a_flag_reaches_its_setting(command: str, name: str) -> None:
    classes = classes_of(command)
    options = options_of(*classes)
    option, places = options[name], places_of(options)
    words = [] if option.kind is bool else [OWN_WORDS.get(name) or word_for(option)]
    value: Any = True
    if words:
        value = words[0] if option.kind is str or option.choices else option.kind(words[0])
        value = (value,) if option.many else value
    for spelling in option.spellings:
        lines = [[spelling, *words]] + [[f"{spelling}={word}"] for word in words]
        for line, first in itertools.product(lines, (True, False)):
            if option.many and REPEATED not in option.marks and not first and len(line) == 2:
                continue  # it would take the positional arguments as its values
            together = TOGETHER.get(name, [])
            whole = [*line, *together, *places] if not first else [*places, *line, *together]
            filled, typed = parse(classes[0], command, "", whole, *classes[1:])
            assert typed[name] == value
            if hasattr(filled, name):
                assert getattr(filled, name) == value
            others = {key for key in typed if POSITIONAL not in options[key].marks} - {name}
            assert len(others) == len(together)
    usual = name.strip("_")
    assert f"--{usual}" in option.spellings
    assert f"--{usual.replace('_', '-')}" in option.spellings


@pytest.mark.parametrize(("command", "name"), CASES)
def test_an_unknown_flag_names_the_nearest(
    command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = classes_of(command)
    options = options_of(*classes)
    flag = options[name].spellings[0]
    with pytest.raises(SystemExit) as ended:
        parse(classes[0], command, "", [*places_of(options), f"{flag}x=1"], *classes[1:])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"no flag {flag}x; did you mean {flag}?" in err
    assert len(err.splitlines()) == 1


@dataclasses.dataclass(frozen=True)
class Sample:
    """A bit of everything."""

    place: Positional[Annotated[str, option("PLACE")]]
    """Where."""
    rest: Positional[Annotated[tuple[str, ...], option("MORE")]] = ()
    """Whatever else."""
    count: Annotated[Annotated[int, Meta(ge=1, le=9)] | None, option("N", "none")] = None
    """How many."""
    level: Annotated[tuple[Annotated[float, Meta(lt=1.0)], ...], option("P")] = ()
    """Several at once."""
    note_text: Annotated[Repeated[tuple[str, ...]], option("TEXT", alias="-n")] = ()
    """One at a time."""
    joint: bool = False
    """Yes or no."""


def read(*words: str) -> tuple[Sample, dict[str, Any]]:
    return parse(Sample, "sample", "", words)


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (("a",), {"place": "a"}),
        (("a", "--count", "3", "b", "--joint", "c"), {"place": "a", "rest": ("b", "c"), "count": 3, "joint": True}),
        (("--count=1", "--count=2", "-"), {"place": "-", "count": 2}),
        (("a", "--level", "0.5", ".25", "-3"), {"place": "a", "level": (0.5, 0.25, -3.0)}),
        (("a", "--level", "0.5", "--joint", "b"), {"place": "a", "level": (0.5,), "joint": True, "rest": ("b",)}),
        (("a", "--level"), {"place": "a", "level": ()}),
        (("a", "--note-text", "x", "-n", "-", "-ny", "--note_text=--joint"), {"place": "a", "note_text": ("x", "-", "y", "--joint")}),
        (("a", "--note-text=--", "--note-text="), {"place": "a", "note_text": ("--", "")}),
        (("a", "--note-text", "- dash and space"), {"place": "a", "note_text": ("- dash and space",)}),
        (("a", "--note-text", "---", "-n", "-3m", "--count", "2"), {"place": "a", "note_text": ("---", "-3m"), "count": 2}),
        (("---", "-- x"), {"place": "---", "rest": ("-- x",)}),
        (("a", "--", "--joint", "--"), {"place": "a", "rest": ("--joint", "--")}),
        (("-1", "-2.5"), {"place": "-1", "rest": ("-2.5",)}),
    ],
)  # fmt: skip
def test_what_was_typed_and_nothing_else(words: tuple[str, ...], typed: dict[str, Any]) -> None:
    command, found = read(*words)
    assert found == typed
    assert command == Sample(**typed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "PLACE is missing"),
        (("a", "--count"), "--count: expected one argument"),
        (("a", "--count", "x"), "--count: expected a whole number, got 'x'"),
        (("a", "--level", "0.5", "b"), "--level: expected a number, got 'b'"),
        (("a", "--joint=1"), "--joint: ignored explicit argument '1'"),
        (("a", "--set", "x=1"), "no flag --set"),
        (("a", "-x"), "no flag -x"),
        (("a", "--coun", "1"), "no flag --coun; did you mean --count?"),
        (("a", "--join"), "no flag --join; did you mean --joint?"),
    ],
)
def test_bad_usage(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(*words)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}")
    assert err.endswith("rhapsode sample --help lists its options\n")


@pytest.mark.parametrize("flag", ["--note-text", "--note_text"])
def test_a_message_names_the_flag_as_it_was_typed(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        read("a", flag)
    assert f"error: {flag}: expected" in capsys.readouterr().err


def test_a_value_out_of_range_is_refused_as_in_a_settings_file() -> None:
    with pytest.raises(SettingsError, match=r"^--count: expected a whole number <= 9$"):
        read("a", "--count", "12")
    with pytest.raises(SettingsError, match=r"^--level: expected a number < 1.0$"):
        read("a", "--level", "0.5", "nan")


def test_flags_without_a_place_here_are_named_where_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse(
            Sample, "x", "", ["a", "--patienc", "3"], elsewhere=lambda: {"--patience": "--set a.b"}
        )
    assert "no flag --patienc; did you mean --set a.b?" in capsys.readouterr().err


def test_reading_a_line_loads_nothing_heavy() -> None:
    code = """
import sys
from rhapsode.cli.generate import GenerateCommand
from rhapsode.cli.parse import parse
command, typed = parse(GenerateCommand, "generate", "", ["run", "A", "--top_k=4"])
assert (command.prompt, typed["top_k"]) == ("A", 4)
late = ("torch", "numba", "numpy", "rich", "pandas", "tomllib")
print([name for name in late if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
