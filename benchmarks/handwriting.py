"""Handwriting of given texts: loss with the text beside without, alignment, readability, speed.

    RHAPSODE_DATA=../shared/data python benchmarks/handwriting.py [--sets lines unipen] [--updates 600]
    RHAPSODE_DATA=../shared/data python benchmarks/handwriting.py --sets lines --budget 600 --with-text-only

A model that knows the text and one that does not are trained by equal numbers of updates, with the same drawings in each update.
Runs are kept in `runs/handwriting-*`, and one that is there already is not trained again. Then, for the model that knows the text:

- the share of test lines whose window stands on the last character at the end of the line;
- how lines end that it writes: by the pen, by the window, by their length;
- the error of Tesseract a character, where it is installed (`apt-get install tesseract-ocr`), on lines that it writes and on lines
  of the data. Tesseract reads print, and little handwriting: its errors on the data say how much;
- points a second, one line at a time, on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rhapsode as rh
from rhapsode.data.corpora.pen_lines import ORACLE
from rhapsode.modalities.strokes.corpus import read_sources
from rhapsode.modalities.strokes.files.preparing import prepare_ink
from rhapsode.modalities.strokes.settings import StrokeGenerateSettings
from rhapsode.modalities.strokes.writing import Style, letters_read
from rhapsode.views.pictures.stroke_drawing import strokes_svg

DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data"))
SETS = {"lines": "lines", "unipen": str(DATA / "unipen_lines" / "stroke3.ndjson.gz")}
# Their y grows upwards, and the file does not say so.
READ: dict[str, dict[str, Any]] = {"unipen": {"y": "up"}}
BIASES = (0.0, 0.5, 1.0, 2.0)
# Height of a line on the picture that Tesseract reads, in pixels.
HEIGHT = 64
LINES = 40
# Times that each text is written.
SEEDS = 4
TEXTS = {
    "lines": "the little house\nwrite a letter to me\nnot one word of it\nwhere is my mother\nhow many people live here\n"
    "we should try again\nthe light of the day\nread this and think\nlook at the line below\nshe never came back",
    "unipen": "the quick brown fox\nhandwriting of a machine\nwhere have you been\nall the best to you\nsee you on Monday\n"
    "this is a line of text\nno two letters are alike\npaper and ink\nwe wrote to them twice\nwith kind regards",
}  # fmt: skip


def train(name: str, limit: dict[str, Any], folder: Path, use: str) -> dict[str, Any]:
    """Summary of a run, which is trained unless it was done."""
    if not (folder / "summary.json").exists():
        rh.train(
            SETS[name],
            **limit,
            output=str(folder),
            text={"use": use},
            strokes=READ.get(name, {}),
            training={"evaluations": 4},
            samples={"length": 0},
        )
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def test_lines(name: str, model: Any) -> list[tuple[str, Any]]:
    """Texts and prepared moves of the test split."""
    settings = model.reading_settings()
    specimens = [each for each in read_sources([SETS[name]]) if each.text]
    if any(each.split == "test" for each in specimens):
        specimens = [each for each in specimens if each.split == "test"]
    prepared = prepare_ink(specimens, settings, grid=model.bundle.encoder.settings.grid)
    prepared.turn(up=model.bundle.facts.up)
    pairs = zip(prepared.specimens, prepared.moves, strict=True)
    return [(" ".join(str(each.text).split()), moves) for each, moves in pairs]


def alignment(model: Any, lines: Sequence[tuple[str, Any]]) -> str:
    """How far the window comes in lines of the data."""
    last = [int(letters_read(model, Style(text, moves))[-5:].max()) for text, moves in lines]
    share = [(place + 1) / (len(text) + 1) for place, (text, _) in zip(last, lines, strict=True)]
    ends = np.mean([place >= len(text) - 1 for place, (text, _) in zip(last, lines, strict=True)])
    return f"the window reaches the end of {ends:.0%} of {len(lines)} test lines, {np.mean(share):.0%} of the text at the mean"


def written(model: Any, texts: Sequence[str], bias: float) -> list[Any]:
    """Each text, by several seeds."""
    return [
        rh.write(model, text, bias=bias, seed=SEEDS * number + seed)
        for number, text in enumerate(texts)
        for seed in range(SEEDS)
    ]


def picture(strokes: Any, up: bool, path: Path, lines: int = 1) -> None:
    """Lines on white, so high that a recogniser reads them."""
    import resvg_py

    points_N2 = np.concatenate(strokes)
    extent = np.maximum(np.ptp(points_N2, axis=0), 1e-9)
    size = HEIGHT * lines * max(1.0, float(extent[0] / extent[1]))
    svg = strokes_svg(strokes, up=up, size=size, pen=3.0)
    wide = svg.replace(
        "<g ", '<rect x="-40" y="-40" width="9999" height="9999" fill="#fff"/><g ', 1
    )
    _, _, rest = wide.partition('viewBox="0 0 ')
    sides, _, rest = rest.partition('"')
    width, height = map(float, sides.split())
    wide = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 40:.0f}" height="{height + 40:.0f}" '
        f'viewBox="-20 -20 {width + 40:.0f} {height + 40:.0f}"{rest}'
    )
    path.write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=wide)))


def read(path: Path, lines: int = 1) -> str:
    """What Tesseract reads in a picture of lines."""
    mode = "7" if lines == 1 else "6"
    done = subprocess.run(
        ["tesseract", str(path), "-", "--psm", mode], capture_output=True, text=True, check=True
    )
    return " ".join(done.stdout.split())


def edits(one: str, other: str) -> int:
    """Edit distance of two texts."""
    row = list(range(len(other) + 1))
    for place, left in enumerate(one, 1):
        before, row[0] = row[0], place
        for column, right in enumerate(other, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (left != right)),
            )
    return row[-1]


def error(pairs: Iterable[tuple[str, Any]], up: bool) -> tuple[float, list[str]]:
    """Errors of Tesseract a character of texts and their strokes, and what is read badly.

    A text may have several lines.
    """
    wrong = total = 0
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        for written_text, strokes in pairs:
            path, lines = Path(folder) / "line.png", written_text.count("\n") + 1
            text = written_text.replace("\n", " ")
            picture(strokes, up, path, lines)
            found = read(path, lines)
            errors = edits(text.lower(), found.lower())
            if 2 * errors > len(text):
                bad.append(f"{text!r} read as {found!r}")
            wrong += errors
            total += len(text)
    return wrong / max(1, total), bad


def main() -> None:
    """Train, measure and print."""
    from rhapsode.encoding.strokes import strokes_of

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--budget", type=int, help="seconds of training, instead of updates")
    parser.add_argument("--with-text-only", action="store_true")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--runs", default="runs", help="folder of the runs")
    asked = parser.parse_args()
    limit: dict[str, Any] = {"steps": asked.updates}
    words = f"{asked.updates} updates"
    if asked.budget is not None:
        limit, words = {"budget": f"{asked.budget}s"}, f"{asked.budget} s"
    uses = ("always",) if asked.with_text_only else ("never", "always")
    for name in asked.sets:
        folders = {
            use: Path(asked.runs) / f"handwriting-{name}-{words.replace(' ', '-')}-{use}"
            for use in uses
        }
        found = {use: train(name, limit, folder, use) for use, folder in folders.items()}
        for use, summary in found.items():
            print(
                f"{name}, {words}, texts used {use}: {summary['loss']:.3f} nats a point, of them the pen "
                f"{summary['pen']:.3f}, after {summary['steps']:,} updates, {summary['elements_per_second']:,.0f} moves/s"
            )
        if name == "lines":
            print(f"the density of the pen's own noise {ORACLE:.3f}")
        model: Any = rh.load(str(folders["always"]))
        lines = test_lines(name, model)
        print(alignment(model, lines[:200]))
        texts = TEXTS[name].split("\n")
        for bias in BIASES:
            began = time.perf_counter()
            documents = written(model, texts, bias)
            seconds = time.perf_counter() - began
            points = sum(document.value.points for document in documents)
            ends = [document.finish_reason for document in documents]
            counted = ", ".join(
                f"{ends.count(end)} by {end}" for end in ("stop", "window", "length")
            )
            line = f"bias {bias:g}: {counted}; {points / seconds:,.0f} points/s"
            if shutil.which("tesseract"):
                pairs = [(each.written, each.value.strokes) for each in documents]
                rate, bad = error(pairs, model.bundle.facts.up)
                line += f"; Tesseract errs in {rate:.3f} of the characters"
                line += "".join(f"\n    {each}" for each in bad)
            print(line, flush=True)
        if shutil.which("tesseract"):
            real = [(text, strokes_of(moves)) for text, moves in lines[:LINES]]
            print(f"lines of the data: {error(real, model.bundle.facts.up)[0]:.3f}")
        settings = StrokeGenerateSettings(seed=1)
        prompt = model.prompt(texts[0], settings)
        list(model.draw(prompt, np.arange(1), settings, 400))
        began, count = time.process_time(), 0
        for index in range(10):
            count += len(list(model.draw(prompt, np.array([index]), settings, 400)))
        print(
            f"one line at a time: {count / (time.process_time() - began):,.0f} points/s on one core"
        )


if __name__ == "__main__":
    main()
