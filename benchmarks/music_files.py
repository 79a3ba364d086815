"""Reading files of music: speed, and Nottingham's tunes from ABC against the same tunes from MIDI.

    RHAPSODE_DATA=../shared/data python benchmarks/music_files.py

The MIDI files were made by a program that reads ABC otherwise than the standard says. A tune whose
melodies differ is read again as that program reads it, with as few deviations as possible; the table
counts tunes by these deviations.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
import tarfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

from rhapsode.encoding.music.score import Score
from rhapsode.modalities.music.files import read_file
from rhapsode.modalities.music.files.abc.abc_book import Tune, split_book
from rhapsode.modalities.music.files.abc.abc_music import Voice
from rhapsode.modalities.music.files.abc.abc_reader import decode, read_tune
from rhapsode.modalities.music.files.notation import score_assembly
from rhapsode.modalities.music.files.notation.measures import Measure
from rhapsode.modalities.music.files.reading_result import Repairs

DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data"))
OURS = score_assembly.playing_order
CLOSE = 0.03  # quarters


class OneNote(dict[str, int]):
    """Accidentals that hold for one note, not until the bar line."""

    def __contains__(self, step: object) -> bool:
        self.pop(step, None)  # type: ignore[call-overload]
        return False


def forget(voice: Voice) -> None:
    """Begin a bar whose accidentals hold for one note."""
    BEGIN(voice, 0)
    voice.accidentals = OneNote()


BEGIN = Voice._begin


def nested(measures: Sequence[Measure], parts: str = "") -> list[int]:
    """Go back to the last sign that opens a repeat, and play repeats in between again."""
    order: list[int] = []
    done: set[int] = set()
    index, start, passing = 0, 0, 1
    while index < len(measures) and len(order) < 5_000:
        measure = measures[index]
        if measure.opens and index != start:
            start, passing = index, 1
        if measure.endings and passing not in measure.endings:
            while index < len(measures):
                index += 1
                before = measures[index - 1]
                at_end = index == len(measures)
                if before.closes or before.last or at_end or measures[index].endings:
                    break
            continue
        order.append(index)
        if measure.closes and index not in done:
            done = {place for place in done if not start <= place <= index} | {index}
            index, passing = start, passing + 1
        else:
            index += 1
    return order


def first_part(measures: Sequence[Measure], parts: str = "") -> list[int]:
    """Play the first of several labelled parts only."""
    begins = [index for index, measure in enumerate(measures) if measure.part]
    return nested(measures[: begins[1]] if len(begins) > 1 else measures)


def old_parts(measures: Sequence[Measure], parts: str = "") -> list[int]:
    """Play parts in the order that the books had before `P:` became `Y:`."""
    begins = {
        measure.part: index for index, measure in reversed([*enumerate(measures)]) if measure.part
    }
    edges = [*sorted(begins.values()), len(measures)]
    order = nested(measures[: edges[0]])
    for part in parts:
        if part in begins:
            begin = begins[part]
            end = min(edge for edge in edges if edge > begin)
            order += [begin + index for index in nested(measures[begin:end])]
    return order


TIES = {"": "", "ties after a space ignored": r"(?<=[\s\"|])-", "all ties ignored": "-"}
ACCIDENTALS = {"": Voice._begin, "accidentals for one note": lambda voice, line: forget(voice)}
ORDERS = {
    "": OURS,
    "repeats played again": nested,
    "first part only": first_part,
    "old order of parts": old_parts,
}


def readings() -> list[tuple[str, str, str]]:
    """Ways of reading, the fewest deviations first."""
    return sorted(
        itertools.product(TIES, ACCIDENTALS, ORDERS), key=lambda names: sum(map(bool, names))
    )


def read_as(tune: Tune, ties: str, accidentals: str, order: str) -> Score:
    """A tune with deviations, by their names."""
    tune = copy.deepcopy(tune)
    if ties:
        tune.body = [(line, re.sub(TIES[ties], "", text)) for line, text in tune.body]
    if order == "old order of parts":
        tune.fields = [(line, "P" if key == "Y" else key, text) for line, key, text in tune.fields]
    with (
        mock.patch.object(Voice, "_begin", ACCIDENTALS[accidentals]),
        mock.patch.object(score_assembly, "playing_order", ORDERS[order]),
    ):
        return read_tune(tune, "tune:1", Repairs())


def melody(score: Score) -> list[tuple[float, int]]:
    """Onsets in quarters from the first one, and pitches, of the first track."""
    notes = score.notes.select(score.notes.track_N == 0)
    if not len(notes):
        return []
    onset_N = (notes.start_N - notes.start_N[0]) / score.ticks
    return sorted(zip(onset_N.tolist(), notes.pitch_N.tolist(), strict=True))


def alike(first: Score, second: Score) -> bool:
    """True for equal melodies."""
    one, other = melody(first), melody(second)
    return len(one) == len(other) and all(
        abs(a[0] - b[0]) < CLOSE and a[1] == b[1] for a, b in zip(one, other, strict=True)
    )


def midi_files() -> Iterator[tuple[str, bytes]]:
    """Names and contents of Nottingham's MIDI files."""
    with tarfile.open(DATA / "nottingham/nottingham_midi.tar.gz") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                yield Path(member.name).stem, stream.read()


def main() -> None:
    """Print the tables."""
    contents = dict(midi_files())
    read_file(next(iter(contents.values())), "compiled.mid")
    begin = time.perf_counter()
    scores = {name: read_file(data, name + ".mid")[0][0].score for name, data in contents.items()}
    seconds = time.perf_counter() - begin
    notes = sum(len(score.notes) for score in scores.values())
    print(f"MIDI: {len(scores)} files, {notes:,} notes in {seconds:.2f} s")
    books = sorted((DATA / "nottingham/abc_cleaned").glob("*.abc"))
    begin = time.perf_counter()
    tunes = sum(len(read_file(book)[0]) for book in books)
    print(f"ABC: {tunes} tunes in {time.perf_counter() - begin:.2f} s")

    kinds: Counter[str] = Counter()
    others: list[str] = []
    for book in books:
        for tune in split_book(decode(book.read_bytes())):
            score = scores[f"{book.stem}{tune.number}"]
            for names in readings():
                if alike(read_as(tune, *names), score):
                    kinds[", ".join(filter(None, names)) or "equal"] += 1
                    break
            else:
                kinds["not explained"] += 1
                others.append(f"{book.stem} {tune.number}")
    print(f"\nmelodies of ABC and MIDI, {sum(kinds.values())} tunes:")
    for kind, count in kinds.most_common():
        print(f"{count:5} {kind}")
    explained = sum(kinds.values()) - kinds["not explained"]
    print(f"{explained:5} of them explained; not explained: {', '.join(others)}")


if __name__ == "__main__":
    main()
