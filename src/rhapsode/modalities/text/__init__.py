"""Texts: files and records of characters."""

from rhapsode.modalities import register

register(
    "text.v1",
    modality="rhapsode.modalities.text.modality:TEXT",
    facts="rhapsode.modalities.text.facts:TextFacts",
    model="rhapsode.modalities.text.model:TextModel",
)
