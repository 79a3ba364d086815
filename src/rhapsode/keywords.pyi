"""Keywords of the Python API. Written by scripts/keyword_types.py from the settings; do not edit."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class TrainingOptions(TypedDict, total=False):
    """Settings under `training`."""

    batch_size: int | None
    window: int | None
    accumulate: int
    optimiser: Literal["adamw", "adam", "rmsprop", "sgd"]
    learning_rate: float | None
    weight_decay: float
    beta1: float
    beta2: float
    schedule: Literal["cosine", "linear", "constant"]
    warmup: float
    final_rate: float
    averaging: float | None
    clip: float
    counts_share: float | None
    beside_counts: Literal["auto", "on", "off"]
    precision: Literal["auto", "float32", "bfloat16"]
    compile: Literal["off", "on"]
    evaluations: int
    patience: int


class SamplesOptions(TypedDict, total=False):
    """Settings under `samples`."""

    temperatures: Sequence[float]
    length: int
    prompt: str
    passage: int


class TrackOptions(TypedDict, total=False):
    """Settings under `track`."""

    tensorboard: bool


class ReadingOptions(TypedDict, total=False):
    """Settings under `reading`."""

    context: str | None
    stride: int | None
    shuffle: bool
    drop_last: bool
    loss: Literal["all", "last"]


class SourceOptions(TypedDict, total=False):
    """Settings under `source`."""

    field: str | None
    template: str | None
    prompt_field: str | None
    completion_field: str | None
    pairs: str | None
    header: Literal["auto", "yes", "no"]
    documents: Literal["files", "lines", "paragraphs"]
    formats: Literal["extract", "raw"]
    boilerplate: Literal["keep", "drop"]
    limit: int | None
    pattern: str | None
    text_encoding: str
    errors: Literal["stop", "replace", "skip"]
    newlines: Literal["lf", "keep"]


class DataOptions(TypedDict, total=False):
    """Settings under `data`."""

    test_share: float
    validation_share: float | None
    split: Literal["tail", "documents"] | Literal["auto", "source", "documents"] | Literal["auto", "source", "drawings"]
    duplicates: Literal["keep", "drop"]
    horizon: int | None
    season: int | None
    samples: int
    run_up: int | None


class PairsOptions(TypedDict, total=False):
    """Settings under `pairs`."""

    source_encoding: str
    source_encoder: Mapping[str, Any]
    attention: str
    attention_size: int
    source_model: Literal["auto", "bidirectional", "transformer"]
    source_size: int | None
    source_layers: int | None
    layers_above: int
    select: Literal["error_rate", "symbol_error_rate", "loss"]
    answers: int


class SeriesOptions(TypedDict, total=False):
    """Settings under `series`."""

    layout: Literal["auto", "wide", "long", "rows"]
    joint: bool
    id_column: Sequence[str]
    time_column: Sequence[str]
    value_columns: Sequence[str]
    known: Sequence[str]
    static: Sequence[str]
    dates: Literal["auto", "day-first", "month-first"]
    frequency: str
    duplicates: Literal["error", "mean", "sum", "last"]
    missing_values: Sequence[str]
    decimal: Literal["auto", "point", "comma"]
    header: Literal["auto", "yes", "no"]


class MusicOptions(TypedDict, total=False):
    """Settings under `music`."""

    transpose: Literal["auto", "none", "all"]
    pedal: Literal["extend", "keep", "drop"]
    repeats: bool
    step: int


class StrokesOptions(TypedDict, total=False):
    """Settings under `strokes`."""

    prepare: Literal["auto", "keep", "simplify"]
    tolerance: float
    steps: int
    y: Literal["auto", "up", "down"]


class TextOptions(TypedDict, total=False):
    """Settings under `text`."""

    use: Literal["auto", "always", "never"]
    window: Literal["auto", "reading_window", "gaussian_window"]
    feedback: bool
    layers_above: int


class CalibrationOptions(TypedDict, total=False):
    """Settings under `calibration`."""

    pool: bool
    intervals: bool
    forecasts: int | None


class NetworkOptions(TypedDict, total=False):
    """Settings under `network`."""

    input: Literal["table", "onehot"]
    embedding_size: int
    input_dropout: float
    head_bias: bool
    shortlist: int
    tail_size: int
    tied: bool
    conditioner: Literal["static"]
    hidden_size: int
    num_layers: int
    dropout: float
    chrono: int
    chrono_share: float
    weight_dropout: float
    nonlinearity: Literal["tanh", "relu"]
    kernel_size: int
    num_heads: int
    window: int
    feedforward_size: int | None
    rope_base: float
    length: int


class EncoderOptions(TypedDict, total=False):
    """Settings under `encoder`."""

    max_vocabulary: int | None
    min_count: int
    lowercase: bool
    unicode: Literal["", "nfc", "nfkc", "nfd", "nfkd"]
    chinese: Literal["", "simplified", "traditional"]
    vocab_size: int
    graphemes: bool
    grid: int | float
    lowest: int | None
    highest: int | None
    voices: int
    join: bool
    unknown: Literal["element", "spell"]
    user_dictionary: str
    hmm: bool
    segmenter: Mapping[str, str]
    tracks: int | None
    longest_bar: int | None
    drums: bool | None
    velocities: bool | None
    velocity: int | None
    slowest: int | None
    fastest: int | None
    keys: bool
    chords: bool
    pedal: bool
    file: str
    round_trip: Literal["", "lossless", "as its tokenizer.json decodes"]
    split: Literal["words", "whitespace"]
    punctuation: bool
    strip_html: bool
    stem: str
    scaling: Literal["mean_abs", "standard", "robust", "none"]
    log: bool
    difference: int
    centre: int
    lags: Sequence[int]
    counts: bool
    amounts: bool
    margin: float
    scale: float
    extent: float
    height: float | None
    stroke: float | None


class HeadOptions(TypedDict, total=False):
    """Settings under `head`."""

    name: str
    vocab_size: int
    shortlist: int
    tail_size: int
    bias: bool
    tied: bool
    least_tail: float
    edges: Sequence[float]
    tails: Sequence[float]
    least_scale: float
    components: int
    kinds: Sequence[int]
    numbers: str
    settings: Mapping[str, Any]
    by_pen: bool
    levels: Sequence[float]
    least_df: float


class TrainOptions(TypedDict, total=False):
    """Keywords of `train` and `plan`."""

    budget: str | None
    epochs: float | None
    steps: int | None
    model: str
    encoding: str
    modality: str
    seed: int
    members: int
    device: str
    training: TrainingOptions
    samples: SamplesOptions
    track: TrackOptions
    network: NetworkOptions
    encoder: EncoderOptions
    reading: ReadingOptions
    source: SourceOptions
    data: DataOptions
    pairs: PairsOptions
    series: SeriesOptions
    calibration: CalibrationOptions
    head: HeadOptions
    music: MusicOptions
    strokes: StrokesOptions
    text: TextOptions


class GenerateOptions(TypedDict, total=False):
    """Keywords of `generate`."""

    length: int | None
    temperature: float
    dynatemp_low: float | None
    dynatemp_high: float | None
    dynatemp_exponent: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    epsilon_cutoff: float
    eta_cutoff: float
    top_n_sigma: float
    xtc_probability: float
    xtc_threshold: float
    mirostat_tau: float
    mirostat_eta: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    penalty_range: int | None
    penalty_spare: Sequence[str]
    no_repeat_ngram: int
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_breakers: Sequence[str]
    adapt: bool
    order: str
    explain: bool
    trace: int | None
    stop: Sequence[str]
    min_length: int
    ban: Sequence[str]
    bias: Sequence[str]
    prefix: str
    regex: str | None
    no_copy: int | None
    beams: int | None
    length_penalty: float
    beam_groups: int
    diversity_penalty: float
    stochastic_beams: bool
    penalty_alpha: float | None
    best_of: int | None
    rank_by: Literal["likelihood", "novelty"]
    count: int
    seed: int | None
    unknown: Literal["error", "skip"]
    format: Literal["text", "jsonl"]
    engine: Literal["auto", "torch", "compiled"]
    device: str | None
    weights: Literal["float32", "bf16", "int8"]
    threads: int | None
    key: str | None
    pitch_range: str | None
    metre: str | None
    tracks: Sequence[str]
    tempo: float | None
    bars: int | None
    max_polyphony: int | None
    pen_bias: float


class ForecastOptions(TypedDict, total=False):
    """Keywords of `forecast`."""

    temperature: float
    dynatemp_low: float | None
    dynatemp_high: float | None
    dynatemp_exponent: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    epsilon_cutoff: float
    eta_cutoff: float
    top_n_sigma: float
    xtc_probability: float
    xtc_threshold: float
    mirostat_tau: float
    mirostat_eta: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    penalty_range: int | None
    penalty_spare: Sequence[str]
    no_repeat_ngram: int
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_breakers: Sequence[str]
    order: str
    explain: bool
    horizon: int | None
    samples: int
    quantiles: Sequence[float]
    seed: int
    network_alone: bool
    paths: bool
    format: Literal["csv", "json"]


class RenderOptions(TypedDict, total=False):
    """Keywords of `render`."""

    as_: Literal["roll", "score"]
    soundfont: str | None
    tempo: float | None
    piece: int


class WriteOptions(TypedDict, total=False):
    """Keywords of `write`."""

    style: str | None
    bias: float
    line: int | None
    temperature: float
    unknown: Literal["error", "skip"]
    seed: int | None


class EvaluateOptions(TypedDict, total=False):
    """Keywords of `evaluate`."""

    field: str | None
    template: str | None
    prompt_field: str | None
    completion_field: str | None
    pairs: str | None
    header: Literal["auto", "yes", "no"]
    documents: Literal["files", "lines", "paragraphs"]
    formats: Literal["extract", "raw"]
    boilerplate: Literal["keep", "drop"]
    limit: int | None
    pattern: str | None
    text_encoding: str
    errors: Literal["stop", "replace", "skip"]
    newlines: Literal["lf", "keep"]
    adapt: bool
    dynamic: bool
    device: str | None
    weights: Literal["float32", "bf16", "int8"]
    beams: int
    alignment: str | None
    horizon: int | None
    origins: int | None
    stride: int | None
    samples: int
    seed: int
    method: Sequence[str]
    anomalies: bool
    false_alarms: float | None
    window: int | None
    output: str | None
    plot: str | None
    layout: Literal["auto", "wide", "long", "rows"]
    joint: bool
    id_column: Sequence[str]
    time_column: Sequence[str]
    value_columns: Sequence[str]
    known: Sequence[str]
    static: Sequence[str]
    dates: Literal["auto", "day-first", "month-first"]
    frequency: str
    duplicates: Literal["error", "mean", "sum", "last"]
    missing_values: Sequence[str]
    decimal: Literal["auto", "point", "comma"]


class CompareOptions(TypedDict, total=False):
    """Keywords of `compare`."""

    field: str | None
    template: str | None
    prompt_field: str | None
    completion_field: str | None
    pairs: str | None
    header: Literal["auto", "yes", "no"]
    documents: Literal["files", "lines", "paragraphs"]
    formats: Literal["extract", "raw"]
    boilerplate: Literal["keep", "drop"]
    limit: int | None
    pattern: str | None
    text_encoding: str
    errors: Literal["stop", "replace", "skip"]
    newlines: Literal["lf", "keep"]
    adapt: bool
    horizon: int | None
    origins: int | None
    stride: int | None
    samples: int
    seed: int
