"""Record what the package does today, and compare two such records.

Everything goes through the public surface (the command line, and the names of `rhapsode`), so that the same script runs
with the interpreter of any tree:

    python make.py record OUT [--part a|b|c|d] [--also FOLDER]   # the corpora of part c: RHAPSODE_DATA and FOLDER
    python make.py compare OUT OUT2 [--exact|--tolerant]
    python make.py texts          # once: the small texts and tables, from RHAPSODE_DATA
    python make.py models         # once: the small models
    python make.py freeze OUT     # part a of OUT as records.json, which test_golden.py reads

Part a asks the committed models, part b trains, part c looks at every file of the corpora, part d runs good and bad
command lines. A record is a line of OUT/<part>.jsonl; what stands there already is not made again.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import hashlib
import io
import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODELS, TEXTS, RECORDS = HERE / "models", HERE / "texts", HERE / "records.json"
ENVIRONMENT = {
    "COLUMNS": "100",
    "LINES": "40",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
PARTS = "abcd"
Record = dict[str, Any]


# ---- Normalisation: all that is not the same twice, in one place ----

_GONE = (
    r"^compiled (what writes|the generator) (in|\().*\n",  # only where nothing was compiled before
    r"^(encoding|reading|counting|segmenting|sorting|scoring): .*\.\.\.\n",  # told every few seconds
    r"^─.*\n",  # the bar of progress, drawn by the clock
    r"^\[?W\d{4} .*\n|^W\d{4}.*\n",  # warnings of torchrun, with their time
    r"^\*{5,}\n",
    r"^rhapsode train would choose[\s\S]*\Z",  # chosen for minutes of this machine
)
_CHANGED = (
    (r"counted in [\d.]+ s", "counted in <s>"),
    (r"updates in [\d.]+ s(, [\d,.]+ \w+/s)?; finishing [\d.]+ s", "updates in <speed>"),
    (r"^ +[\d.]+(s|m\d*s?)  (validation|best)", r"<s>  \2"),
    (r"for \d+ s \(", "for <s> ("),
    (r"bfloat16 is [\d.]+ x as fast", "bfloat16 is <x> as fast"),
    (r"Building prefix dict from .*\n|Loading model from cache.*\n|Dumping model.*\n", ""),
    (r"Loading model cost [\d.]+ seconds\.\n|Prefix dict has been built.*\n", ""),
    (r"seed \d{6,}", "seed <new>"),
    # The column of seconds that ends the table of a repeated run.
    (r"^((?:\d+|mean|spread \(sd\)) +[\d.]+ +[\d.]+ +[\d.]+ +[\d-]+) +[\d.]+ *$", r"\1  <s>"),
    (r"(?<=rhapsode )\d+\.\d+\.\d+|(?<=rhapsode = \")\d+\.\d+\.\d+", "<version>"),
)
# Of JSON: what depends on the clock, the machine, the version, and what is written within a time (`writing`).
_DROPPED = frozenset(
    (
        "elapsed",
        "seconds",
        "finishing_seconds",
        "elements_per_second",
        "machine",
        "writing",
        "rhapsode",
    )
)
# Of `data info`: what a budget of minutes would choose on this machine.
_TIMED_PLAN = frozenset(
    ("parameters", "network", "batch_size", "window", "learning_rate", "reasons", "averaging")
)


def normal_text(text: str, places: Mapping[str, str]) -> str:
    """Text without paths, times and speeds.

    Arguments:
        text: what was printed.
        places: paths and what stands for them.
    """
    for path, name in sorted(places.items(), key=lambda item: -len(item[0])):
        text = text.replace(path, name)
    for pattern in _GONE:
        text = re.sub(pattern, "", text, flags=re.MULTILINE)
    for pattern, new in _CHANGED:
        text = re.sub(pattern, new, text, flags=re.MULTILINE)
    return text


def normal_json(value: Any, places: Mapping[str, str]) -> Any:
    """Values without what depends on the clock, the machine or the version."""
    if isinstance(value, dict):
        dropped = _DROPPED | _TIMED_PLAN if "encoding_reason" in value else _DROPPED
        return {
            key: normal_json(inner, places) for key, inner in value.items() if key not in dropped
        }
    if isinstance(value, list):
        return [normal_json(inner, places) for inner in value]
    if isinstance(value, str):
        return normal_text(value, places)
    return value


def structured(text: str, places: Mapping[str, str]) -> Any:
    """JSON, or lines of JSON, as values; all else as text."""
    if text[:1] in "{[":
        try:
            return normal_json(json.loads(text), places)
        except ValueError:
            with contextlib.suppress(ValueError):
                return [normal_json(json.loads(line), places) for line in text.splitlines()]
    return normal_text(text, places)


# ---- Running ----


@dataclass(frozen=True)
class Case:
    """One command line.

    Arguments:
        argv: what is typed behind `rhapsode`.
        stdin: what it reads.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""


def places_of(work: Path) -> dict[str, str]:
    """Paths of this machine, and what stands for them."""
    import rhapsode

    places = {
        str(work): "<work>",
        str(HERE): "<golden>",
        str(Path(rhapsode.__file__).parent): "<rhapsode>",
        sys.prefix: "<env>",
    }
    if os.environ.get("RHAPSODE_DATA"):
        places[os.environ["RHAPSODE_DATA"]] = "<data>"
    return places


def run_here(case: Case, places: Mapping[str, str]) -> Record:
    """Run a command line in this process."""
    from rhapsode.cli.main import main

    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)
    )
    kept = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(case.stdin), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code: Any = main(list(case.argv))
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except Exception as problem:
                code = f"{type(problem).__name__}: {normal_text(str(problem), places)}"
    finally:
        sys.stdin = kept
    return _record(code, *(_bytes(stream) for stream in (out, err)), places)


def _bytes(stream: io.TextIOWrapper) -> bytes:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()


def run_apart(
    argv: Sequence[str], places: Mapping[str, str], *, stdin: bytes = b"", work: Path
) -> Record:
    """Run this interpreter with arguments, in a process of its own."""
    done = subprocess.run(
        [sys.executable, *argv],
        input=stdin,
        capture_output=True,
        check=False,
        cwd=work,
        timeout=600,
    )
    return _record(done.returncode, done.stdout, done.stderr, places)


def _record(code: Any, out: bytes, err: bytes, places: Mapping[str, str]) -> Record:
    return {
        "code": code,
        "out": structured(out.decode("utf-8", "backslashreplace"), places),
        "err": normal_text(err.decode("utf-8", "backslashreplace"), places),
    }


@contextlib.contextmanager
def workplace(parent: Path | None = None) -> Iterator[Path]:
    """A folder with copies of models and texts, in which commands run."""
    with tempfile.TemporaryDirectory(dir=parent, prefix="work-") as folder:
        work = Path(folder).resolve()
        fill(work)
        usual = Path.cwd()
        os.chdir(work)
        os.environ["RHAPSODE_CACHE"] = str(work / "cache")
        try:
            yield work
        finally:
            os.chdir(usual)


def fill(work: Path) -> None:
    """Copy models and texts to a folder."""
    for source in (MODELS, TEXTS):
        if source.exists():
            shutil.copytree(source, work / source.name)


class Book:
    """The records of one part, a line each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):  # a line that was being written
                    name, record = json.loads(line)
                    self.records[name] = record

    def add(self, name: str, record: Record) -> None:
        """Write one more."""
        self.records[name] = record
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, record], ensure_ascii=False) + "\n")


# ---- Texts and tables, made once ----


def make_texts(data: Path) -> None:
    """Write the small texts and tables behind everything else.

    Arguments:
        data: the folder of corpora.
    """
    TEXTS.mkdir(exist_ok=True)
    plays = (data / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    novel = (data / "chinese_novels" / "三国演义.txt").read_text(encoding="utf-8")
    (TEXTS / "english.txt").write_text(plays[:14_000], encoding="utf-8")
    (TEXTS / "held.txt").write_text(plays[30_000:31_300], encoding="utf-8")
    (TEXTS / "chinese.txt").write_text(novel[2_000:7_000], encoding="utf-8")
    (TEXTS / "chinese-held.txt").write_text(novel[9_000:9_600], encoding="utf-8")
    verses = [line for line in plays[:40_000].splitlines() if len(line) > 20]
    _lines(TEXTS / "verses.jsonl", [json.dumps({"text": line}) for line in verses[:300]])
    pairs = [{"given": line[:12], "answer": line[12:]} for line in verses[:250]]
    _lines(TEXTS / "pairs.jsonl", [json.dumps(pair) for pair in pairs])
    (TEXTS / "prompts.txt").write_text("The king\nO, speak\nWhat is\n", encoding="utf-8")
    (TEXTS / "cp1250.txt").write_bytes(
        "Žádný text, Příliš žluťoučký kůň pěl ódy\n".encode("cp1250") * 40
    )
    (TEXTS / "broken.txt").write_bytes(b"good text here\xff\xfe\x81 and \xc3\x28 then\n" * 20)
    wave = [round(20 + 6 * math.sin(n / 2) + 0.05 * n + _noise(n), 3) for n in range(160)]
    _lines(TEXTS / "wave.csv", ["y", *map(str, wave)])
    months = [f"{2005 + n // 12}-{n % 12 + 1:02}" for n in range(126)]
    price = [round(5 + 2 * math.cos(n / 3) + _noise(n + 500), 2) for n in range(126)]
    sales = [
        round(30 + 8 * math.sin(n * math.pi / 6) - p + _noise(n), 2) for n, p in enumerate(price)
    ]
    rows = [
        f"{month},{value if n < 120 else ''},{given}"
        for n, (month, value, given) in enumerate(zip(months, sales, price, strict=True))
    ]
    _lines(TEXTS / "monthly.csv", ["month,sales,price", *rows])
    counts = [max(0, int(3 + 2 * math.sin(n / 3) + 2 * _noise(n))) for n in range(200)]
    _lines(TEXTS / "counts.csv", ["visits", *map(str, counts)])
    rows = [
        f"{name},{region},2020-01-{day + 1:02},{round(level + math.sin(day + level) + _noise(day), 2)}"
        for name, region, level in (("a", "north", 5), ("b", "south", 9), ("c", "north", 14))
        for day in range(31)
    ]
    _lines(TEXTS / "long.csv", ["shop,region,day,sold", *rows])
    joint = [
        f"{round(math.sin(n / 4) + _noise(n) / 5, 3)},{round(math.cos(n / 4) + _noise(n + 99) / 5, 3)}"
        for n in range(150)
    ]
    _lines(TEXTS / "joint.csv", ["x,y", *joint])
    gaps = [value if n % 17 else "" for n, value in enumerate(wave)]
    _lines(TEXTS / "gaps.csv", ["n,y", *(f"{n},{value}" for n, value in enumerate(gaps))])
    _tokenizer(plays[:14_000]).save(str(TEXTS / "tokenizer.json"))


def _lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _noise(n: int) -> float:
    """A number from -1 to 1 that looks random, the same everywhere."""
    return (n * n * 7919 + n * 104729) % 2001 / 1000 - 1


def _tokenizer(text: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=340, show_progress=False, special_tokens=special, initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


# ---- Small models, made once ----

SMALL = (
    "--set training.batch_size=8 --set training.learning_rate=0.02 --set training.precision=float32 "
    "--set training.evaluations=1 --set samples.length=0 "
)
SHORT = "--set training.window=16 "
ALONE = "--set training.counts_share=0 "
UNITS = "--set network.hidden_size=8 --set network.embedding_size=8 "
ATTENTION = "--set network.embedding_size=8 --set network.num_layers=1 --set network.num_heads=2 "
ENGLISH, CHINESE = "texts/english.txt ", "texts/chinese.txt "
VERSES = "texts/verses.jsonl --field text "
FAMILIES = {
    "lstm": UNITS,
    "awd_lstm": UNITS,
    "lstm_skip": UNITS,
    "gru": UNITS,
    "rnn": UNITS,
    "tcn": UNITS + "--set network.num_layers=2 ",
    "transformer": ATTENTION + "--set network.window=16 ",
    "transformer_classic": ATTENTION,
}
STEPS = "--steps 150 "
_NO_WINDOW = STEPS + SMALL + ALONE + UNITS  # of contexts that decide it
_LSTM = _NO_WINDOW + SHORT
TEXT_MODELS: dict[str, str] = {
    **{name: ENGLISH + f"--model {name} " + STEPS + SMALL + ALONE + units
       + (SHORT if name != "transformer_classic" else "--set reading.context=window:24")
       for name, units in FAMILIES.items()},
    "lstm-fresh": VERSES + _LSTM + "--set reading.context=fresh",
    "lstm-window": ENGLISH + _NO_WINDOW + "--set reading.context=window:12",
    "gru-fresh": VERSES + "--model gru " + _LSTM + "--set reading.context=fresh",
    "rnn-window": ENGLISH + "--model rnn " + _NO_WINDOW
    + "--set reading.context=window:8 --set reading.loss=last --set reading.stride=3",
    "tcn-fresh": VERSES + "--model tcn " + STEPS + SHORT + SMALL + ALONE + FAMILIES["tcn"]
    + "--set reading.context=fresh",
    "tcn-window": ENGLISH + "--model tcn " + STEPS + SMALL + ALONE + FAMILIES["tcn"]
    + "--set reading.context=window:20",
    "transformer-fresh": VERSES + "--model transformer " + STEPS + SHORT + SMALL + ALONE
    + FAMILIES["transformer"] + "--set reading.context=fresh",
    "transformer-window": ENGLISH + "--model transformer " + STEPS + SMALL + ALONE
    + FAMILIES["transformer"] + "--set reading.context=window:16",
    "lstm-two-layers": ENGLISH + _LSTM + "--set network.num_layers=2 --set network.dropout=0.1",
    "lstm-tied": ENGLISH + _LSTM + "--set network.tied=true",
    "gru-onehot": ENGLISH + "--model gru " + STEPS + SHORT + SMALL + ALONE
    + "--set network.hidden_size=8 --set network.input=onehot",
    "words": ENGLISH + "--encoding words " + _LSTM + "--set encoder.max_vocabulary=300",
    "words-spell": ENGLISH + "--encoding words " + _LSTM
    + "--set encoder.max_vocabulary=200 --set encoder.unknown=spell --set encoder.lowercase=true",
    "words-bare": ENGLISH + "--encoding words " + _LSTM + "--set encoder.split=whitespace "
    + "--set encoder.max_vocabulary=200 --set encoder.punctuation=false --set encoder.stem=english",
    "bytes": ENGLISH + "--encoding bytes " + _LSTM,
    "bytes-chinese": CHINESE + "--encoding bytes " + _LSTM,
    "bpe": ENGLISH + "--encoding bpe " + _LSTM + "--set encoder.vocab_size=400",
    "wordpiece": ENGLISH + "--encoding wordpiece " + _LSTM + "--set encoder.vocab_size=640",
    "unigram": ENGLISH + "--encoding unigram " + _LSTM + "--set encoder.vocab_size=400",
    "tokenizer": ENGLISH + "--encoding tokenizer " + _LSTM
    + "--set encoder.file=texts/tokenizer.json",
    "jieba": CHINESE + "--encoding jieba " + _LSTM + "--set encoder.max_vocabulary=300",
    "graphemes": CHINESE + "--encoding characters " + _LSTM
    + "--set encoder.graphemes=true --set encoder.max_vocabulary=250 --set encoder.chinese=traditional",
    "pairs": "texts/pairs.jsonl --prompt-field given --completion-field answer " + _LSTM,
    "template": "texts/pairs.jsonl --template '{given} | {answer}' " + _LSTM,
    "mixed": ENGLISH + "--limit 200 " + STEPS + SHORT + SMALL + UNITS + "--set training.counts_share=0.4",
}  # fmt: skip
_SERIES = (
    "--steps 40 --set training.evaluations=1 --set data.samples=20 --set data.horizon=4 "
    "--set training.precision=float32 --set training.window=12 --set training.batch_size=8 "
)
_WAVE = "texts/wave.csv " + _SERIES + "--set network.hidden_size=8 "
_MONTHLY = "texts/monthly.csv " + _SERIES + "--set network.hidden_size=8 "
SERIES_MODELS: dict[str, str] = {
    "s-laplace": _WAVE + "--set head.name=laplace --set encoder.scaling=mean_abs",
    "s-gaussian": _WAVE + "--set head.name=gaussian --set encoder.scaling=standard",
    "s-student": _WAVE + "--set head.name=student_t --set encoder.scaling=robust",
    "s-mixture": _WAVE + "--set head.name=gaussian_mixture --set head.components=3 "
    + "--set encoder.scaling=none",
    "s-quantiles": _WAVE + "--set head.name=quantiles --set encoder.difference=1",
    "s-log": _WAVE + "--set encoder.log=true --set encoder.lags=[2,12] --set encoder.difference=0",
    "s-centre": _WAVE + "--set encoder.centre=12 --set encoder.difference=0",
    "s-poisson": "texts/counts.csv " + _SERIES + "--set network.hidden_size=8 "
    + "--set head.name=poisson",
    "s-negative-binomial": "texts/counts.csv " + _SERIES + "--set network.hidden_size=8 "
    + "--set head.name=negative_binomial --set encoder.counts=true",
    "s-binned": _WAVE + "--encoding binned --set head.bins=16",
    "s-binned-uniform": _WAVE + "--encoding binned --set head.bins=12 --set head.spacing=uniform",
    "s-known": _MONTHLY + "--set 'series.known=[\"price\"]'",
    "s-season": _MONTHLY + "--set 'series.value_columns=[\"sales\"]' --set encoder.difference=12",
    "s-static": "texts/long.csv " + _SERIES + "--set network.hidden_size=8 "
    + "--set 'series.static=[\"region\"]'",
    "s-joint": "texts/joint.csv " + _SERIES + "--set network.hidden_size=8 --set series.joint=true",
    "s-gaps": "texts/gaps.csv " + _SERIES + "--set network.hidden_size=8 ",
    "s-gru": _WAVE + "--model gru --set network.embedding_size=8",
    "s-rnn": _WAVE + "--model rnn",
    "s-lstm": _WAVE + "--model lstm",
    "s-awd": _WAVE + "--model awd_lstm",
    "s-tcn": _WAVE + "--model tcn --set network.num_layers=2",
    "s-transformer": "texts/wave.csv " + _SERIES + "--model transformer " + ATTENTION
    + "--set network.window=16",
}  # fmt: skip
_KEPT = {"mixed": ("ngram.safetensors", "text_index.safetensors", "config.toml")}


def make_models() -> None:
    """Train the small models; keep what writing and scoring need."""
    MODELS.mkdir(exist_ok=True)
    with workplace() as work:
        places = places_of(work)
        for name, line in {**TEXT_MODELS, **SERIES_MODELS}.items():
            if (MODELS / name).exists():
                continue
            began = time.monotonic()
            argv = ("train", *shlex.split(line), "-o", f"runs/{name}")
            found = run_here(Case(argv), places)
            print(f"{name}: {found['code']} in {time.monotonic() - began:.1f} s", flush=True)
            if found["code"] != 0:
                print(found["err"])
                continue
            (MODELS / name).mkdir()
            kept = _KEPT.get(name, ("config.toml",) if name in SERIES_MODELS else ())
            for file in ("model.safetensors", *kept):
                shutil.copy(work / "runs" / name / file, MODELS / name / file)
            config = MODELS / name / "config.toml"
            if config.exists():  # sources by their place in the working folder
                text = config.read_text(encoding="utf-8").replace(f"{work}/", "")
                config.write_text(text, encoding="utf-8")


# ---- Part a: what the committed models say ----

PROMPTS = {
    "jieba": "却说曹操",
    "graphemes": "不人",
    "bytes-chinese": "却说",
    "pairs": "First Citize",
}
CHAINS = {
    "greedy": "--temperature 0",
    "cool": "--temperature 0.5",
    "hot": "--temperature 1.4",
    "dynatemp": "--dynatemp-low 0.5 --dynatemp-high 1.3 --dynatemp-exponent 1.5",
    "top-k": "--top-k 5",
    "top-p": "--top-p 0.8",
    "min-p": "--min-p 0.1",
    "typical": "--typical-p 0.8",
    "epsilon": "--epsilon-cutoff 0.02",
    "eta": "--eta-cutoff 0.05",
    "sigma": "--top-n-sigma 1",
    "xtc": "--xtc-probability 0.5 --xtc-threshold 0.08",
    "mirostat": "--mirostat-tau 3 --mirostat-eta 0.2",
    "repetition": "--repetition-penalty 1.3",
    "frequency": "--frequency-penalty 0.5",
    "presence": "--presence-penalty 0.7",
    "no-repeat": "--no-repeat-ngram 2",
    "dry": "--dry-multiplier 0.8 --dry-base 1.5 --dry-allowed-length 1 --dry-breakers .",
    "stop": "--stop e --min-length 10",
    "ban": "--ban th --ban '#5' --bias a=2 --bias '#7=-1'",
    "prefix": "--prefix not",
    "regex": "--regex '[a-z]{3,8}( [a-z]{2,6}){2,3}'",
    "hf": "--order hf --temperature 0.8 --top-k 20 --top-p 0.9 --min-p 0.02 "
    "--repetition-penalty 1.1 --explain",
    "vllm": "--order vllm --temperature 0.8 --top-k 20 --top-p 0.9 --min-p 0.02 --explain",
    "llamacpp": "--order llamacpp --temperature 0.8 --top-k 20 --top-p 0.9 --min-p 0.02 "
    "--dry-multiplier 0.5 --explain",
    "own-order": "--order top_k,temperature,repetition --temperature 0.8 --top-k 20 "
    "--repetition-penalty 1.1 --explain",
    "temperatures": "--temperatures 0.2 0.7 1.2",
}  # fmt: skip
SEARCHES = {
    "beams": "--beams 4 --count 4 --seed 1",
    "length-penalty": "--beams 4 --count 2 --length-penalty 0.7 --seed 1",
    "groups": "--beams 4 --beam-groups 2 --diversity-penalty 0.5 --count 4 --seed 1",
    "stochastic": "--beams 4 --stochastic-beams --count 4 --seed 3",
    "contrastive": "--penalty-alpha 0.6 --top-k 4 --seed 1",
    "best-of": "--best-of 4 --count 2 --seed 3",
    "beams-limited": "--beams 3 --count 3 --ban th --bias a=1 --repetition-penalty 1.1 --seed 1",
}
HISTORIES = {
    "s-poisson": "counts", "s-negative-binomial": "counts", "s-known": "monthly", "s-season": "monthly",
    "s-static": "long", "s-joint": "joint", "s-gaps": "gaps",
}  # fmt: skip
PLAYED = b"The king\n/again\n/branch\n\n/why\n/why 2\n/set temperature 0.5\n/set\n\n/undo\n/show\n/branch 1\n//x\n/nonsense\n/show\n/keep\n/quit\n"


@functools.cache
def cases_a() -> dict[str, Case]:
    """Command lines for the committed models, by name."""
    found: dict[str, Case] = {}

    def add(name: str, line: str, *more: str, stdin: bytes = b"") -> None:
        found[name] = Case((*shlex.split(line), *more), stdin)

    for model in TEXT_MODELS:
        path, prompt = f"models/{model}", PROMPTS.get(model, "The king ")
        held = "texts/chinese-held.txt" if prompt[0] > "z" else "texts/held.txt"
        write = f"generate {path} {shlex.quote(prompt)} --format jsonl "
        for seed in (1, 2, 3):
            add(f"{model}/seed-{seed}", write + f"--length 30 --count 2 --seed {seed}")
        add(f"{model}/chain", write + "--length 30 --seed 1 --temperature 0.8 --top-k 12 --top-p 0.95"
            " --min-p 0.01 --repetition-penalty 1.1 --dry-multiplier 0.4")  # fmt: skip
        add(f"{model}/torch", write + "--length 20 --count 2 --seed 1 --engine torch")
        add(f"{model}/trace", write + "--length 5 --seed 2 --trace 3 --temperature 0.7 --top-p 0.9")
        add(f"{model}/beams", write + "--length 8 --beams 3 --count 2 --seed 1")
        add(f"{model}/next", f"next {path} --json --top 4 {shlex.quote(prompt)}")
        add(f"{model}/encode", f"encode {path} --json", prompt + "qua ☃é!")
        add(f"{model}/info", f"info {path} --json")
        fields = {"pairs": "--prompt-field given --completion-field answer", "template": "--template '{given} | {answer}'"}  # fmt: skip
        if model in fields:
            add(f"{model}/evaluate", f"evaluate {path} texts/pairs.jsonl --limit 30 --json {fields[model]}")  # fmt: skip
        else:
            add(f"{model}/evaluate", f"evaluate {path} {held} --json")
    for name, flags in CHAINS.items():
        write = f"generate models/lstm 'The king ' --format jsonl {flags} "
        for seed in (1, 2, 3) if name != "greedy" else (1,):
            add(f"chains/{name}/{seed}", write + f"--length 40 --seed {seed}")
        add(f"chains/{name}/torch", write + "--length 25 --seed 1 --engine torch")
        add(f"chains/{name}/trace", write + "--length 12 --seed 2 --trace 2")
        if name not in ("temperatures", "stop", "ban", "prefix", "regex"):
            add(f"chains/{name}/next", f"next models/lstm 'The king ' --json --top 3 {flags}")
    for model in ("lstm", "bpe", "transformer", "mixed"):
        for name, flags in SEARCHES.items():
            write = f"generate models/{model} 'The king ' --format jsonl --length 15 {flags} "
            add(f"searches/{model}/{name}", write)
            if model == "lstm":
                add(f"searches/{model}/{name}/torch", write + "--engine torch")
    for name, flags in {
        "no-copy": "--no-copy 8 --seed 1 --temperature 0.6",
        "no-copy-beams": "--no-copy 6 --beams 3 --count 2 --seed 1",
        "novelty": "--best-of 4 --rank-by novelty --seed 1 --count 2",
        "from-data": "--prompt-from-data 2 --seed 1",
        "chain": "--temperature 0.7 --top-p 0.9 --seed 1 --engine torch",
        "trace": "--trace 2 --seed 1",
    }.items():
        prompt = "" if name == "from-data" else "'The king '"
        add(f"mixed/{name}", f"generate models/mixed {prompt} --format jsonl --length 20 {flags}")
    for weights in ("int8", "bf16"):
        add(f"weights/{weights}", f"generate models/lstm 'The ' --length 30 --seed 1 --weights {weights}")  # fmt: skip
        add(f"weights/{weights}/evaluate", f"evaluate models/lstm texts/held.txt --json --weights {weights}")  # fmt: skip
    add("text/plain", "generate models/lstm 'The king ' --length 40 --seed 1")
    add("text/count", "generate models/lstm 'The king ' --length 20 --seed 1 --count 3")
    add(
        "text/columns",
        "generate models/lstm 'The ' --length 30 --seed 1 --temperatures 0.2 0.7 1.2",
    )
    add("text/prompts", "generate models/lstm --prompts texts/prompts.txt --length 15 --seed 1")
    add("text/stdin", "generate models/lstm - --length 15 --seed 1", stdin=b"O speak")
    add("text/no-prompt", "generate models/gru-fresh --seed 1")
    add("text/long-prompt", "generate models/lstm-window --length 15 --seed 1", "to be or not " * 9)
    add("text/next", "next models/lstm 'The ' 'O ' --temperatures 0.5 1 2 --top-p 0.9")
    add("text/encode", "encode models/bpe 'The king of England'")
    add("text/info", "info models/mixed")
    add("text/evaluate", "evaluate models/lstm texts/held.txt")
    add("text/compare", "compare models/lstm models/gru models/words --on texts/held.txt")
    add("text/compare-json", "compare models/lstm models/mixed --on texts/held.txt --json")
    add("play", "play models/lstm --seed 1 --set length=20", stdin=PLAYED)
    add("play/words", "play models/words --seed 2 --set length=6 --set top_k=9", stdin=PLAYED)
    for model in SERIES_MODELS:
        path = f"models/{model}"
        table = f"texts/{HISTORIES.get(model, 'wave')}.csv"
        ahead = f"forecast {path} {table} --horizon 5 "
        add(f"{model}/forecast", ahead + "--samples 40 --seed 1")
        add(f"{model}/json", ahead + "--samples 30 --seed 2 --format json --quantiles 0.1 --quantiles 0.9")  # fmt: skip
        add(f"{model}/paths", ahead + "--samples 2 --paths --seed 3 --temperature 0.5")
        add(f"{model}/generate", f"generate {path} --length 6 --count 2 --seed 1")
        add(f"{model}/evaluate", f"evaluate {path} {table} --horizon 3 --origins 2 --stride 2 --method none --json")  # fmt: skip
        add(f"{model}/info", f"info {path} --json")
    for name in ("top-k", "top-p", "min-p", "typical", "epsilon", "eta", "sigma", "mirostat", "dynatemp"):  # fmt: skip
        add(f"binned/{name}", f"forecast models/s-binned --horizon 4 --samples 20 --explain {CHAINS[name]}")  # fmt: skip
    for name in ("xtc", "presence", "no-repeat", "dry", "repetition"):
        add(f"binned/{name}", f"generate models/s-binned --length 8 --count 2 --seed 1 {CHAINS[name]}")  # fmt: skip
    add("series/own", "forecast models/s-known --samples 20 --horizon 3")
    add(
        "series/continued", "generate models/s-laplace texts/wave.csv --length 4 --count 2 --seed 5"
    )
    add("series/text", "evaluate models/s-laplace texts/wave.csv --horizon 3 --origins 2 --stride 2 --method none")  # fmt: skip
    add("series/shown", "info models/s-known")
    add(
        "series/stdin",
        "forecast models/s-laplace - --horizon 2",
        stdin=b"y\n" + b"3\n4\n5\n4\n" * 9,
    )
    return found


def _python_text() -> Any:
    import rhapsode as rh

    model = rh.load("models/lstm")
    written = model.continuations("The ", length=12, seed=4, count=2, temperature=0.7)
    return {
        "generate": model.generate("The ", length=20, seed=4, top_k=5),
        "continuations": [one.text for one in written],
        "stream": "".join(piece.text for piece in model.stream("O ", length=9, seed=2)),
        "loss": model.evaluate("texts/held.txt").loss,
    }


def _python_series() -> Any:
    import rhapsode as rh

    model = rh.load("models/s-student")
    history = {"y": [20 + 6 * math.sin(n / 2) for n in range(80)]}
    forecast = model.forecast(history, horizon=4, samples=20, seed=1)
    state = model.observe([21.5], model.start(history))
    return {
        "ids": list(forecast.ids),
        "quantiles": forecast.quantiles([0.1, 0.5, 0.9]).tolist(),
        "mean": forecast.mean().tolist(),
        "ahead": model.ahead(state, 3, samples=4, seed=2).tolist(),
        "bins": [rh.load(f"models/{name}").bins for name in ("s-student", "s-binned")],
    }


PYTHON: dict[str, Callable[[], Any]] = {"text": _python_text, "series": _python_series}


def names_a() -> list[str]:
    """The names of part a, in order."""
    return [*cases_a(), *(f"python/{name}" for name in PYTHON)]


def record_a(name: str, places: Mapping[str, str]) -> Record:
    """One record of part a, made in the working folder."""
    kind, _, rest = name.partition("/")
    if kind == "python":
        try:
            return {"out": normal_json(PYTHON[rest](), places)}
        except Exception as problem:
            return {"out": f"{type(problem).__name__}: {normal_text(str(problem), places)}"}
    return run_here(cases_a()[name], places)


def part_a(book: Book, out: Path) -> None:
    """Ask the committed models."""
    with workplace(out) as work:
        places = places_of(work)
        for name in names_a():
            if name not in book.records:
                book.add(name, record_a(name, places))


# ---- Part b: training ----

_RUN = (
    "--steps 30 --set training.batch_size=8 --set training.precision=float32 "
    "--set training.evaluations=3 --set samples.length=20 "
)
_BRIEF = _RUN + SHORT
TRAINED: dict[str, str] = {
    "lstm": ENGLISH + _BRIEF + UNITS,
    "lstm-averaged": ENGLISH + _BRIEF + UNITS + ALONE + "--set training.averaging=0.9 --set training.accumulate=2",
    "awd_lstm": ENGLISH + _BRIEF + UNITS + ALONE + "--model awd_lstm --set network.dropout=0.1",
    "lstm_skip-fresh": VERSES + _BRIEF + UNITS + ALONE + "--model lstm_skip --set reading.context=fresh",
    "gru-fresh": VERSES + _BRIEF + UNITS + ALONE + "--model gru --set reading.context=fresh",
    "rnn-window": ENGLISH + _RUN + UNITS + ALONE + "--model rnn --set reading.context=window:12",
    "tcn": ENGLISH + _BRIEF + ALONE + FAMILIES["tcn"] + "--model tcn --seed 5",
    "transformer": ENGLISH + _BRIEF + ALONE + FAMILIES["transformer"] + "--model transformer",
    "transformer_classic": ENGLISH + _RUN + ALONE + ATTENTION + "--model transformer_classic",
    "sgd-linear": ENGLISH + _BRIEF + UNITS + ALONE + "--set training.optimiser=sgd --set training.schedule=linear",
    "from": ENGLISH + "--from models/lstm --steps 30 --set training.evaluations=3 --set samples.length=20 --set training.precision=float32",
    "pairs": "texts/pairs.jsonl --prompt-field given --completion-field answer " + _BRIEF + UNITS,
    "documents": VERSES + _BRIEF + UNITS + ALONE + "--set data.split=documents --set data.duplicates=drop",
    "bpe": ENGLISH + _BRIEF + UNITS + "--encoding bpe --set encoder.vocab_size=400",
    "jieba": CHINESE + _BRIEF + UNITS + "--encoding jieba",
    "repeat": ENGLISH + _BRIEF + UNITS + ALONE + "--repeat 2",
    "s-student": "texts/wave.csv " + _SERIES + "--set network.hidden_size=8 ",
    "s-quantiles": "texts/wave.csv " + _SERIES + "--set network.hidden_size=8 --set head.name=quantiles",
    "s-counts": "texts/counts.csv " + _SERIES + "--set network.hidden_size=8 ",
    "s-binned": "texts/wave.csv " + _SERIES + "--set network.hidden_size=8 --encoding binned",
    "s-known": _MONTHLY + "--set 'series.known=[\"price\"]'",
    "s-joint": "texts/joint.csv " + _SERIES + "--set network.hidden_size=8 --set series.joint=true "
    "--set head.name=gaussian_mixture",
    "s-classic": "texts/wave.csv --config series-lstm --steps 20",
}  # fmt: skip
_LONGER = ENGLISH + UNITS + ALONE + (
    "--steps 1500 --set training.window=16 --set training.batch_size=8 --set samples.length=0 "
    "--set training.precision=float32 --set training.evaluations=5 --set network.dropout=0.1"
)  # fmt: skip


def part_b(book: Book, out: Path) -> None:
    """Train."""
    with workplace(out) as work:
        places = places_of(work)
        for name, line in TRAINED.items():
            if name not in book.records:
                argv = ("-m", "rhapsode", "train", *shlex.split(line), "-o", f"runs/{name}")
                done = run_apart(argv, places, work=work)
                book.add(name, done | {"runs": runs_in(work / "runs" / name, places)})
        if "two processes" not in book.records:
            argv = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "rhapsode",
                    "train", *shlex.split(TRAINED["lstm"]), "-o", "runs/two")  # fmt: skip
            done = run_apart(argv, places, work=work)
            book.add("two processes", done | {"runs": runs_in(work / "runs" / "two", places)})
        if "resumed" not in book.records:
            book.add("resumed", _resumed(work, places))


def _resumed(work: Path, places: Mapping[str, str]) -> Record:
    """A whole run, and the same run stopped by a signal and resumed."""
    train = ("-m", "rhapsode", "train")
    whole = run_apart((*train, *shlex.split(_LONGER), "-o", "runs/whole"), places, work=work)
    process = subprocess.Popen(
        [sys.executable, *train, *shlex.split(_LONGER), "-o", "runs/parts"],
        cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    metrics = work / "runs" / "parts" / "metrics.jsonl"
    while process.poll() is None:
        if metrics.exists() and metrics.read_bytes().count(b"\n") > 100:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.02)
    stopped = process.wait(timeout=300)
    again = run_apart((*train, "-o", "runs/parts", "--resume"), places, work=work)
    one, other = (runs_in(work / "runs" / name, places)[""] for name in ("whole", "parts"))
    lines = [json.dumps(run.pop("metrics")) for run in (one, other)]
    return {
        "codes": [whole["code"], stopped, again["code"]],
        "same tensors": one["tensors"] == other["tensors"],
        "same metrics": lines[0] == lines[1],
        "metrics": hashlib.sha256(lines[0].encode()).hexdigest(),
        "whole": one,
    }


def runs_in(folder: Path, places: Mapping[str, str]) -> dict[str, Record]:
    """What run folders hold, by their path in `folder`."""
    found: dict[str, Record] = {}
    for model in sorted(folder.rglob("model.safetensors")):
        run = model.parent
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        found[str(run.relative_to(folder)).strip(".")] = {
            "metrics": [normal_json(json.loads(line), places) for line in lines],
            "tensors": {
                file.name: tensors_hash(file) for file in sorted(run.glob("*.safetensors"))
            },
            "summary": structured((run / "summary.json").read_text(encoding="utf-8"), places),
            "config": normal_text((run / "config.toml").read_text(encoding="utf-8"), places),
            "files": sorted(str(file.relative_to(run)) for file in run.rglob("*")),
            "samples": _text_of(run / "samples.md", places),
            "card": _text_of(run / "README.md", places),
        }
    return found


def _text_of(path: Path, places: Mapping[str, str]) -> str | None:
    return normal_text(path.read_text(encoding="utf-8"), places) if path.exists() else None


def tensors_hash(path: Path) -> dict[str, str]:
    """SHA-256 of a file's tensors: with names, and of values alone."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = {key: facts for key, facts in json.loads(raw[8 : 8 + size]).items() if key != "__metadata__"}  # fmt: skip
    named, values = hashlib.sha256(), []
    for name, facts in sorted(header.items()):
        begin, end = facts["data_offsets"]
        body = hashlib.sha256(raw[8 + size + begin : 8 + size + end]).hexdigest()
        named.update(f"{name} {facts['dtype']} {facts['shape']} {body}\n".encode())
        values.append(f"{facts['dtype']} {facts['shape']} {body}")
    return {
        "named": named.hexdigest(),
        "values": hashlib.sha256("\n".join(sorted(values)).encode()).hexdigest(),
    }


# ---- Part c: plans and surveys of every file ----

# With --steps nothing of a plan depends on how fast the machine is.
PLANNED = ("--plan", "--steps", "200", "--set", "training.precision=float32")
A_WORKER = 25


def part_c(book: Book, out: Path, also: Sequence[Path] = ()) -> None:
    """Plan for every file of the corpora, and survey it."""
    roots = {"also-" + root.name: root.resolve() for root in also}
    data = os.environ.get("RHAPSODE_DATA")
    if data and Path(data).is_dir():
        roots = {"data": Path(data), **roots}
    else:
        print("skipped: RHAPSODE_DATA names no folder of corpora")
    files = [
        (f"{name}/{path.relative_to(root)}", path)
        for name, root in roots.items()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    waiting = [
        (name, path) for name, path in files if not {f"{name} plan", f"{name} info"} <= book.records.keys()
    ]  # fmt: skip
    while waiting:
        with tempfile.TemporaryDirectory(dir=out, prefix="work-") as work:
            listed = Path(work) / "files.json"
            some = [[name, str(path)] for name, path in waiting[:A_WORKER]]
            listed.write_text(json.dumps([some, {str(root): f"<{name}>" for name, root in roots.items()}]))  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    [sys.executable, __file__, "_files", str(listed), str(out)],
                    env=os.environ | {"RHAPSODE_CACHE": str(Path(work) / "cache")},
                    stdout=subprocess.DEVNULL, timeout=400, check=False,
                )  # fmt: skip
        book = Book(book.path)
        for name, _ in waiting[:A_WORKER]:
            missing = [n for n in (f"{name} plan", f"{name} info") if n not in book.records]
            if missing:  # where the worker ended: once more without this one
                book.add(missing[0], {"code": "the process ended, or took too long"})
                break
        waiting = [
            (name, path) for name, path in waiting if not {f"{name} plan", f"{name} info"} <= book.records.keys()
        ]  # fmt: skip


def _files(listed: Path, out: Path) -> None:
    """Plan and survey some files, in a worker's process."""
    files, roots = json.loads(listed.read_text())
    book = Book(out / "c.jsonl")
    os.chdir(listed.parent)
    places = places_of(listed.parent) | roots
    for name, path in files:
        for kind, argv in (
            ("plan", ("train", path, *PLANNED)),
            ("info", ("data", "info", path, "--json")),
        ):
            if f"{name} {kind}" not in book.records:
                book.add(f"{name} {kind}", run_here(Case(argv), places))


# ---- Part d: command lines, good and bad ----


def cases_d() -> dict[str, Case]:
    """Command lines by name."""
    lines = """
    | help | --version | help
    nonsense | generat x | --nonsense | train --nonsense | generate | train | evaluate | forecast
    data list | data list --json | data show kitchen | data show kitchen --document 3 --json | data info kitchen
    data show nothing-here | data nonsense | data show | data info texts/wave.csv | data fetch nothing-here
    data info texts/cp1250.txt --json | data show texts/english.txt --encoding words
    data show texts/english.txt --encoding bpe --set vocab_size=320 | data show texts/verses.jsonl --field text
    data show texts/english.txt --set nonsense=1 | data info texts/broken.txt --text-encoding utf-8 | data show texts/broken.txt --text-encoding utf-8 --errors replace
    generate models/lstm The --length x | generate models/lstm The --temperature -1 | generate models/lstm The --top-p 2
    generate models/lstm The --top-k 5 --beams 3 --seed 1 --length 5 | generate models/lstm The --beams 2 --count 3
    generate models/lstm The --beam-groups 2 | generate models/lstm The --beams 3 --beam-groups 2
    generate models/lstm The --dynatemp-low 0.5 | generate models/lstm The --mirostat-tau 3 --top-k 4 --seed 1 --length 9
    generate models/lstm The --no-copy 8 | generate models/lstm The --best-of 2 --beams 2
    generate models/lstm The --best-of 2 --rank-by novelty | generate models/lstm The --trace 2
    generate models/lstm The --order nonsense | generate models/lstm The --order top_k --temperature 0.5
    generate models/lstm The --regex '(' | generate models/lstm The --regex '(?=x)' | generate models/lstm '' --length 9 --seed 1
    generate models/lstm '☃ snow' | generate models/lstm '☃ snow' --unknown skip --length 9 --seed 1
    generate models/lstm The --prompts texts/prompts.txt | generate models/lstm --prompts nowhere.txt
    generate models/lstm --prompt-from-data 1 --seed 1 | generate models/lstm The --engine nonsense
    generate models/lstm The --penalty-alpha 0.6 | generate models/lstm The --length 0 | generate models/lstm The --count 0
    generate models/lstm The --ban '#9999' | generate models/lstm The --bias a | generate models/lstm The --weights int8 --engine torch
    generate nowhere The | generate empty The | generate cut.safetensors The | generate text.safetensors The | generate zero.safetensors The
    generate models/s-laplace --top-k 4 | generate models/s-laplace The | generate models/lstm The --seed -1
    generate other-bundle.safetensors The | info nowhere | info models/lstm | info models/bpe | info models/s-binned | info cut.safetensors
    encode models/lstm Hello | encode models/words 'Hello king' --json | encode models/jieba 却说 | encode models/s-laplace x
    next models/lstm The | next models/s-laplace The | next models/lstm The --top 0 | next models/lstm --json --top 2
    evaluate models/lstm nowhere.txt | evaluate models/lstm zero.txt | evaluate models/lstm texts/broken.txt --text-encoding utf-8
    evaluate models/lstm texts/broken.txt --text-encoding utf-8 --errors replace --json | evaluate models/s-laplace texts/english.txt
    evaluate models/lstm texts/verses.jsonl --json --limit 5 | evaluate models/lstm texts/verses.jsonl --field nothing
    compare models/lstm | compare models/lstm models/s-laplace --on texts/held.txt | compare models/lstm models/gru
    forecast models/lstm texts/wave.csv | forecast models/s-laplace texts/english.txt | forecast models/s-laplace nowhere.csv
    forecast models/s-laplace texts/wave.csv --top-k 3 | forecast models/s-laplace texts/wave.csv --quantiles 1.5
    forecast models/s-laplace texts/wave.csv --horizon 0 | forecast models/s-laplace texts/wave.csv --output f.xlsx
    forecast models/s-laplace texts/wave.csv --budget 6s | forecast models/s-known texts/monthly.csv --horizon 30
    forecast models/s-known texts/wave.csv | forecast models/s-laplace texts/wave.csv --value-columns nothing
    forecast models/s-binned texts/wave.csv --horizon 2 --temperature 0 | play nowhere | play models/lstm --set nonsense=1
    train nowhere.txt | train zero.txt -o r | train texts/english.txt -o models/lstm | train texts/english.txt --steps 5 --epochs 1
    train texts/english.txt --steps 0 | train texts/english.txt --budget soon | train texts/english.txt --model nonsense --steps 5
    train texts/english.txt --encoding nonsense --steps 5 | train texts/english.txt --set nonsense.key=1
    train texts/english.txt --set training.nonsense=1 | train texts/english.txt --set training.window=x
    train texts/english.txt --config nowhere.toml | train texts/english.txt --config nonsense | train -o nowhere --resume
    train texts/english.txt --from nowhere --steps 5 | train texts/english.txt --from models/lstm --encoding words --steps 5
    train texts/english.txt --from models/s-laplace --steps 5 | train texts/verses.jsonl --steps 5 --field nothing
    train texts/pairs.jsonl --prompt-field given --steps 5 | train texts/pairs.jsonl --template '{nothing}' --steps 5
    train texts/broken.txt --text-encoding utf-8 --steps 5 -o r | train texts/cp1250.txt --plan --steps 5 --set training.precision=float32
    train texts/cp1250.txt --plan --steps 5 --text-encoding cp1250 --set training.precision=float32
    train texts/english.txt --plan --steps 5 --config nietzsche-char-lstm --set training.precision=float32 | train texts/english.txt --set reading.context=window:0 --steps 5
    train texts/english.txt --model transformer --set network.num_heads=3 --set network.embedding_size=8 --steps 5 -o r2
    train texts/wave.csv --plan --steps 5 | train texts/wave.csv --set head.name=nonsense --steps 5 | train texts/wave.csv --encoding words --plan --steps 5 --set training.precision=float32
    train texts/wave.csv --encoding binned --set head.name=gaussian --steps 5 | train texts/monthly.csv --set 'series.known=["nothing"]' --steps 5
    train texts/english.txt --encoding tokenizer --steps 5 | train texts/english.txt --encoding tokenizer --set encoder.file=nowhere.json --steps 5
    train texts/english.txt --repeat 0 | train texts/english.txt --resume | train 'texts/*.nothing' --steps 5
    """  # fmt: skip
    found = {
        line.strip(): Case(tuple(shlex.split(line)))
        for line in lines.replace("\n", "|").split("|")
        if line.strip()
    }
    # A bar inside quotes would have been cut above.
    found["(nothing)"] = Case(())
    for command in ("train", "generate", "next", "play", "evaluate", "compare", "info", "forecast", "encode", "data", "demo"):  # fmt: skip
        found[f"{command} --help"] = Case((command, "--help"))
    write = ("generate", "models/lstm", "-", "--length", "9", "--seed", "1")
    found["stdin: prompt"] = Case(write, b"The king")
    found["stdin: empty prompt"] = Case(write, b"")
    found["stdin: not UTF-8"] = Case(write, b"The \xff\xfe king")
    found["stdin: prompts"] = Case(
        ("generate", "models/lstm", "--prompts", "-", "--length", "9", "--seed", "1"), b'"The\\n"\n"O "\n'
    )  # fmt: skip
    found["stdin: encode"] = Case(("encode", "models/lstm"), b"The king\n")
    found["stdin: evaluate"] = Case(("evaluate", "models/lstm", "-", "--json"), b"The king is dead. " * 20)  # fmt: skip
    found["stdin: next"] = Case(("next", "models/lstm", "-"), b"The king")
    found["stdin: play"] = Case(("play", "models/lstm", "--seed", "1", "--set", "length=9"), b"The\n\n/why\n/quit\n")  # fmt: skip
    found["stdin: train"] = Case(("train", "-", "--plan", "--steps", "5", "--set", "training.precision=float32"), b"a text of few words. " * 90)  # fmt: skip
    found["forecast table"] = Case(
        ("forecast", "texts/wave.csv", "--horizon", "3", "--budget", "1s", "--samples", "5")
    )
    return found


def part_d(book: Book, out: Path) -> None:
    """Run command lines, each in a process of its own."""
    with workplace(out) as work:
        places = places_of(work)
        whole = (work / "models" / "lstm" / "model.safetensors").read_bytes()
        (work / "empty").mkdir()
        (work / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
        (work / "text.safetensors").write_text("no model\n" * 9)
        (work / "zero.safetensors").write_bytes(b"")
        (work / "zero.txt").write_bytes(b"")
        plain = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        (work / "other-bundle.safetensors").write_bytes(len(plain).to_bytes(8, "little") + plain + b"\0" * 4)  # fmt: skip
        for name, case in cases_d().items():
            if name in book.records:
                continue
            found = run_apart(("-m", "rhapsode", *case.argv), places, stdin=case.stdin, work=work)
            if name == "forecast table":  # trained by the clock: only the shape of what comes out
                rows = list(csv.reader(io.StringIO(found["out"])))
                found = {"code": found["code"], "out": [row[:3] for row in rows]}
            book.add(name, found)


# ---- Comparison ----

_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.]*\d)")


def close(one: float, other: float, least: float = 1e-5) -> bool:
    """Tell equal numbers, up to what rounding does on other processors."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or abs(one - other) <= max(least, 1e-5 * max(abs(one), abs(other)))


def _same_text(one: str, other: str) -> bool:
    """Tell texts that differ by rounding at most."""
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    for left, right in zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True):
        if left != right:
            if "." not in left or "." not in right:
                return False
            digits = len(re.split(r"[eE]", left)[0].partition(".")[2])
            # Shown in few digits, a number may round the other way.
            least = max(1e-5, 1.01 * 10.0**-digits)
            if not close(float(left.replace(",", "")), float(right.replace(",", "")), least):
                return False
    return True


def differences(
    one: Any, other: Any, path: str, *, tolerant: bool
) -> Iterator[tuple[str, Any, Any]]:
    """Where two records differ: path and both values.

    Arguments:
        one: a record.
        other: another one.
        path: of both.
        tolerant: let numbers differ by rounding.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            yield from differences(
                one.get(key, "(absent)"), other.get(key, "(absent)"), f"{path}.{key}", tolerant=tolerant
            )  # fmt: skip
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield f"{path} (length)", len(one), len(other)
        for place, (left, right) in enumerate(zip(one, other, strict=False)):
            yield from differences(left, right, f"{path}[{place}]", tolerant=tolerant)
    elif (type(one) is type(other) and one == other) or (
        tolerant and _is_number(one) and _is_number(other) and close(one, other)
    ):
        return
    elif not (tolerant and isinstance(one, str) and isinstance(other, str) and _same_text(one, other)):  # fmt: skip
        yield path, one, other


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _brief(one: Any, other: Any) -> tuple[str, str]:
    """Two values, cut to where they begin to differ."""
    left, right = (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in (one, other))  # fmt: skip
    first = next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))  # fmt: skip
    begin = max(0, first - 30)
    return tuple(
        ("…" if begin else "") + repr(text[begin : begin + 110])[1:-1] for text in (left, right)
    )  # type: ignore[return-value]


def compare(one: Path, other: Path, *, tolerant: bool) -> int:
    """Print every difference of two folders of records.

    Returns:
        1 where there is any.
    """
    count = 0
    for part in PARTS:
        files = [folder / f"{part}.jsonl" for folder in (one, other)]
        if not all(file.exists() for file in files):
            print(f"part {part}: not compared, recorded {sum(map(Path.exists, files))} of 2 times")
            continue
        # Once more: a record may be older than a line of the normalisation.
        left, right = (normal_json(Book(file).records, {}) for file in files)
        for path, a, b in differences(left, right, part, tolerant=tolerant):
            count += 1
            print(path, *(f"    {text}" for text in _brief(a, b)), sep="\n")
        print(f"part {part}: {len(left)} and {len(right)} records")
    print(f"{count} differences")
    return 1 if count else 0


def freeze(out: Path) -> None:
    """Keep part a in records.json, numbers in nine digits."""
    records = _rounded(Book(out / "a.jsonl").records)
    text = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(record, ensure_ascii=False, separators=(',', ':'))}"
        for name, record in records.items()
    )
    RECORDS.write_text("{\n" + text + "\n}\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("texts")
    commands.add_parser("models")
    freezing = commands.add_parser("freeze")
    freezing.add_argument("out", type=Path)
    recording = commands.add_parser("record")
    recording.add_argument("out", type=Path)
    recording.add_argument("--part", choices=PARTS, action="append")
    recording.add_argument("--also", type=Path, action="append", default=[])
    comparing = commands.add_parser("compare")
    comparing.add_argument("one", type=Path)
    comparing.add_argument("other", type=Path)
    how = comparing.add_mutually_exclusive_group()
    how.add_argument("--exact", action="store_true")
    how.add_argument("--tolerant", action="store_true")
    files = commands.add_parser("_files")
    files.add_argument("listed", type=Path)
    files.add_argument("out", type=Path)
    asked = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    if asked.command == "compare":
        return compare(asked.one, asked.other, tolerant=asked.tolerant)
    if asked.command == "texts":
        make_texts(Path(os.environ["RHAPSODE_DATA"]))
    elif asked.command == "models":
        make_models()
    elif asked.command == "freeze":
        freeze(asked.out)
    elif asked.command == "_files":
        _files(asked.listed.resolve(), asked.out.resolve())
    else:
        out = asked.out.resolve()
        out.mkdir(parents=True, exist_ok=True)
        for part in asked.part or PARTS:
            began, book = time.monotonic(), Book(out / f"{part}.jsonl")
            if part == "c":
                part_c(book, out, asked.also)
            else:
                {"a": part_a, "b": part_b, "d": part_d}[part](book, out)
            count = len(Book(book.path).records)
            print(f"part {part}: {count} records, {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
