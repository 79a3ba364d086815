"""How whole continuations are searched for, in place of drawing one element after another."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.config.options import option
from rhapsode.config.sampling import SamplingSettings
from rhapsode.errors import SettingsError

__all__ = ["SearchSettings", "check_search"]

# Of the settings of sampling, what beams keep to as well: they weigh what was written, or say no more than how.
_BESIDE = frozenset(
    (
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
        "no_repeat_ngram",
        "dry_multiplier",
        "dry_base",
        "dry_allowed_length",
        "dry_breakers",
        "order",
        "explain",
    )
)
_Many = Annotated[int, Meta(ge=1, le=4096)]


@dataclass(frozen=True)
class SearchSettings:
    """Looking for a likely whole."""

    beams: Annotated[_Many | None, option("N", "off")] = None
    """Search with N continuations side by side for one of high probability, in place of drawing; --count gives the best
    of them."""
    length_penalty: Annotated[Annotated[float, Meta(ge=-10.0, le=10.0)], option("A")] = 0.0
    """Rank beams by their log-probability divided by their length to the power A, end-of-sequence counted in: 0 by
    the probability itself, 1 by the mean of an element, above 0 favours longer texts."""
    beam_groups: Annotated[_Many, option("G")] = 1
    """Search in G groups of beams, one after another, each kept off the elements that those before it have chosen."""
    diversity_penalty: Annotated[Annotated[float, Meta(ge=0.0, le=1e6)], option("X")] = 0.0
    """What an element chosen at the same place by a beam of an earlier group costs, in nats, when choosing; scores are
    free of it."""
    stochastic_beams: bool = False
    """Draw the beams as a sample of different continuations, none of them twice, by the seed."""
    penalty_alpha: Annotated[Annotated[float, Meta(ge=0.0, le=1.0)] | None, option("A", "off")] = (
        None
    )
    """Contrastive search: of the --top-k likeliest elements take the one with the best (1 - A) p - A s, where s is the
    closest likeness of its features to those of what stands before. Around 0.6 with --top-k 4 or 5."""
    best_of: Annotated[_Many | None, option("N", "off")] = None
    """Draw N continuations for each that is written, and keep the best by --rank-by."""
    rank_by: Annotated[Literal["likelihood", "novelty"], option("likelihood|novelty")] = (
        "likelihood"
    )
    """What --best-of ranks by: the mean log-probability of an element under the model as it is, or how little stands
    in the training data: whose longest run of elements found there is shortest."""

    @property
    def searching(self) -> bool:
        """Whether continuations are searched for, not drawn."""
        return self.beams is not None or self.penalty_alpha is not None


def check_search(
    search: SearchSettings,
    sampling: SamplingSettings,
    *,
    count: int = 1,
) -> None:
    """Pass when the settings of search fit together, and to the steps of sampling.

    Arguments:
        search: how to search.
        sampling: how elements are drawn.
        count: continuations asked for.

    Raises:
        SettingsError: they contradict each other.
    """
    beams = search.beams
    if beams is None:
        for name in ("length_penalty", "beam_groups", "diversity_penalty", "stochastic_beams"):
            if _is_set(search, name):
                raise _refused(name, "it says how beams are searched, and there are none", "beams")
    elif search.penalty_alpha is not None:
        raise _refused("beams", "contrastive search has none", "penalty_alpha")
    elif beams < count:
        raise _refused("beams", f"{beams} beams cannot give {count} continuations", "count")
    if search.best_of is not None:
        for name in ("beams", "penalty_alpha"):
            if getattr(search, name) is not None:
                raise _refused("best_of", "it ranks what is drawn, and nothing is", name)
        if _is_set(sampling, "trace"):
            raise _refused("trace", "of several continuations one is kept", "best_of")
    elif _is_set(search, "rank_by"):
        raise _refused("rank_by", "there is nothing to rank", "best_of")
    if beams is not None and beams % search.beam_groups:
        raise _refused("beam_groups", f"{beams} beams cannot be shared out evenly", "beams")
    if search.diversity_penalty and search.beam_groups == 1:
        raise _refused(
            "diversity_penalty", "it lies between groups, and there is one", "beam_groups"
        )
    if search.stochastic_beams:
        if _is_set(sampling, "trace"):
            raise _refused("trace", "beams are drawn as a whole", "stochastic_beams")
        for name in ("length_penalty", "beam_groups"):
            if _is_set(search, name):
                raise _refused(name, "a sample of beams is not ranked", "stochastic_beams")
    if search.searching and not search.stochastic_beams:
        allowed = _BESIDE | ({"top_k"} if search.penalty_alpha is not None else set[str]())
        for name in [field.name for field in dataclasses.fields(SamplingSettings)]:
            if name not in allowed and _is_set(sampling, name):
                raise _refused(
                    name,
                    "it says how elements are drawn, and none is",
                    "beams" if beams is not None else "penalty_alpha",
                )
    if search.penalty_alpha is not None:
        if sampling.top_k < 1:
            raise _refused(
                "penalty_alpha", "it chooses among few candidates: say how many", "top_k"
            )
        if count > 1:
            raise _refused("penalty_alpha", "contrastive search finds one continuation", "count")


def _is_set(settings: object, name: str) -> bool:
    """Whether a setting differs from its default."""
    field = type(settings).__dataclass_fields__[name]  # type: ignore[attr-defined]
    return bool(getattr(settings, name) != field.default)


def _refused(name: str, what: str, other: str) -> SettingsError:
    flags = [f"--{each.replace('_', '-')}" for each in (name, other)]
    return SettingsError(what, where=flags[0], hint=f"see {flags[1]}")
