"""A family that is registered by tests only: one folder, as a family of the package."""
