"""Surveys of pairs: lengths of both sides, repetitions, elements unknown to training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import RenderableType

from rhapsode.data.statistics import lengths_summary
from rhapsode.encoding import Encoder
from rhapsode.files import source_name
from rhapsode.modalities.contract import SplitName, Surveyed
from rhapsode.modalities.text.corpus import TextCorpus, found_lines
from rhapsode.modalities.text.pairs.pair_corpus import Pair, pairs_of, prepare_pairs
from rhapsode.modalities.text.reading import prepare_texts
from rhapsode.modalities.text.settings import TrainSettings
from rhapsode.views.figures import plural
from rhapsode.views.survey_report import facts_survey

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
# Unknown pieces that are named.
NAMED = 12
# Characters of a text that is an example.
SHORT = 40


def survey_pairs(sources: Sequence[Any], settings: TrainSettings) -> Surveyed[TextCorpus]:
    """Describe pairs, and encode them as training does; plain values.

    Arguments:
        sources: files or names.
        settings: as for training.

    Returns:
        sources: as given.
        pairs, characters: of all splits.
        reading: `lines`, remarks on reading.
        inputs, outputs: of each side `distinct` texts, `encoding`, `vocabulary` (elements known)
            and `elements` (order statistics and a histogram of lengths, without end).
        repeated: `pairs` that repeat an earlier one.
        several: `inputs` with more than one distinct output, the `most` of one, an `example`.
        copied: pairs whose output is their input.
        splits: of `train`, `validation` and `test`: `pairs`, `inputs` (distinct), and of both sides
            `unknown_inputs` and `unknown_outputs`: `pairs` with elements that the training split
            lacks, and the most frequent of these `elements`.

    Raises:
        DataError: nothing to read, or too little.
        SettingsError: an unknown encoding or a setting it lacks.
    """
    corpus = prepare_pairs(sources, settings)
    assert corpus.source_encoder is not None
    encoders = (corpus.source_encoder, corpus.encoder)
    pairs = list(pairs_of(corpus.texts, corpus.texts.whole))
    outputs: dict[str, dict[str, None]] = {}
    for source, output in pairs:
        outputs.setdefault(source, {})[output] = None
    several = {source: list(known) for source, known in outputs.items() if len(known) > 1}
    found: dict[str, Any] = {
        "sources": [source_name(source) for source in sources],
        "pairs": len(pairs),
        "characters": sum(len(source) + len(output) for source, output in pairs),
        "reading": {
            "lines": list(found_lines(prepare_texts(sources, settings.source), settings.source))
        },
        **{
            name: _side([pair[place] for pair in pairs], encoders[place])
            for place, name in enumerate(("inputs", "outputs"))
        },
        "repeated": len(pairs) - sum(map(len, outputs.values())),
        "several": {
            "inputs": len(several),
            "most": max(map(len, outputs.values()), default=0),
            "example": next(
                ({"input": source, "outputs": known} for source, known in several.items()), None
            ),
        },
        "copied": sum(source == output for source, output in pairs),
        "splits": {
            name: describe_split(list(pairs_of(corpus.texts, corpus.splits.part(name))), encoders)
            for name in SPLITS
        },
    }
    return Surveyed(found, corpus, encoding_reason=corpus.encoding_reason)


def _side(texts: Sequence[str], encoder: Encoder) -> dict[str, Any]:
    lengths = np.array([len(encoder.encode(text)) for text in texts], dtype=np.int64)
    return {
        "distinct": len(set(texts)),
        "encoding": encoder.name,
        "vocabulary": encoder.vocab_size,
        "elements": lengths_summary(lengths),
    }


def describe_split(pairs: Sequence[Pair], encoders: tuple[Encoder, Encoder]) -> dict[str, Any]:
    """Sizes of a split, and elements that training lacks.

    Arguments:
        pairs: of the split.
        encoders: of inputs and outputs.
    """
    found: dict[str, Any] = {"pairs": len(pairs), "inputs": len({source for source, _ in pairs})}
    for place, name in enumerate(("unknown_inputs", "unknown_outputs")):
        pieces: Counter[str] = Counter()
        having = 0
        for pair in pairs:
            unknown = encoders[place].unknown_pieces(pair[place])
            pieces.update(unknown)
            having += bool(unknown)
        elements = [piece for piece, _ in pieces.most_common(NAMED)]
        found[name] = {"pairs": having, "distinct": len(pieces), "elements": elements}
    return found


def pair_survey(found: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    """A survey of pairs, from top to bottom.

    Arguments:
        found: plain values of the survey.
        width: cells of a line.
    """
    facts = {name: _side_in_words(found[name]) for name in ("inputs", "outputs")}
    several = found["several"]
    if several["inputs"]:
        known = ", ".join(map(_short, several["example"]["outputs"]))
        facts["several outputs"] = (
            f"{plural(several['inputs'], 'input')}, {several['most']:,} at most; "
            f"{_short(several['example']['input'])}: {known}"
        )
    if found["repeated"]:
        repeat = "repeats" if found["repeated"] == 1 else "repeat"
        facts["repetitions"] = f"{plural(found['repeated'], 'pair')} {repeat} an earlier one"
    if found["copied"]:
        equal = "equals its" if found["copied"] == 1 else "equal their"
        facts["copies"] = f"{plural(found['copied'], 'output')} {equal} input"
    for name, split in found["splits"].items():
        facts[name] = f"{plural(split['pairs'], 'pair')}, {split['inputs']:,} distinct inputs"
        for side in ("inputs", "outputs"):
            unknown = split[f"unknown_{side}"]
            if unknown["pairs"]:
                facts[f"{name}, unknown {side}"] = _unknown_in_words(unknown)
    sizes = [plural(found["pairs"], "pair"), plural(found["characters"], "character")]
    yield from facts_survey(found, width, sizes, facts, found["reading"]["lines"])


def _side_in_words(side: Mapping[str, Any]) -> str:
    lengths = side["elements"]
    return (
        f"{side['distinct']:,} distinct; {lengths['min']:,} to {lengths['max']:,} elements, "
        f"median {lengths['median']:,}; {side['encoding'].partition('.')[0]}, "
        f"{side['vocabulary']:,} elements known"
    )


def _unknown_in_words(unknown: Mapping[str, Any]) -> str:
    more = unknown["distinct"] - len(unknown["elements"])
    named = ", ".join(map(repr, unknown["elements"])) + (f" and {more:,} more" if more else "")
    return f"{plural(unknown['pairs'], 'pair')} with {named}"


def _short(text: str) -> str:
    text = text if len(text) <= SHORT else text[: SHORT - 3] + "..."
    return repr(text)
