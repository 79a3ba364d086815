"""Settings without a flag, named as `--set` takes them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

__all__ = ["in_settings", "set_places"]


def in_settings(hint: str, command: type[Any]) -> str:
    """Rewrite the flags of other commands in a hint to `--set`.

    Arguments:
        hint: of an error.
        command: its flags stay.
    """
    # Other flags only: their places are those of every kind of sequence, which takes time to load.
    own = {f"--{field.name.strip('_').replace('_', '-')}" for field in dataclasses.fields(command)}
    if own.issuperset(re.findall(r"--[a-z-]+", hint)):
        return hint
    places = set_places(command)

    def setting(found: re.Match[str]) -> str:
        place, value = places.get(found[1]), found[2]
        if place is None:
            return found[0]
        return f"{place}={value}" if value else place

    return re.sub(r"(--[a-z-]+)(?: (none|mean|\S)(?= |$))?", setting, hint)


def set_places(command: type[Any]) -> dict[str, str]:
    """The `--set` of each setting that has no flag, by the flag it would have.

    Arguments:
        command: the dataclass of the flags.
    """
    from rhapsode.workflows.runs.requested_settings import setting_places

    flags = {field.name for field in dataclasses.fields(command)}
    return {
        f"--{name.replace('_', '-')}": f"--set {place}"
        for name, place in setting_places().items()
        if name not in flags
    }
