"""Settings fields as command-line flags, declared by annotations."""

import ast
import dataclasses
import inspect
import itertools
import sys
import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

POSITIONAL = "positional"
REPEATED = "repeated"

Positional = Annotated[T, POSITIONAL]
"""A field that is given by its place and not by a name."""
Repeated = Annotated[T, REPEATED]
"""A tuple whose flag is given once for each entry."""


@dataclass(frozen=True)
class Flag:
    """An annotation for a settings field that is also a flag.

    Arguments:
        metavar: stands for the value in the help; None for the field's name or its choices.
        default: behaviour without the flag, for the help; None for the field's default, "" for
            none.
        alias: a short form, as "-o".
        name: the flag's name; None for the field's.
        help: replaces the field's docstring; `{families}` and `{modalities}` stand for their names.
    """

    metavar: str | None = None
    default: str | None = None
    alias: str | None = None
    name: str | None = None
    help: str | None = None


option = Flag


@dataclass(frozen=True)
class Option:
    """A settings field as the command line takes it.

    Arguments:
        field: of the dataclass.
        owner: the class that declares it.
        hint: its type with ranges.
        kind: `str`, `int`, `float`, `bool` or a `Literal`: the type of one value.
        many: True for a tuple.
        marks: `POSITIONAL` and `REPEATED`, where it is so.
        flag: its appearance.
    """

    field: dataclasses.Field[Any]
    owner: type[Any]
    hint: Any
    kind: Any
    many: bool
    marks: frozenset[str]
    flag: Flag

    @property
    def required(self) -> bool:
        """True without a default."""
        return self.field.default is dataclasses.MISSING

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it takes; empty for any."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def metavar(self) -> str:
        """Text that stands for the value."""
        return self.flag.metavar or "|".join(self.choices) or self.field.name.upper()

    @property
    def spellings(self) -> list[str]:
        """Its flags: the usual one, the one with underscores, the short one."""
        name = self.flag.name or self.field.name.strip("_")
        written = [f"--{name.replace('_', '-')}", f"--{name}", self.flag.alias]
        return [spelling for spelling in dict.fromkeys(written) if spelling is not None]


def options_of(*classes: type[Any]) -> dict[str, Option]:
    """Fields of settings dataclasses as options, by name.

    If several classes have a field of the same name, that of the first class is used.
    """
    options: dict[str, Option] = {}
    for cls in classes:
        hints, bare = get_type_hints(cls, include_extras=True), get_type_hints(cls)
        for field in dataclasses.fields(cls):
            kind = bare[field.name]
            if get_origin(kind) in (Union, types.UnionType):
                (kind,) = (part for part in get_args(kind) if part is not type(None))
            many = get_origin(kind) is tuple
            marks = getattr(hints[field.name], "__metadata__", ())
            option = Option(
                field=field,
                owner=next(base for base in cls.__mro__ if field.name in base.__annotations__),
                hint=hints[field.name],
                kind=get_args(kind)[0] if many else kind,
                many=many,
                marks=frozenset(mark for mark in marks if isinstance(mark, str)),
                flag=next((mark for mark in marks if isinstance(mark, Flag)), Flag()),
            )
            options.setdefault(field.name, option)
    return options


def field_docs(cls: type[Any]) -> dict[str, str]:
    """Docstrings of the fields that a class declares.

    Each one is joined to a single line; inherited fields are left out.
    """
    body = next(
        node.body
        for node in _module_tree(cls.__module__).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    return {
        field.target.id: " ".join(doc.value.value.split())
        for field, doc in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant)
        if isinstance(doc.value.value, str)
    }


@cache
def _module_tree(name: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[name]))
