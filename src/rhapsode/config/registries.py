"""Closed registry of the component names that files and settings may use."""

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar, cast

from rhapsode.errors import SettingsError

T = TypeVar("T")


def suggest(name: str, known: list[str]) -> str:
    """A hint naming the nearest known name, or all of them."""
    import difflib  # late: needed for errors only

    bare = {full.partition(".v")[0]: full for full in known}
    near = [*difflib.get_close_matches(name, known, n=1)]
    near += [bare[word] for word in difflib.get_close_matches(name, list(bare), n=1)]
    listing = f"known: {', '.join(known)}" if known else "there are none"
    return f"did you mean {near[0]!r}? {listing}" if near else listing


class _Place(str):
    """Import path of an entry, as `module:attribute`."""


class Registry(Generic[T]):
    """A closed table from versioned names (`"lstm.v1"`) to components of one kind.

    Arguments:
        kind: what the entries are, for messages: "model", "encoding", ...
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._aliases: dict[str, str] = {}

    def register(self, name: str, *, aliases: tuple[str, ...] = ()) -> Callable[[T], T]:
        """A decorator that enters an object under `"<word>.v<number>"` and aliases."""
        word, _, version = name.partition(".v")
        if not word or not version.isdigit() or name in self._entries:
            raise ValueError(f"cannot register {self.kind} {name!r}")
        for alias in aliases:
            if self._aliases.setdefault(alias, word) != word:
                raise ValueError(f"cannot register {self.kind} {alias!r} twice")

        def enter(entry: T) -> T:
            self._entries[name] = entry
            return entry

        return enter

    def register_at(self, name: str, place: str, *, aliases: tuple[str, ...] = ()) -> None:
        """Register an entry by its import path, `module:attribute`.

        It is imported on first use.
        """
        self.register(name, aliases=aliases)(cast("T", _Place(place)))

    def names(self) -> list[str]:
        """All full names, sorted."""
        return sorted(self._entries)

    def words(self) -> list[str]:
        """Distinct names without their versions, in order of registration."""
        return list(dict.fromkeys(name.rpartition(".v")[0] for name in self._entries))

    def full_name(self, name: str) -> str:
        """The full name for `"lstm.v1"` or, meaning its newest version, `"lstm"`.

        Raises:
            SettingsError: nothing of that name is registered.
        """
        if name in self._entries:
            return name
        name = self._aliases.get(name, name)
        parts = [full.rpartition(".v") for full in self._entries]
        versions = [int(version) for word, _, version in parts if word == name]
        if not versions:
            raise SettingsError(f"unknown {self.kind} {name!r}", hint=suggest(name, self.names()))
        return f"{name}.v{max(versions)}"

    def get(self, name: str) -> T:
        """The entry called `name`, as `full_name` reads it.

        Raises:
            SettingsError: nothing of that name is registered.
        """
        name = self.full_name(name)
        entry = self._entries[name]
        if isinstance(entry, _Place):
            module, _, attribute = entry.partition(":")
            entry = self._entries[name] = getattr(importlib.import_module(module), attribute)
        return entry


@cache
def shared_registry(kind: str) -> Registry[Any]:
    """Registry of one kind of component, shared across the package.

    Arguments:
        kind: of its entries, for messages.
    """
    return Registry(kind)
