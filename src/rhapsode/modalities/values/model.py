"""An opened model of values: predictor, sample paths and tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import ValueBundle, ValueFacts, bundle_path, naming_file, read_bundle
from rhapsode.config import GenerateSettings, SamplingSettings, to_mapping
from rhapsode.config.sampling import TemperatureSettings
from rhapsode.errors import BundleError, SettingsError
from rhapsode.generation import Chain, Rows, chain_of
from rhapsode.generation.loop import run
from rhapsode.generation.paths import path_seed, sample_paths
from rhapsode.modalities.model import Model, array_bytes
from rhapsode.modalities.opened import Piece, Prompt, changed
from rhapsode.modalities.values.next_steps import (
    LEVELS,
    NextSteps,
    StepsFollowing,
    ValueChoice,
    ValuesSeen,
    plain_row,
)
from rhapsode.modalities.values.prompts import number_text

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor


# Sample paths whose quantiles tell the next steps.
NEXT_PATHS = 1000
# Quantiles of a chosen step, evenly spaced.
CHOICE_LEVELS = 9

B = TypeVar("B", bound=ValueBundle)


class ValueModel(Model[B], Generic[B]):
    """A model file of values, opened.

    The network and torch are loaded at the first prediction.

    Arguments:
        path: a run folder or a model file.
        bundle: its contents, where they are at hand; None reads them.

    Raises:
        BundleError: missing, damaged, or of another version or modality.
    """

    facts: ClassVar[type[ValueFacts]]
    """Class of its contents of a model file."""
    elements_have_ids = False
    seed = 0

    def __init__(self, path: str | Path, bundle: B | None = None) -> None:
        self.path = bundle_path(path)
        self.bundle = bundle or read_bundle(path, self.facts)  # type: ignore[assignment]

    @cached_property
    def predictor(self) -> ValuePredictor[B]:
        """The predictor of the model.

        Raises:
            BundleError: the arrays do not fit the configuration, or the head not the encoder.
        """
        from rhapsode.bundle.network import load_network
        from rhapsode.bundle.value_predictor import ValuePredictor

        with naming_file(self.path):
            if (count := len(self.bundle.members)) != 1:
                raise BundleError(f"forecasts are made by one network, this model has {count}")
            return ValuePredictor(self.bundle, load_network(self.bundle))

    @property
    def bins(self) -> int | None:
        """Number of bins; None where a density is drawn from."""
        edges = self.bundle.config.head.settings.get("edges")
        return len(edges) + 1 if isinstance(edges, list | tuple) else None

    def refuse(self, names: Iterable[str]) -> None:
        samplers = {field.name for field in fields(SamplingSettings)} - {"trace", "adapt"}
        taken = {"length", "count", "seed", "temperatures", *samplers}
        noun = self.bundle.facts.goes_on_with.partition(" ")[0]
        for name in names:
            if name not in taken:
                raise SettingsError(
                    f"this is for text; a model of {noun} takes --length, --count, --seed and "
                    "samplers",
                    where=f"--{name.replace('_', '-')}",
                )

    def ready(self, settings: GenerateSettings) -> None:
        _ = self.predictor

    def chain(self, settings: GenerateSettings) -> Chain:
        return chain_of_values(settings, self.bins) or Chain([])

    def explained(self, settings: GenerateSettings) -> str:
        chain = self.chain(settings)
        density = f"draw from the density, temperature {settings.temperature:g}"
        return density if self.bins is None else chain.explain()

    def write(self, prompts: Sequence[Prompt], settings: GenerateSettings) -> Iterator[Piece]:
        chain, seed = self.chain(settings), settings.seed or 0
        length = self.turn_length if settings.length is None else settings.length

        def draw(rows: Rows) -> Any:
            return rows.draw(settings.temperature) if rows.position < length else None

        for number, prompt in enumerate(prompts):
            given = prompt.opening.elements
            for index in range(settings.count):
                key, filter_key = prompt.keys(seed, index)
                state, waiting = prompt.start(self.predictor)
                rows = Rows(
                    self.predictor,
                    state,
                    chain,
                    key,
                    unread=prompt.stack((*waiting, *given)),
                    filter_key=filter_key,
                    known_RHX=prompt.known(0, len(given) + length),
                    steps=length,
                )
                text = prompt.fragments(given, settings)
                for step in run(rows, draw):
                    element = prompt.restored(step.elements[0].tolist())
                    line, count = text.feed(element), rows.position + 1
                    yield Piece(index, line, None, count, number, None, (element,))
                yield Piece(index, text.pause(), "length", rows.position, number)

    def name_of(self, element: Sequence[float]) -> str:
        return ",".join(number_text(value) or "missing" for value in element)

    def why(self, rows: Rows, element: Sequence[float], top: int) -> ValueChoice:
        following = rows.following()
        table = following.table(CHOICE_LEVELS)
        values_K = np.array(element, dtype=np.float64)
        nats = -float(following.log_prob(values_K[None])[0])
        quantiles_QK: NDArray[np.float64] = np.asarray(table.elements[0], dtype=np.float64)
        return ValueChoice(
            self.bundle.facts.names, values_K, table.probabilities, quantiles_QK, nats
        )

    def following(
        self,
        prompts: Sequence[Prompt],
        settings: GenerateSettings,
        *,
        temperatures: Sequence[float] = (),
        top: int = 5,
    ) -> StepsFollowing:
        several = [replace(settings, temperature=t) for t in temperatures] or [settings]
        return StepsFollowing(
            [
                tables
                for prompt in prompts
                for tables in zip(
                    *(self.next_steps(prompt, each, top) for each in several), strict=True
                )
            ]
        )

    def next_steps(
        self, prompt: Any, settings: GenerateSettings, count: int
    ) -> Iterator[NextSteps]:
        """Quantiles of the steps after a prompt, for each sequence."""
        given, seed = prompt.opening.elements, settings.seed or 0
        known = prompt.known(0, len(given) + count)
        if known is None:
            known = np.zeros((1, len(given) + count, 0), dtype=np.float32)
        state, _ = prompt.start(self.predictor)
        for place, step in enumerate(given):
            state = self.predictor.observe(prompt.stack([step])[:, 0], state, known[:, place])
        paths_BSHK = sample_paths(
            self.predictor,
            state,
            known[:, len(given) :],
            samples=NEXT_PATHS,
            seeds=[path_seed(seed, prompt.name)],
            temperature=settings.temperature,
            chain=self.chain(settings),
            filter_seed=seed,
        )
        yield NextSteps(
            prompt.title,
            tuple(prompt.times(len(given), count)),
            self.bundle.facts.names,
            np.quantile(paths_BSHK[0], LEVELS, axis=0, method="weibull"),
            settings.temperature,
            self.explained(settings),
        )

    def encoded(self, value: Any) -> ValuesSeen:
        prompt: Any = self.prompt(value, GenerateSettings())
        values_TK = prompt.stack(prompt.opening.elements)[0]
        encoded = self.bundle.encoder.encode(values_TK, prompt.stats)
        seen = {
            "series": prompt.title,
            "times": prompt.times(0, len(values_TK)),
            "values": list(map(plain_row, values_TK)),
            "targets": list(map(plain_row, encoded.targets_TK)),
        }
        return ValuesSeen(self.bundle.encoder.name, [seen])

    def identity(self) -> Iterator[bytes]:
        encoder, config = self.bundle.encoder.to_mapping(), to_mapping(self.bundle.config)
        yield json.dumps({"encoder": encoder, "config": config}, sort_keys=True).encode()
        yield from array_bytes(self.bundle.arrays)


def chain_of_values(settings: TemperatureSettings, bins: int | None) -> Chain | None:
    """The filters before a draw of bins; None for a density.

    Arguments:
        settings: samplers, some or all of `SamplingSettings`.
        bins: of the model; 0 or None where it has a density.

    Raises:
        SettingsError: a sampler that drops or weighs elements, for a density; or an invalid one.
    """
    names = {field.name for field in fields(SamplingSettings)}
    asked = {each.name: getattr(settings, each.name) for each in fields(settings)}
    sampling = SamplingSettings(**{name: asked[name] for name in names & asked.keys()})
    for name in ("dry_breakers", "penalty_spare"):
        if any(getattr(sampling, name)):
            raise SettingsError("a model of numbers has no elements of text", where=name)
    if bins:
        return chain_of(sampling, vocab_size=bins, suppressed=())
    for name in changed(sampling):
        if name not in ("temperature", "explain"):
            raise SettingsError(
                "this model draws from a density, and temperature is its only sampling setting",
                where=name,
                hint="train with --encoding binned to use the other settings",
            )
    return None
