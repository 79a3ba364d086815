"""Written music: measures, their order of playing, and scores of them."""
