"""Filters between logits and the draw, one file a purpose.

A new filter is a class here, a step of the chain in `generation/chain.py` with its place in each of
`ORDERS`, and a setting with its help in `config/sampling.py`. The compiled form of a filter, if it
has one, is in `engine/sampling_steps.py`.
"""
