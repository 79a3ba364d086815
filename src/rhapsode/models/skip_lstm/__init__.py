"""The LSTM beside a straight line."""
