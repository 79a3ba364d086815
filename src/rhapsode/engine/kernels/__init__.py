"""Loops that are compiled: products, recurrent cells, attention, convolutions, and threads that share them."""
