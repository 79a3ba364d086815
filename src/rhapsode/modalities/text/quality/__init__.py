"""Quality measures of generated text, and indices of training data."""
