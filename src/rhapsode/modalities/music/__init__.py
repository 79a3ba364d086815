"""Music: scores from MIDI, ABC, MusicXML and piano rolls."""

from rhapsode.modalities import register

register(
    "music.v1",
    modality="rhapsode.modalities.music.modality:MUSIC",
    facts="rhapsode.modalities.music.facts:MusicFacts",
    model="rhapsode.modalities.music.model:MusicModel",
)
