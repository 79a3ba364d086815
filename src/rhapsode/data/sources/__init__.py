"""Sources to documents: what bytes are, which text they hold, which part of it is asked for.

Knows nothing of where documents go. From the bottom up: `found` and `blob` (bytes with a name), `compression` and
`archives`, `decoding`, `detection` and `textfile` (bytes to text), `selector`, `json_records`, `tables` and `records`
(text to records), `folders` and `pieces`, and `sources`, which knows what a SOURCE may be.
"""

from rhapsode.data.sources.fields.records import record_kind
from rhapsode.data.sources.formats import Found
from rhapsode.data.sources.open_sources import Reading, read_pieces, read_sources

__all__ = ["Found", "Reading", "read_pieces", "read_sources", "record_kind"]
