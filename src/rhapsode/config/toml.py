"""Settings files: TOML in and out, and `section.key=value` on the command line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rhapsode.errors import SettingsError

__all__ = ["apply_assignments", "dump_toml", "merge", "read_toml"]


def read_toml(path: Path) -> dict[str, Any]:
    """The mapping in a TOML file.

    Raises:
        SettingsError: the file is missing or is not TOML (with line and column).
    """
    import tomllib  # late, as what writes: most commands read no settings file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError("no such settings file", where=str(path)) from None
    except IsADirectoryError:
        raise SettingsError(
            "a settings file is needed, this is a folder", where=str(path)
        ) from None
    except UnicodeDecodeError as problem:
        raise SettingsError(f"not UTF-8 text (byte {problem.start})", where=str(path)) from None
    except RecursionError:
        raise SettingsError("not valid TOML: nested too deeply", where=str(path)) from None
    except ValueError as problem:
        raise SettingsError(f"not valid TOML: {problem}", where=str(path)) from None
    except OSError as problem:
        raise SettingsError(f"cannot read: {problem.strerror}", where=str(path)) from None


def dump_toml(mapping: Mapping[str, Any]) -> str:
    """TOML text of a plain mapping."""
    import tomli_w

    return tomli_w.dumps(mapping)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `over` laid on top, section by section."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            merge(below, value)
            if isinstance(below, Mapping) and isinstance(value, Mapping)
            else value
        )
    return merged


def apply_assignments(mapping: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """`mapping` with each `section.key=value` entered; values are TOML, bare words are text.

    Raises:
        SettingsError: an assignment without `=` or without a name.
    """
    result = dict(mapping)
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        keys = [key.strip() for key in name.split(".")]
        if not equals or not all(keys):
            raise SettingsError(
                f"cannot read {assignment!r}", where="--set", hint="write section.key=value"
            )
        nested: Any = _value(value.strip())
        for key in reversed(keys):
            nested = {key: nested}
        result = merge(result, nested)
    return result


def _value(text: str) -> Any:
    import tomllib

    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text
