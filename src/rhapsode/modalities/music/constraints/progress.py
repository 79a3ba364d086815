"""Constraints that follow a piece element by element."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding import END_ID
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.errors import SettingsError
from rhapsode.generation.filters.contract import Logits
from rhapsode.modalities.music.constraints.keys import metre_of
from rhapsode.modalities.music.settings import MusicGenerateSettings

Flags = NDArray[np.bool_]
DRUMS = "drums"
S = TypeVar("S")


@dataclass(frozen=True)
class Names:
    """Kinds of elements, read from their names.

    Arguments:
        encoder: of the model.
    """

    encoder: MusicEncoder
    heads_V: list[str] = field(init=False)
    texts_V: list[str] = field(init=False)

    def __post_init__(self) -> None:
        parts = [name.partition(":") for name in ("", "", *self.encoder.vocabulary)]
        object.__setattr__(self, "heads_V", [head if colon else "" for head, colon, _ in parts])
        object.__setattr__(self, "texts_V", [text for _, _, text in parts])

    def of(self, head: str) -> dict[int, str]:
        """Elements of a kind, and the rest of their names."""
        return {
            element: text
            for element, (own, text) in enumerate(zip(self.heads_V, self.texts_V, strict=True))
            if own == head
        }

    def bars(self) -> dict[int, int]:
        """Positions of the bars that elements begin."""
        return {
            element: self.encoder.settings["grid"] * 4 * metre.beats // metre.unit
            for element, text in self.of("bar").items()
            for metre in [metre_of(text)]
        }

    def numbers(self, head: str) -> dict[int, int]:
        """Elements of a kind that tells a number, and the numbers."""
        return {e: int(text) for e, text in self.of(head).items() if re.fullmatch("[0-9]+", text)}


class Part(Protocol, Generic[S]):
    """A constraint whose state follows the elements of one row."""

    @abstractmethod
    def start(self) -> S:
        """The state before all elements."""

    @abstractmethod
    def read(self, state: S, element: int, *, new: bool) -> None:
        """Bring the state after an element.

        Arguments:
            state: changed in place.
            element: the element.
            new: True if it was generated, False if it is of the prompt.
        """

    @abstractmethod
    def apply(self, state: S, logits_V: Logits) -> None:
        """Ban elements, in place."""


@dataclass
class Counted:
    """State of `Ends`.

    Arguments:
        count: bars or steps that were counted.
        bar: positions of the current bar.
        at: the position reached in it.
    """

    count: int = 0
    bar: int = 0
    at: int = 0


@dataclass(frozen=True)
class Ends(Part[Counted]):
    """The end of a piece after a number of bars.

    Arguments:
        counted_V: elements that are counted.
        wanted: number of them after which the piece ends.
        opens: True if a counted element begins a bar or step; False if it ends one.
        bars: positions of the bars that elements begin.
        positions: of elements that tell one.
        lengths: of notes.
        shorts: elements of incomplete bars, which would be no bars.
        closes: True if the piece ends there; False if only the turn of a session ends.
    """

    counted_V: Flags
    wanted: int
    opens: bool
    bars: dict[int, int] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    shorts: tuple[int, ...] = ()
    closes: bool = True

    @classmethod
    def of(cls, encoder: MusicEncoder, names: Names, settings: MusicGenerateSettings) -> Ends:
        """The end that settings ask for.

        Raises:
            SettingsError: the encoding has no bars.
        """
        assert settings.bars is not None
        counted_V = np.zeros(encoder.vocab_size, dtype=np.bool_)
        bars = names.bars()
        if bars:
            counted_V[list(bars)] = True
            return cls(
                counted_V,
                settings.bars,
                True,
                bars,
                names.numbers("at"),
                names.numbers("len"),
                tuple(e for e, name in enumerate(encoder.vocabulary, 2) if name == "short"),
            )
        grid = encoder.settings.get("grid")
        if not isinstance(grid, int):
            raise SettingsError(
                f"{encoder.name.partition('.')[0]} has no bars", where="--bars", hint="use --length"
            )
        metre = metre_of(settings.metre or "4/4")
        steps = settings.bars * grid * 4 * metre.beats // metre.unit
        begun = list(names.of("step"))
        if begun:
            counted_V[begun] = True
            return cls(counted_V, steps, opens=True)
        voices = encoder.settings.get("voices")
        if isinstance(voices, int):
            counted_V[2:] = True
            return cls(counted_V, steps * voices, opens=False)
        counted_V[[e for e, name in enumerate(encoder.vocabulary, 2) if name == "\n"]] = True
        return cls(counted_V, steps, opens=False)

    def start(self) -> Counted:
        return Counted()

    def passed(self, state: Counted) -> bool:
        """True after the last element of the last bar."""
        return state.count > self.wanted if self.opens else state.count >= self.wanted

    def read(self, state: Counted, element: int, *, new: bool) -> None:
        state.count += new and bool(self.counted_V[element])
        if element in self.bars:
            state.bar, state.at = self.bars[element], 0
        else:
            state.at = self.positions.get(element, state.at)

    def apply(self, state: Counted, logits_V: Logits) -> None:
        """Allow the end after the last bar only, and nothing else there.

        Bars are whole, and no note sounds longer than the last one of them.
        """
        end = logits_V[END_ID]
        logits_V[list(self.shorts)] = -np.inf
        if not self.closes:
            if np.isfinite(logits_V[1:]).any():
                logits_V[END_ID] = -np.inf
            return
        if self.lengths:
            left = (self.wanted - state.count + 1) * state.bar - state.at
            fits = [element for element, length in self.lengths.items() if length <= left]
            if fits:
                logits_V[[e for e, length in self.lengths.items() if length > left]] = -np.inf
        if state.count < self.wanted:
            logits_V[END_ID] = -np.inf
        elif self.opens:
            # The bar or step that would begin now is one too many.
            if np.isfinite(logits_V[self.counted_V]).any():
                ends = np.isfinite(end)
                logits_V[self.counted_V] = -np.inf
                logits_V[END_ID] = end if ends else 0.0
            else:
                logits_V[END_ID] = -np.inf if np.isfinite(logits_V[1:]).any() else end
        else:
            logits_V[:] = -np.inf
            logits_V[END_ID] = 0.0


@dataclass
class Playing:
    """State of `Tracks`.

    Arguments:
        instruments: number of instruments that were read.
        playing: for each track, whether it is wanted.
        track: the current one.
    """

    instruments: int = 0
    playing: dict[str, bool] = field(default_factory=lambda: {DRUMS: False})
    track: str = "0"


class Tracks(Part[Playing]):
    """Notes of some tracks only.

    Arguments:
        encoder: of the model.
        names: of its elements.
        wanted: elements of the instruments that may play.
    """

    def __init__(self, encoder: MusicEncoder, names: Names, wanted: frozenset[int]) -> None:
        self._wanted = wanted
        self._instruments, self._tracks = names.of("inst"), names.of("track")
        self._positions = set(names.of("at"))
        self._notes_V = encoder.pitch_V >= 0
        self._notes_V[list(names.of("drum"))] = True

    def start(self) -> Playing:
        return Playing()

    def read(self, state: Playing, element: int, *, new: bool) -> None:
        text = self._instruments.get(element)
        if text is not None:
            name = DRUMS if text == DRUMS else str(state.instruments)
            state.instruments += text != DRUMS
            state.playing[name] = element in self._wanted
        elif element in self._positions:
            state.track = "0"
        elif element in self._tracks:
            state.track = self._tracks[element]

    def apply(self, state: Playing, logits_V: Logits) -> None:
        """Ban tracks of other instruments, and notes while such a track plays."""
        for element, text in self._tracks.items():
            if not state.playing.get(text, False):
                logits_V[element] = -np.inf
        if not state.playing.get(state.track, False):
            logits_V[self._notes_V] = -np.inf


@dataclass
class Sounding:
    """State of `Polyphony`, in positions from the beginning.

    Arguments:
        begin: of the current bar.
        length: of that bar.
        at: the current position.
        ends: of notes that sound there.
    """

    begin: int = 0
    length: int = 0
    at: int = 0
    ends: list[int] = field(default_factory=list)


class Polyphony(Part[Sounding]):
    """A limit of notes that sound together.

    Arguments:
        encoder: of the model.
        names: of its elements.
        most: notes at most.

    Raises:
        SettingsError: the encoding has neither bars nor steps.
    """

    def __init__(self, encoder: MusicEncoder, names: Names, most: int) -> None:
        self._most = most
        self._pitch_V = encoder.pitch_V >= 0
        self._bars, self._positions = names.bars(), names.numbers("at")
        self._lengths = names.numbers("len")
        self._steps = {e for e, name in enumerate(encoder.vocabulary, 2) if name == "\n"}
        if not self._bars and not self._steps:
            raise SettingsError(
                f"{encoder.name.partition('.')[0]} cannot limit the notes that sound together",
                where="--max-polyphony",
            )

    def start(self) -> Sounding:
        return Sounding()

    def read(self, state: Sounding, element: int, *, new: bool) -> None:
        if element in self._steps:
            state.ends.clear()
        elif element in self._bars:
            state.begin, state.length = state.begin + state.length, self._bars[element]
            self._move(state, 0)
        elif element in self._positions:
            self._move(state, self._positions[element])
        elif self._pitch_V[element]:
            state.ends.append(state.begin + state.at + 1)
        elif element in self._lengths and state.ends:
            state.ends[-1] = state.begin + state.at + self._lengths[element]

    @staticmethod
    def _move(state: Sounding, at: int) -> None:
        state.at = at
        state.ends = [end for end in state.ends if end > state.begin + at]

    def apply(self, state: Sounding, logits_V: Logits) -> None:
        """Ban pitches while as many notes sound as may."""
        if len(state.ends) < self._most:
            return
        kept_V = logits_V.copy()
        kept_V[self._pitch_V] = -np.inf
        if np.isfinite(kept_V).any():
            logits_V[:] = kept_V
