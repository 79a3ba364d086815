"""Answers of an opened model of pairs to inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rhapsode.config import GenerateSettings
from rhapsode.data import SourceStore
from rhapsode.encoding import Encoder
from rhapsode.errors import SettingsError
from rhapsode.log import log
from rhapsode.modalities.ids.typed_text import named
from rhapsode.modalities.text.pairs.pair_answering import Answer, Search, find_answers
from rhapsode.modalities.text.pairs.pair_evaluation import answer_length
from rhapsode.modalities.text.pairs.pair_prompts import input_text
from rhapsode.views.figures import plural

if TYPE_CHECKING:
    from rhapsode.modalities.text.model import TextModel


def answer_inputs(
    model: TextModel,
    encoder: Encoder,
    inputs: Sequence[str],
    settings: GenerateSettings,
    n_best: int,
) -> Iterator[list[Answer]]:
    """The best answers to inputs, in their order.

    A blank input has none.

    Arguments:
        model: of pairs.
        encoder: of the inputs.
        inputs: texts.
        settings: of the search; `beams` is at least `n_best`.
        n_best: answers to each input.

    Raises:
        SettingsError: settings of drawing, which a search has no use for.
    """
    search = search_of(settings, n_best, answer_length(model.bundle))
    filled = [input_text(text, encoder) for text in inputs if text.strip()]
    unknown = list(dict.fromkeys(piece for text in filled for piece in encoder.unknown(text)))
    if unknown and settings.unknown == "skip":
        filled = [encoder.without_unknown(text) for text in filled]
    elif unknown:
        some = sum(bool(encoder.unknown(text)) for text in filled)
        log.warning(
            f"the training inputs had no {named(unknown)}: {plural(some, 'input')} with the "
            "unknown element"
        )
    sources = SourceStore.of([encoder.encode(text) for text in filled])
    chain = model.chain(settings)
    found = find_answers(model.scorer, sources, chain, search, model.bundle.encoder)
    for text in inputs:
        yield next(found) if text.strip() else []


def search_of(settings: GenerateSettings, n_best: int, longest: int) -> Search:
    """The search that settings ask for.

    Arguments:
        settings: of a request.
        n_best: answers to each input.
        longest: most elements of an answer where no length is set.

    Raises:
        SettingsError: fewer beams than answers, or settings of drawing.
    """
    for name in ("penalty_alpha", "best_of", "stochastic_beams"):
        if getattr(settings, name):
            raise SettingsError(
                "answers to a file are found by a beam search",
                where=f"--{name.replace('_', '-')}",
                hint="leave it out",
            )
    if settings.count > 1:
        raise SettingsError("answers to a file are not drawn", where="--count", hint="use --n-best")
    beams = settings.beams or n_best
    if beams < n_best:
        raise SettingsError(
            f"{beams} beams cannot give {n_best} answers", where="--n-best", hint="see --beams"
        )
    return Search(
        beams,
        settings.length or longest,
        settings.length_penalty,
        settings.beam_groups,
        settings.diversity_penalty,
        n_best,
    )
