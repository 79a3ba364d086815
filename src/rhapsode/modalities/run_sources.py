"""Sources and settings that a run folder names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rhapsode.config import read_toml
from rhapsode.errors import RunError


@dataclass(frozen=True)
class RunSources:
    """The data of a run, as its folder names it.

    Arguments:
        sources: paths and names.
        sha256: of the data at the time of the run.
        settings: of the run, as plain values.
        file: that names them.
    """

    sources: tuple[str, ...]
    sha256: str
    settings: dict[str, Any]
    file: Path

    @classmethod
    def beside(cls, model: Path) -> RunSources:
        """The sources of the run that wrote a model file.

        Raises:
            RunError: the file lies in no run folder, or the folder is damaged.
        """
        config = model.parent / "config.toml"
        if not config.exists():
            raise RunError(
                "there is no config.toml beside the model to name its sources",
                where=str(model),
                hint="prompts from data need the run folder",
            )
        kept = read_toml(config)
        try:
            run = kept.pop("run")
            return cls(tuple(map(str, run["sources"])), str(run["sha256"]), kept, config)
        except (KeyError, TypeError):
            raise RunError("the section [run] is missing or damaged", where=str(config)) from None
