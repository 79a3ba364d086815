"""The places in the list of whole numbers that tells compiled code what a network is.

Tables, biases and norms lie in one vector of float32, matrices in another of the kind of weights
asked for, and all that a row remembers in a third, so that every family is read by code of one and
the same signature. The list says where each part begins, and how large it is.
"""

# Families
LSTM, GRU, TANH, RELU, TRANSFORMER, CLASSIC, CONVOLUTION = range(7)

# Of every network
FAMILY, VOCAB, FEATURES, STATE, LAYERS, HEAD, HEAD_BIAS, TABLE, TABLE_STEP, EMBEDDING = range(10)

# Of recurrent ones: whether the table holds the first layer's products
FOLDED = 10

# Of transformers
HEADS, WINDOW, INNER, NORM, FREQUENCIES = range(10, 15)
POSITIONS = NORM

# Of convolutions
TAPS, TAP_SIZE = 10, 11

# Of every network: where a helper looks for work, an address; 0 without one
BOARD = 15

# A layer begins at FIRST + EACH * layer
FIRST, EACH = 16, 16
