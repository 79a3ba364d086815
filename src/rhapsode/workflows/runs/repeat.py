"""The same run with several seeds, and how far apart the seeds lie."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rhapsode import __version__
from rhapsode.config import dump_toml, merge, read_toml
from rhapsode.errors import RunError, SettingsError
from rhapsode.files import write_atomically
from rhapsode.log import log
from rhapsode.training import join_group
from rhapsode.workflows.runs.run import prepare_training
from rhapsode.workflows.runs.run_folder import RunFolder
from rhapsode.workflows.runs.training import Training

__all__ = ["is_repeated", "repeat", "repeated_summary"]

MOST = 1000
LARGEST_SEED = 2**63 - 1
SPREAD = (
    "loss",
    "perplexity",
    "bits_per_byte",
    "bits_per_character",
    "network_loss",
    "ngram_share",
    "mase",
    "crps",
    "validation_loss",
    "seconds",
)


def is_repeated(folder: str | Path) -> bool:
    """True if a folder holds the runs of several seeds.

    Raises:
        SettingsError: its `config.toml` is damaged.
    """
    config = Path(folder) / "config.toml"
    if not config.is_file():
        return False
    run = read_toml(config).get("run")
    return isinstance(run, Mapping) and "repeat" in run


def repeat(
    sources: tuple[str, ...],
    asked: Mapping[str, Any],
    count: int | None,
    run: Callable[[Training], bool],
    *,
    output: str | None = None,
    resume: bool = False,
    start: str | Path | None = None,
    spent: float = 0.0,
) -> tuple[Path, dict[str, Any] | None]:
    """Train with several seeds, one behind the other; each takes the whole budget.

    The folder gets `seed-N`, a run folder, for every seed, and in the end a `summary.json` over all of them. The
    first seed is the one asked for, else 1. Resumed, finished runs stay as they are, a begun one goes on, and those
    that are missing are made.

    Arguments:
        sources: what to learn from; may be left out with `resume`.
        asked: settings by name.
        count: how many seeds, 2 or more; with `resume`, None or the same as before.
        run: trains to the end and finishes; False when it was interrupted, which ends it here too.
        output: the outer folder.
        resume: go on in `output`.
        start: a run folder or model file to begin as.
        spent: seconds of the first run's budget that are gone already.

    Returns:
        The outer folder, and what its `summary.json` holds; None when interrupted.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    began = time.monotonic() - spent
    if join_group().size > 1:
        raise SettingsError(
            "several processes train one run, not repeated ones",
            where="--repeat",
            hint="start them once for every seed",
        )
    if resume:
        outer, sources, asked, seeds, start = _found(output, sources, asked, count, start)
    else:
        if count is None or not 2 <= count <= MOST:
            raise SettingsError(
                f"a run is repeated 2 to {MOST} times, not {count}", where="--repeat"
            )
        outer = RunFolder.place(output, sources or ("",)).path
        first = asked.get("seed", 1)
        if type(first) is not int or not 0 <= first <= LARGEST_SEED - count:
            raise SettingsError(f"no {count} seeds begin with {first!r}", where="seed")
        seeds = [first + index for index in range(count)]
    made = outer.exists()
    for number, seed in enumerate(seeds, 1):
        folder = outer / f"seed-{seed}"
        if (folder / "summary.json").exists():
            continue
        log.info(f"seed {seed}, {number} of {len(seeds)}:")
        going_on = (folder / "config.toml").exists()
        if not going_on:
            # A run that is killed while its folder is made leaves empty folders.
            for path in (folder / "checkpoints", folder):
                with contextlib.suppress(OSError):
                    path.rmdir()
        how: dict[str, Any] = {
            "output": str(folder),
            "resume": going_on,
            "spent": time.monotonic() - began,
        }
        words = () if going_on else sources
        settings = {} if going_on else merge(asked, {"seed": seed})
        training = prepare_training(words, settings, start=None if going_on else start, **how)
        if not made:  # all input has been found good
            _note(outer, sources, asked, seeds, start=start)
            made = True
        if not run(training):
            return outer, None
        began = time.monotonic()
    summary = repeated_summary(outer, seeds)
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    write_atomically(outer / "summary.json", text.encode())
    return outer, summary


def repeated_summary(outer: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Mean and standard deviation over the finished runs of some seeds.

    Arguments:
        outer: the folder that holds them.
        seeds: which.

    Returns:
        For each figure `mean`, `std` (with n - 1), `min`, `max`; and `runs`, with the figures of each. `network_loss` is
        that of the network alone, which is `loss` where a run has no n-gram model mixed in. Series have `mase` and `crps`.
    """
    runs = []
    for seed in seeds:
        one = json.loads((outer / f"seed-{seed}" / "summary.json").read_text(encoding="utf-8"))
        forecasts = one.get("forecasts")
        if not forecasts:
            one["network_loss"] = (one.get("network") or one).get("loss")
        else:
            own = forecasts["methods"]["model"]
            one.update(mase=own["mase"], crps=own["crps"])
        figures = {name: one.get(name) for name in (*SPREAD, "steps")}
        runs.append({"seed": seed, "folder": f"seed-{seed}", **figures})
    spreads: dict[str, Any] = {}
    for name in SPREAD:
        values = [run[name] for run in runs if run[name] is not None]
        spreads[name] = None
        if len(values) >= 2:
            spreads[name] = {
                "mean": statistics.fmean(values),
                "std": statistics.stdev(values),
                "min": min(values),
                "max": max(values),
            }
    return {"repeat": len(runs), **spreads, "runs": runs, "rhapsode": __version__}


def _named(source: str) -> str:
    """A source wherever one stands."""
    return str(Path(source).resolve()) if Path(source).exists() else source


def _note(
    outer: Path,
    sources: tuple[str, ...],
    asked: Mapping[str, Any],
    seeds: Sequence[int],
    *,
    start: str | Path | None,
) -> None:
    """Write the outer `config.toml`, from which it can be resumed."""
    run: dict[str, Any] = {
        "sources": [_named(source) for source in sources],
        "repeat": len(seeds),
        "first_seed": seeds[0],
        "rhapsode": __version__,
    }
    if start is not None:
        run["from"] = str(Path(start).resolve())
    text = dump_toml({"run": run, **asked})
    write_atomically(outer / "config.toml", text.encode("utf-8", "backslashreplace"))


def _found(
    output: str | None,
    sources: tuple[str, ...],
    asked: Mapping[str, Any],
    count: int | None,
    start: str | Path | None,
) -> tuple[Path, tuple[str, ...], dict[str, Any], list[int], str | None]:
    """The runs that began in an outer folder, as it notes them."""
    if output is None:
        raise SettingsError("--resume needs the run folder", hint="name it with -o")
    outer = Path(output)
    if (outer / "summary.json").exists():
        raise RunError("these runs are finished", where=output, hint="start new ones elsewhere")
    if not is_repeated(outer):
        raise RunError("there are no repeated runs here to resume", where=output)
    kept = read_toml(outer / "config.toml")
    try:
        run = kept.pop("run")
        known, number, first = (
            tuple(map(str, run["sources"])),
            int(run["repeat"]),
            run["first_seed"],
        )
        seeds = [int(first) + index for index in range(number)]
        began_as = None if run.get("from") is None else str(run["from"])
    except (KeyError, TypeError, ValueError):
        raise RunError("the section [run] is missing or damaged", where=str(outer)) from None
    if merge(kept, asked) != kept or count not in (None, number) or start is not None:
        raise RunError(
            "resumed runs keep their settings",
            where=output,
            hint="leave them out, or start new runs",
        )
    if sources and tuple(_named(source) for source in sources) != known:
        raise RunError(
            "resumed runs keep their sources",
            where=output,
            hint="leave them out, or start new runs",
        )
    return outer, known, kept, seeds, began_as
