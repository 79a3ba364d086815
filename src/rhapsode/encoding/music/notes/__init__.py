"""Music as notes in bars: elements, grammar, writing and reading."""
