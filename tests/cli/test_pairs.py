"""Pairs by the command line: training, answers to a file, evaluation, and input that cannot be used."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.text import Text

from rhapsode.bundle import read_bundle
from rhapsode.cli.main import main
from rhapsode.config import SourceSettings
from rhapsode.errors import SettingsError
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.modality import TEXT
from rhapsode.modalities.text.model import TextModel
from rhapsode.modalities.text.pairs.pair_answering import condition_of, forced_log_prob
from rhapsode.modalities.text.pairs.pair_corpus import learn_side
from rhapsode.modalities.text.pairs.pair_prompts import input_text
from rhapsode.modalities.text.pairs.pair_survey import describe_split
from rhapsode.modalities.text.settings import TrainSettings
from tests.cli.conftest import Cli

QUICK = (
    "--set", "network.hidden_size=32", "--set", "network.embedding_size=8",
    "--set", "training.batch_size=16", "--set", "training.precision=float32",
    "--set", "training.learning_rate=0.01", "--set", "training.evaluations=2",
    "--set", "pairs.answers=20",
)  # fmt: skip
SMALL = ("--set", "data.test_share=0.1", "--set", "data.validation_share=0.1")


def reversals(count: int) -> list[tuple[str, str]]:
    random = np.random.default_rng(5)
    texts = ["".join("abc"[i] for i in random.integers(3, size=n % 4 + 1)) for n in range(count)]
    return [(text, " ".join(text[::-1].upper())) for text in texts]


@pytest.fixture(scope="module")
def pairs_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on reversed letters: outputs are symbols between spaces."""
    base = tmp_path_factory.mktemp("pairs")
    (base / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in reversals(400)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RHAPSODE_CACHE", str(base / "cache"))
        asked = ("train", str(base / "pairs.tsv"), "--pairs", "0:1", "-o", str(base / "run"))
        assert main([*asked, "--steps", "400", *QUICK, *SMALL]) == 0
    return base / "run"


def test_a_run_on_pairs_holds_both_encoders_and_its_measures(pairs_run: Path) -> None:
    bundle = read_bundle(pairs_run)
    facts = bundle.facts
    assert isinstance(facts, TextFacts)
    assert facts.source is not None
    assert (facts.source.name, bundle.encoder.name) == ("characters.v1", "words.v1")
    assert bundle.encoder.vocab_size == 5
    assert facts.longest == 4
    summary = json.loads((pairs_run / "summary.json").read_text())
    assert summary["answers"]["accuracy"] > 0.5
    assert summary["mixture"]["reason"].startswith("counts do not see")
    events = [json.loads(line) for line in (pairs_run / "metrics.jsonl").read_text().splitlines()]
    measures = [event["measures"] for event in events if event["event"] == "evaluation"]
    assert len(measures) == 2
    assert measures[-1]["error_rate"] < measures[0]["error_rate"] or not measures[0]["error_rate"]
    assert " -> " in (pairs_run / "samples.md").read_text()
    assert "right answers" in (pairs_run / "README.md").read_text()


def test_input_gives_a_line_for_every_line(cli: Cli, pairs_run: Path) -> None:
    Path("in.txt").write_text("ab\n\ncba\nb\nab\n")
    done = cli("generate", str(pairs_run), "--input", "in.txt", "-o", "out.txt")
    assert done.code == 0
    lines = Path("out.txt").read_text().split("\n")
    assert lines[0] == lines[4] == "B A"
    assert lines[1] == lines[5] == ""
    assert lines[3] == "B"
    printed = cli("generate", str(pairs_run), "--input", "in.txt")
    assert printed.out == Path("out.txt").read_text()
    assert cli("generate", str(pairs_run), "ab").out == "B A\n"


def test_files_of_any_make_give_a_line_for_every_line(cli: Cli, pairs_run: Path) -> None:
    long = "abc" * 2000
    Path("in.txt").write_bytes(f"\ufeffab\r\n\r\n \r\n{long}\r\nb".encode())
    done = cli("generate", str(pairs_run), "--input", "in.txt")
    lines = done.out.split("\n")
    assert lines[:3] == ["B A", "", ""]
    assert lines[3]
    assert lines[4:] == ["B", ""]
    assert "training inputs" not in done.err
    Path("in.txt").write_text("")
    assert cli("generate", str(pairs_run), "--input", "in.txt").out == ""


def test_inputs_are_read_as_training_read_them() -> None:
    encoder = learn_side(["é", "a b"], "characters", {})
    assert input_text("\ufeffe\u0301\r\n", encoder) == "é"
    assert input_text("a b ", encoder) == "a b "
    assert input_text("x\u0301", encoder) == "x\u0301"
    lines = learn_side(["a\nb"], "characters", {})
    assert input_text("a\n", lines) == "a\n"


def test_n_best_scores_are_those_of_forced_scoring(cli: Cli, pairs_run: Path) -> None:
    Path("in.txt").write_text("ab\n\ncab\n")
    flags = ("--input", "in.txt", "--n-best", "3", "--beams", "4")
    done = cli("generate", str(pairs_run), *flags)
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [row[0] for row in rows] == ["1"] * 3 + ["3"] * 3
    model = TextModel(pairs_run)
    encoder = model.source_encoder
    assert encoder is not None
    for number, text, log_prob in rows:
        source = ["ab", "", "cab"][int(number) - 1]
        elements = model.bundle.encoder.encode(text).astype(np.int64).tolist()
        forced = forced_log_prob(model.scorer, condition_of([source], encoder), elements)
        assert float(log_prob) == pytest.approx(forced, abs=1e-3)
    penalised = cli(
        "generate", str(pairs_run), *flags, "--length-penalty", "1", "--format", "jsonl"
    )
    entries = [json.loads(line) for line in penalised.out.splitlines()]
    assert entries[1] == {"input": "", "answers": []}
    for answer in entries[0]["answers"]:
        length = len(answer["text"].split()) + (answer["end"] == "stop")
        assert answer["score"] == pytest.approx(answer["log_prob"] / length, rel=1e-6)


def test_length_limits_an_answer(cli: Cli, pairs_run: Path) -> None:
    Path("in.txt").write_text("abca\n")
    short = cli("generate", str(pairs_run), "--input", "in.txt", "--length", "2")
    assert len(short.out.split()) == 2
    long = cli("generate", str(pairs_run), "--input", "in.txt", "--min-length", "6")
    assert len(long.out.split()) >= 6


def test_evaluate_counts_answers_and_draws_alignments(cli: Cli, pairs_run: Path) -> None:
    Path("test.tsv").write_text("ab\tB A\nab\tB B\nc\tC\nb\tA\n")
    flags = ("--pairs", "0:1", "--beams", "2", "--alignment", "a.svg")
    done = cli("evaluate", str(pairs_run), "test.tsv", *flags, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["inputs"] == 3
    assert found["error_rate"] == pytest.approx(1 / 3)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["symbol_error_rate"] == pytest.approx(1 / 4)
    assert found["wrong"] == [{"input": "b", "answer": "B", "right": ["A"]}]
    picture = Path("a.svg").read_text()
    assert picture.count('class="frame"') == 4
    report = cli("evaluate", str(pairs_run), "test.tsv")
    assert "symbol error rate" in report.out
    assert "attention of each element" in report.out


def test_a_survey_tells_what_pairs_are() -> None:
    known = [*reversals(80), ("abc", "X Y"), ("ab", "B A"), ("c", "c")]
    Path("pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in known) + "é\tÉ\n" * 2)
    settings = TrainSettings(source=SourceSettings(pairs="0:1"))
    found = TEXT.survey(["pairs.tsv"], settings, None).found
    report = TEXT.survey_report({**found, "training": {"reasons": ["nothing"]}}, 80)
    printed = "".join(str(each) for each in report if isinstance(each, Text))
    assert "85 pairs" in printed
    assert "document" not in printed
    distinct: dict[str, set[str]] = {}
    for source, output in [*known, ("é", "É")]:
        distinct.setdefault(source, set()).add(output)
    assert found["pairs"] == sum(split["pairs"] for split in found["splits"].values()) == 85
    assert found["inputs"]["distinct"] == len(distinct)
    assert found["repeated"] == 85 - sum(map(len, distinct.values()))
    assert found["several"]["inputs"] == sum(len(texts) > 1 for texts in distinct.values())
    assert found["copied"] == 1
    assert found["inputs"]["elements"]["max"] == 4
    with pytest.raises(SettingsError, match="no picture"):
        TEXT.draw_survey(found, Path("a.svg"))


def test_the_command_surveys_pairs(cli: Cli) -> None:
    Path("pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in reversals(80)))
    done = cli("data", "info", "pairs.tsv", "--pairs", "0:1")
    assert done.code == 0, done.err
    assert "80 pairs" in done.out


def test_a_survey_names_elements_that_training_lacks() -> None:
    encoders = (learn_side(["ab"], "auto", {}), learn_side(["xy"], "auto", {}))
    found = describe_split([("axa", "x"), ("xéx", "y"), ("b", "xb")], encoders)
    assert found["unknown_inputs"] == {"pairs": 2, "distinct": 2, "elements": ["x", "é"]}
    assert found["unknown_outputs"] == {"pairs": 1, "distinct": 1, "elements": ["b"]}


def test_models_of_pairs_are_not_compared(cli: Cli, pairs_run: Path) -> None:
    Path("test.tsv").write_text("ab\tB A\n")
    shutil.copy(pairs_run / "model.safetensors", "other.safetensors")
    models = (str(pairs_run), "other.safetensors")
    done = cli("compare", *models, "--on", "test.tsv", "--pairs", "0:1")
    assert done.code == 1
    assert "models of pairs are not compared" in done.err


def test_unknown_characters_of_an_input_are_named(cli: Cli, pairs_run: Path) -> None:
    Path("in.txt").write_text("axb\n")
    told = cli("generate", str(pairs_run), "--input", "in.txt")
    assert "'x'" in told.err
    skipped = cli("generate", str(pairs_run), "--input", "in.txt", "--unknown", "skip")
    assert skipped.out == "B A\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input", "none.txt"), "cannot read"),
        (("--input", "in.txt", "--n-best", "3", "--beams", "2"), "2 beams cannot give 3"),
        (("--input", "in.txt", "--count", "2"), "not drawn"),
        (("ab", "--n-best", "3"), "lines of a file"),
        ((), "writes nothing without an input"),
    ],
)
def test_answers_that_cannot_be_given(
    cli: Cli, pairs_run: Path, arguments: tuple[str, ...], message: str
) -> None:
    Path("in.txt").write_text("ab\n")
    done = cli("generate", str(pairs_run), *arguments)
    assert done.code == 1
    assert message in done.err


def test_a_model_of_text_answers_no_file(cli: Cli, run_folder: Path) -> None:
    Path("in.txt").write_text("ab\n")
    done = cli("generate", str(run_folder), "--input", "in.txt")
    assert done.code == 1
    assert "answers no inputs" in done.err


@pytest.mark.parametrize(
    ("sources", "pairs", "message"),
    [
        (("pairs.tsv",), "0", "names no input and output"),
        (("pairs.tsv",), "a:b", "no record has a field 'a'"),
        (("one.txt",), "lines", "need two files"),
        (("one.txt", "two.txt"), "lines", "2 and 1 lines"),
    ],
)
def test_pairs_that_cannot_be_read(
    cli: Cli, sources: tuple[str, ...], pairs: str, message: str
) -> None:
    Path("pairs.tsv").write_text("x\ty\nu\tv\n")
    Path("one.txt").write_text("a\nb\n")
    Path("two.txt").write_text("a\n")
    done = cli("train", *sources, "--pairs", pairs, "-o", "run", "--steps", "1")
    assert done.code == 1
    assert message in done.err
    assert not Path("run").exists()


def test_a_transformer_attends_in_its_layers_and_goes_on_from_a_base(cli: Cli) -> None:
    Path("pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in reversals(60)))
    small = ("--set", "network.embedding_size=8", "--set", "network.num_heads=2", "--steps", "2")
    asked = ("train", "pairs.tsv", "--pairs", "0:1", "-o", "run", "--model", "transformer")
    done = cli(*asked, *small, "--set", "pairs.answers=5")
    assert done.code == 0, done.err
    source = read_bundle("run").config.source
    assert source is not None
    assert (source.encoder.name, source.attention) == ("transformer.v1", None)
    more = cli(
        "train", "pairs.tsv", "--pairs", "0:1", "-o", "more", "--from", "run", "--steps", "2"
    )
    assert more.code == 0, more.err
    assert read_bundle("more").config == read_bundle("run").config


def test_dates_are_pairs_by_their_name_and_a_run_goes_on_as_if_unbroken(cli: Cli) -> None:
    asked = (*QUICK, "--set", "pairs.attention=gaussian_window", "--set", "pairs.layers_above=1")
    assert cli("train", "dates", "--limit", "400", "-o", "run", "--steps", "3", *asked).code == 0
    assert cli("train", "-o", "run", "--resume", "--steps", "4").code == 0
    config = read_bundle("run").config
    assert config.source is not None
    assert config.source.attention.name == "gaussian_window.v1"
    assert config.source.above is not None
    answer = cli("generate", "run", "19. Juni 2015")
    assert answer.code == 0
