"""Mixtures of counts with the distribution of a network. No torch."""
