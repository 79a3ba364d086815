"""Documents to elements and back. No torch."""

from rhapsode.encoding.bytes import ByteEncoder
from rhapsode.encoding.characters import CharacterEncoder
from rhapsode.encoding.chinese import JiebaEncoder
from rhapsode.encoding.choose import choose_encoding
from rhapsode.encoding.contexts import Contexts, ContextsTable, FiniteContexts
from rhapsode.encoding.contract import (
    ENCODERS,
    END_ID,
    UNKNOWN_ID,
    CountingEncoder,
    Encoder,
    IncrementalDecoder,
    encoder_from_mapping,
)
from rhapsode.encoding.grammar import FiniteGrammar, Grammar, GrammarTable
from rhapsode.encoding.ready import ReadyEncoder
from rhapsode.encoding.series import (
    EncodedSeries,
    SeriesEncoder,
    SeriesEncoderSettings,
    SeriesPaths,
)
from rhapsode.encoding.series_bins import BinSettings, learn_bins
from rhapsode.encoding.series_scaling import SeriesStats, column_scale
from rhapsode.encoding.subwords import BpeEncoder, UnigramEncoder, WordPieceEncoder
from rhapsode.encoding.words import WordEncoder

__all__ = [
    "ENCODERS",
    "END_ID",
    "UNKNOWN_ID",
    "BinSettings",
    "BpeEncoder",
    "ByteEncoder",
    "CharacterEncoder",
    "Contexts",
    "ContextsTable",
    "CountingEncoder",
    "EncodedSeries",
    "Encoder",
    "FiniteContexts",
    "FiniteGrammar",
    "Grammar",
    "GrammarTable",
    "IncrementalDecoder",
    "JiebaEncoder",
    "ReadyEncoder",
    "SeriesEncoder",
    "SeriesPaths",
    "SeriesEncoderSettings",
    "SeriesStats",
    "UnigramEncoder",
    "WordEncoder",
    "WordPieceEncoder",
    "choose_encoding",
    "column_scale",
    "encoder_from_mapping",
    "learn_bins",
]
