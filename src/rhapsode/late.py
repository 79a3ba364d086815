"""Package names that are imported on first use."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["late_names"]


def late_names(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package that imports its names late.

    Arguments:
        package: its name.
        places: the module of each name, relative with a leading dot; after a colon the name
            in that module, if it differs.
    """

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, inner = places[name].partition(":")
        return getattr(importlib.import_module(module, package), inner or name)

    return load
