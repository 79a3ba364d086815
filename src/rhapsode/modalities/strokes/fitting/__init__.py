"""Fitting of models of strokes: batches, plans, and the biased head."""
