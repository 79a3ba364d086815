"""Filters in an explicit order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import SamplingSettings, suggest
from rhapsode.errors import SettingsError
from rhapsode.generation.filters.contract import Context, Filter, Logits, NumberFilter, Suppress
from rhapsode.generation.filters.repeats import Dry, Frequency, NoRepeatNgram, Presence, Repetition
from rhapsode.generation.filters.temperature import DynamicTemperature, Temperature
from rhapsode.generation.filters.truncation import (
    Epsilon,
    Eta,
    MinP,
    Mirostat,
    TopK,
    TopNSigma,
    TopP,
    Typical,
    Xtc,
)

CONTROL = "control"

PENALTIES = (Repetition, Frequency, Presence)
_OF_ONE_NUMBER: tuple[type[NumberFilter], ...] = (
    NoRepeatNgram,
    Temperature,
    TopNSigma,
    TopK,
    TopP,
    MinP,
    Typical,
    Epsilon,
    Eta,
)

# What drops candidates by their probability: Mirostat takes the place of all of it.
_TRUNCATION = ("top_n_sigma", "top_k", "top_p", "min_p", "typical", "epsilon", "eta", "xtc")

# Suppression comes before all of them. A ban on n-grams comes after the control steps, since it
# can give way where it would leave nothing and they cannot; apart from that the two commute.
ORDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "hf": (
            "repetition",
            "frequency",
            "presence",
            "dry",
            CONTROL,
            "no_repeat_ngram",
            "temperature",
            "dynatemp",
            "mirostat",
            "top_n_sigma",
            "top_k",
            "top_p",
            "min_p",
            "typical",
            "epsilon",
            "eta",
            "xtc",
        ),
        "vllm": (
            CONTROL,
            "no_repeat_ngram",
            "repetition",
            "frequency",
            "presence",
            "dry",
            "temperature",
            "dynatemp",
            "mirostat",
            "min_p",
            "top_k",
            "top_p",
            "top_n_sigma",
            "typical",
            "epsilon",
            "eta",
            "xtc",
        ),
        "llamacpp": (
            CONTROL,
            "no_repeat_ngram",
            "repetition",
            "frequency",
            "presence",
            "dry",
            "top_n_sigma",
            "top_k",
            "typical",
            "top_p",
            "min_p",
            "epsilon",
            "eta",
            "xtc",
            "temperature",
            "dynatemp",
            "mirostat",
        ),
    }
)

STEPS: tuple[str, ...] = tuple(step for step in ORDERS["hf"] if step != CONTROL)


class Chain:
    """Filters applied one after the other.

    Arguments:
        filters: in order; the order is part of the meaning.
        order: what the order is called.
        off: names of steps that are not in use.
    """

    def __init__(
        self, filters: Sequence[Filter], *, order: str | None = None, off: Sequence[str] = ()
    ) -> None:
        self.filters = tuple(filters)
        self.order = order
        self.off = tuple(off)

    def init(self, rows: int) -> tuple[Any, ...]:
        """The states of all filters."""
        return tuple(step.init(rows) for step in self.filters)

    def select(self, states: tuple[Any, ...], rows_R: NDArray[np.int64]) -> tuple[Any, ...]:
        """The states of some rows."""
        return tuple(
            step.select(state, rows_R) for step, state in zip(self.filters, states, strict=True)
        )

    def fork(self, states: tuple[Any, ...]) -> tuple[Any, ...]:
        """Copies of the states, independent of the original ones."""
        return tuple(step.fork(state) for step, state in zip(self.filters, states, strict=True))

    def apply(
        self,
        logits_BV: Logits,
        context: Context,
        states: tuple[Any, ...],
        removed: list[NDArray[np.int64]] | None = None,
    ) -> tuple[Logits, tuple[Any, ...]]:
        """Logits after every filter, and the states of the filters.

        The states that are passed in may be modified.

        Arguments:
            logits_BV: before the first filter.
            context: what the filters may look at.
            states: of the filters.
            removed: takes how many candidates each filter removed, (B,).
        """
        after: list[Any] = []
        for step, state in zip(self.filters, states, strict=True):
            before_BV = logits_BV
            logits_BV, state = step.apply(logits_BV, context, state)  # noqa: PLW2901
            after.append(state)
            if removed is not None:
                removed.append(
                    np.isfinite(before_BV).sum(axis=1) - np.isfinite(logits_BV).sum(axis=1)
                )
        return logits_BV, tuple(after)

    def compiled(self) -> list[tuple[str, Any]] | None:
        """Name and value of every step in compiled code.

        None if a step has no compiled form.
        """
        steps = [step.compiled() for step in self.filters]
        named = [step for step in steps if step is not None]
        return named if len(named) == len(steps) else None

    def explain(self, last: str = "draw") -> str:
        """The steps in order, in words, and what is off.

        Arguments:
            last: how an element is chosen after them.
        """
        text = " -> ".join([*(step.explain() for step in self.filters), last])
        if self.order is not None:
            text = f"order {self.order}: {text}"
        return f"{text}; off: {', '.join(self.off)}" if self.off else text


def chain_of(
    settings: SamplingSettings,
    *,
    vocab_size: int,
    suppressed: Sequence[int],
    control: Sequence[Filter] = (),
    protected: Sequence[int] = (),
    breakers: Sequence[int] = (),
    spared: Sequence[int] = (),
) -> Chain:
    """The chain that settings ask for, without the steps that are off.

    Arguments:
        settings: what to apply, and in which order.
        vocab_size: V.
        suppressed: ids never generated; they are out before anything else is weighed.
        control: filters that say what must and must not be written, in order; in the presets they
            come before temperature and truncation, in an order that does not name them first.
        protected: ids that XTC never drops: end-of-sequence and line ends.
        breakers: ids that end a repeated run for DRY.
        spared: ids that penalties on occurrences leave alone.

    Raises:
        SettingsError: a value out of range, settings that contradict each other, or an order that
            names an unknown step or leaves out one that is in use.
    """
    steps = _steps(settings, protected, breakers, spared)
    truncating = [name for name in _TRUNCATION if name in steps]
    if "mirostat" in steps and truncating:
        raise SettingsError(
            f"mirostat_tau and {', '.join(truncating)} contradict each other",
            hint="Mirostat replaces all other truncation steps",
        )
    names = _order(settings.order, steps)
    filters: list[Filter] = [Suppress(tuple(suppressed), vocab_size)] if suppressed else []
    for name in names:
        if name == CONTROL:
            filters.extend(control)
        elif name in steps:
            filters.append(steps[name])
    off = [name for name in names if name not in steps and name != CONTROL]
    off += [name for name in STEPS if name not in names]
    return Chain(filters, order=settings.order, off=off)


def _steps(
    settings: SamplingSettings,
    protected: Sequence[int],
    breakers: Sequence[int],
    spared: Sequence[int],
) -> dict[str, Filter]:
    low, high = settings.dynatemp_low, settings.dynatemp_high
    if (low is None) != (high is None):
        raise SettingsError(
            "a dynamic temperature needs both limits", hint="give dynatemp_low and dynatemp_high"
        )
    if low is not None and settings.temperature != 1.0:
        raise SettingsError(
            "a dynamic temperature and a fixed one contradict each other",
            hint="leave out temperature, or dynatemp_low and dynatemp_high",
        )
    wanted: list[tuple[bool, type[Any], tuple[Any, ...]]] = [
        (getattr(settings, kind.setting) != kind.off, kind, (getattr(settings, kind.setting),))
        for kind in _OF_ONE_NUMBER
    ]
    for kind in PENALTIES:
        value = getattr(settings, kind.setting)
        wanted.append((value != kind.off, kind, (value, settings.penalty_range or 0, spared)))
    dry = (settings.dry_multiplier, settings.dry_base, settings.dry_allowed_length, breakers)
    xtc = (settings.xtc_probability, settings.xtc_threshold, protected)
    wanted += [
        (low is not None, DynamicTemperature, (low, high, settings.dynatemp_exponent)),
        (settings.dry_multiplier != 0.0, Dry, dry),
        (settings.mirostat_tau != 0.0, Mirostat, (settings.mirostat_tau, settings.mirostat_eta)),
        (settings.xtc_probability != 0.0, Xtc, xtc),
    ]
    return {kind.name: kind(*values) for applies, kind, values in wanted if applies}


def _order(order: str, steps: Mapping[str, Filter]) -> tuple[str, ...]:
    if order in ORDERS:
        return ORDERS[order]
    names = [name.strip() for name in order.split(",")]
    known = [*STEPS, CONTROL]
    for name in names:
        if name not in known:
            lone = len(names) == 1
            raise SettingsError(
                f"unknown {'order' if lone else 'step'} {name!r}",
                where="order",
                hint=suggest(name, [*ORDERS, *known] if lone else known),
            )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SettingsError(f"{', '.join(twice)} named twice", where="order")
    missing = [name for name in STEPS if name in steps and name not in names]
    if missing:
        raise SettingsError(
            f"in use, but not in the order: {', '.join(missing)}",
            where="order",
            hint="name every step that is in use",
        )
    return tuple(names) if CONTROL in names else (CONTROL, *names)
