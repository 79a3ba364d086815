"""The LSTM with a skip connection."""
