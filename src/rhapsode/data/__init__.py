"""Files to documents to memory-mapped arrays to batches.

Knows nothing of encoders: what turns text into ids is handed in as a callable. No torch.
"""

from rhapsode.data.batch import Batch
from rhapsode.data.catalogue import CATALOGUE, CatalogueEntry, catalogue_documents
from rhapsode.data.document import Document
from rhapsode.data.documents import Reading, read_sources
from rhapsode.data.fetch import Download, find_copy, local_copy
from rhapsode.data.fresh import FreshStream, document_spans, sweep_fresh
from rhapsode.data.kitchen import kitchen_documents, kitchen_log_prob, kitchen_record
from rhapsode.data.splits import Split, documents_hash, split_tail
from rhapsode.data.store import ElementStore, cache_folder, open_store, write_store
from rhapsode.data.stream import Stream
from rhapsode.data.streams import CarriedStream, sweep, sweep_lanes
from rhapsode.data.windows import WindowStream, sweep_windows

__all__ = [
    "CATALOGUE",
    "Batch",
    "CarriedStream",
    "CatalogueEntry",
    "Document",
    "Download",
    "ElementStore",
    "FreshStream",
    "Reading",
    "Split",
    "Stream",
    "WindowStream",
    "cache_folder",
    "catalogue_documents",
    "document_spans",
    "documents_hash",
    "find_copy",
    "kitchen_documents",
    "kitchen_log_prob",
    "kitchen_record",
    "local_copy",
    "open_store",
    "read_sources",
    "split_tail",
    "sweep",
    "sweep_fresh",
    "sweep_lanes",
    "sweep_windows",
    "write_store",
]
