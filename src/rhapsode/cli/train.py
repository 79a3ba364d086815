"""Train a model on data, and write a run folder.

The data are files, folders, archives or named corpora. Files may contain text in any character
encoding, and may be compressed or inside zip or tar archives. For records (JSON, JSON Lines, CSV,
TSV, Parquet), --field or --template selects the text. A table of numbers (CSV, TSV, Parquet, .npy,
JSON records with times) is read as time series; --set series.time_column='["date"]' and similar
settings override the detected columns.

The last tenth of the data is held out and scored once, at the end. Samples are shown during
training. Ctrl-C stops and saves the run; --resume continues it.

Presets for --config, each a well-known model with its own settings:

{presets}
"""

import re
import sys
import time
from dataclasses import dataclass
from typing import Annotated, Any

import rhapsode as rh
from rhapsode.cli.console import note, stderr
from rhapsode.cli.parse import Typed, set_places, typed_of
from rhapsode.config import (
    Positional,
    Repeated,
    RunSettings,
    SourceSettings,
    option,
    requested_settings,
)
from rhapsode.errors import RhapsodeError, SettingsError


@dataclass(frozen=True)
class TrainCommand(SourceSettings, RunSettings):
    """Options."""

    sources: Positional[Annotated[tuple[str, ...], option("SOURCE", "")]] = ()
    """Files, folders, patterns such as "*.txt", - for standard input, or names listed by `rhapsode
    data list`; an existing path takes precedence."""
    output: Annotated[str | None, option("RUN", "runs/<name of the source>", alias="-o")] = None
    """Run folder: the model, its settings and its metrics; it must not exist yet."""
    config: Annotated[str | None, option("FILE.toml|PRESET", "none")] = None
    """Settings file, for example the config.toml of another run, or the name of a preset; flags
    take precedence."""
    set: Annotated[Repeated[tuple[str, ...]], option("SECTION.KEY=VALUE", "none")] = ()
    """Value of any setting, for example network.hidden_size=256 or training.learning_rate=0.002;
    may be repeated."""
    resume: bool = False
    """Continue the run in -o exactly from its last checkpoint. A larger --budget, --epochs or
    --steps lengthens it, also if it is finished: the limit covers the whole run, and the learning
    rate is warmed up again."""
    from_: Annotated[str | None, option("MODEL", "random weights", name="from")] = None
    """Fine-tune this base model (a run folder or model file): its encoding and network are used,
    training begins with its weights, and the learning rate is lower."""
    plan: bool = False
    """Print the planned settings with their reasons, in the format of --config, and stop; no file
    is written."""
    repeat: Annotated[int | None, option("N", "one run")] = None
    """Train with N consecutive seeds, from --seed (or 1), each in its own folder inside -o and with
    the whole budget; then report mean and spread. With --resume, missing runs are added."""

    def run(self, typed: Typed, began: float) -> None:
        try:
            self._run(typed, began)
        except RhapsodeError as problem:
            problem.hint = problem.hint and in_settings(problem.hint)
            raise

    def _run(self, typed: Typed, began: float) -> None:
        if not self.sources and not self.resume:
            raise SettingsError(
                "no source was given", where="train", hint="name a text file, a folder or a corpus"
            )
        flags = typed_of(typed, RunSettings)
        if source := typed_of(typed, SourceSettings):
            flags["source"] = source
        settings = requested_settings(self.config, self.set, flags)
        if self.plan:
            if self.resume or self.repeat is not None:
                raise SettingsError(
                    "a plan describes one new run",
                    where="--plan",
                    hint="leave out --resume and --repeat",
                )
            sys.stdout.write(rh.plan(*self.sources, base=self.from_, **settings).toml())
            return
        how: dict[str, Any] = {
            "output": self.output,
            "resume": self.resume,
            "base": self.from_,
            "spent": time.monotonic() - began,
        }
        again = self.resume and self.output is not None and rh.is_repeated(self.output)
        train = self._train if self.repeat is None and not again else self._train_repeatedly
        if not train(settings, how):
            raise SystemExit(130)

    def _train(self, settings: dict[str, Any], how: dict[str, Any]) -> bool:
        from rhapsode.cli.watch import run_training

        training = rh.prepare(self.sources, settings, **how)
        finished = run_training(training)
        if finished:
            note(f"\nnext:  {training.run.modality.next_command(training.folder.path)}")
        return finished

    def _train_repeatedly(self, settings: dict[str, Any], how: dict[str, Any]) -> bool:
        from rhapsode.cli.watch import run_training
        from rhapsode.views.terminal.model_tables import seeds_table

        folder, summary = rh.repeat(self.sources, settings, self.repeat, run_training, **how)
        if summary is None:
            note(f"continue all seeds with: rhapsode train -o {folder} --resume")
            return False
        stderr().print()
        stderr().print(seeds_table(summary, f"{summary['repeat']} seeds ({folder})"))
        return True


def in_settings(hint: str) -> str:
    """Rewrite flags in a hint to `--set` if the command lacks them."""
    # The places of all settings take time to load.
    own = {f"--{name.strip('_').replace('_', '-')}" for name in TrainCommand.__dataclass_fields__}
    if own.issuperset(re.findall(r"--[a-z-]+", hint)):
        return hint
    places = set_places(TrainCommand)

    def setting(found: re.Match[str]) -> str:
        place, value = places.get(found[1]), found[2]
        if place is None:
            return found[0]
        return f"{place}={value}" if value else place

    return re.sub(r"(--[a-z-]+)(?: (none|sum|mean|\S)(?=[ ,]|$))?", setting, hint)
