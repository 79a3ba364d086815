"""Pool of a network with simple methods, and factors for its intervals."""
