"""The files of a run folder, and resumption of its run."""

import contextlib
import itertools
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self, TextIO

from rhapsode.config import DEFAULT_BUDGET, dump_toml, parse_duration, read_toml
from rhapsode.errors import RunError, SettingsError
from rhapsode.files import clear_scratch, first_line, write_atomically
from rhapsode.training.events import Evaluated, Event, Sampled, Step
from rhapsode.views.figures import plural

# Characters of the name of a run that is named by its source; systems take names of 255 bytes.
_LONGEST = 60
_SAMPLES_TITLE = b"# What the model wrote as it learned\n"
# Settings of the length of a run, of which one is given.
LIMITS = ("budget", "epochs", "steps")


class RunFolder:
    """The folder with the files of a run.

    Of several processes only the first need see it.

    Arguments:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._log: TextIO | None = None
        self.move_to(path)

    def move_to(self, path: Path) -> None:
        """Name the files of another folder."""
        self.path = path
        self.model = path / "model.safetensors"
        self.checkpoint = path / "checkpoints" / "last.safetensors"
        self.config = path / "config.toml"
        self.metrics = path / "metrics.jsonl"
        self.samples = path / "samples.md"
        self.summary = path / "summary.json"
        self.card = path / "README.md"
        self.curve = path / "curve.svg"
        self.tensorboard = path / "tensorboard"

    @classmethod
    def place(cls, output: str | None, sources: Sequence[str]) -> Self:
        """The folder a new run will get; nothing is made yet.

        Raises:
            RunError: `output` exists already.
        """
        if output is not None:
            path = Path(output)
            if path.exists() or path.is_symlink():
                raise RunError(
                    "this folder exists already",
                    where=output,
                    hint="continue the run with --resume, or choose another name",
                )
            return cls(path)
        stem = Path(sources[0]).name
        while Path(stem).suffix and not stem.startswith("."):
            stem = Path(stem).stem
        name = re.sub(r"[^\w.-]+", "-", stem)[:_LONGEST].strip("-.") or "run"
        names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        paths = (Path("runs") / name for name in names)
        return cls(next(path for path in paths if not path.exists()))

    def create(self, config: Mapping[str, Any], sources: Sequence[str] = ()) -> Path:
        """Make the folder with its settings, whole or not at all.

        Arguments:
            config: the settings.
            sources: names it may be numbered by, if another run has made it meanwhile.

        Returns:
            The folder that was made.

        Raises:
            RunError: it cannot be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                prefix=f".{self.path.name}-", dir=self.path.parent, ignore_cleanup_errors=True
            ) as scratch:
                made = RunFolder(Path(scratch))
                made.checkpoint.parent.mkdir()
                write_atomically(made.config, dump_toml(config).encode("utf-8", "backslashreplace"))
                write_atomically(made.samples, _SAMPLES_TITLE)
                write_atomically(made.metrics, b"")
                made.path.chmod(0o755)
                while True:
                    try:
                        made.path.rename(self.path)
                        break
                    except OSError:
                        if not sources or not self.path.exists():
                            raise
                        self.move_to(self.place(None, sources).path)
        except OSError as problem:
            raise RunError(
                f"cannot make the run folder: {problem.strerror}", where=str(self.path)
            ) from None
        return self.path

    def rewind(self, step: int) -> None:
        """Drop metrics and samples after `step`, and torn writes.

        Raises:
            RunError: a file is missing or damaged, or cannot be written.
        """
        for folder in (self.path, self.checkpoint.parent):
            clear_scratch(folder)
        try:
            kept: list[str] = []
            size = len(_SAMPLES_TITLE)
            for line in self.metrics.read_text(encoding="utf-8").splitlines(keepends=True):
                entry = json.loads(line) if line.endswith("\n") else {"step": step + 1}
                if entry["step"] <= step:
                    kept.append(line)
                    size = entry.get("samples_bytes", size)
            write_atomically(self.metrics, "".join(kept).encode())
            write_atomically(self.samples, self.samples.read_bytes()[:size])
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise RunError(
                f"the record of the run is missing or damaged ({first_line(problem)})",
                where=str(self.metrics),
            ) from None

    def record(self, event: Event) -> None:
        """Keep an event in `metrics.jsonl` or `samples.md`.

        Raises:
            RunError: the disk is full.
        """
        try:
            if isinstance(event, Step | Evaluated):
                kind = "step" if isinstance(event, Step) else "evaluation"
                entry = asdict(event)
                # Only some kinds of data have further measures.
                if entry.get("measures", ...) is None:
                    del entry["measures"]
                self._write_metrics({"event": kind, **entry})
            elif isinstance(event, Sampled):
                with self.samples.open("a", encoding="utf-8", newline="\n") as file:
                    file.write(_samples_section(event))
                    size = file.tell()
                self._write_metrics({"event": "samples", "step": event.step, "samples_bytes": size})
        except OSError as problem:
            raise RunError(f"cannot write: {problem.strerror}", where=str(self.path)) from None

    def lengthen(self, config: Mapping[str, Any], step: int, elapsed: float) -> None:
        """Record that the run goes on with another limit.

        It is no longer finished.

        Arguments:
            config: contents of `config.toml`.
            step: updates done.
            elapsed: seconds spent.

        Raises:
            RunError: a file cannot be written.
        """
        try:
            with self.samples.open("ab") as file:
                file.write(f"\n# Lengthened after step {step}\n".encode())
                size = file.tell()
            entry = {"event": "lengthened", "step": step, "elapsed": elapsed, "samples_bytes": size}
            self._write_metrics(entry)
            self.summary.unlink(missing_ok=True)
            write_atomically(self.config, dump_toml(config).encode("utf-8", "backslashreplace"))
        except OSError as problem:
            raise RunError(f"cannot write: {problem.strerror}", where=str(self.path)) from None

    def _write_metrics(self, entry: Mapping[str, Any]) -> None:
        if self._log is None:
            # By lines, so that lines newer than the checkpoint survive a kill.
            self._log = self.metrics.open("a", encoding="utf-8", newline="\n", buffering=1)
        self._log.write(json.dumps(entry) + "\n")

    def secure(self) -> None:
        """Sync the records, so that no checkpoint is ahead of them.

        Raises:
            RunError: the disk is full.
        """
        try:
            for path in (self.metrics, self.samples):
                with path.open("ab") as file:
                    os.fsync(file.fileno())
        except OSError as problem:
            raise RunError(f"cannot write: {problem.strerror}", where=str(self.path)) from None

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            # Every line has been written by itself; what failed to be written has been told.
            with contextlib.suppress(OSError):
                self._log.close()
            self._log = None

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`."""
        write_atomically(
            self.summary, (json.dumps(summary, indent=2, ensure_ascii=False) + "\n").encode()
        )


def _samples_section(event: Sampled) -> str:
    parts = [f"## Step {event.step}\n"]
    for temperature, text in event.texts:
        fence = "```"
        while fence in text:
            fence += "`"
        parts.append(f"\nTemperature {temperature:g}:\n\n{fence}text\n{text}\n{fence}\n")
    return "\n" + "".join(parts)


@dataclass(frozen=True)
class ResumedRun:
    """The run that began in a folder, as the folder notes it.

    Arguments:
        folder: the folder.
        sources: what it learns from.
        settings: as they were resolved.
        modality: of them.
        sha256: of the texts.
        lengthened: True if it goes on with a larger limit.
        start: the model it began as, as `config.toml` notes it; None for fresh weights.
        size: documents and characters of the texts; None in runs that do not tell.
        going_on: True if there is a checkpoint to continue from.
        has_model: True if there is a model as well.
    """

    folder: RunFolder
    sources: tuple[str, ...]
    settings: Mapping[str, Any]
    modality: str
    sha256: str
    start: Mapping[str, Any] | None = None
    size: tuple[int, int] | None = None
    lengthened: bool = False
    going_on: bool = False
    has_model: bool = False

    def check(self, sha256: str, documents: int, characters: int, noun: str) -> None:
        """Refuse other data.

        Arguments:
            sha256: of the data as they are now.
            documents: count of them now.
            characters: count of their characters now.
            noun: of the data.

        Raises:
            RunError: the texts have changed.
        """
        if sha256 == self.sha256:
            return
        change = ""
        if self.size == (documents, characters):
            change = ": the same size, but other contents"
        elif self.size is not None:
            change = f" ({_in_words(*self.size)} -> {_in_words(documents, characters)})"
        raise RunError(
            f"the {noun} is not the one this run began with{change}",
            where=str(self.folder.path),
            hint="restore it, or train on the new one from this model: --from "
            f"{self.folder.path} with another -o",
        )


def _in_words(documents: int, characters: int) -> str:
    return f"{plural(documents, 'document')} of {characters:,} characters"


def find_run(output: str | None, asked: Mapping[str, Any]) -> ResumedRun:
    """The run in a folder.

    Arguments:
        output: the folder.
        asked: settings given again; they must be those of the run, but for the device and a larger
            limit.

    Raises:
        RunError: no run there, a finished one, a limit that is not larger, or settings that differ,
            which are named.
        SettingsError: no folder was named.
    """
    if output is None:
        raise SettingsError("--resume needs the run folder", hint="name it with -o")
    folder = RunFolder(Path(output))
    if not folder.path.is_dir():
        raise RunError("there is no run here to resume", where=output)
    run = read_run(folder)
    wanted = {name: asked[name] for name in LIMITS if asked.get(name) is not None}
    known = {name: run.settings[name] for name in LIMITS if name in run.settings}
    finished = folder.summary.exists()
    lengthened = bool(wanted) and (finished or wanted != known)
    if finished and not wanted:
        raise RunError(
            "this run is finished",
            where=output,
            hint=f"lengthen it with more than {_limit(known)}, or start a new one elsewhere",
        )
    if lengthened and not _is_longer(wanted, known):
        raise RunError(
            f"{_limit(wanted)} is not more than the {_limit(known)} that this run has",
            where=output,
            hint="give more to lengthen it; the limit covers the whole run",
        )
    elsewhere = {"device": asked["device"]} if "device" in asked else {}
    settings = {name: value for name, value in run.settings.items() if name not in known}
    settings |= (wanted or known) | elsewhere
    changed = sorted(differences(settings, asked))
    if changed:
        raise RunError(
            f"a resumed run keeps its settings, these differ: {', '.join(changed)}",
            where=output,
            hint="leave them out, or start a new run",
        )
    return replace(run, settings=settings, lengthened=lengthened)


def _limit(limits: Mapping[str, Any]) -> str:
    """A limit as flags, `--budget 3m`."""
    return " ".join(f"--{name} {value}" for name, value in limits.items()) or (
        f"--budget {DEFAULT_BUDGET}"
    )


def _is_longer(wanted: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """True if a limit is larger or of another kind."""
    (name, value), *others = wanted.items()
    if others:  # refused later: only one of them can be given
        return True
    before = known.get(name, DEFAULT_BUDGET if name == "budget" and not known else None)
    if before is None:
        return True
    if name == "budget":
        return parse_duration(str(value)) > parse_duration(str(before))
    return float(value) > float(before)


def read_run(folder: RunFolder) -> ResumedRun:
    """The run in a folder, as its `config.toml` notes it.

    Raises:
        RunError: no run is there, or the runs of several seeds.
    """
    if not folder.config.exists():
        raise RunError("there is no run here to resume (no config.toml)", where=str(folder.path))
    kept = read_toml(folder.config)
    try:
        run = kept.pop("run")
        if "repeat" in run:
            raise RunError(
                "this folder holds the runs of several seeds",
                where=str(folder.path),
                hint="name one of its folders, or resume all of them with rhapsode train --resume",
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
            going_on=folder.checkpoint.exists(),
            has_model=folder.model.exists(),
        )
    except (KeyError, TypeError, ValueError):
        raise RunError(
            "the section [run] is missing or damaged", where=str(folder.config)
        ) from None


def differences(
    before: Mapping[str, Any], asked: Mapping[str, Any], path: str = ""
) -> Iterator[str]:
    """Settings asked for that differ, as "training.window (64 -> 32)"."""
    for key, value in asked.items():
        below = before.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            yield from differences(below, value, f"{path}{key}.")
        elif below != value:
            yield f"{path}{key} ({below} -> {value})"
