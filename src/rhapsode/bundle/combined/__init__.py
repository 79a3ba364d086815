"""Predictors made of other predictors."""
