"""Going on with a run: only with the same text and the same settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rhapsode.config import merge
from rhapsode.errors import RunError, SettingsError
from rhapsode.workflows.runs.run_folder import RunFolder

__all__ = ["ResumedRun", "find_run", "read_run"]


@dataclass(frozen=True)
class ResumedRun:
    """What a run folder says of the run that began there.

    Arguments:
        folder: the folder.
        sources: what it learns from.
        settings: as they were resolved.
        modality: of them.
        sha256: of the texts.
        size: documents and characters of the texts; None in runs that do not tell.
        start: the model it began as, as `config.toml` notes it; None for fresh weights.
    """

    folder: RunFolder
    sources: tuple[str, ...]
    settings: Mapping[str, Any]
    modality: str
    sha256: str
    start: Mapping[str, Any] | None = None
    size: tuple[int, int] | None = None

    def check(self, sha256: str, documents: int, characters: int, noun: str) -> None:
        """Refuse other data.

        Arguments:
            sha256: of the texts as they are now.
            documents: how many there are now.
            characters: how many they have now.
            noun: of the data.

        Raises:
            RunError: the texts have changed.
        """
        if sha256 != self.sha256:
            change = ""
            if self.size == (documents, characters):
                change = ": as long as it was, but not the same"
            elif self.size is not None:
                before, now = (
                    f"{d:,} document{'' if d == 1 else 's'} of {c:,} characters"
                    for d, c in (self.size, (documents, characters))
                )
                change = f" ({before} -> {now})"
            raise RunError(
                f"the {noun} is not the one this run began with{change}",
                where=str(self.folder.path),
                hint="restore it, or start a new run",
            )


def find_run(output: str | None, sources: tuple[str, ...], asked: Mapping[str, Any]) -> ResumedRun:
    """The run in a folder.

    Arguments:
        output: the folder.
        sources: named again, or none to use those of the run.
        asked: settings given again; they must be those of the run.

    Raises:
        RunError: no run there, a finished one, or settings that differ, which are named.
        SettingsError: no folder was named.
    """
    if output is None:
        raise SettingsError("--resume needs the run folder", hint="name it with -o")
    folder = RunFolder(Path(output))
    if not folder.path.is_dir():
        raise RunError("there is no run here to resume", where=output)
    run = read_run(folder)
    if folder.summary.exists():
        raise RunError("this run is finished", where=output, hint="start a new one elsewhere")
    kept = run.settings
    merged = merge(kept, asked)
    if merged != kept:
        changed = sorted(_differences(kept, merged))
        raise RunError(
            f"a resumed run keeps its settings, these differ: {', '.join(changed)}",
            where=output,
            hint="leave them out, or start a new run",
        )
    return replace(run, sources=sources or run.sources)


def read_run(folder: RunFolder) -> ResumedRun:
    """The run in a folder, as its `config.toml` notes it.

    Raises:
        RunError: no run is there, or the runs of several seeds.
    """
    kept = folder.read_config()
    try:
        run = kept.pop("run")
        if "repeat" in run:
            raise RunError(
                "this folder holds the runs of several seeds",
                where=str(folder.path),
                hint="name one of its folders, or resume them all by rhapsode train --resume",
            )
        size = (int(run["documents"]), int(run["characters"])) if "documents" in run else None
        start = run.get("from")
        if start is not None:
            start = {"model": str(start["model"]), "sha256": str(start["sha256"]), **start}
        return ResumedRun(
            folder,
            tuple(map(str, run["sources"])),
            kept,
            str(run["modality"]),
            str(run["sha256"]),
            start,
            size,
        )
    except (KeyError, TypeError, ValueError):
        raise RunError(
            "the section [run] is missing or damaged", where=str(folder.config)
        ) from None


def _differences(kept: Mapping[str, Any], asked: Mapping[str, Any], path: str = "") -> list[str]:
    found: list[str] = []
    for key, value in asked.items():
        below = kept.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            found.extend(_differences(below, value, f"{path}{key}."))
        elif below != value:
            found.append(f"{path}{key} ({below} -> {value})")
    return found
