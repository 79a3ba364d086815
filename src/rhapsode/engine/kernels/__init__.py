"""Compiled loops: products, recurrent cells, attention, convolutions and threads."""
