"""Requests and answers as they travel: fields, errors, events."""
