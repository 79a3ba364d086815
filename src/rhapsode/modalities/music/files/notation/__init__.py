"""Written music: measures, the order in which they are played, and scores of them."""
