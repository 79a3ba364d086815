"""The same run with several seeds, and the spread of the results."""

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

MOST = 1000
LARGEST_SEED = 2**63 - 1
SPREAD = (
    "loss",
    "perplexity",
    "bits_per_byte",
    "bits_per_character",
    "network_loss",
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
    config = RunFolder(Path(folder)).config
    run = read_toml(config).get("run") if config.is_file() else None
    return isinstance(run, Mapping) and "repeat" in run


def repeat(
    sources: tuple[str, ...],
    settings: Mapping[str, Any],
    count: int | None,
    run: Callable[[Training], bool],
    *,
    output: str | None = None,
    resume: bool = False,
    base: str | Path | None = None,
    spent: float = 0.0,
) -> tuple[Path, dict[str, Any] | None]:
    """Train with several seeds, one after the other.

    Each seed takes the whole budget. The folder gets a run folder `seed-N` for every seed and, in
    the end, a `summary.json` over all of them. The first seed is the requested one, else 1. When
    resumed, finished runs stay as they are, an unfinished one continues, and missing ones are made.

    Arguments:
        sources: to learn from; may be left out with `resume`.
        settings: of training by name.
        count: of the seeds, 2 or more; with `resume`, None or the same as before.
        run: trains to the end and finishes; False when it was interrupted, which ends it here too.
        output: the outer folder.
        resume: go on in `output`.
        base: a run folder or model file to begin as.
        spent: seconds of the first run's budget that have gone already.

    Returns:
        The outer folder, and the contents of its `summary.json`; None when interrupted.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    began = time.monotonic() - spent
    if join_group().size > 1:
        raise SettingsError(
            "repeated runs cannot use several processes",
            where="--repeat",
            hint="start the processes once for each seed",
        )
    if resume:
        outer, sources, settings, seeds, base = _resumed(output, sources, settings, count, base)
    else:
        if count is None or not 2 <= count <= MOST:
            raise SettingsError(
                f"a run is repeated 2 to {MOST} times, not {count}", where="--repeat"
            )
        outer = RunFolder.place(output, sources or ("",))
        first = settings.get("seed", 1)
        if type(first) is not int or not 0 <= first <= LARGEST_SEED - count:
            raise SettingsError(f"no {count} seeds begin with {first!r}", where="seed")
        seeds = range(first, first + count)
    for number, seed in enumerate(seeds, 1):
        folder = RunFolder(outer.path / f"seed-{seed}")
        if folder.summary.exists():
            continue
        log.info(f"seed {seed}, {number} of {len(seeds)}:")
        begun = folder.config.exists()
        if not begun:
            # A run that is killed while its folder is made leaves empty folders.
            for path in (folder.checkpoint.parent, folder.path):
                with contextlib.suppress(OSError):
                    path.rmdir()
        training = prepare_training(
            () if begun else sources,
            {} if begun else merge(settings, {"seed": seed}),
            output=folder.path,
            resume=begun,
            base=None if begun else base,
            spent=time.monotonic() - began,
        )
        if not outer.config.exists():  # all input is good
            _write_config(outer, sources, settings, seeds, base)
        if not run(training):
            return outer.path, None
        began = time.monotonic()
    summary = repeated_summary(outer.path, seeds)
    outer.write_summary(summary)
    return outer.path, summary


def repeated_summary(outer: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Mean and standard deviation over the finished runs of some seeds.

    Arguments:
        outer: the folder that holds them.
        seeds: which.

    Returns:
        For each figure `mean`, `std` (with n - 1), `min`, `max`; and `runs`, with the figures of
        each. `network_loss` is that of the network alone, which is `loss` where a run has no n-gram
        model mixed in. Series have `mase` and `crps`.
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
    spreads = {
        name: _spread([run[name] for run in runs if run[name] is not None]) for name in SPREAD
    }
    return {"repeat": len(runs), **spreads, "runs": runs, "rhapsode": __version__}


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if len(values) < 2:
        return None
    return {
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values),
        "min": min(values),
        "max": max(values),
    }


def _resolved(source: str) -> str:
    return str(Path(source).resolve()) if Path(source).exists() else source


def _write_config(
    outer: RunFolder,
    sources: tuple[str, ...],
    settings: Mapping[str, Any],
    seeds: Sequence[int],
    base: str | Path | None,
) -> None:
    run: dict[str, Any] = {
        "sources": [_resolved(source) for source in sources],
        "repeat": len(seeds),
        "first_seed": seeds[0],
        "rhapsode": __version__,
    }
    if base is not None:
        run["from"] = str(Path(base).resolve())
    text = dump_toml({"run": run, **settings})
    write_atomically(outer.config, text.encode("utf-8", "backslashreplace"))


def _resumed(
    output: str | None,
    sources: tuple[str, ...],
    settings: Mapping[str, Any],
    count: int | None,
    base: str | Path | None,
) -> tuple[RunFolder, tuple[str, ...], dict[str, Any], Sequence[int], str | None]:
    """The runs begun in an outer folder, as noted in `config.toml`."""
    if output is None:
        raise SettingsError("--resume needs the run folder", hint="name it with -o")
    outer = RunFolder(Path(output))
    if outer.summary.exists():
        raise RunError("these runs are finished", where=output, hint="start new ones elsewhere")
    if not is_repeated(outer.path):
        raise RunError("there are no repeated runs here to resume", where=output)
    noted = read_toml(outer.config)
    try:
        run = noted.pop("run")
        known, number, first = (
            tuple(map(str, run["sources"])),
            int(run["repeat"]),
            int(run["first_seed"]),
        )
        began_as = None if run.get("from") is None else str(run["from"])
    except (KeyError, TypeError, ValueError):
        raise RunError("the section [run] is missing or damaged", where=str(outer.path)) from None
    changed = None
    if merge(noted, settings) != noted or count not in (None, number) or base is not None:
        changed = "settings"
    elif sources and tuple(map(_resolved, sources)) != known:
        changed = "sources"
    if changed:
        raise RunError(
            f"resumed runs keep their {changed}",
            where=output,
            hint="leave them out, or start new runs",
        )
    return outer, known, noted, range(first, first + number), began_as
