"""Tables, curves and pictures for people."""
