"""The weight-dropped LSTM."""
