"""Series of numbers, in tables."""

from rhapsode.modalities import register

register(
    "series.v1",
    modality="rhapsode.modalities.series.modality:SERIES",
    facts="rhapsode.modalities.series.facts:SeriesFacts",
    model="rhapsode.modalities.series.model:SeriesModel",
)
