"""Strokes of a pen: drawings and handwriting."""

from rhapsode.modalities import register

register(
    "strokes.v1",
    modality="rhapsode.modalities.strokes.modality:STROKES",
    facts="rhapsode.modalities.strokes.facts:StrokeFacts",
    model="rhapsode.modalities.strokes.model:StrokeModel",
)
