"""The page of the server: its files, its session, training from it."""
