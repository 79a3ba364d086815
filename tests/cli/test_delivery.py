"""Many prompts, many temperatures, batches, streams: each text is the one its seed decides, whoever is beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from rhapsode.config import GenerateSettings
from rhapsode.encoding import END_ID
from rhapsode.generation import uniforms
from rhapsode.modalities.opened import collect
from rhapsode.modalities.text.model import TextModel
from tests.cli.conftest import QUICK, Cli

PROMPTS = ["The ", "In the", "A", "the way of the", "If ", "The value of", "x", "", "Note: "]


def entries(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_prompts_of_a_file(cli: Cli, run_folder: Path, tmp_path: Path) -> None:
    base = ("generate", str(run_folder), "--length", "30", "--seed", "4", "--format", "jsonl")
    (tmp_path / "lines.txt").write_text("The \n\nIn the\r\nA\n", encoding="utf-8")
    found = entries(cli(*base, "--prompts", "lines.txt", "--count", "2").out)
    told = [(entry["prompt"], entry["index"]) for entry in found]
    assert told == [(prompt, index) for prompt in ("The ", "In the", "A") for index in (0, 1)]
    alone = entries(cli(*base[:2], "In the", *base[2:]).out)
    assert alone == [found[2]]
    (tmp_path / "strings.jsonl").write_text('"The \\n"\n"A"\n', encoding="utf-8")
    found = entries(cli(*base, "--prompts", "strings.jsonl").out)
    assert [entry["prompt"] for entry in found] == ["The \n", "A"]
    (tmp_path / "quoted.txt").write_text('"The" he\n"A\n', encoding="utf-8")
    found = entries(cli(*base, "--prompts", "quoted.txt").out)
    assert [entry["prompt"] for entry in found] == ['"The" he', '"A']


def test_prompts_from_standard_input(
    cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "piped").write_text("The \nA\n")
    with (tmp_path / "piped").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        done = cli("generate", str(run_folder), "--prompts", "-", "--length", "5", "--seed", "1")
    first, second = done.out.splitlines()
    assert first.startswith("The ")
    assert second.startswith("A")
    assert len(second) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"\n\n", "no prompt"), (b"\xff\xfe\xfa", "not UTF-8")],
)
def test_prompts_that_cannot_be_read(
    cli: Cli, run_folder: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "lines.txt").write_bytes(content)
    done = cli("generate", str(run_folder), "--prompts", "lines.txt")
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_prompts_from_one_place_only(cli: Cli, run_folder: Path) -> None:
    done = cli("generate", str(run_folder), "The", "--prompt-from-data", "2")
    assert (done.code, done.out) == (1, "")
    assert "more than one place" in done.err


def test_prompts_from_the_data(cli: Cli, run_folder: Path, prose: str) -> None:
    base = ("generate", str(run_folder), "--length", "5", "--format", "jsonl")
    done = cli(*base, "--prompt-from-data", "6", "--seed", "3")
    prompts = [str(entry["prompt"]) for entry in entries(done.out)]
    held_out = prose[int(0.89 * len(prose)) :]
    assert len(set(prompts)) > 3
    for prompt in prompts:
        assert prompt in held_out
        assert 0 < len(prompt) <= 80
        before = held_out[held_out.index(prompt) - 1]
        assert before.isspace()  # from the beginning of a line
    again = cli(*base, "--prompt-from-data", "6", "--seed", "3")
    assert again.out == done.out
    assert cli(*base, "--prompt-from-data", "6", "--seed", "4").out != done.out


def test_sources_that_are_gone(cli: Cli, prose: str, tmp_path: Path) -> None:
    source = tmp_path / "gone.txt"
    source.write_text(prose[:6000], encoding="utf-8")
    assert cli("train", str(source), "-o", "run", "--steps", "3", *QUICK).code == 0
    ask = ("generate", "run", "--prompt-from-data", "2", "--length", "5", "--seed", "1")
    assert cli(*ask).code == 0
    source.write_text(prose[1000:7000], encoding="utf-8")
    changed = cli(*ask)
    assert changed.code == 0
    assert "have changed since the run" in changed.err
    source.unlink()
    gone = cli(*ask)
    assert (gone.code, gone.out) == (1, "")
    assert "the sources of this run cannot be read" in gone.err
    assert str(source) in gone.err
    (tmp_path / "lone").mkdir()
    Path("run/model.safetensors").rename("lone/model.safetensors")
    lone = cli("generate", "lone", *ask[2:])
    assert lone.code == 1
    assert "need the run folder" in lone.err


def test_temperatures(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "40", "--seed", "5")
    found = entries(cli(*base, "--temperatures", "0", "0.7", "1.2", "--format", "jsonl").out)
    assert [entry["temperature"] for entry in found] == [0.0, 0.7, 1.2]
    for entry in found:
        alone = cli(*base, "--temperature", str(entry["temperature"])).out
        assert alone == "The " + str(entry["text"]) + "\n"
    text = cli(*base, "--temperatures", "0", "0.7").out
    headings = [line for line in text.splitlines() if line.startswith("temperature ")]
    assert [heading.split()[1] for heading in headings] == ["0", "0.7"]
    assert "The " + str(found[1]["text"]) in text
    assert cli(*base, "--temperatures", "-1").code == 1


def test_a_trace_goes_with_jsonl(cli: Cli, run_folder: Path) -> None:
    base = ("generate", str(run_folder), "The ", "--length", "6", "--seed", "5", "--trace", "3")
    (entry,) = entries(cli(*base, "--format", "jsonl", "--top-k", "2").out)
    trace = entry["trace"]
    assert isinstance(trace, list)
    assert "".join(step["text"] for step in trace) == entry["text"]
    assert all(len(step["top"]) == 3 and step["candidates"] == 2 for step in trace)
    assert all(step["log_prob"] >= step["raw_log_prob"] for step in trace)
    refused = cli(*base)
    assert refused.code == 1
    assert "--format jsonl" in refused.err
    plain = cli("generate", str(run_folder), "The ", "--length", "6", "--format", "jsonl")
    assert "trace" not in entries(plain.out)[0]


def near_boundary(model: TextModel, settings: GenerateSettings, prompt: str, text: str) -> float:
    """How near the draw behind `text` lies to a boundary of its distribution."""
    ids_N = model.bundle.encoder.encode(prompt + text).astype(np.int64)
    predictor = model.predictor
    state = predictor.start(1)
    following, _ = predictor.advance(np.concatenate(([END_ID], ids_N))[None], state)
    logits_V = following.logits_BV[0].astype(np.float64)
    logits_V[1] = -np.inf
    share_V = np.exp((logits_V - logits_V.max()) / settings.temperature)
    edges_V = np.cumsum(share_V / share_V.sum())
    zero_1 = np.zeros(1, dtype=np.int64)
    position_1 = np.array([len(text)], dtype=np.int64)
    point = uniforms(settings.seed or 0, zero_1, position_1)[0]
    return float(np.abs(edges_V - point).min())


def test_alone_in_a_batch_or_streamed_the_text_is_the_same(run_folder: Path) -> None:
    model = TextModel(run_folder)
    settings = GenerateSettings(length=150, seed=7, temperature=0.9)
    lines = [f"{prompt}{more}" for prompt in PROMPTS for more in ("", "a", "of", "to a", "is", "s")]
    together = list(
        collect(
            model.write([model.prompt(line, settings) for line in lines], settings),
            lines,
            settings,
        )
    )
    assert [one.prompt for one in together] == lines
    different = 0
    for line, one in zip(lines, together, strict=True):
        alone = "".join(piece.text for piece in model.stream(line, settings))
        if alone != one.text:
            different += 1
            same = next(i for i, (a, b) in enumerate(zip(alone, one.text, strict=False)) if a != b)
            assert near_boundary(model, settings, line, alone[:same]) < 1e-4
    # Of 8,100 draws; the arithmetic of a batch differs in the last bits.
    assert different <= 3
    many = GenerateSettings(length=60, seed=7, count=64)
    row = [one.text for one in model.continuations("The ", many)]
    few = [one.text for one in model.continuations("The ", GenerateSettings(length=60, seed=7, count=3))]  # fmt: skip
    assert len(set(row)) == 64
    assert sum(a != b for a, b in zip(few, row, strict=False)) <= 1


def test_a_prompt_longer_than_the_window(cli: Cli, prose: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(prose[:8000], encoding="utf-8")
    quick = ("--steps", "3", "--set", "training.precision=float32", "--set", "network.num_layers=1",
             "--set", "network.embedding_size=16", "--set", "training.batch_size=4")  # fmt: skip
    kinds = {
        "transformer": ("--set", "network.window=12", "--set", "training.window=16"),
        "transformer_classic": ("--set", "network.length=12", "--set", "training.window=12"),
    }
    for family, sizes in kinds.items():
        made = cli("train", "text.txt", "-o", family, "--model", family, *quick, *sizes)
        assert made.code == 0, made.err
        base = ("--length", "20", "--seed", "1", "--temperature", "1")
        tail = "the reference manual"
        far, near = (cli("generate", family, prompt, *base) for prompt in (prose[:40] + tail, tail))
        assert far.code == near.code == 0
        assert "the prompt has 60 elements" in far.err
        assert "12" in far.err
        if family == "transformer_classic":  # whose past ends there
            assert far.out.removeprefix(prose[:40]) == near.out
    assert "the prompt has" not in cli("generate", "transformer", "the", *base).err
