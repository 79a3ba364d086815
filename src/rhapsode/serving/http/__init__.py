"""Receiving of requests: deadlines, hosts, origins, keys and headers."""
