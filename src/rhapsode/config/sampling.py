"""Settings of sampling and of constraints on generation."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from rhapsode.config.options import Repeated, option

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
ShareBelowOne = Annotated[float, Meta(ge=0.0, lt=1.0)]
Degrees = Annotated[float, Meta(ge=0.0, le=1e6)]
Penalty = Annotated[float, Meta(ge=-2.0, le=2.0)]


@dataclass(frozen=True)
class TemperatureSettings:
    """Sampling temperature."""

    temperature: Annotated[Degrees, option("T")] = 1.0
    """Divide the logits by T: 0.2 to 0.5 for technical text, 0.7 to 0.9 balanced, 1.0 to 1.5
    creative. 0 always takes the likeliest element (greedy); such text soon repeats itself."""
    dynatemp_low: Annotated[Degrees | None, option("T", "off")] = None
    """Dynamic temperature at entropy 0, in place of a fixed temperature; set both ends, for example
    0.5 and 1.5."""
    dynatemp_high: Annotated[Degrees | None, option("T", "off")] = None
    """Dynamic temperature at maximum entropy, when all candidates are equally likely."""
    dynatemp_exponent: Annotated[Annotated[float, Meta(ge=0.01, le=100.0)], option("E")] = 1.0
    """Exponent of the normalised entropy between both ends of the dynamic temperature; values above
    1 keep it low for longer."""


@dataclass(frozen=True)
class TruncationSettings:
    """Truncation of the distribution."""

    top_k: Annotated[Annotated[int, Meta(ge=0)], option("K")] = 0
    """Keep the K likeliest elements, for example 40; 0 disables it."""
    top_p: Annotated[Share, option("P")] = 1.0
    """Keep the smallest set of likeliest elements whose total probability reaches P, for example
    0.95; 1 disables it."""
    min_p: Annotated[Share, option("P")] = 0.0
    """Drop elements whose probability is below P times that of the likeliest element, for example
    0.05; 0 disables it."""
    typical_p: Annotated[Share, option("P")] = 1.0
    """Keep the smallest set of elements whose surprise is closest to the entropy and whose total
    probability reaches P, for example 0.95; 1 disables it."""
    epsilon_cutoff: Annotated[ShareBelowOne, option("P")] = 0.0
    """Drop elements whose probability is below P, for example 0.0003; 0 disables it."""
    eta_cutoff: Annotated[ShareBelowOne, option("P")] = 0.0
    """Like epsilon_cutoff, with a lower threshold where the entropy is high, for example 0.001; 0
    disables it."""
    top_n_sigma: Annotated[Annotated[float, Meta(ge=0.0, le=1000.0)], option("N")] = 0.0
    """Keep elements whose logit is at most N standard deviations below the largest, for example 1;
    0 disables it."""
    xtc_probability: Annotated[Share, option("P")] = 0.0
    """Probability of dropping, at each step, all top choices except the least likely of them (XTC),
    for example 0.5. End-of-sequence and line ends are never dropped. 0 disables it."""
    xtc_threshold: Annotated[Share, option("P")] = 0.1
    """Minimum probability of a top choice for XTC."""
    mirostat_tau: Annotated[Annotated[float, Meta(ge=0.0, le=100.0)], option("BITS")] = 0.0
    """Target surprise in bits per element (Mirostat 2), for example 3; cannot be combined with
    other truncation steps; 0 disables it."""
    mirostat_eta: Annotated[Share, option("RATE")] = 0.1
    """Learning rate of Mirostat."""


@dataclass(frozen=True)
class RepetitionSettings:
    """Repetition penalties."""

    repetition_penalty: Annotated[Annotated[float, Meta(ge=0.01, le=100.0)], option("R")] = 1.0
    """Multiply the log-probability of elements that occur in the prompt or the continuation by R,
    for example 1.1; 1 disables it, values below 1 encourage repetition."""
    frequency_penalty: Annotated[Penalty, option("F")] = 0.0
    """Subtract F from the logit of an element for each time it was generated [-2 to 2]; 0 disables
    it."""
    presence_penalty: Annotated[Penalty, option("P")] = 0.0
    """Subtract P from the logit of every element that was generated [-2 to 2]; 0 disables it."""
    penalty_range: Annotated[
        Annotated[int, Meta(ge=0, le=2**20)] | None,
        option("N", "all; the last 64 where elements are single characters"),
    ] = None
    """Number of last elements, of prompt and continuation, in which occurrences count for the three
    penalties above; 0 for all."""
    penalty_spare: Annotated[Repeated[tuple[str, ...]], option("TEXT", "line end")] = ()
    """Text that the three penalties leave alone, with every element that contains it; may be
    repeated. A single empty text spares nothing."""
    no_repeat_ngram: Annotated[Annotated[int, Meta(ge=0, le=2**31 - 1)], option("N")] = 0
    """Block every sequence of N elements that already occurs in the prompt or the continuation; 0
    disables it."""
    dry_multiplier: Annotated[Annotated[float, Meta(ge=0.0, le=1e6)], option("M")] = 0.0
    """Scale M of the DRY penalty on extending a repeated sequence, for example 0.8. The penalty is
    M x B^(L - N) for a repeated sequence of L elements, with B from dry_base and N from
    dry_allowed_length. 0 disables it."""
    dry_base: Annotated[Annotated[float, Meta(ge=1.0, le=1e6)], option("B")] = 1.75
    """Base B of the DRY penalty, which grows exponentially with the length of the repeated
    sequence."""
    dry_allowed_length: Annotated[Annotated[int, Meta(ge=1, le=2**31 - 1)], option("N")] = 2
    """Length N of the longest repeated sequence without a DRY penalty."""
    dry_breakers: Annotated[
        Repeated[tuple[str, ...]], option("TEXT", "line end, colon, double quote, asterisk")
    ] = ()
    """Text that ends a repeated sequence for DRY; may be repeated. A single empty text removes all
    breakers."""


@dataclass(frozen=True)
class SamplingSettings(RepetitionSettings, TruncationSettings, TemperatureSettings):
    """Counts that adapt, and order and trace of the sampling steps."""

    adapt: bool = False
    """Let the counts of the model go on counting over the prompt and what is written: a name in a
    long prompt is used from its second mention on."""
    order: Annotated[str, option("ORDER")] = "hf"
    """Order of the steps: hf (temperature before truncation), vllm (min_p before top_k and top_p),
    llamacpp (temperature last), or step names separated by commas, which must include every step in
    use."""
    explain: bool = False
    """Print the steps in order, and the disabled ones, to stderr."""
    trace: Annotated[Annotated[int, Meta(ge=1, le=1000)] | None, option("N", "off")] = None
    """With jsonl: report for each generated element its rank, its log-probabilities, the number of
    elements that each step removed, and the N likeliest elements; where network and counts are
    mixed, also what each contributed."""


@dataclass(frozen=True)
class ControlSettings:
    """Constraints on generation."""

    stop: Annotated[Repeated[tuple[str, ...]], option("TEXT", "none")] = ()
    """Stop before this text; may be repeated."""
    min_length: Annotated[Annotated[int, Meta(ge=0, le=1 << 40)], option("N")] = 0
    """Minimum number of new elements: before it is reached, end-of-sequence is blocked and stop
    texts are ignored."""
    ban: Annotated[Repeated[tuple[str, ...]], option("TEXT|#ID", "none")] = ()
    """Never generate this text, or the element with this number; may be repeated. A text of several
    elements may begin, but is never completed. Where elements include the space before a word, the
    text is banned with and without it; other spellings (case, other elements for the same text) are
    not. To ban a text that begins with #, double that #."""
    bias: Annotated[Repeated[tuple[str, ...]], option("TEXT=X|#ID=X", "none")] = ()
    """Add X to the logit of an element, given by its text or number; may be repeated. Values above
    0 make it likelier, values below 0 less likely; 0.69 doubles its odds."""
    prefix: Annotated[str, option("TEXT", "none")] = ""
    """Text with which the continuation begins, regardless of its probability; it counts as
    generated."""
    regex: Annotated[str | None, option("EXPRESSION", "none")] = None
    """Regular expression that the whole continuation must match (syntax of Rust's regex crate: no
    look-around, no backreferences). Elements that cannot lead to a match are masked at each step,
    so samples do not follow the model's distribution over matching texts: beginnings that rarely
    lead to a match are over-represented."""
    no_copy: Annotated[Annotated[int, Meta(ge=2, le=1 << 30)] | None, option("N", "off")] = None
    """Never complete a sequence of N elements that occurs in the training data; sequences that
    begin in the prompt count too. If no element is allowed, generation stops with an error."""
