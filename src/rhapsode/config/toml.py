"""Settings files, presets and `section.key=value` assignments, in TOML."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rhapsode.config.registries import suggest
from rhapsode.errors import SettingsError

# A run has one of these settings at most.
LENGTHS = ("budget", "epochs", "steps")
PRESETS = Path(__file__).parent.parent / "configs"


def read_toml(path: Path) -> dict[str, Any]:
    """The mapping in a TOML file.

    Raises:
        SettingsError: the file is missing or is not TOML (with line and column).
    """
    import tomllib  # late: most commands read no settings file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = "no such settings file"
    except IsADirectoryError:
        problem = "a settings file is needed, this is a folder"
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 text (byte {error.start})"
    except RecursionError:
        problem = "not valid TOML: nested too deeply"
    except ValueError as error:
        problem = f"not valid TOML: {error}"
    except OSError as error:
        problem = f"cannot read: {error.strerror}"
    raise SettingsError(problem, where=str(path))


def dump_toml(mapping: Mapping[str, Any]) -> str:
    """TOML text of a plain mapping."""
    import tomli_w

    return tomli_w.dumps(mapping)


def presets() -> dict[str, str]:
    """The first line of each preset's file, by name."""
    lines = {path.stem: path.read_text(encoding="utf-8") for path in sorted(PRESETS.glob("*.toml"))}
    return {name: text.partition("\n")[0].lstrip("# ").rstrip(". ") for name, text in lines.items()}


def read_settings(name: str) -> dict[str, Any]:
    """Mapping in a settings file, or in the preset of that name.

    An existing file takes precedence.

    Raises:
        SettingsError: neither file nor preset, or no TOML (with line and column).
    """
    from rhapsode.files import is_there

    path, known = Path(name), presets()
    if name in known and not path.is_file():
        path = PRESETS / f"{name}.toml"
    if not is_there(path):
        raise SettingsError(
            "no such settings file, nor a preset", where=name, hint=suggest(name, list(known))
        )
    return read_toml(path)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `over` laid on top, section by section."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(merged[key], value) if both else value
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


def requested_settings(
    file: str | None, assignments: Sequence[str], typed: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings of training by name: flags over assignments over the file.

    Arguments:
        file: a settings file or preset.
        assignments: each "section.key=value".
        typed: values of flags, also of those that repeat a default.

    Raises:
        SettingsError: a file or assignment that cannot be read.
    """
    base = {} if file is None else read_settings(file)
    base.pop("run", None)  # facts about its own run, in a config.toml
    # A head or an encoding replaces the file's, with all settings of the head.
    names_head = any(word.partition("=")[0].strip() == "head.name" for word in assignments)
    encoding = base.get("encoding", "auto")
    if names_head and encoding == "binned":
        del base["encoding"]
    if names_head or typed.get("encoding", encoding) != encoding:
        base.pop("head", None)
    if any(name in typed for name in LENGTHS):
        base = {name: value for name, value in base.items() if name not in LENGTHS}
    return merge(apply_assignments(base, assignments), typed)
