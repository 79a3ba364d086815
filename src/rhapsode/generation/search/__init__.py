"""The way of searching that settings ask for."""

from rhapsode.bundle import Job, Predictor
from rhapsode.config.search import SearchSettings
from rhapsode.generation.chain import Chain
from rhapsode.generation.search.beam import Found, beam_search, stochastic_beam_search
from rhapsode.generation.search.contrastive import contrastive_search

__all__ = ["search"]


def search(
    predictor: Predictor, job: Job, chain: Chain, settings: SearchSettings, *, seed: int
) -> list[Found]:
    """The continuations that settings ask for, the best first.

    Arguments:
        predictor: the model.
        job: what to continue.
        chain: what may be written; for beams, without steps of sampling.
        settings: with `beams` or `penalty_alpha`.
        seed: of stochastic beams.

    Raises:
        SettingsError: the predictor has no features for contrastive search.
    """
    if job.length == 0:
        return [Found((), 0.0, 0.0, "length")]
    if settings.penalty_alpha is not None:
        return [contrastive_search(predictor, job, chain, alpha=settings.penalty_alpha)]
    if settings.beams is None:
        raise ValueError("neither beams nor penalty_alpha is set")
    if settings.stochastic_beams:
        return stochastic_beam_search(predictor, job, chain, beams=settings.beams, seed=seed)
    return beam_search(
        predictor,
        job,
        chain,
        beams=settings.beams,
        length_penalty=settings.length_penalty,
        groups=settings.beam_groups,
        diversity_penalty=settings.diversity_penalty,
    )
