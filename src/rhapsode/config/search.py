"""Settings of searches for a whole continuation."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from rhapsode.config.options import option
from rhapsode.config.sampling import SamplingSettings
from rhapsode.errors import SettingsError

# Settings of sampling that also apply to beam search: penalties, order and explanation.
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
    """Search for a likely continuation."""

    beams: Annotated[_Many | None, option("N", "off")] = None
    """Beam search with N beams for continuations of high probability, in place of sampling; --count
    returns the best of them."""
    length_penalty: Annotated[Annotated[float, Meta(ge=-10.0, le=10.0)], option("A")] = 0.0
    """Exponent A of the length in the score of a beam, log-probability / length^A; the length
    includes end-of-sequence. 0 ranks by the probability, 1 by the mean log-probability of an
    element; values above 0 favour longer texts."""
    beam_groups: Annotated[_Many, option("G")] = 1
    """Split the beams into G groups; --diversity-penalty discourages each group from choosing
    elements that earlier groups chose."""
    diversity_penalty: Annotated[Annotated[float, Meta(ge=0.0, le=1e6)], option("X")] = 0.0
    """Penalty, in nats, on an element for each beam of an earlier group that chose it at the same
    position. It affects the choice of elements, not the scores."""
    stochastic_beams: bool = False
    """Stochastic beam search: sample distinct continuations without replacement, with the seed."""
    penalty_alpha: Annotated[Annotated[float, Meta(ge=0.0, le=1.0)] | None, option("A", "off")] = (
        None
    )
    """Contrastive search: among the --top-k likeliest elements, take the one with the highest (1 -
    A) p - A s, where s is the largest cosine similarity of its features to those of the preceding
    elements. Use about 0.6 with --top-k 4 or 5."""
    best_of: Annotated[_Many | None, option("N", "off")] = None
    """Sample N continuations for each one returned, and keep the best according to --rank-by."""
    rank_by: Annotated[Literal["likelihood", "novelty"], option("likelihood|novelty")] = (
        "likelihood"
    )
    """Criterion of --best-of. likelihood keeps the continuation with the highest mean
    log-probability of an element under the unmodified model; novelty keeps the one whose longest
    sequence found in the training data is shortest."""

    @property
    def searching(self) -> bool:
        """True if continuations are searched for, not drawn."""
        return self.beams is not None or self.penalty_alpha is not None


def check_search(
    search: SearchSettings,
    sampling: SamplingSettings,
    *,
    count: int = 1,
) -> None:
    """Check that the settings of search and sampling fit together.

    Arguments:
        search: how to search.
        sampling: how elements are drawn.
        count: continuations asked for.

    Raises:
        SettingsError: they contradict each other.
    """
    beams, alpha, best_of = search.beams, search.penalty_alpha, search.best_of
    of_beams = ("length_penalty", "beam_groups", "diversity_penalty", "stochastic_beams")
    beside = _BESIDE if alpha is None else {*_BESIDE, "top_k"}
    of_draws = [f.name for f in dataclasses.fields(SamplingSettings) if f.name not in beside]
    drawn, best = (
        "this search draws no elements",
        "it ranks drawn continuations, and this search draws none",
    )
    few = f"{beams} beams cannot give {count} continuations"
    # Of each rule that applies: settings that must keep their defaults, the reason, another
    # setting.
    rules: list[tuple[object, Sequence[str], str, str]] = [
        (beams is None, of_beams, "it applies only to a beam search", "beams"),
        (alpha is not None, ["beams"], "contrastive search has no beams", "penalty_alpha"),
        (beams is not None and beams < count, ["beams"], few, "count"),
        (best_of and beams is not None, ["best_of"], best, "beams"),
        (best_of and alpha is not None, ["best_of"], best, "penalty_alpha"),
        (best_of, ["trace"], "only one of several continuations is kept", "best_of"),
        (not best_of, ["rank_by"], "there is only one continuation to rank", "best_of"),
        (
            beams is not None and beams % search.beam_groups,
            ["beam_groups"],
            f"{beams} beams cannot be divided evenly",
            "beams",
        ),
        (
            search.beam_groups == 1,
            ["diversity_penalty"],
            "it applies between groups, and there is only one",
            "beam_groups",
        ),
        (
            search.stochastic_beams,
            ["trace"],
            "stochastic beams are drawn as whole sequences",
            "stochastic_beams",
        ),
        (
            search.stochastic_beams,
            ["length_penalty", "beam_groups"],
            "stochastic beams are a sample, without ranking",
            "stochastic_beams",
        ),
        (
            search.searching and not search.stochastic_beams,
            of_draws,
            drawn,
            "penalty_alpha" if beams is None else "beams",
        ),
        (
            alpha is not None and sampling.top_k < 1,
            ["penalty_alpha"],
            "contrastive search needs a number of candidates",
            "top_k",
        ),
        (
            alpha is not None and count > 1,
            ["penalty_alpha"],
            "contrastive search finds one continuation",
            "count",
        ),
    ]
    for applies, names, reason, other in rules:
        for name in names if applies else ():
            settings: Any = search if name in SearchSettings.__dataclass_fields__ else sampling
            if getattr(settings, name) != settings.__dataclass_fields__[name].default:
                flag, hint = (f"--{each.replace('_', '-')}" for each in (name, other))
                raise SettingsError(reason, where=flag, hint=f"see {hint}")
