"""The LSTM beside a straight line: settings and plan defaults. No torch."""

from rhapsode.models.lstm.config import LSTMFamily


class SkipLSTMFamily(LSTMFamily):
    """The LSTM beside a straight line; its features are wider than any table, and it has no engine form."""

    network = "rhapsode.models.skip_lstm.network:SkipLSTM"
    sees_inputs = True
    cell = None
