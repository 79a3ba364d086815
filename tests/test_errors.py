"""An error is one printable line: where, what, and what to do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode import errors
from rhapsode.errors import (
    BundleError,
    DataError,
    EncodingError,
    MissingExtraError,
    RhapsodeError,
    RunError,
    SettingsError,
)

KINDS = [BundleError, DataError, EncodingError, RunError, SettingsError]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_where_what_and_what_to_do(kind: type[RhapsodeError]):
    assert str(kind("it is broken")) == "it is broken"
    assert str(kind("it is broken", where="a.txt")) == "a.txt: it is broken"
    assert str(kind("it is broken", hint="mend it")) == "it is broken; mend it"
    problem = kind("it is broken", where="a.txt", hint="mend it")
    assert str(problem) == "a.txt: it is broken; mend it"
    assert (problem.what, problem.where, problem.hint) == ("it is broken", "a.txt", "mend it")
    assert isinstance(problem, RhapsodeError)


def test_control_characters_are_made_visible():
    problem = DataError("a\nb\tc\x1b[31m", where="x\r.txt", hint=chr(0xDC80) + "é 漢 \\n")
    assert str(problem) == "x\\r.txt: a\\nb\\tc\\x1b[31m; \\udc80é 漢 \\n"


@settings(derandomize=True, deadline=None)
@given(
    what=st.text(st.characters()),
    where=st.none() | st.text(st.characters()),
    hint=st.none() | st.text(st.characters()),
)
def test_whatever_it_quotes_the_message_is_one_printable_line(
    what: str, where: str | None, hint: str | None
):
    message = str(RhapsodeError(what, where=where, hint=hint))
    assert message.isprintable()
    message.encode("utf-8")


def test_a_missing_extra_names_the_command_that_installs_it():
    problem = MissingExtraError("zh", "splitting Chinese words")
    assert str(problem) == (
        "splitting Chinese words needs an optional package; "
        "install it with: pip install 'rhapsode[zh]'"
    )
    assert isinstance(problem, RhapsodeError)


def test_the_public_names_are_all_there_is():
    kinds = {
        name
        for name, entry in vars(errors).items()
        if isinstance(entry, type) and issubclass(entry, Exception)
    }
    assert kinds == set(errors.__all__)
