"""Recurrent networks: plain, gated, and variants of the LSTM."""
