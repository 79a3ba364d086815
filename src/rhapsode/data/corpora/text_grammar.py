"""Probabilistic grammars of texts, with the exact probability of every text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Memory = Mapping[str, int]


@dataclass(frozen=True)
class Text:
    """Exactly this text."""

    text: str


@dataclass(frozen=True)
class Choice:
    """One of several options; `Recall` finds a named choice.

    Arguments:
        options: the alternatives.
        weights: relative weights; empty for equal ones.
        name: name for `Recall`; empty for none.
    """

    options: tuple[Node, ...]
    weights: tuple[float, ...] = ()
    name: str = ""

    def probabilities(self) -> list[float]:
        """The probabilities of the options; their sum is 1."""
        weights = self.weights or (1.0,) * len(self.options)
        total = math.fsum(weights)
        return [weight / total for weight in weights]


@dataclass(frozen=True)
class Recall:
    """The option that belongs to a remembered choice."""

    name: str
    options: tuple[Node, ...]


@dataclass(frozen=True)
class Series:
    """Nodes one after another."""

    parts: tuple[Node, ...]


Node = Text | Choice | Recall | Series


def optional(node: Node, probability: float) -> Choice:
    """A node, or nothing."""
    return Choice((node, Text("")), (probability, 1 - probability))


def draw_text(node: Node, generator: np.random.Generator) -> tuple[str, float]:
    """A text of the grammar, and its log-probability in nats."""
    parts: list[str] = []
    nats = _draw(node, generator, parts, {})
    return "".join(parts), nats


def _draw(
    node: Node, generator: np.random.Generator, parts: list[str], memory: dict[str, int]
) -> float:
    if isinstance(node, Text):
        parts.append(node.text)
        return 0.0
    if isinstance(node, Series):
        return math.fsum(_draw(part, generator, parts, memory) for part in node.parts)
    if isinstance(node, Recall):
        return _draw(node.options[memory[node.name]], generator, parts, memory)
    probabilities = node.probabilities()
    total = np.cumsum(probabilities)
    index = min(int(np.searchsorted(total, generator.random(), side="right")), len(total) - 1)
    if node.name:
        memory[node.name] = index
    return math.log(probabilities[index]) + _draw(node.options[index], generator, parts, memory)


def parses(node: Node, text: str) -> Iterator[float]:
    """Log-probability of every derivation of a text, in nats."""
    for end, nats, _ in _match(node, text, 0, {}):
        if end == len(text):
            yield nats


def log_prob(node: Node, text: str) -> float:
    """Log-probability of a text, in nats.

    It is -inf for a text that the grammar cannot produce.
    """
    ways = list(parses(node, text))
    if not ways:
        return -math.inf
    top = max(ways)
    return top + math.log(math.fsum(math.exp(way - top) for way in ways))


def _match(node: Node, text: str, at: int, memory: Memory) -> Iterator[tuple[int, float, Memory]]:
    if isinstance(node, Text):
        if text.startswith(node.text, at):
            yield at + len(node.text), 0.0, memory
    elif isinstance(node, Series):
        yield from _match_parts(node.parts, text, at, memory)
    elif isinstance(node, Recall):
        yield from _match(node.options[memory[node.name]], text, at, memory)
    else:
        for index, probability in enumerate(node.probabilities()):
            known = {**memory, node.name: index} if node.name else memory
            for end, nats, after in _match(node.options[index], text, at, known):
                yield end, nats + math.log(probability), after


def _match_parts(
    parts: Sequence[Node], text: str, at: int, memory: Memory
) -> Iterator[tuple[int, float, Memory]]:
    if not parts:
        yield at, 0.0, memory
        return
    for middle, nats, between in _match(parts[0], text, at, memory):
        for end, more, after in _match_parts(parts[1:], text, middle, between):
            yield end, nats + more, after
