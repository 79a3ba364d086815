"""Opened models of music."""

from __future__ import annotations

from rhapsode.config import from_mapping
from rhapsode.errors import BundleError
from rhapsode.modalities.ids.model import IdModel
from rhapsode.modalities.music.facts import MusicFacts
from rhapsode.modalities.music.settings import MusicSettings


class MusicModel(IdModel):
    """A model file of music, opened."""

    facts = MusicFacts

    def reading_settings(self) -> MusicSettings:
        """Settings of reading, as in training."""
        kept = self.bundle.provenance.section("music")
        return from_mapping(MusicSettings, kept, where="settings", error=BundleError)
