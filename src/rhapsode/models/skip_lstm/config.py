"""The LSTM with a skip connection: settings and plan defaults. No torch."""

from rhapsode.models.lstm.config import LSTMFamily


class SkipLSTMFamily(LSTMFamily):
    """The LSTM with a skip connection from inputs to features.

    Its features are wider than any table, and it has no engine form.
    """

    network = "rhapsode.models.skip_lstm.network:SkipLSTM"
    sees_inputs = True
    cell = None
