"""States of models after texts: in memory by prefix, and stored by name."""
