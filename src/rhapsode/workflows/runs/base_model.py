"""The base model of a run, and its settings."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rhapsode.bundle import bundle_path, read_bundle
from rhapsode.config import merge
from rhapsode.errors import SettingsError
from rhapsode.modalities.choose import AnyModality
from rhapsode.training import Group
from rhapsode.training.planner import BaseModel, base_of
from rhapsode.workflows.runs.run_folder import ResumedRun


def base_of_run(
    base: str | Path | None, resumed: ResumedRun | None, group: Group
) -> BaseModel | None:
    """The model that a run starts or started from, or None.

    None stands for fresh weights.
    """
    sha256 = None
    if resumed is not None:
        start = resumed.start
        if start is None:
            return None
        if resumed.going_on and resumed.has_model:
            # The run's own file has the same elements and network; the first model may be gone by
            # now.
            with group.copied(resumed.folder.model) as file:
                own: Any = read_bundle(file)
                return replace(
                    base_of(file, own),
                    path=Path(start["model"]),
                    sha256=start["sha256"],
                    line=own.provenance.ancestors,
                )
        base, sha256 = start["model"], start["sha256"]
    if base is None:
        return None
    return base_of(bundle_path(base), read_bundle(base), sha256=sha256)


def with_base(asked: Mapping[str, Any], base: BaseModel, modality: AnyModality) -> dict[str, Any]:
    """The requested settings, completed with those of the base model."""
    decided = modality.decided(base.bundle)
    differing = list(_differences(asked, decided, modality))
    if differing:
        raise SettingsError(
            f"set by the base model: {', '.join(differing)}",
            where="--from",
            hint="leave it out, or train a new model without --from",
        )
    return merge(merge(modality.suggested(base.bundle), asked), decided)


def _differences(
    asked: Mapping[str, Any], decided: Mapping[str, Any], modality: AnyModality
) -> Iterator[str]:
    """Settings asked for that differ, as "network.hidden_size is 512, not 64"."""
    for section, fixed in decided.items():
        wanted = asked.get(section)
        if wanted is None:
            continue
        if not isinstance(fixed, Mapping):
            if not modality.alike(section, wanted, fixed):
                yield f"{section} is {fixed}, not {wanted}"
            continue
        for name, value in wanted.items() if isinstance(wanted, Mapping) else ():
            has = fixed.get(name)
            if name not in fixed and section not in modality.decides_all_of:
                continue
            if not modality.alike(f"{section}.{name}", value, has):
                yield f"{section}.{name} is {'not set' if has is None else has}, not {value}"
