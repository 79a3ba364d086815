"""What a model of `reels` loses where, beside the exact optimum of every element.

    python benchmarks/music_reels.py RUN

`reels` is drawn from a grammar, so that the probability of every element after all before it is
known. RUN is a run folder of `rhapsode train reels --encoding notes`. Printed are nats a piece of
the test split, by kind of element and by bars.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rhapsode as rh
from rhapsode.data.corpora import reels
from rhapsode.modalities.ids.metrics import score_part
from rhapsode.modalities.music.corpus import prepare_corpus, store_of
from rhapsode.modalities.music.files import read_file
from rhapsode.modalities.music.metrics import MusicPart
from rhapsode.modalities.music.settings import MusicTrainSettings

Ids = tuple[int, ...]
PLACES = [
    (part, place, *figure) for part in "AB" for place, figure in enumerate(reels._PARTS[part])
]
GROUPS = {
    "first: key and metre": (),
    "1, 2, 9, 10: new figures": (0, 1, 8, 9),
    "4, 12: half cadences": (3, 11),
    "7, 8: cadence": (6, 7),
    "5, 6, 13, 14: 0.75 as 4 bars before": (4, 5, 12, 13),
    "3, 11: 0.75 the figure of 2 bars before": (2, 10),
    "15, 16: as 8 bars before": (14, 15),
}


class Oracle:
    """Probabilities of elements.

    Arguments:
        encoder: of the model.
    """

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder
        names, kind_V = encoder.fields()
        self.bar_V = kind_V == names.index("bar")
        self.figures = cache(self._figures)

    def bars(self, ids: Sequence[int]) -> tuple[Ids, list[Ids]]:
        """Elements before the first position of a piece, and those of each bar without its mark."""
        at = [number for number, one in enumerate(ids) if self.bar_V[one]]
        bars = [tuple(ids[a + 1 : b]) for a, b in zip(at, [*at[1:], len(ids)], strict=True)]
        first = next(
            n for n, one in enumerate(bars[0]) if self.encoder.vocabulary[one - 2] == "at:0"
        )
        lead = (*ids[: at[0] + 1], *bars[0][:first])
        return lead, [bars[0][first:], *bars[1:]]

    def _figures(self, dance: str, key: int, degree: int, sort: str) -> tuple[Ids, ...]:
        """Elements of the figures of a chord."""
        metre = reels._METRES[reels._DANCES.index(dance)]
        body = "|".join(reels.bar_text(steps, key, degree) for steps in reels._FIGURES[dance][sort])
        text = f"X:1\nT:t\nM:{metre}\nL:1/8\nK:{reels._KEYS[key][0]}\n{body}|\n"
        score = read_file(text.encode(), "figures.abc")[0][0].score
        return tuple(self.bars(self.encoder.elements(score).tolist())[1])

    def piece(self, ids: Sequence[int], text: str) -> list[tuple[float, int]]:
        """Nats of every element of a tune, with its end, and the number of its bar; -1 before."""
        lead, bars = self.bars(ids)
        title = text.split("T:")[1].split("\n", maxsplit=1)[0]
        dance, _, name = title.partition(" in ")
        key = [one for one, *_ in reels._KEYS].index(name)
        found = [(0.0, -1)] * len(lead)
        total = sum(reels._KEY_WEIGHTS)
        marks = [number for number, one in enumerate(lead) if self.bar_V[one]]
        found[marks[0]] = (-math.log({"Reel": 0.6, "Jig": 0.4}[dance]), -1)
        found[marks[0] + 1] = (-math.log(reels._KEY_WEIGHTS[key] / total), -1)
        quality = reels._KEYS[key][4][0]
        memory: dict[str, int] = {}
        chance: list[float] = []
        for number, (part, place, figure, kind) in enumerate(PLACES):
            if place == 0:
                chance = [
                    weight / sum(reels._PROGRESSION_WEIGHTS)
                    for weight in reels._PROGRESSION_WEIGHTS
                ]
            sort = {"new": "bar", "again": "bar", "same": "bar", "same end": "end"}.get(kind, kind)
            count = len(reels._FIGURES[dance][sort])
            weight_F = np.array([1 / (rank + 3) for rank in range(count)])
            weight_F /= weight_F.sum()
            if kind.startswith("same"):
                weight_F = np.eye(count)[memory[figure]]
            elif kind == "again":
                weight_F[memory[figure]] = 0
                weight_F *= (1 - reels._SAME) / weight_F.sum()
                weight_F[memory[figure]] = reels._SAME
            degrees = [reels._degree(part, key, choice, place) for choice in range(4)]
            options: dict[Ids, float] = defaultdict(float)
            for degree, share in zip(degrees, chance, strict=True):
                for bar, weight in zip(
                    self.figures(dance, key, degree, sort), weight_F, strict=True
                ):
                    options[bar] += share * weight
            own = bars[number]
            if number:
                found.append((0.0, number))  # the mark of the bar
            for length, element in enumerate(own):
                after = {bar: p for bar, p in options.items() if bar[length] == element}
                found.append((math.log(sum(options.values()) / sum(after.values())), number))
                options = after
            at = [n for n, d in enumerate(degrees) if own in self.figures(dance, key, d, sort)]
            chance = [share if n in at else 0.0 for n, share in enumerate(chance)]
            chance = [share / sum(chance) for share in chance]
            figures = self.figures(dance, key, degrees[at[0]], sort)
            if kind in ("new", "half", "end"):
                memory[figure] = figures.index(own)
        assert quality in ("", "m")
        return [*found, (0.0, 15)]


def optimum(encoder: Any, pieces: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Nats of every element of pieces with their ends, and the numbers of their bars."""
    oracle = Oracle(encoder)
    texts = {document.name: document.text for document in reels.reel_documents()}
    nats: list[float] = []
    bars: list[int] = []
    for piece in pieces:
        ids = encoder.elements(piece.score).tolist()
        found = oracle.piece(ids, texts[piece.name])
        assert len(found) == len(ids) + 1, piece.name
        exact = -reels.reel_log_prob(texts[piece.name])
        assert abs(sum(one for one, _ in found) - exact) < 1e-6, piece.name
        nats += [one for one, _ in found]
        bars += [bar for _, bar in found]
    return np.array(nats), np.array(bars)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    given = parser.parse_args()
    model = rh.load(given.run)
    encoder = model.bundle.encoder
    corpus = prepare_corpus(["reels"], MusicTrainSettings(encoding="notes"))
    pieces = corpus.pieces[given.split]
    part = MusicPart.of(store_of(encoder, pieces), pieces, given.split)
    _, nats_N = score_part(model, part, None)
    best_N, bar_N = optimum(encoder, pieces)
    assert len(best_N) == len(nats_N), (len(best_N), len(nats_N))
    ours_N = np.nan_to_num(np.asarray(nats_N, dtype=np.float64))
    names, kind_V = encoder.fields()
    kind_N = kind_V[np.asarray(part.store.elements_N, dtype=np.int64)]
    count = len(pieces)
    print(f"{count} pieces of the {given.split} split, nats a piece: optimum {best_N.sum() / count:.2f}, "
          f"model {ours_N.sum() / count:.2f}")  # fmt: skip
    rows = {f"kind {name}": kind_N == number for number, name in enumerate(names)}
    for title, numbers in GROUPS.items():
        of_N = np.isin(bar_N, numbers or (-1,))
        rows[f"bars {title}"] = of_N
        for number, name in enumerate(names):
            rows[f"  {name}" + " " * len(rows)] = of_N & (kind_N == number)
    print("| elements | number | optimum | model | above |\n|---|---|---|---|---|")
    for title, of_N in rows.items():
        best, ours = best_N[of_N].sum() / count, ours_N[of_N].sum() / count
        if ours > 0.02:
            print(
                f"| {title.rstrip()} | {of_N.sum() / count:.0f} | {best:.2f} | {ours:.2f} | {ours - best:.2f} |"
            )


if __name__ == "__main__":
    main()
