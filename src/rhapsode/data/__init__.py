"""Pipeline from files to documents, memory-mapped arrays and batches.

Encoders are passed in as callables that turn text into ids; torch is not needed. Names are imported
on first use, so that generation loads no readers of sources.
"""

from typing import TYPE_CHECKING

from rhapsode.late import late_names

if TYPE_CHECKING:
    from rhapsode.data.batch import (
        AllowedElements,
        Batch,
        Condition,
        FilledStream,
        MaskedStream,
        Stream,
    )
    from rhapsode.data.batching.carried import CarriedStream, sweep, sweep_lanes
    from rhapsode.data.batching.fresh import FreshStream, document_spans, sweep_fresh
    from rhapsode.data.batching.value_stream import ValueArrays, ValueStream, sweep_values
    from rhapsode.data.batching.windows import (
        WindowStream,
        part_of,
        sources_of_part,
        sweep_rows,
        sweep_strided,
        sweep_windows,
    )
    from rhapsode.data.corpora.catalogue import (
        CATALOGUE,
        CatalogueEntry,
        Download,
        catalogue_documents,
        fetch_corpus,
        find_copy,
        list_corpora,
        local_copy,
    )
    from rhapsode.data.corpora.kitchen import kitchen_documents, kitchen_log_prob, kitchen_record
    from rhapsode.data.corpora.reels import reel_documents, reel_log_prob
    from rhapsode.data.document import Document
    from rhapsode.data.source_store import SourceStore
    from rhapsode.data.sources import Found, read_pieces, record_kind
    from rhapsode.data.sources.memory import holds_documents, holds_records
    from rhapsode.data.splits import Splits, first_copies, split_documents, split_groups
    from rhapsode.data.store import (
        ElementStore,
        Encoded,
        cache_folder,
        encode_piece,
        open_store,
        write_store,
    )
    from rhapsode.data.texts import PIECE, Parts, TextStore, open_texts, write_texts

__all__ = [
    "AllowedElements",
    "CATALOGUE",
    "Batch",
    "CarriedStream",
    "CatalogueEntry",
    "Condition",
    "Document",
    "Download",
    "ElementStore",
    "FreshStream",
    "Encoded",
    "Found",
    "FilledStream",
    "MaskedStream",
    "PIECE",
    "Parts",
    "ValueArrays",
    "ValueStream",
    "TextStore",
    "SourceStore",
    "Splits",
    "Stream",
    "WindowStream",
    "cache_folder",
    "catalogue_documents",
    "document_spans",
    "fetch_corpus",
    "holds_documents",
    "holds_records",
    "find_copy",
    "kitchen_documents",
    "kitchen_log_prob",
    "kitchen_record",
    "list_corpora",
    "local_copy",
    "open_store",
    "split_documents",
    "split_groups",
    "sweep",
    "sweep_fresh",
    "sweep_lanes",
    "sweep_rows",
    "sweep_values",
    "sweep_strided",
    "sweep_windows",
    "encode_piece",
    "first_copies",
    "open_texts",
    "part_of",
    "read_pieces",
    "sources_of_part",
    "record_kind",
    "reel_documents",
    "reel_log_prob",
    "write_store",
    "write_texts",
]

_PLACES = {
    **dict.fromkeys(("Batch", "Condition", "Stream"), "batch"),
    **dict.fromkeys(("CarriedStream", "sweep", "sweep_lanes"), "batching.carried"),
    **dict.fromkeys(("FreshStream", "document_spans", "sweep_fresh"), "batching.fresh"),
    **dict.fromkeys(("AllowedElements", "FilledStream", "MaskedStream"), "batch"),
    **dict.fromkeys(
        ("part_of", "sources_of_part", "sweep_rows", "sweep_strided"), "batching.windows"
    ),
    **dict.fromkeys(("ValueArrays", "ValueStream", "sweep_values"), "batching.value_stream"),
    **dict.fromkeys(("WindowStream", "sweep_windows"), "batching.windows"),
    **dict.fromkeys(
        ("CATALOGUE", "CatalogueEntry", "catalogue_documents", "fetch_corpus", "list_corpora"),
        "corpora.catalogue",
    ),
    **dict.fromkeys(("Download", "find_copy", "local_copy"), "corpora.catalogue"),
    **dict.fromkeys(("kitchen_documents", "kitchen_log_prob", "kitchen_record"), "corpora.kitchen"),
    **dict.fromkeys(("reel_documents", "reel_log_prob"), "corpora.reels"),
    **dict.fromkeys(("Document",), "document"),
    **dict.fromkeys(("Found", "read_pieces", "record_kind"), "sources"),
    **dict.fromkeys(("holds_documents", "holds_records"), "sources.memory"),
    **dict.fromkeys(("SourceStore",), "source_store"),
    **dict.fromkeys(("Splits", "first_copies", "split_documents", "split_groups"), "splits"),
    **dict.fromkeys(
        ("ElementStore", "Encoded", "cache_folder", "encode_piece", "open_store", "write_store"),
        "store",
    ),
    **dict.fromkeys(("PIECE", "Parts", "TextStore", "open_texts", "write_texts"), "texts"),
}

__getattr__ = late_names(__name__, {name: f".{place}" for name, place in _PLACES.items()})
