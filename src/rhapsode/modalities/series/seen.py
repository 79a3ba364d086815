"""Series as a network sees them."""

from __future__ import annotations

from rhapsode.data.tables import SeriesSet, format_time
from rhapsode.modalities.series.corpus import observed_lengths
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.values.seen import ValuesSeen, plain_row

__all__ = ["series_seen"]


def series_seen(bundle: SeriesBundle, given: SeriesSet) -> ValuesSeen:
    """The targets of all series.

    Arguments:
        bundle: its encoder is used.
        given: the series.
    """
    encoder = bundle.encoder
    seen = []
    for number, length in enumerate(observed_lengths(given).tolist()):
        rows = given.rows(number)
        some = slice(rows.start, rows.start + length)
        values_TK = given.values_NK[some]
        stats = encoder.stats(values_TK)
        encoded = encoder.encode(values_TK, stats)
        frequency = given.frequencies[number]
        seen.append(
            {
                "series": given.ids[number],
                "shift": stats.shift_K.tolist(),
                "scale": stats.scale_K.tolist(),
                "times": [format_time(int(t), given.kind, frequency) for t in given.times_N[some]],
                "values": [plain_row(row) for row in values_TK],
                "targets": [plain_row(row) for row in encoded.targets_TK],
            }
        )
    return ValuesSeen(encoder.name, seen)
