"""Constraints on generated music: key, range, metre, tracks, tempo, bars, polyphony."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding import END_ID
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.errors import SettingsError
from rhapsode.generation import Filter
from rhapsode.generation.filters.contract import Context, Logits, refuse_dead_ends
from rhapsode.modalities.music.constraints.keys import key_of, metre_of, range_of
from rhapsode.modalities.music.settings import MusicGenerateSettings

Flags = NDArray[np.bool_]
DRUMS = "drums"


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


class MusicLimits(Filter):
    """Constraints that generated music keeps.

    Arguments:
        encoder: of the model.
        settings: which constraints.

    Raises:
        SettingsError: a constraint that the encoding cannot keep, or that leaves nothing.
    """

    name = "music"

    def __init__(self, encoder: MusicEncoder, settings: MusicGenerateSettings) -> None:
        self._encoder, self._settings = encoder, settings
        self._names = Names(encoder)
        self._banned_V = np.zeros(encoder.vocab_size, dtype=np.bool_)
        self._said: list[str] = []
        self._tracks: _Tracks | None = None
        self._ban_pitches()
        self._ban_others("metre", "bar", settings.metre)
        self._ban_tempos()
        self._ban_tracks()
        self._ends = _Ends.of(encoder, self._names, settings)
        if settings.bars is not None:
            self._said.append(f"{settings.bars} bars")
        self._chords = None
        if settings.max_polyphony is not None:
            self._chords = _Polyphony(encoder, self._names, settings.max_polyphony)
            self._said.append(f"at most {settings.max_polyphony} notes together")

    def _ban_pitches(self) -> None:
        settings, pitch_V = self._settings, self._encoder.pitch_V
        allowed_V = np.ones(len(pitch_V), dtype=np.bool_)
        if settings.key is not None:
            key, classes = key_of(settings.key)
            allowed_V &= np.isin(pitch_V % 12, sorted(classes))
            for element, text in self._names.of("key").items():
                own, _ = key_of(text)
                if (own.fifths, own.minor) != (key.fifths, key.minor):
                    self._banned_V[element] = True
            self._said.append(f"key {settings.key}")
        if settings.pitch_range is not None:
            low, high = range_of(settings.pitch_range)
            allowed_V &= (pitch_V >= low) & (pitch_V <= high)
            self._said.append(f"range {settings.pitch_range}")
        if allowed_V.all():
            return
        self._banned_V |= (pitch_V >= 0) & ~allowed_V
        if not ((pitch_V >= 0) & allowed_V).any():
            raise SettingsError(
                "no pitch of the model is in this key and range",
                where="--range",
                hint="elements of some encodings, such as abc, are no single pitches",
            )

    def _ban_others(self, setting: str, head: str, wanted: str | None) -> None:
        if wanted is None:
            return
        metre = metre_of(wanted)
        elements = self._names.of(head)
        if not elements:
            return  # a document gets it
        kept = [e for e, text in elements.items() if text == f"{metre.beats}/{metre.unit}"]
        if not kept:
            raise SettingsError(
                f"the model has no {setting} {wanted}",
                where=f"--{setting}",
                hint=f"it has {', '.join(list(elements.values())[:12])}",
            )
        self._banned_V[[element for element in elements if element not in kept]] = True
        self._said.append(f"{setting} {wanted}")

    def _ban_tempos(self) -> None:
        tempo, elements = self._settings.tempo, self._names.of("tempo")
        if tempo is None or not elements:
            return
        nearest = min(elements, key=lambda each: abs(math.log(float(elements[each]) / tempo)))
        self._banned_V[[element for element in elements if element != nearest]] = True
        self._said.append(f"tempo {elements[nearest]}")

    def _ban_tracks(self) -> None:
        wanted, elements = self._settings.tracks, self._names.of("inst")
        if not wanted:
            return
        if not elements:
            raise SettingsError("this encoding has no tracks", where="--tracks")
        kept = [element for element, text in elements.items() if _matches(text, wanted)]
        if not kept:
            named = ", ".join(_instrument(text) for text in elements.values())
            raise SettingsError(
                f"the model has no track {', '.join(wanted)}",
                where="--tracks",
                hint=f"it has {named}",
            )
        self._banned_V[[element for element in elements if element not in kept]] = True
        self._tracks = _Tracks(self._encoder, self._names, frozenset(kept))
        self._said.append(f"tracks {', '.join(wanted)}")

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        logits_BV = np.where(self._banned_V, np.float32(-np.inf), logits_BV)
        for row, output in enumerate(context.output):
            if self._ends is not None:
                self._ends.apply(logits_BV[row], output)
            if self._tracks is not None:
                self._tracks.apply(logits_BV[row], context.prompt[row], output)
            if self._chords is not None:
                self._chords.apply(logits_BV[row], context.prompt[row], output)
        refuse_dead_ends(logits_BV, context, self._encoder, f"the music keeps {self.explain()}")
        return logits_BV, state

    def explain(self) -> str:
        return ", ".join(self._said)


def _instrument(text: str) -> str:
    from rhapsode.modalities.music.drawing.instruments import PROGRAMS

    return PROGRAMS[int(text)] if text.isdigit() else text


def _matches(text: str, wanted: tuple[str, ...]) -> bool:
    """True of an instrument that a word names: its program, its name, or drums."""
    name = _instrument(text).lower()
    return any(word.lower() in (text, name) or word.lower() in name for word in wanted)


@dataclass(frozen=True)
class _Ends:
    """The end of a piece after a number of bars.

    Arguments:
        counted_V: elements that are counted.
        wanted: number of them after which the piece ends.
        opens: True if a counted element begins a bar or step; False if it ends one.
    """

    counted_V: Flags
    wanted: int
    opens: bool

    @classmethod
    def of(
        cls, encoder: MusicEncoder, names: Names, settings: MusicGenerateSettings
    ) -> _Ends | None:
        """The end that settings ask for; None without one."""
        if settings.bars is None:
            return None
        counted_V = np.zeros(encoder.vocab_size, dtype=np.bool_)
        bars = list(names.of("bar"))
        if bars:
            counted_V[bars] = True
            return cls(counted_V, settings.bars, opens=True)
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

    def apply(self, logits_V: Logits, output_N: NDArray[np.int64]) -> None:
        """Allow the end after the last bar only, and nothing else there."""
        count = int(self.counted_V[output_N].sum())
        end = logits_V[END_ID]
        if count < self.wanted:
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


class _Tracks:
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

    def apply(
        self, logits_V: Logits, prompt_N: NDArray[np.int64], output_N: NDArray[np.int64]
    ) -> None:
        """Ban tracks of other instruments, and notes while such a track plays."""
        elements = [*prompt_N.tolist(), *output_N.tolist()]
        number, playing = 0, {DRUMS: False}
        current = "0"
        for element in elements:
            text = self._instruments.get(element)
            if text is not None:
                name = DRUMS if text == DRUMS else str(number)
                number += text != DRUMS
                playing[name] = element in self._wanted
            elif element in self._positions:
                current = "0"
            elif element in self._tracks:
                current = self._tracks[element]
        for element, text in self._tracks.items():
            if not playing.get(text, False):
                logits_V[element] = -np.inf
        if not playing.get(current, False):
            logits_V[self._notes_V] = -np.inf


class _Polyphony:
    """A limit of notes that sound together.

    Arguments:
        encoder: of the model.
        names: of its elements.
        most: notes at most.
    """

    def __init__(self, encoder: MusicEncoder, names: Names, most: int) -> None:
        self._most = most
        self._pitch_V = encoder.pitch_V >= 0
        self._kinds = names.heads_V
        self._values = [int(text) if re.fullmatch("[0-9]+", text) else 0 for text in names.texts_V]
        self._bars = {
            element: encoder.settings["grid"] * 4 * metre.beats // metre.unit
            for element, text in names.of("bar").items()
            for metre in [metre_of(text)]
        }
        self._steps = {e for e, name in enumerate(encoder.vocabulary, 2) if name == "\n"}
        if not self._bars and not self._steps:
            raise SettingsError(
                f"{encoder.name.partition('.')[0]} cannot limit the notes that sound together",
                where="--max-polyphony",
            )

    def apply(
        self, logits_V: Logits, prompt_N: NDArray[np.int64], output_N: NDArray[np.int64]
    ) -> None:
        """Ban pitches while as many notes sound as may."""
        if self._sounding([*prompt_N.tolist(), *output_N.tolist()]) < self._most:
            return
        kept_V = logits_V.copy()
        kept_V[self._pitch_V] = -np.inf
        if np.isfinite(kept_V).any():
            logits_V[:] = kept_V

    def _sounding(self, elements: list[int]) -> int:
        """Notes that sound where the last element stands."""
        ends: list[int] = []
        begin = at = length = 0
        for element in elements:
            kind = self._kinds[element]
            if element in self._steps:
                ends = []
            elif element in self._bars:
                begin, at = begin + length, 0
                length = self._bars[element]
            elif kind == "at":
                at = self._values[element]
            elif self._pitch_V[element]:
                ends.append(begin + at + 1)
            elif kind == "len" and ends:
                ends[-1] = begin + at + self._values[element]
        return sum(end > begin + at for end in ends)
