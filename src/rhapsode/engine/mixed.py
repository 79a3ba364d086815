"""The mixture of a network with an n-gram model, whose writing is one compiled loop too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rhapsode.bundle.mixed_predictor import MixedPredictor
from rhapsode.counts.ngram import NGramModel
from rhapsode.engine.compiled_predictor import CompiledPredictor, Counting, write_through
from rhapsode.engine.contract import Stretch
from rhapsode.generation.chain import Chain
from rhapsode.generation.loop import Chosen, Job

__all__ = ["CompiledMixedPredictor"]


class CompiledMixedPredictor(MixedPredictor):
    """A mixture over the compiled engine. What is written does not depend on what is written beside it, bit for bit.

    Arguments:
        network: the network.
        ngram: over the same elements.
        share: of the n-gram model, 0 to 1.

    Raises:
        ValueError: another number of elements, or a share out of range.
    """

    def __init__(self, network: CompiledPredictor, ngram: NGramModel, share: float) -> None:
        super().__init__(network, ngram, share)
        self._compiled = network

    def generate(
        self, jobs: Sequence[Job], chain: Chain, *, seed: int, dropped: set[int] | None = None
    ) -> Iterator[Chosen]:
        """As `CompiledPredictor.generate`."""
        dropped = dropped if dropped is not None else set()
        stretches = self.stretches(jobs, chain, seed=seed, dropped=dropped)
        yield from write_through(self, stretches, jobs, chain, seed=seed, dropped=dropped)

    def stretches(
        self, jobs: Sequence[Job], chain: Chain, *, seed: int, dropped: set[int] | None = None
    ) -> Iterator[Stretch] | None:
        """As `CompiledPredictor.stretches`."""
        counting = Counting(self.ngram, self.share) if self.share > 0 else None
        return self._compiled.stretches(jobs, chain, seed=seed, dropped=dropped, counting=counting)
