"""Files of ink: every format gives its strokes, every malformed file one clear line, traps are told."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from rhapsode.data.corpora.pen_lines import NOISE, ORACLE, line_documents, written
from rhapsode.errors import DataError
from rhapsode.modalities.choose import choose_modality
from rhapsode.modalities.strokes.corpus import prepare_corpus
from rhapsode.modalities.strokes.files import Specimen, holds_ink, read_ink
from rhapsode.modalities.strokes.files.json_ink import read_json
from rhapsode.modalities.strokes.files.preparing import find_grid, prepare_ink, stroke_height
from rhapsode.modalities.strokes.settings import InkSettings, StrokeTrainSettings

INKML = """<?xml version="1.0"?>
<ink xmlns="http://www.w3.org/2003/InkML">
  <traceFormat><channel name="X" type="decimal"/><channel name="Y"/><channel name="T"/></traceFormat>
  <annotation type="truth">go</annotation>
  <trace id="0"> 0 0 1, 4 2 2, 8 0 3 </trace>
  <trace type="penUp">8 0 4, 9 9 5</trace>
  <trace>10 5 6,'1 '1 '1,"1 "1 "1, 0.5 0 0</trace>
</ink>"""
UNIPEN = """.VERSION 1.0
.COORD X Y T
.COMMENT of one writer
and one device
.PEN_DOWN
0 0 1
4 2 2
8 0 3
.PEN_UP
.PEN_DOWN
10 5 4
11 6 5
.PEN_UP
.SEGMENT TEXT 0-1 OK "go"
"""
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">
 <defs><path d="M0 0L99 99"/></defs>
 <g transform="translate(1 2) scale(2)">
  <path d="M0 0 4 2 l4-2"/> <polyline points="5,5 6,6"/>
 </g>
 <path d="m10 10 c0 4 4 4 4 0 s4-4 4 0 h2 v2 z a2 2 0 0 1 4 0 q1 1 2 0 t2 0"/>
</svg>"""


def strokes_in(path: Path) -> list[list[list[float]]]:
    (specimen,) = read_ink(path)
    return [stroke.tolist() for stroke in specimen.drawing.strokes]


def test_formats_give_the_same_strokes(tmp_path: Path) -> None:
    wanted = [[[0.0, 0.0], [4.0, 2.0], [8.0, 0.0]], [[10.0, 5.0], [11.0, 6.0]]]
    json_forms = {
        "rows": {"strokes": [[0, 0, 0], [4, 2, 0], [4, -2, 1], [2, 5, 0], [1, 1, 1]]},
        "axes": {"strokes": [[[0, 4, 8], [0, 2, 0]], [[10, 11], [5, 6]]]},
        "timed": {"drawing": [[[0, 4, 8], [0, 2, 0], [1, 2, 3]], [[10, 11], [5, 6], [4, 5]]]},
        "points": [[{"x": 0, "y": 0, "t": 1}, {"x": 4, "y": 2}, {"x": 8, "y": 0}],
                   [{"x": 10, "y": 5}, {"x": 11, "y": 6}]],
        "pens": {"points": [{"x": 0, "y": 0, "pen": 1}, {"x": 4, "y": 2, "pen": 1},
                            {"x": 8, "y": 0, "pen": 0}, {"x": 10, "y": 5}, {"x": 11, "y": 6}]},
    }  # fmt: skip
    for name, form in json_forms.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(form))
        assert strokes_in(path) == wanted, name
        assert holds_ink(path), name
    pairs = tmp_path / "pairs.ndjson.gz"
    lists = {"strokes": [[[0, 0, 9], [4, 2, 9], [8, 0, 9], [8, 0, 9], [8, 0, 9]], wanted[1]]}
    pairs.write_bytes(gzip.compress(json.dumps(lists).encode()))
    assert strokes_in(pairs)[1] == wanted[1]
    unipen = tmp_path / "ink.dat"
    unipen.write_text(UNIPEN)
    assert strokes_in(unipen) == wanted
    (specimen,) = read_ink(unipen)
    assert (specimen.text, specimen.drawing.up, specimen.dense) == ("go", True, True)
    unipen.write_text(UNIPEN.partition(".SEGMENT")[0])
    (whole,) = read_ink(unipen)
    assert (len(whole.drawing.strokes), whole.drawing.up, whole.text) == (2, True, None)
    inkml = tmp_path / "ink.inkml"
    inkml.write_text(INKML)
    first, second = strokes_in(inkml)
    assert first == wanted[0]
    # One step of 1, then a change of 1: 10, 11, 13; an unmarked value continues as before.
    assert [point[0] for point in second] == [10.0, 11.0, 13.0, 15.5]
    svg = tmp_path / "ink.svg"
    svg.write_text(SVG)
    parts = strokes_in(svg)
    assert parts[0] == [[1.0, 2.0], [9.0, 6.0], [17.0, 2.0]]
    assert parts[1] == [[11.0, 12.0], [13.0, 14.0]]
    assert parts[2][-1] == parts[2][0] == [10.0, 10.0]
    assert max(y for _, y in parts[2]) == pytest.approx(13.0, abs=0.1)
    # The second curve mirrors the control point of the first, and the arc turns clockwise.
    assert min(parts[2], key=lambda point: point[1]) == pytest.approx([16.0, 7.0], abs=0.1)
    assert parts[3][-1] == [18.0, 10.0]
    assert min(y for _, y in parts[3]) == pytest.approx(8.0, abs=0.1)
    npz = tmp_path / "sketches.npz"
    rows = np.array(json_forms["rows"]["strokes"], dtype=np.int16)  # type: ignore[index,call-overload]
    np.savez(npz, train=np.concatenate((rows, rows)), train_offsets=np.array([0, 5, 10]))
    assert [len(one.drawing.strokes) for one in read_ink(npz)] == [2, 2]
    assert read_ink(npz)[0].split == "train"
    for path in (svg, npz, inkml, unipen, tmp_path / "rows.json"):
        modality, claim = choose_modality([str(path)], {})
        assert modality.name == "strokes.v1", path
        assert claim.reason


MALFORMED = {
    "empty.json": "",
    "broken.ndjson": '{"strokes": [[0,0,0],[1,1,1]]}\n{"strokes": [[0,0,0],',
    "other.ndjson": '{"strokes": [[0,0,0],[1,1,1]]}\n{"text": "no ink"}\n',
    "letters.json": '{"strokes": [[["a"], ["b"]]]}',
    "flat.json": '{"strokes": [1, 2, 3]}',
    "ragged.json": '{"strokes": [[[1, 2, 3], [1]]]}',
    "nothing.json": '{"strokes": []}',
    "huge.json": '{"strokes": [[[0, 1e300], [0, 1]]]}',
    "nan.json": '{"strokes": [[[0, NaN], [0, 1]]]}',
    "points.json": '{"points": [{"x": 1, "y": "up"}]}',
    "deep.json": "[" * 100_000,
    "not.inkml": "<html></html>",
    "cut.inkml": INKML[:200],
    "letters.inkml": INKML.replace("4 2 2", "4 b 2"),
    "short.inkml": INKML.replace("4 2 2", "4"),
    "blank.inkml": "<ink></ink>",
    "channels.inkml": INKML.replace('name="Y"', 'name="F"'),
    "bomb.inkml": '<!DOCTYPE ink [<!ENTITY a "b">]><ink>&a;</ink>',
    "not.svg": "<ink></ink>",
    "blank.svg": "<svg></svg>",
    "command.svg": '<svg><path d="5 5 L"/></svg>',
    "numbers.svg": '<svg><path d="M0 0 L 5"/></svg>',
    "turned.svg": '<svg><path transform="twist(3)" d="M0 0L1 1"/></svg>',
    "nested.svg": "<svg>" + "<g>" * 5000,
    "point.dat": UNIPEN.replace("4 2 2", "4 b 2"),
    "components.dat": UNIPEN.replace("0-1 OK", "0-7 OK"),
    "columns.dat": UNIPEN.replace("X Y T", "X T"),
    "include.dat": UNIPEN + ".INCLUDE other.dat\n",
    "blank.dat": ".VERSION 1.0\n.PEN_DOWN\n.PEN_UP\n",
    "packed.ndjson.gz": "this is not gzip",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_one_clear_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(MALFORMED[name])
    with pytest.raises(DataError) as problem:
        read_ink(path)
    told = str(problem.value)
    assert str(path) in told
    assert "\n" not in told
    assert len(told.removeprefix(str(path))) < 220


def test_pickled_objects_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "cat.npz"
    parts = np.array([np.zeros((3, 3)), np.zeros((4, 3))], dtype=object)
    np.savez(path, train=parts)
    assert holds_ink(path)
    with pytest.raises(DataError, match=r"pickled.*convert"):
        read_ink(path)


def specimens_of(strokes: list[np.ndarray], *, dense: bool) -> list[Specimen]:
    text = json.dumps({"strokes": [stroke.T.tolist() for stroke in strokes]})
    (one,) = read_json(text, "memory")
    return [Specimen(one.drawing, dense)]


def test_traps_of_pen_data_are_told_and_avoided() -> None:
    turn = np.linspace(0, 7, 200)
    circle = [np.stack((50 * np.cos(turn), 50 * np.sin(turn)), axis=1)]
    even = prepare_ink(specimens_of(circle, dense=False), InkSettings())
    assert even.simplified
    assert any("equal distances" in note for note in even.notes)
    lengths = np.hypot(*np.diff(circle[0], axis=0).T)
    assert lengths.std() < 0.03 * lengths.mean()
    creeping = [np.cumsum(np.random.default_rng(0).integers(0, 2, (200, 2)), axis=0)]
    steps = prepare_ink(specimens_of(creeping, dense=False), InkSettings())
    assert any("single steps of the grid" in note for note in steps.notes)
    kept = prepare_ink(specimens_of(creeping, dense=False), InkSettings(prepare="keep"))
    assert not kept.simplified
    assert any("strokes.prepare=simplify" in note for note in kept.notes)


def test_simplified_ink_stays_within_the_tolerance_on_its_grid() -> None:
    turn = np.linspace(0, 3, 400)
    wave = [np.stack((300 * turn, 80 * np.sin(3 * turn)), axis=1), np.array([[900.0, 5.0]])]
    prepared = prepare_ink(specimens_of(wave, dense=True), InkSettings())
    (moves,) = prepared.moves
    assert prepared.grid == 1.0
    assert len(moves) < 40
    assert (moves[:, :2] == np.round(moves[:, :2])).all()
    factor = 50 / stroke_height(wave)
    line = np.concatenate(([[0.0, 0.0]], np.cumsum(moves[:, :2], axis=0)))[: len(moves)]
    scaled = wave[0] * factor
    found = np.interp(scaled[:, 0], line[:, 0], line[:, 1])
    assert np.abs(found - scaled[:, 1]).max() < 0.05 * 50 + 2.5
    finer = prepare_ink(specimens_of(wave, dense=True), InkSettings(), grid=0.1)
    assert finer.grid == 0.1
    assert any("the model's is 0.1" in note for note in finer.notes)
    assert not any("the model's" in note for note in prepared.notes)
    finer.turn(up=True)
    np.testing.assert_array_equal(finer.moves[0], moves * (1, -1, 1))
    finer.turn(up=True)
    assert finer.moves[0][0, 1] == -moves[0, 1]
    # Sizes do not matter: the same ink, three times as large.
    again = prepare_ink(specimens_of([3 * part for part in wave], dense=True), InkSettings())
    np.testing.assert_array_equal(again.moves[0], moves)


def test_splits_of_the_source_count_if_it_names_several(tmp_path: Path) -> None:
    for names, test in ((["train"] * 20, None), (["train"] * 17 + ["test"] * 3, 3)):
        path = tmp_path / f"{len(set(names))}.ndjson"
        lines = [
            {"split": name, "strokes": [[0, 0, 0], [number, 3, 0], [2, 9, 1]]}
            for number, name in enumerate(names)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        corpus = prepare_corpus([str(path)], StrokeTrainSettings())
        assert corpus.documents == 20
        assert len(corpus.moves["test"]) == (test or 2)
        assert corpus.split_reason.startswith("splits named" if test else "drawings chosen")


@pytest.mark.parametrize(
    ("moves", "grid"),
    [([[4.0, 6], [2, 0]], 2.0), ([[0.5, 1.25], [0, 3]], 0.25), ([[0.1234567, 3.3], [1, 2]], 0.0)],
)
def test_the_grid_of_points_is_found(moves: list[list[float]], grid: float) -> None:
    assert find_grid([np.array(moves)]) == pytest.approx(grid)


def test_lines_of_the_corpus_have_the_density_that_is_claimed() -> None:
    documents = list(line_documents(6))
    assert documents[0].text == next(line_documents(1)).text
    record = json.loads(documents[0].text)
    assert set(record["text"]) <= set("abcdefghijklmnopqrstuvwxyz ")
    # Two writings with the same draws, with and without noise: it is all that differs.
    errors = []
    for number in range(40):
        noisy, path = (
            written("and how", np.random.default_rng(number), noise) for noise in (NOISE, 0.0)
        )
        assert [len(stroke) for stroke in noisy] == [len(stroke) for stroke in path]
        errors += [one - other for one, other in zip(noisy, path, strict=True)]
    covariance = np.cov(np.concatenate(errors).T)
    entropy = np.log(2 * np.pi * np.e) + 0.5 * np.linalg.slogdet(covariance)[1]
    assert entropy == pytest.approx(ORACLE, abs=0.05)
    modality, _ = choose_modality(["lines"], {})
    assert modality.name == "strokes.v1"
