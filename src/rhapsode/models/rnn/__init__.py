"""The plain recurrent network."""
