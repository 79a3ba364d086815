"""Forecasts of a model of series, and their scores from many origins."""
