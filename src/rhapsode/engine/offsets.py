"""Places in the list of whole numbers that describes a network.

Tables, biases and norms are in one vector of float32, matrices in another of the requested kind of
weights, and the states of a row in a third, so that code with one signature reads every family. The
list holds where each part begins and how large it is.
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

# Of every network: whether products take their panels from the last to the first; see `products`
TURN = 16

# Of every network: elements with weights of full width, all where there is no tail
SHORTLIST = 17

# Of an adaptive head: the width of its tail; the matrix from features to those of the tail and,
# as its last output, to the logit of the tail as a whole
TAIL_SIZE, PROJECT, PROJECT_BIAS, TAIL, TAIL_BIAS = range(18, 23)

# A layer begins at FIRST + EACH * layer
FIRST, EACH = 23, 16
