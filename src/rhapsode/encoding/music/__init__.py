"""Scores, and their elements: notes, performances, frames, ABC. No torch."""
