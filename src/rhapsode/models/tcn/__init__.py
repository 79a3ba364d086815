"""The temporal convolutional network."""
