"""Elements as batches: streams for training and sweeps for scoring."""
