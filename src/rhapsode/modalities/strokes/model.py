"""Opened models of strokes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.config import GenerateSettings, from_mapping
from rhapsode.encoding.strokes import ENDS, LIFTS, Drawing, moves_of
from rhapsode.errors import BundleError, DataError, SettingsError
from rhapsode.files import is_there
from rhapsode.generation import Rows
from rhapsode.generation.loop import Step, run
from rhapsode.generation.paths import path_keys, path_seed
from rhapsode.log import log
from rhapsode.modalities.opened import Document, Piece, Prompt
from rhapsode.modalities.strokes.facts import StrokeBundle, StrokeFacts
from rhapsode.modalities.strokes.labels import check_seen
from rhapsode.modalities.strokes.prompts import StrokePrompt, opened
from rhapsode.modalities.strokes.settings import InkSettings, StrokeGenerateSettings
from rhapsode.modalities.values.model import ValueModel
from rhapsode.modalities.values.prompts import read_steps

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.encoding.vectors import Floats
    from rhapsode.modalities.strokes.files import Specimen
    from rhapsode.modalities.strokes.pen import Pen

# Drawings that are made side by side.
AT_ONCE = 256
# A drawing is stopped after so many times the longest one of the data, or so many times what its
# text takes.
TOO_LONG = 1.5
# A text is stopped where the pen lifts after so many moves behind its last character, and in any
# case after so many.
LEAST_AFTER, MOST_AFTER = 6, 40
ENDINGS = (None, "stop", "window")
# Moves that compiled code draws at a time.
AT_A_TIME = 64


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

    def most_moves_of(self, prompt: Any) -> int:
        """Moves after which the drawing of a prompt is stopped."""
        facts = self.bundle.facts
        if prompt.written is None:
            return self.most_moves
        return max(MOST_AFTER, round(TOO_LONG * facts.pace * len(prompt.written)))

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
        own = (
            {"pen_bias", "engine", "unknown"}
            if self.bundle.facts.source is not None
            else {"pen_bias", "engine"}
        )
        super().refuse(name for name in names if name not in own)

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
        source = self.bundle.facts.source
        if source is not None:
            written = " ".join(str(value).split())
            if settings.unknown == "skip":
                written = source.without_unknown(written)
            check_seen(written, source)
            return StrokePrompt(self, written=written)
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
        """Make a prompt of typed moves, or of a text to write."""
        if self.bundle.facts.source is not None:
            return self.prompt(text, settings)
        steps = read_steps(text, 3)
        if steps:
            self.bundle.encoder.checked(np.array(steps).reshape(-1, 3))
        return StrokePrompt(self, steps)

    def prompt_of_file(
        self, content: bytes, suffix: str, settings: GenerateSettings
    ) -> StrokePrompt:
        if self.bundle.facts.source is not None:
            raise DataError(
                "this model writes given texts, it does not continue drawings",
                hint="give it the text to write",
            )
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"prompt{suffix}"
            path.write_bytes(content)
            return StrokePrompt(self, self._moves_in(path))

    def _moves_in(self, path: Path) -> tuple[Any, ...]:
        """Moves of the first drawing of a file, prepared as in training."""
        return opened(self.specimen_in(path)[1])

    def specimen_in(self, path: Path) -> tuple[Specimen, Floats]:
        """The first drawing of a file, and its prepared moves.

        Raises:
            DataError: it cannot be read.
        """
        from rhapsode.modalities.strokes.files import read_ink
        from rhapsode.modalities.strokes.files.preparing import prepare_ink

        specimens = read_ink(path)
        if len(specimens) > 1:
            log.info(f"{path} holds {len(specimens):,} drawings: the first one is read")
        grid = self.bundle.encoder.settings.grid
        prepared = prepare_ink(specimens[:1], self.reading_settings(), grid=grid)
        prepared.turn(up=self.bundle.facts.up)
        return prepared.specimens[0], prepared.moves[0]

    def restored(self, saved: Mapping[str, Any]) -> StrokePrompt:
        written = saved.get("text")
        return StrokePrompt(self, written=written if isinstance(written, str) else None)

    def write(self, prompts: Sequence[Prompt], settings: GenerateSettings) -> Iterator[Piece]:
        for number, prompt in enumerate(prompts):
            length = self.most_moves_of(prompt) if settings.length is None else settings.length
            for first in range(0, settings.count, AT_ONCE):
                indices = np.arange(first, min(first + AT_ONCE, settings.count))
                for piece in self.draw(prompt, indices, settings, length):
                    yield replace(piece, prompt=number)

    def ready(self, settings: GenerateSettings) -> None:
        _ = self.pen if self._compiled(settings) else self.predictor

    @cached_property
    def pen(self) -> Pen:
        """The network in compiled code."""
        from rhapsode.modalities.strokes.pen import Pen

        return Pen(self.bundle)

    def _compiled(self, settings: GenerateSettings) -> bool:
        """True where compiled code draws.

        Raises:
            SettingsError: it was asked for and cannot.
        """
        from rhapsode.modalities.strokes.pen import unsupported

        reason = unsupported(self.bundle)
        if settings.engine == "compiled" and reason is not None:
            raise SettingsError(f"compiled code cannot draw: {reason}", where="engine")
        wanted = settings.engine != "torch" and settings.device is None
        return wanted and reason is None

    def draw(
        self, prompt: Any, indices_R: Any, settings: GenerateSettings, length: int
    ) -> Iterator[Piece]:
        """Drawings that begin as a prompt, side by side.

        Arguments:
            prompt: the beginning.
            indices_R: numbers of the continuations, which with the seed decide their draws.
            settings: temperature, bias and seed.
            length: moves after which a drawing is stopped.
        """
        way = self._draw_compiled if self._compiled(settings) else self._draw
        if not length:
            return iter([Piece(int(index), "", "length", 0) for index in indices_R])
        return way(prompt, indices_R, settings, length)

    def _draw_compiled(
        self, prompt: Any, indices_R: Any, settings: GenerateSettings, length: int
    ) -> Iterator[Piece]:
        """As `draw`, some moves at once."""
        from rhapsode.modalities.strokes.pen import draws_of

        given_T3 = prompt.stack(prompt.opening.elements)[0]
        owners = np.array(indices_R, dtype=np.int64)
        seeds_R = np.full(len(owners), path_seed(settings.seed or 0, prompt.name), dtype=np.uint64)
        texts = {int(owner): prompt.fragments(given_T3, settings) for owner in owners}
        rows, memory = self.pen.start(len(owners)), self.pen.memory(prompt.condition)
        for first in range(0, length, AT_A_TIME):
            moves_RT3, _ = self.pen.move(
                rows,
                memory,
                draws_of(seeds_R, owners, first, min(AT_A_TIME, length - first)),
                given_T3=None if first else given_T3,
                letters=-1 if prompt.written is None else len(prompt.written),
                bias=_bias_of(settings),
                temperature=settings.temperature,
                ends=(LEAST_AFTER, MOST_AFTER),
            )
            for row, moves_T3 in enumerate(moves_RT3.tolist()):
                if rows.end_B[row] < 0:
                    continue
                owner, end = int(owners[row]), ENDINGS[int(rows.end_B[row])]
                for place, move in enumerate(moves_T3, first + 1):
                    element = tuple(move)
                    line, last = texts[owner].feed(element), None
                    if end is not None and rows.count_B[row] == place:
                        last = end
                    elif place == length:
                        last = "length"
                    yield Piece(owner, line, last, place, 0, None, (element,))
                    if last is not None:
                        rows.end_B[row] = -1
                        break
            if (rows.end_B < 0).all():
                return

    def _draw(
        self, prompt: Any, indices_R: Any, settings: GenerateSettings, length: int
    ) -> Iterator[Piece]:
        """As `draw`, move by move in torch."""
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
        letters = None if prompt.written is None else len(prompt.written)
        past = dict.fromkeys(owners, 0)

        def choose(rows: Rows) -> Step:
            if letters is not None:
                _without_early_end(rows, letters)
            return rows.draw(settings.temperature)

        drawn = run(rows, choose)
        for count in range(1, length + 1):
            step = next(drawn, None)
            if step is None:
                return
            going: list[int] = []
            read_R = _letters_read(rows.state) if letters is not None else None
            for place, (owner, plain) in enumerate(
                zip(owners, step.elements.tolist(), strict=True)
            ):
                element = prompt.restored(plain)
                if read_R is not None and letters is not None:
                    past[owner] = past[owner] + 1 if read_R[place] >= letters else 0
                lifted = element[2] == LIFTS
                end: str | None
                if element[2] == ENDS:
                    end = "stop"
                elif past[owner] >= (LEAST_AFTER if lifted else MOST_AFTER):
                    end = "window"
                else:
                    end = "length" if count == length else None
                line = texts[owner].feed(element)
                yield Piece(owner, line, end, count, 0, None, (element,))
                if end is None:
                    going.append(place)
            if not going:
                return
            step.keep(going)
            owners = [owners[place] for place in going]

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


def _without_early_end(rows: Rows, letters: int) -> None:
    """Give no probability to an end before the window has reached the last character.

    Arguments:
        rows: before a draw.
        letters: characters of their text.
    """
    from rhapsode.bundle.value_predictor import ValueDistribution

    following = rows.following()
    assert isinstance(following, ValueDistribution)
    for row in np.flatnonzero(_letters_read(rows.state) < letters - 1).tolist():
        following.parameters_BP[row, int(ENDS)] = -np.inf


def _letters_read(state: Any) -> Any:
    """The character, from 0, on which the window of each row stands."""
    from rhapsode.bundle.device import numbers

    memory = state.memory if state.ahead is None else state.ahead
    return numbers(memory.attention.place_B1[:, 0])


def _bias_of(settings: GenerateSettings) -> float:
    return settings.pen_bias if isinstance(settings, StrokeGenerateSettings) else 0.0
