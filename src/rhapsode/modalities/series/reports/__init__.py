"""Series and figures of them for people."""
