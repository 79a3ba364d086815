"""Tables and panels that commands print on a terminal."""
