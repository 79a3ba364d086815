"""The plain recurrent layer."""
