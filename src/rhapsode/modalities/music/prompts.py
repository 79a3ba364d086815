"""Prompts and documents of music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.config import GenerateSettings
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.score import Score, Tempo
from rhapsode.log import log
from rhapsode.modalities.ids.prompts import IdPrompt
from rhapsode.modalities.music.constraints.keys import key_of, metre_of
from rhapsode.modalities.music.constraints.progress import Ends, Names
from rhapsode.modalities.music.files.reading_result import Repairs
from rhapsode.modalities.music.files.tidy_notes import tidy_notes
from rhapsode.modalities.music.pieces.continuing import continuation, joined
from rhapsode.modalities.music.pieces.stretches import stretch
from rhapsode.modalities.music.settings import MusicGenerateSettings, MusicLimitSettings
from rhapsode.modalities.opened import Fragments

if TYPE_CHECKING:
    from rhapsode.modalities.music.model import MusicModel


@dataclass(frozen=True, eq=False)
class MusicDocument:
    """Music as a document.

    Arguments:
        value: the score.
        elements: ids, those of the prompt first.
        notation: of the elements, as text.
        seed: of the draw; None if nothing was drawn.
        finish_reason: "stop" or "length"; None if it is not known.
        prompt_end: tick of the score at which the prompt ends.
    """

    value: Score
    elements: tuple[int, ...] = ()
    notation: str = ""
    seed: int | None = None
    finish_reason: str | None = None
    prompt_end: int = 0

    def text(self) -> str:
        """The notation."""
        return self.notation

    def svg(self) -> str:
        """A piano roll."""
        from rhapsode.modalities.music.drawing.rolls import roll_svg

        return roll_svg(self.value, seed_end=self.prompt_end)

    def save(self, path: str | Path) -> None:
        """Write it in the format of the suffix.

        Raises:
            SettingsError: a suffix that music has no format for.
            RunError: it cannot be written.
        """
        from rhapsode.modalities.music.render_settings import RenderSettings
        from rhapsode.modalities.music.rendering import render_score

        render_score(self.value, Path(path), RenderSettings(), prompt_end=self.prompt_end)

    def __repr__(self) -> str:
        from rhapsode.modalities.music.drawing.rolls import facts

        return f"<music: {facts(self.value)}>"

    def _repr_svg_(self) -> str:
        return self.svg()


class _TurnOfBars(Fragments):
    """Text of a turn up to a number of bars.

    Arguments:
        text: of all elements.
        ends: counts the bars.
    """

    def __init__(self, text: Fragments, ends: Ends) -> None:
        self._text, self._ends, self._state = text, ends, ends.start()
        self._over = False

    @property
    def stopped(self) -> bool:  # type: ignore[override]
        return self._over or self._text.stopped

    def feed(self, element: int) -> str:
        if self._over:
            return ""
        self._ends.read(self._state, element, new=True)
        self._over = self._ends.passed(self._state)
        # The bar that would begin now belongs to the next turn.
        return "" if self._over and self._ends.opens else self._text.feed(element)

    def pause(self) -> str:
        return self._text.pause()


class MusicPrompt(IdPrompt):
    """Music that is continued.

    Arguments:
        model: continues the music.
        text: its notation; every name has an element.
        given: the score as it was read; None for a notation.
        settings: `tempo`, `metre` and `key` are those of scores whose encoding keeps none.
    """

    picture_hint = "-o new.mid keeps it, | cat shows the notation"

    def __init__(
        self,
        model: MusicModel,
        text: str,
        given: Score | None = None,
        settings: MusicLimitSettings | None = None,
    ) -> None:
        self._music: MusicEncoder = model.encoder
        self._settings = settings or MusicLimitSettings()
        super().__init__(model, text)
        self.given_score = given
        if given is not None:
            self.ids_N = self._music.elements(given).astype(np.int64)

    def fragments(self, before: Sequence[int], settings: GenerateSettings) -> Fragments:
        text = super().fragments(before, settings)
        if not isinstance(settings, MusicGenerateSettings) or settings.bars is None:
            return text
        return _TurnOfBars(text, Ends.of(self._music, Names(self._music), settings))

    @cached_property
    def _snapped(self) -> Score:
        return self._music.score_of(self.ids_N)

    def document(self, elements: Sequence[int], text: str = "", **made: Any) -> MusicDocument:
        """The document of elements; the prompt's own score stands for its elements."""
        if outside := self._music.outside(elements):
            which = "1 note that begins" if outside == 1 else f"{outside:,} notes that begin"
            log.info(f"left out {which} after the end of a bar")
        whole = self._dressed(self._music.score_of(elements))
        begins = len(self.ids_N) and np.array_equal(self.ids_N, elements[: len(self.ids_N)])
        end = 0
        if begins:
            end = self._snapped.end * whole.ticks // self._snapped.ticks
            if self.given_score is not None:
                following = continuation(self.given_score, self._snapped, whole)
                end, whole = self.given_score.end, joined(self.given_score, following)
        # Files hold no two notes of one track and pitch at once.
        whole = replace(whole, notes=tidy_notes(whole.notes, Repairs()))
        notation = self._music.decode(elements)
        return MusicDocument(whole, tuple(elements), notation, prompt_end=end, **made)

    def _dressed(self, score: Score) -> Score:
        """A score with the tempo, metre and key of the settings, where it has none."""
        settings, more = self._settings, dict[str, Any]()
        if settings.tempo is not None and not score.tempos:
            more["tempos"] = (Tempo(0, settings.tempo),)
        if settings.metre is not None and not score.metres:
            more["metres"] = (metre_of(settings.metre),)
        if settings.key is not None and not score.keys:
            more["keys"] = (key_of(settings.key)[0],)
        return replace(score, **more) if more else score

    def picture(self, elements: Sequence[int], new: int, width: int) -> Any:
        """A piano roll of the new music and some before it.

        Numbers of the new music stand below it.
        """
        from rhapsode.modalities.music.report import roll_picture

        score = self._dressed(self._music.score_of(elements))
        before = self._music.score_of(elements[: len(elements) - new]) if new else score
        end = before.end * score.ticks // before.ticks if new < len(elements) and new else 0
        begin = max(start for start, _ in score.bars() if start <= max(0, 2 * end - score.end))
        shown = stretch(score, begin, score.end)
        if not len(shown.notes):
            return None
        return roll_picture(shown, width, prompt_end=end - begin)

    def continued(self, elements: Sequence[int], text: str = "", **made: Any) -> MusicDocument:
        """The document of new elements alone.

        Its tempo, metre and key are those of the prompt.
        """
        document = self.document((*self.opening.elements, *elements), **made)
        whole = document.value
        rest = stretch(whole, document.prompt_end, max(whole.end, document.prompt_end))
        return MusicDocument(rest, tuple(elements), self._music.decode(elements), **made)
