"""What the training loop calls: validation, samples, the best weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rhapsode import __version__
from rhapsode.bundle import (
    Member,
    NetworkConfig,
    Provenance,
    TextBundle,
    TextFacts,
    write_bundle,
)
from rhapsode.bundle.network import Network, network_arrays
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.config import (
    GenerateSettings,
    SeenContext,
    TrainSettings,
    parse_context,
    to_mapping,
)
from rhapsode.data import Batch, part_of
from rhapsode.evaluation import in_context, total_loss
from rhapsode.training import Checkpoint, Group, LoopHooks, TrainingLoop, write_checkpoint
from rhapsode.workflows.continuing import continue_prompt
from rhapsode.workflows.corpus import Corpus
from rhapsode.workflows.run_folder import RunFolder

__all__ = ["ValidationPart", "begin_with", "loop_hooks"]

VALIDATION_LANES = 32
VALIDATION_RUN_UP = 256
VALIDATION_WORK = 500_000
VALIDATION_PRODUCTS = 1e11
"""Multiply-adds that a look at the validation slice may take, about a second's; it is read in part if it wants more."""
LEAST_VALIDATION = 8192
SAMPLE_SEED = 0


@dataclass(frozen=True)
class ValidationPart:
    """What of the validation slice is read to tell two models apart: all of it, or as much as about a second reads.

    Arguments:
        elements_N: ids.
        starts: where documents begin among them.
        scored_N: which are scored; None: all.
        context: what the model sees of the past.
    """

    elements_N: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    scored_N: NDArray[np.bool_] | None
    context: SeenContext

    @classmethod
    def of(cls, corpus: Corpus, network: Network, context: SeenContext) -> ValidationPart:
        """The part that a network of its size can read."""
        inner = network.parameter_count() - sum(p.numel() for p in network.input.parameters())
        most = max(LEAST_VALIDATION, int(VALIDATION_PRODUCTS / max(1, inner)))
        if context.kind == "window":
            most = len(corpus.validation)  # of which only some windows are read
        return cls(*part_of(corpus.validation, most, fresh=context.kind == "fresh"), context)

    def __len__(self) -> int:
        """Elements."""
        return len(self.elements_N)

    def batches(self) -> Iterator[Batch]:
        """It, in the model's own context."""
        return in_context(
            self.elements_N,
            self.starts,
            self.context,
            lanes=max(1, min(VALIDATION_LANES, len(self) // 512)),
            run_up=VALIDATION_RUN_UP,
            window=256,
            scored_N=self.scored_N,
            every=max(1, len(self) * self.context.size // VALIDATION_WORK),
        )


def loop_hooks(
    folder: RunFolder,
    settings: TrainSettings,
    corpus: Corpus,
    config: NetworkConfig,
    network: Network,
    *,
    ancestors: Sequence[Mapping[str, Any]] = (),
) -> LoopHooks:
    """Hooks that write into a run folder.

    Arguments:
        folder: where the best weights and the checkpoint go.
        settings: resolved.
        corpus: encoder, counts and validation slice.
        config: of the network, for its file.
        network: what is fitted.
        ancestors: the models before it, for its provenance.
    """
    context = parse_context(config.context)
    predictor = torch_predictor(network, corpus.encoder.vocab_size, context)
    counts_V = corpus.counts_V()
    part = ValidationPart.of(corpus, network, context)
    provenance = Provenance(
        data_sha256=corpus.sha256,
        documents=corpus.documents,
        copies=corpus.copies,
        characters=corpus.characters,
        test_share=settings.data.test_share,
        validation_share=settings.data.validation_share,
        selected_on="a validation slice of the training share"
        if len(part)
        else "nothing: the last weights",
        settings=to_mapping(settings),
        ancestors=tuple(ancestors),
        rhapsode=__version__,
    )
    shown = TextBundle(config, corpus.encoder, TextFacts(counts_V))

    def evaluate() -> float:
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=settings.training.precision == "bfloat16"
        ):
            total, count = total_loss(predictor, part.batches(), context)
        return total / count

    def bundle(step: int, loss: float | None) -> TextBundle:
        facts = replace(provenance, step=step, validation_loss=loss)
        members = (Member(network_arrays(network)),)
        return replace(shown, members=members, provenance=facts)

    def sample() -> tuple[tuple[float, str], ...]:
        if settings.samples.length == 0:
            return ()
        prompt = settings.samples.prompt
        if settings.samples.passage:
            prompt = _passage(corpus, network, settings.samples.passage)
        texts: list[tuple[float, str]] = []
        for temperature in settings.samples.temperatures:
            options = GenerateSettings(
                length=settings.samples.length, temperature=temperature, seed=SAMPLE_SEED
            )
            pieces = continue_prompt(predictor, shown, prompt, options)
            texts.append((temperature, prompt + "".join(piece.text for piece in pieces)))
        return tuple(texts)

    return LoopHooks(
        evaluate=evaluate if len(part) else None,
        sample=sample,
        keep_best=lambda step, loss: write_bundle(folder.model, bundle(step, loss)),
        checkpoint=folder.checkpoint,
        secure=folder.secure,
    )


def begin_with(
    loss: float | None, loop: TrainingLoop, hooks: LoopHooks, folder: RunFolder, group: Group
) -> None:
    """Make the weights a run begins with its best so far, and its first checkpoint.

    Arguments:
        loss: theirs, on the validation slice; None where there is none.
        loop: which has done nothing yet.
        hooks: what keeps the best.
        folder: of the run.
        group: the processes that train together.
    """
    fresh = loop.state()
    first = Checkpoint(fresh.tensors, {**fresh.values, "best": loss})
    with group.first_goes():
        if group.first:
            hooks.keep_best(0, loss)
            write_checkpoint(folder.checkpoint, first)
    loop.resume(folder.checkpoint)


def _passage(corpus: Corpus, network: Network, length: int) -> str:
    """A passage of the training share, another one at every look."""
    elements_N = corpus.train.elements_N
    # The weights decide which: a resumed run shows the same, and no random state is spent on it.
    *_, last = network.parameters()
    digest = hashlib.sha256(last.detach().cpu().numpy().tobytes()).digest()
    begin = int.from_bytes(digest[:8]) % max(1, len(elements_N) - length + 1)
    return corpus.encoder.decode(np.asarray(elements_N[begin : begin + length]).astype(np.int64))
