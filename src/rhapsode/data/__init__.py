"""Files to documents to memory-mapped arrays to batches.

Knows nothing of encoders: what turns text into ids is handed in as a callable. No torch.
"""

from rhapsode.data.batch import Batch
from rhapsode.data.catalogue import CATALOGUE, CatalogueEntry, catalogue_documents
from rhapsode.data.document import Document
from rhapsode.data.documents import Reading, read_sources
from rhapsode.data.splits import Split, documents_hash, split_tail
from rhapsode.data.store import ElementStore, cache_folder, open_store, write_store
from rhapsode.data.streams import CarriedStream, sweep, sweep_lanes

__all__ = [
    "CATALOGUE",
    "Batch",
    "CarriedStream",
    "CatalogueEntry",
    "Document",
    "ElementStore",
    "Reading",
    "Split",
    "cache_folder",
    "catalogue_documents",
    "documents_hash",
    "open_store",
    "read_sources",
    "split_tail",
    "sweep",
    "sweep_lanes",
    "write_store",
]
