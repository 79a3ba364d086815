"""Opened models of music."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rhapsode.config import GenerateSettings, from_mapping
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.score import Score
from rhapsode.errors import BundleError, DataError, EncodingError
from rhapsode.files import is_there
from rhapsode.generation import Chain, Filter
from rhapsode.log import log
from rhapsode.modalities.ids.continuation import OpenIndex, chain_for
from rhapsode.modalities.ids.model import IdModel
from rhapsode.modalities.ids.typed_text import named
from rhapsode.modalities.music.facts import MusicFacts, music_encoder
from rhapsode.modalities.music.files import SUFFIXES
from rhapsode.modalities.music.prompts import MusicPrompt
from rhapsode.modalities.music.settings import (
    MusicGenerateSettings,
    MusicLimitSettings,
    MusicSettings,
)
from rhapsode.modalities.opened import Document, Piece, Prompt

if TYPE_CHECKING:  # what loads the compiler
    from rhapsode.counts import SuffixIndex
    from rhapsode.modalities.ids.next_elements import IdsSeen

# Elements of a turn of a session.
TURN = 160
# Elements of a continuation at most, where nothing else ends it; and with a number of bars.
LENGTH, LENGTH_OF_BARS = 2000, 200_000


def with_length(settings: GenerateSettings) -> GenerateSettings:
    """The settings with a length.

    A number of bars ends the music by itself.
    """
    if settings.length is not None:
        return settings
    bars = isinstance(settings, MusicGenerateSettings) and settings.bars is not None
    return replace(settings, length=LENGTH_OF_BARS if bars else LENGTH)


def limits_of(settings: GenerateSettings) -> MusicLimitSettings | None:
    """The constraints among settings; None where there are none."""
    return settings if isinstance(settings, MusicLimitSettings) else None


class MusicModel(IdModel):
    """A model file of music, opened."""

    facts = MusicFacts
    generation = MusicGenerateSettings
    kept, kept_unit = "kept", "notes"
    turn_length = TURN
    _elements: SuffixIndex | None = None

    @property
    def encoder(self) -> MusicEncoder:
        """The encoder of scores."""
        return music_encoder(self.bundle.encoder)

    def reading_settings(self) -> MusicSettings:
        """Settings of reading, as in training."""
        kept = self.bundle.provenance.section("music")
        return from_mapping(MusicSettings, kept, where="settings", error=BundleError)

    def elements_index(self) -> SuffixIndex:
        """The index of the training music by elements, in all keys.

        It is made on first use.

        Raises:
            RunError: there are no elements of the training music beside the model.
        """
        if self._elements is None:
            from rhapsode.modalities.music.pieces.transposing import can_transpose
            from rhapsode.modalities.music.quality.learnt_elements import open_learnt

            keys = can_transpose(self.encoder)
            self._elements = open_learnt(self.path, self.encoder, keys=keys)
        return self._elements

    def open_index(self) -> OpenIndex:
        return self.elements_index

    def chain(self, settings: GenerateSettings) -> Chain:
        """The filters of a session.

        There, bars end a turn and not the piece.
        """
        own = self._limits(settings, closes=False)
        return chain_for(self.bundle, with_length(settings), self.open_index(), own)

    def write(self, prompts: Sequence[Prompt], settings: GenerateSettings) -> Iterator[Piece]:
        yield from super().write(prompts, with_length(settings))

    def own_filters(self, settings: GenerateSettings) -> list[Filter]:
        return self._limits(settings, closes=True)

    def _limits(self, settings: GenerateSettings, *, closes: bool) -> list[Filter]:
        if not isinstance(settings, MusicGenerateSettings) or not settings.limited:
            return []
        from rhapsode.modalities.music.constraints.limits import MusicLimits

        return [MusicLimits(self.encoder, settings, closes=closes)]

    def check_output(self, path: Path) -> None:
        from rhapsode.modalities.music.render_settings import RenderSettings
        from rhapsode.modalities.music.rendering import check_output

        check_output(path, RenderSettings())

    def keep(self, path: Path, documents: Sequence[Document]) -> int:
        """Write each document as a MIDI file into a folder.

        The number of notes is returned.
        """
        path.mkdir(parents=True, exist_ok=True)
        number, notes = len(list(path.glob("*.mid"))), 0
        for document in documents:
            number += 1
            document.save(path / f"{number:03d}.mid")
            notes += len(document.value.notes)
        return notes

    def held_out(self, number: int, settings: GenerateSettings) -> list[Score]:
        from rhapsode.modalities.music.quality.held_out import held_out_passages

        assert settings.seed is not None
        return held_out_passages(self.path, number, settings.seed)

    def prompt(self, value: Any, settings: GenerateSettings) -> MusicPrompt:
        """Make a prompt of a score, file of music, or notation.

        Raises:
            DataError: a file that cannot be read.
            EncodingError: a notation with names that are no elements.
        """
        score = self._score_in(value)
        if score is not None:
            return self._of_score(score, settings)
        return self._of_notation(str(value), settings)

    def prompt_of_text(self, text: str, settings: GenerateSettings) -> MusicPrompt:
        """Make a prompt of a notation or of ABC."""
        if text.lstrip().startswith("X:"):
            return self.prompt_of_file(text.encode(), ".abc", settings)
        return self._of_notation(text, settings)

    def prompt_of_file(
        self, content: bytes, suffix: str, settings: GenerateSettings
    ) -> MusicPrompt:
        from rhapsode.modalities.music.pieces.reading import read_pieces

        if suffix not in SUFFIXES:
            raise DataError(
                f"no music has the suffix {suffix!r}",
                where="prompt",
                hint=f"one of {', '.join(sorted(SUFFIXES))}",
            )
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"prompt{suffix}"
            path.write_bytes(content)
            pieces = read_pieces([str(path)], self.reading_settings()).pieces
        return self._of_score(pieces[0].score, settings)

    def _of_notation(self, text: str, settings: GenerateSettings) -> MusicPrompt:
        missing = self.encoder.unknown(text)
        if missing and settings.unknown != "skip":
            names = [name for name in self.encoder.vocabulary[:4] if name.strip()]
            raise EncodingError(
                f"the model has no element {named(missing)}",
                where="prompt",
                hint=f"name a file of music, or elements such as {', '.join(names)}",
            )
        checked = IdModel.prompt(self, text, settings)
        return MusicPrompt(self, checked.text, settings=limits_of(settings))

    def _score_in(self, value: Any) -> Score | None:
        """A score, or the first one of a file; None for a notation."""
        if isinstance(value, Score):
            return value
        text = str(value)
        path = Path(text)
        if not text or "\n" in text:
            return None
        if is_there(path) and not path.is_dir():
            from rhapsode.modalities.music.pieces.reading import read_pieces

            pieces = read_pieces([text], self.reading_settings()).pieces
            if len(pieces) > 1:
                log.info(f"{text} holds {len(pieces):,} pieces: the first one is read")
            return pieces[0].score
        if self.encoder.unknown(text):
            if is_there(path):
                raise DataError("this is a folder", where=text, hint="name a file of music in it")
            if path.suffix.lower() in SUFFIXES:
                raise DataError("no such file", where=text)
        return None

    def encoded(self, value: Any) -> IdsSeen:
        score = self._score_in(value)
        return super().encoded(value if score is None else self.encoder.notation(score))

    def _of_score(self, score: Score, settings: GenerateSettings) -> MusicPrompt:
        _, report = self.encoder.snap(score)
        changes = str(report)
        if "," in changes:
            log.info(f"the prompt as the model reads it: {changes}")
        return MusicPrompt(self, self.encoder.notation(score), score, limits_of(settings))

    def restored(self, saved: Mapping[str, Any]) -> MusicPrompt:
        super().restored(saved)
        return MusicPrompt(self, "")

    def without_open_space(self, value: Any) -> Any:
        return value  # elements contain no space

    def typed(self, text: str) -> str:
        return text if is_there(Path(text)) else super().typed(text)
