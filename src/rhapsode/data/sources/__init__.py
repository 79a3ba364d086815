"""Documents of sources: bytes, their text, and the requested fields.

From the bottom up: `blob` (bytes with a name), `compression`, `folders` (and archives), `decoding`,
`detection` and `textfile` (bytes to text), `fields/` (text to records) and `open_sources`.
"""

from rhapsode.data.sources.blob import Found
from rhapsode.data.sources.fields.record_tables import record_kind
from rhapsode.data.sources.open_sources import read_pieces

__all__ = ["Found", "read_pieces", "record_kind"]
