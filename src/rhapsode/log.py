"""The logger of the package: progress at INFO, warnings at WARNING."""

import logging

__all__ = ["log"]

log = logging.getLogger("rhapsode")
