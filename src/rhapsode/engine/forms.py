"""Models that the compiled engine can run, and reasons against others.

Importing this module compiles nothing.
"""

import dataclasses
from typing import Any

from rhapsode.bundle import Bundle
from rhapsode.config import from_mapping
from rhapsode.errors import BundleError
from rhapsode.models.families import FAMILIES, EngineForm

# Elements of the widest window that is read again for every element.
WIDEST = 8192


def full_name(name: str) -> str:
    """A component's name with its version; the first where it has none."""
    return name if "." in name else f"{name}.v1"


def unsupported_form(bundle: Bundle[Any, Any]) -> str | None:
    """The reason why the engine cannot run a model, or None."""
    if bundle.network is None:
        return "the model has no network"
    config = bundle.config
    for part, known in (
        (config.input, ("table.v1", "onehot.v1", "adaptive_table.v1")),
        (config.model, tuple(FAMILIES.names())),
        (config.head, ("categorical.v1", "adaptive.v1")),
    ):
        if full_name(part.name) not in known:
            return f"no implementation of {part.name}"
    if config.conditioner is not None:
        return f"no implementation of {full_name(config.conditioner.name)}"
    if config.source is not None:
        return "it has no implementation of attention to a source"
    try:
        form = engine_form(bundle)
    except BundleError:  # the packing tells what is wrong
        return None
    if form is None and FAMILIES.get(config.model.name).fixed_window({}) is not None:
        return f"{config.model.name.partition('.')[0]} runs only with a window:N context"
    if form is None:
        return f"no implementation of {config.model.name}"
    if bundle.context.size > WIDEST:
        return f"windows may have at most {WIDEST} elements"
    return None


def engine_form(bundle: Bundle[Any, Any]) -> EngineForm | None:
    """The engine form of a model of a registered family, or None.

    Raises:
        BundleError: a setting that the family lacks, or out of range.
    """
    component = bundle.config.model
    family = FAMILIES.get(component.name)
    settings = from_mapping(
        family.Config,
        {"input_size": 1, **component.settings},
        where=f"[network] of {component.name}",
        error=BundleError,
    )
    return family.engine_form(dataclasses.asdict(settings), bundle.context)
