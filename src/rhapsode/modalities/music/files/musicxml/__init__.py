"""MusicXML: read, and written for engraving."""
