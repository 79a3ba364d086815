"""Metrics of models of music: nats of notes, beats, frames and seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data import ElementStore
from rhapsode.encoding.music.chords import ChordEncoder
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.pitch_frames import FrameEncoder
from rhapsode.encoding.music.voices import VoiceEncoder
from rhapsode.log import log
from rhapsode.modalities.ids.metrics import Evaluation, IdPart, score_part
from rhapsode.modalities.ids.modality import described
from rhapsode.modalities.music.corpus import store_of
from rhapsode.modalities.music.facts import music_encoder
from rhapsode.modalities.music.pieces.reading import Piece
from rhapsode.modalities.scoring import Compared, Measure, Scored

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class MusicPart(IdPart):
    """Pieces to score.

    Arguments:
        pieces: the pieces, as they were read.
    """

    pieces: Sequence[Piece]

    @classmethod
    def of(cls, store: ElementStore, pieces: Sequence[Piece], split: str) -> MusicPart:
        """Pieces, and their elements."""
        return cls(store, split, [piece.name for piece in pieces], pieces)


@dataclass(frozen=True)
class Amounts:
    """Amounts of music.

    Arguments:
        notes: as the encoding keeps them.
        source_notes: as the source has them.
        beats: quarter notes.
        seconds: at the tempo of each piece, 120 quarters a minute where none is given.
        frames: steps of the grid; None for an encoding without one.
        cells: steps of every voice; None for an encoding without fixed voices.
    """

    notes: int
    source_notes: int
    beats: float
    seconds: float
    frames: int | None = None
    cells: int | None = None

    @classmethod
    def of(cls, encoder: MusicEncoder, pieces: Sequence[Piece]) -> Amounts:
        """Amounts of pieces, under an encoding."""
        notes, beats, seconds = 0, 0.0, 0.0
        source = sum(len(piece.score.notes) for piece in pieces)
        for piece in pieces:
            snapped, _ = encoder.snap(piece.score)
            notes += len(snapped.notes)
            beats += snapped.end / snapped.ticks
            seconds += piece.score.seconds(piece.score.end)
        frames = cells = None
        if isinstance(encoder, FrameEncoder | VoiceEncoder | ChordEncoder):
            frames = round(beats * encoder.grid)
        if frames is not None and isinstance(encoder, VoiceEncoder | ChordEncoder):
            cells = frames * encoder.voices
        return cls(notes, source, beats, seconds, frames, cells)

    def nats(self, total: float) -> dict[str, float]:
        """Nats per unit of each amount.

        Arguments:
            total: nats of all elements, ends of pieces included.
        """
        amounts = {name: amount for name, amount in asdict(self).items() if amount}
        amounts.pop("source_notes", None)
        return {f"nats_per_{name.removesuffix('s')}": total / amounts[name] for name in amounts}


def unit_losses(
    figures: Mapping[str, Any], amounts: Amounts, voices: float | None = None
) -> dict[str, Any]:
    """Losses of a model and its baselines in units of music.

    Arguments:
        figures: as in `Figures.to_mapping`.
        amounts: of the scored pieces.
        voices: nats of all cells by counts of voices, if there are any.

    Returns:
        `amounts`, and nats per unit of "model", "network", "ngram", "unigram" and "voices", where
        there are such losses.
    """
    network, baselines = figures["network"], figures["baselines"]
    losses = {
        "model": figures["loss"],
        "network": None if network is None else network["loss"],
        "ngram": baselines.get("ngram"),
        "unigram": baselines.get("unigram"),
    }
    found: dict[str, Any] = {"amounts": asdict(amounts)}
    for name, loss in losses.items():
        if loss is not None:
            found[name] = amounts.nats(loss * figures["elements"])
    if voices is not None:
        found["voices"] = amounts.nats(voices)
    return found


def kind_losses(
    encoder: MusicEncoder, elements_N: NDArray[Any], nats_N: NDArray[np.floating]
) -> dict[str, dict[str, float]]:
    """Loss, its share and number of elements of each kind.

    Arguments:
        encoder: names the kinds.
        elements_N: scored elements.
        nats_N: nats of each; NaN where it is not scored.
    """
    names, kind_V = encoder.fields()
    kind_N = kind_V[np.asarray(elements_N, dtype=np.int64)]
    scored_N = ~np.isnan(nats_N)
    total = float(nats_N[scored_N].sum(dtype=np.float64))
    kinds = {}
    for kind, name in enumerate(names):
        of_N = scored_N & (kind_N == kind)
        count = int(of_N.sum())
        if count:
            nats = float(nats_N[of_N].sum(dtype=np.float64))
            kinds[name] = {
                "loss": nats / count,
                "elements": count,
                "share": nats / max(total, 1e-9),
            }
    return kinds


NOTE = Measure("nats_per_note", "nats per note")
BEAT = Measure("nats_per_beat", "nats per quarter note")


def compare_models(models: Mapping[str, Any], part: MusicPart) -> Compared:
    """Nats of each piece, by models of any encoding.

    Notes are those of the source, so that all models are divided by the same numbers.

    Arguments:
        models: by name.
        part: pieces to score.
    """
    scored: dict[str, Scored] = {}
    kept: dict[str, int] = {}
    for name, model in models.items():
        encoder = music_encoder(model.bundle.encoder)
        store = store_of(encoder, part.pieces)
        log.info(f"scoring with {name}")
        figures, nats_N = score_part(model, replace(part, store=store), None)
        sums_U = np.add.reduceat(np.nan_to_num(nats_N).astype(np.float64), store.starts)
        row = described(model, figures)
        amounts = Amounts.of(encoder, part.pieces)
        row["units"] = unit_losses(row["figures"], amounts)
        kept[encoder.fingerprint] = amounts.notes
        scored[name] = Scored(row, {NOTE.key: sums_U, BEAT.key: sums_U})
    scores = [piece.score for piece in part.pieces]
    notes_U = np.array([max(1, len(score.notes)) for score in scores])
    beats_U = np.array([max(1, round(score.end / score.ticks)) for score in scores])
    caution = None
    if len(kept) > 1:
        numbers = ", ".join(f"{count:,}" for count in sorted(set(kept.values())))
        caution = (
            "the encodings differ: each figure is of what its encoding keeps "
            f"({numbers} of {int(notes_U.sum()):,} notes), and finer times or loudness cost more"
        )
    sizes = {NOTE.key: notes_U, BEAT.key: beats_U}
    return Compared(scored, (NOTE, BEAT), sizes, "pieces", f"{len(scores):,} pieces", caution)


@dataclass(frozen=True, repr=False)
class MusicEvaluation(Evaluation):
    """Figures of a sweep, in units of music and by kind.

    Arguments:
        units: see `unit_losses`.
        kinds: see `kind_losses`.
        writing: measures of generated music beside the scored music; None if not measured.
    """

    units: dict[str, Any] | None = None
    kinds: dict[str, dict[str, float]] | None = None
    writing: dict[str, Any] | None = None

    def report(self, title: str) -> Iterator[RenderableType]:
        from rhapsode.modalities.music.report import music_report

        yield from music_report(self.to_mapping(), title)
