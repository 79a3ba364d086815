"""Opened models of strokes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.config import GenerateSettings, from_mapping
from rhapsode.encoding.strokes import ENDS, Drawing, moves_of
from rhapsode.errors import BundleError, DataError
from rhapsode.files import is_there
from rhapsode.generation import Rows
from rhapsode.generation.loop import run
from rhapsode.generation.paths import path_keys, path_seed
from rhapsode.log import log
from rhapsode.modalities.opened import Document, Piece, Prompt
from rhapsode.modalities.strokes.facts import StrokeBundle, StrokeFacts
from rhapsode.modalities.strokes.prompts import StrokePrompt, opened
from rhapsode.modalities.strokes.settings import InkSettings, StrokeGenerateSettings
from rhapsode.modalities.values.model import ValueModel
from rhapsode.modalities.values.prompts import read_steps

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor

# Drawings that are made side by side.
AT_ONCE = 256
# A drawing is stopped after so many times the longest one of the data.
TOO_LONG = 1.5


class StrokeModel(ValueModel[StrokeBundle]):
    """A model file of strokes, opened."""

    facts = StrokeFacts
    generation = StrokeGenerateSettings
    seed = None  # type: ignore[assignment]
    kept, kept_unit = "kept", "moves"

    @property
    def most_moves(self) -> int:
        """Moves after which a drawing is stopped."""
        return round(TOO_LONG * self.bundle.facts.longest)

    @cache  # noqa: B019 - a model is kept as long as its predictors
    def predictor_with(self, bias: float) -> ValuePredictor[StrokeBundle]:
        """The predictor, or the one that prefers likely moves.

        Arguments:
            bias: `pen_bias` of the settings.
        """
        if not bias:
            return self.predictor
        from rhapsode.bundle.network import Network
        from rhapsode.bundle.value_predictor import ValuePredictor
        from rhapsode.modalities.strokes.fitting.biased import BiasedStrokes

        network = self.predictor.network
        biased = Network(network.input, network.model, BiasedStrokes(network.head, bias))
        return ValuePredictor(self.bundle, biased.eval())

    def refuse(self, names: Iterable[str]) -> None:
        super().refuse(name for name in names if name != "pen_bias")

    def explained(self, settings: GenerateSettings) -> str:
        bias = _bias_of(settings)
        return super().explained(settings) + (f", bias {bias:g}" if bias else "")

    def reading_settings(self) -> InkSettings:
        """Settings of reading, as in training."""
        kept = self.bundle.provenance.section("strokes")
        return from_mapping(InkSettings, kept, where="settings", error=BundleError)

    def prompt(self, value: Any, settings: GenerateSettings) -> StrokePrompt:
        """Make a prompt of a drawing, a file, or typed moves.

        Raises:
            DataError: a file that cannot be read.
            EncodingError: moves that are no numbers.
        """
        if isinstance(value, Drawing):
            return StrokePrompt(self, opened(moves_of(value.strokes)))
        text = str(value)
        if not text.strip():
            return StrokePrompt(self)
        path = Path(text)
        if "\n" not in text and is_there(path):
            return StrokePrompt(self, self._moves_in(path))
        if "\n" not in text and path.suffix[1:].isalpha():
            raise DataError("no such file", where=text)
        return self.prompt_of_text(text, settings)

    def prompt_of_text(self, text: str, settings: GenerateSettings) -> StrokePrompt:
        """Make a prompt of typed moves."""
        steps = read_steps(text, 3)
        if steps:
            self.bundle.encoder.checked(np.array(steps).reshape(-1, 3))
        return StrokePrompt(self, steps)

    def prompt_of_file(
        self, content: bytes, suffix: str, settings: GenerateSettings
    ) -> StrokePrompt:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"prompt{suffix}"
            path.write_bytes(content)
            return StrokePrompt(self, self._moves_in(path))

    def _moves_in(self, path: Path) -> tuple[Any, ...]:
        """Moves of the first drawing of a file, prepared as in training."""
        from rhapsode.modalities.strokes.files import read_ink
        from rhapsode.modalities.strokes.files.preparing import prepare_ink

        specimens = read_ink(path)
        if len(specimens) > 1:
            log.info(f"{path} holds {len(specimens):,} drawings: the first one is read")
        grid = self.bundle.encoder.settings.grid
        prepared = prepare_ink(specimens[:1], self.reading_settings(), grid=grid)
        prepared.turn(up=self.bundle.facts.up)
        return opened(prepared.moves[0])

    def restored(self, saved: Mapping[str, Any]) -> StrokePrompt:
        return StrokePrompt(self)

    def write(self, prompts: Sequence[Prompt], settings: GenerateSettings) -> Iterator[Piece]:
        length = self.most_moves if settings.length is None else settings.length
        for number, prompt in enumerate(prompts):
            for first in range(0, settings.count, AT_ONCE):
                indices = np.arange(first, min(first + AT_ONCE, settings.count))
                for piece in self._draw(prompt, indices, settings, length):
                    yield replace(piece, prompt=number)

    def _draw(
        self, prompt: Any, indices_R: Any, settings: GenerateSettings, length: int
    ) -> Iterator[Piece]:
        """Drawings that begin as a prompt, side by side.

        Arguments:
            prompt: the beginning.
            indices_R: numbers of the continuations, which with the seed decide their draws.
            settings: temperature, bias and seed.
            length: moves after which a drawing is stopped.
        """
        predictor = self.predictor_with(_bias_of(settings))
        given, seed, size = prompt.opening.elements, settings.seed or 0, len(indices_R)
        state, waiting = prompt.start(predictor)
        seeds_R = np.full(size, path_seed(seed, prompt.name), dtype=np.uint64)
        key, filter_key = path_keys(seeds_R, indices_R.astype(np.int64), seed)
        rows = Rows(
            predictor,
            predictor.select(state, np.zeros(size, dtype=np.int64)),
            self.chain(settings),
            key,
            unread=prompt.stack((*waiting, *given)).repeat(size, axis=0),
            filter_key=filter_key,
            steps=length,
        )
        owners = list(map(int, indices_R))
        texts = {owner: prompt.fragments(given, settings) for owner in owners}
        drawn = run(rows, lambda rows: rows.draw(settings.temperature))
        for count in range(1, length + 1):
            step = next(drawn, None)
            if step is None:
                return
            going = []
            for place, (owner, plain) in enumerate(
                zip(owners, step.elements.tolist(), strict=True)
            ):
                element = prompt.restored(plain)
                ended = element[2] == ENDS
                end = "stop" if ended else "length" if count == length else None
                line = texts[owner].feed(element)
                yield Piece(owner, line, end, count, 0, None, (element,))
                if not ended:
                    going.append(place)
            step.keep(going)
            owners = [owners[place] for place in going]
        if not length:
            yield from (Piece(owner, "", "length", 0) for owner in owners)

    def check_output(self, path: Path) -> None:
        from rhapsode.modalities.strokes.files.write_ink import check_suffix

        super().check_output(path)
        check_suffix(path)

    def keep(self, path: Path, documents: Sequence[Document]) -> int:
        """Write each document as an SVG file into a folder.

        The number of moves is returned.
        """
        path.mkdir(parents=True, exist_ok=True)
        number, moves = len(list(path.glob("*.svg"))), 0
        for document in documents:
            number += 1
            document.save(path / f"{number:03d}.svg")
            moves += len(document.elements)
        return moves


def _bias_of(settings: GenerateSettings) -> float:
    return settings.pen_bias if isinstance(settings, StrokeGenerateSettings) else 0.0
