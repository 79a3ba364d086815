"""Constraints on generated music: key, range, metre, tracks, tempo, bars, polyphony."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.errors import SettingsError
from rhapsode.generation import Filter
from rhapsode.generation.filters.contract import Context, Logits, refuse_dead_ends
from rhapsode.modalities.music.constraints.keys import key_of, metre_of, range_of
from rhapsode.modalities.music.constraints.progress import Ends, Names, Part, Polyphony, Tracks
from rhapsode.modalities.music.settings import MusicGenerateSettings


@dataclass
class _Row:
    """What constraints know of one row.

    Arguments:
        read: number of elements that were read, those of the prompt first.
        states: of each constraint that follows the elements.
    """

    read: int
    states: list[Any]


class MusicLimits(Filter):
    """Constraints that generated music keeps.

    Arguments:
        encoder: of the model.
        settings: which constraints.
        closes: whether the piece ends after `bars`.

    Raises:
        SettingsError: a constraint that the encoding cannot keep, or that leaves nothing.
    """

    name = "music"

    def __init__(
        self, encoder: MusicEncoder, settings: MusicGenerateSettings, *, closes: bool = True
    ) -> None:
        self._encoder, self._settings = encoder, settings
        self._names = Names(encoder)
        self._banned_V = np.zeros(encoder.vocab_size, dtype=np.bool_)
        self._said: list[str] = []
        self._parts: list[Part[Any]] = []
        self._ban_pitches()
        self._ban_others("metre", "bar", settings.metre)
        self._ban_tempos()
        self._ban_tracks()
        if settings.bars is not None:
            # It looks at what the other constraints leave.
            self._parts.append(replace(Ends.of(encoder, self._names, settings), closes=closes))
            self._said.append(f"{settings.bars} bar{'' if settings.bars == 1 else 's'}")
        if settings.max_polyphony is not None:
            self._parts.append(Polyphony(encoder, self._names, settings.max_polyphony))
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
        self._parts.append(Tracks(self._encoder, self._names, frozenset(kept)))
        self._said.append(f"tracks {', '.join(wanted)}")

    def init(self, rows: int) -> list[_Row]:
        return [_Row(0, [part.start() for part in self._parts]) for _ in range(rows)]

    def select(self, state: list[_Row], rows_R: NDArray[np.int64]) -> list[_Row]:
        return [deepcopy(state[row]) for row in rows_R.tolist()]

    def fork(self, state: list[_Row]) -> list[_Row]:
        return deepcopy(state)

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        logits_BV = np.where(self._banned_V, np.float32(-np.inf), logits_BV)
        rows = self.init(len(logits_BV)) if state is None else state
        for number, row in enumerate(rows):
            prompt_N, output_N = context.prompt[number], context.output[number]
            given = len(prompt_N)
            unread = [*prompt_N[row.read :], *output_N[max(0, row.read - given) :]]
            for place, element in enumerate(unread, row.read):
                for part, own in zip(self._parts, row.states, strict=True):
                    part.read(own, int(element), new=place >= given)
            row.read += len(unread)
            for part, own in zip(self._parts, row.states, strict=True):
                part.apply(own, logits_BV[number])
        refuse_dead_ends(logits_BV, context, self._encoder, f"the music keeps {self.explain()}")
        return logits_BV, rows

    def explain(self) -> str:
        return ", ".join(self._said)


def _instrument(text: str) -> str:
    from rhapsode.modalities.music.drawing.instruments import PROGRAMS

    return PROGRAMS[int(text)] if text.isdigit() else text


def _matches(text: str, wanted: tuple[str, ...]) -> bool:
    """True of an instrument that a word names: its program, its name, or drums."""
    name = _instrument(text).lower()
    return any(word.lower() in (text, name) or word.lower() in name for word in wanted)
