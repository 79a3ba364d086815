"""Settings files that come with the package, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rhapsode.config.registries import suggest
from rhapsode.config.toml import read_toml
from rhapsode.errors import SettingsError

__all__ = ["presets", "read_settings"]

FOLDER = Path(__file__).parent.parent / "configs"


def presets() -> dict[str, str]:
    """What each preset is, by name: the first line of its file."""
    found: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        with path.open(encoding="utf-8") as file:
            found[path.stem] = file.readline().lstrip("# ").rstrip(". \n")
    return found


def read_settings(name: str) -> dict[str, Any]:
    """The mapping in a settings file, or in the preset of that name; a file that exists wins.

    Raises:
        SettingsError: neither file nor preset, or no TOML (with line and column).
    """
    path = Path(name)
    preset = FOLDER / f"{name}.toml"
    try:
        there = path.is_file()
    except (OSError, ValueError):
        there = False
    if not there and preset.parent == FOLDER and preset.is_file():
        return read_toml(preset)
    if not there and not path.is_dir():
        raise SettingsError(
            "no such settings file, nor a preset", where=name, hint=suggest(name, list(presets()))
        )
    return read_toml(path)
