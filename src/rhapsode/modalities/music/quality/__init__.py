"""Quality of generated music beside real music."""
