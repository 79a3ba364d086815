"""Training on series of numbers, forecasting and scoring them: plain functions that wire the rooms below."""
