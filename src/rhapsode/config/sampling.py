"""Settings of sampling and of constraints on generation."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from rhapsode.config.options import Repeated, option

__all__ = [
    "ControlSettings",
    "RepetitionSettings",
    "SamplingSettings",
    "TemperatureSettings",
    "TruncationSettings",
]

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
ShareBelowOne = Annotated[float, Meta(ge=0.0, lt=1.0)]
Degrees = Annotated[float, Meta(ge=0.0, le=1e6)]
Penalty = Annotated[float, Meta(ge=-2.0, le=2.0)]


@dataclass(frozen=True)
class TemperatureSettings:
    """Temperature of the draw."""

    temperature: Annotated[Degrees, option("T")] = 1.0
    """Divides the logits: 0.2 to 0.5 for technical text, 0.7 to 0.9 balanced, 1.0 to 1.5 creative; 0 is greedy: it
    always takes the likeliest element, and soon loops."""
    dynatemp_low: Annotated[Degrees | None, option("T", "off")] = None
    """Dynamic temperature in place of a fixed one: this one where the model is sure; give both ends, as 0.5 and 1.5."""
    dynatemp_high: Annotated[Degrees | None, option("T", "off")] = None
    """The dynamic temperature where the model finds all candidates alike."""
    dynatemp_exponent: Annotated[Annotated[float, Meta(ge=0.01, le=100.0)], option("E")] = 1.0
    """How the dynamic temperature rises with the entropy between its ends; above 1 later."""


@dataclass(frozen=True)
class TruncationSettings:
    """Truncation of the candidates."""

    top_k: Annotated[Annotated[int, Meta(ge=0)], option("K")] = 0
    """Choose among the K likeliest elements only, as 40; 0 is off."""
    top_p: Annotated[Share, option("P")] = 1.0
    """Choose among the smallest set of elements with this much probability, as 0.95; 1 is off."""
    min_p: Annotated[Share, option("P")] = 0.0
    """Drop elements less likely than this share of the likeliest one's probability, as 0.05; 0 is off."""
    typical_p: Annotated[Share, option("P")] = 1.0
    """Choose among elements about as surprising as the model expects, with this much probability together, as 0.95; 1
    is off."""
    epsilon_cutoff: Annotated[ShareBelowOne, option("P")] = 0.0
    """Drop elements less likely than this, as 0.0003; 0 is off."""
    eta_cutoff: Annotated[ShareBelowOne, option("P")] = 0.0
    """As epsilon_cutoff, but milder where the model is unsure, as 0.001; 0 is off."""
    top_n_sigma: Annotated[Annotated[float, Meta(ge=0.0, le=1000.0)], option("N")] = 0.0
    """Keep logits within this many standard deviations of the largest, as 1; 0 is off."""
    xtc_probability: Annotated[Share, option("P")] = 0.0
    """How often to leave out the top choices, all but the least likely of them, as 0.5; end-of-sequence and line ends
    are never left out; 0 is off."""
    xtc_threshold: Annotated[Share, option("P")] = 0.1
    """Least probability of a top choice."""
    mirostat_tau: Annotated[Annotated[float, Meta(ge=0.0, le=100.0)], option("BITS")] = 0.0
    """Steer to this surprise in bits per element (Mirostat 2), in place of every other step that drops candidates; 0 is
    off."""
    mirostat_eta: Annotated[Share, option("RATE")] = 0.1
    """How fast Mirostat corrects itself."""


@dataclass(frozen=True)
class RepetitionSettings:
    """Penalties on repetition."""

    repetition_penalty: Annotated[Annotated[float, Meta(ge=0.01, le=100.0)], option("R")] = 1.0
    """Multiplies the log-probability of what occurs in prompt or continuation, as 1.1; 1 is off, below 1 invites it."""
    frequency_penalty: Annotated[Penalty, option("F")] = 0.0
    """Lowers a logit by this much for every time that the element has been written, -2 to 2; 0 is off."""
    presence_penalty: Annotated[Penalty, option("P")] = 0.0
    """Lowers a logit by this much once the element has been written, -2 to 2; 0 is off."""
    no_repeat_ngram: Annotated[Annotated[int, Meta(ge=0, le=2**31 - 1)], option("N")] = 0
    """Never write N elements in a row that occur in prompt or continuation already; 0 is off."""
    dry_multiplier: Annotated[Annotated[float, Meta(ge=0.0, le=1e6)], option("M")] = 0.0
    """Penalise going on with a repeated run, the more the longer it is (DRY), as 0.8; 0 is off."""
    dry_base: Annotated[Annotated[float, Meta(ge=1.0, le=1e6)], option("B")] = 1.75
    """How the DRY penalty grows with each element of the run."""
    dry_allowed_length: Annotated[Annotated[int, Meta(ge=1, le=2**31 - 1)], option("N")] = 2
    """Longest run that DRY lets be repeated for nothing."""
    dry_breakers: Annotated[
        Repeated[tuple[str, ...]], option("TEXT", "line end, colon, double quote, asterisk")
    ] = ()
    """Text that ends a run for DRY; may be repeated; an empty one alone: nothing ends a run."""


@dataclass(frozen=True)
class SamplingSettings(RepetitionSettings, TruncationSettings, TemperatureSettings):
    """Steps between the logits of a model and the draw."""

    order: Annotated[str, option("ORDER")] = "hf"
    """Order of the steps: hf (temperature before truncation), vllm (min_p before top_k and top_p), llamacpp (temperature
    last), or step names joined by commas, in which every step in use must occur."""
    explain: bool = False
    """Print the steps in order, and what is off, to stderr."""
    trace: Annotated[Annotated[int, Meta(ge=1, le=1000)] | None, option("N", "off")] = None
    """With jsonl: tell of every element written its rank, log-probabilities, what each step removed, and the N likeliest."""


@dataclass(frozen=True)
class ControlSettings:
    """Constraints on generation."""

    stop: Annotated[Repeated[tuple[str, ...]], option("TEXT", "none")] = ()
    """End before this text; may be repeated."""
    min_length: Annotated[Annotated[int, Meta(ge=0, le=1 << 40)], option("N")] = 0
    """Write at least so many elements: end-of-sequence does not come before, and a stop text that begins before does
    not count."""
    ban: Annotated[Repeated[tuple[str, ...]], option("TEXT|#ID", "none")] = ()
    """Never write this: a text, or an element by its number; may be repeated. A text of several elements is never
    completed. Where elements hold the space before a word, the text is banned with and without it; other spellings
    (case, other elements for the same text) are not. A text that begins with # is written with one # more."""
    bias: Annotated[Repeated[tuple[str, ...]], option("TEXT=X|#ID=X", "none")] = ()
    """Add X to the logit of an element, named by its text or number: above 0 likelier, below 0 less likely, each 0.69
    a factor of two before the rest is weighed anew; may be repeated."""
    prefix: Annotated[str, option("TEXT", "none")] = ""
    """The continuation begins with this text, whatever its probability; it counts as written."""
    regex: Annotated[str | None, option("EXPRESSION", "none")] = None
    """The whole continuation matches this regular expression (of Rust's regex crate: no look-around, no references
    back). What leads nowhere is masked element by element, so that texts do not keep the probabilities that they
    have among the matching ones: beginnings whose continuations seldom match come too often."""
    no_copy: Annotated[Annotated[int, Meta(ge=2, le=1 << 30)] | None, option("N", "off")] = None
    """Never complete a run of N elements that stands in the training data; what the prompt begins counts in. Where
    nothing else may come, generation stops with an error."""
