"""Quality of generated text beside real text: copies, repetitions, invented words.

The index of the training text is beside the model, in the run folder. Measures that need it are
null without it, with the reason.
"""

import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from rhapsode.bundle import IdBundle, Predictor
from rhapsode.config import GenerateSettings
from rhapsode.data import Parts, TextStore
from rhapsode.encoding import Encoder
from rhapsode.encoding.normalise import Normaliser, NormalSettings
from rhapsode.errors import DataError, RhapsodeError
from rhapsode.log import log
from rhapsode.modalities.ids.continuation import continue_prompt
from rhapsode.modalities.ids.counting.ngram_sidecar import open_sidecar
from rhapsode.modalities.text.corpus import TextCorpus
from rhapsode.modalities.text.quality.text_index import Passage, TextIndex
from rhapsode.modalities.text.quality.text_quality import (
    choose_unit,
    held_out_pieces,
    measure_writing,
)

TEXT_INDEX = "text_index.safetensors"
TEMPERATURES = (1.0, 0.7)
TEXTS = 32
FEWEST = 16
# Characters of a text: the first of these of which the real text has enough pieces, and the time
# allows so many.
LENGTHS = (500, 400, 300, 250, 200, 150, 100)
# What the writing may take, all temperatures together.
SECONDS = 8.0
# Parameters up to which a step of so few texts is fastest on one thread.
SMALL = 4_000_000
SEED = 0
ROUNDS = 1000
# Continuations of each held-out prompt, written side by side.
DRAWS = 4
# Characters of real text that pieces are taken from.
MOST_REAL = 1_000_000
MOST_PROMPTS = 500
# The most elements that a character is made of: the bytes of UTF-8.
ELEMENTS_PER_CHARACTER = 4
# What stands between documents, of written texts and of real ones alike.
BREAK = "\n"


@dataclass(frozen=True)
class RealText:
    """Text that a model has not learnt from.

    Arguments:
        text: of all documents, prompts not included, a line feed between them; normalised as the
            model reads it.
        prompts: of its documents, a sample if there are many; empty if nothing is given.
    """

    text: str
    prompts: tuple[str, ...] = ()


def learn_text_index(corpus: TextCorpus) -> TextIndex | str:
    """The index of a training split, or a reason for its absence.

    It holds the text as the model reads it, prompts included. Where that is normalised, offsets
    count its characters.
    """
    return TextIndex.build(
        _passages(corpus.texts, corpus.splits.train, _normaliser(corpus.encoder))
    )


def index_fingerprint(index: TextIndex) -> str:
    """A hash of the indexed text and its documents' bounds."""
    digest = hashlib.sha256()
    for array in (index.suffixes.elements_N, index.characters_V, index.starts_P):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def open_text_index(model: Path, expected: str | None) -> TextIndex | str:
    """The index beside a model file, or a reason for its absence.

    Arguments:
        model: the model file.
        expected: the fingerprint of the index of its run; None without one.
    """
    path = model.parent / TEXT_INDEX
    index = open_sidecar(
        path, TextIndex.load, lambda index: index_fingerprint(index) == expected, "holds"
    )
    if isinstance(index, str) and path.exists():
        log.warning(f"{path.parent}: {index}")
    return index


def _passages(store: TextStore, parts: Parts, normaliser: Normaliser) -> Iterator[Passage]:
    """The training text in normalised passages, with their lines."""
    wanted: list[tuple[int, int, int, bool]] = []
    document = at = 0
    for number, begin, end in parts.tolist():
        at = at if number == document else 0
        if begin > at:
            wanted.append((number, at, begin, False))
        wanted.append((number, begin, end, True))
        document, at = number, end
    stretches = np.array([stretch[:3] for stretch in wanted], dtype=np.int64).reshape(-1, 3)
    pieces = store.pieces(stretches)
    going_on, offset, line = False, 0, 1
    for number, begin, end, is_training in wanted:
        if begin == 0:
            going_on, offset, line = False, 0, 1
        left = end - begin
        while left > 0:
            piece = next(pieces).text
            left -= len(piece)
            text = normaliser(piece)
            if is_training:
                yield Passage(store.names[number], text, not going_on, offset, line)
            going_on = is_training
            offset += len(text)
            line += text.count("\n")


def read_real_text(store: TextStore, parts: Parts, encoder: Encoder) -> RealText:
    """Real text to compare with, at most a million characters.

    Arguments:
        store: the documents.
        parts: held out from training.
        encoder: how the model reads them.
    """
    normaliser = _normaliser(encoder)
    texts: list[str] = []
    prompts: list[str] = []
    size = 0
    document = ""
    for piece in store.pieces(parts):
        if size >= MOST_REAL:
            break
        if texts and (piece.opening or piece.name != document):
            texts.append(BREAK)
        document = piece.name
        if piece.prompt and piece.opening and len(prompts) < MOST_PROMPTS:
            prompts.append(piece.text[: piece.prompt])
        texts.append(normaliser(piece.text[piece.prompt :]))
        size += len(texts[-1])
    return RealText("".join(texts), tuple(prompts))


def measure_model(
    predictor: Predictor,
    bundle: IdBundle,
    index: TextIndex | str,
    real: RealText,
    *,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Measure generated text beside equally long pieces of real text.

    Generation starts from the empty prompt, or from held-out prompts if the model completes
    prompts, with temperature as the only filter. A text that ends by itself is followed by another
    one, with a line feed between them, until there are enough characters. Documents of real text
    are joined in the same way. No copy extends from one document into the next. The
    time limit may allow only shorter or fewer texts, depending on the machine; `texts` and `length`
    are those measured.

    Arguments:
        predictor: the model.
        bundle: its encoder and how its texts were read.
        index: of its training text, or the reason why there is none.
        real: text that it has not learnt from.
        seconds: time limit of generation.
        clock: seconds, of any origin.

    Returns:
        For JSON: `prompt`, `seed`, `texts`, `length`, `temperatures`: for each its `temperature`,
            the
        `elements_per_text` and `documents` that were written, and `written` beside `held_out` as
        `measure_writing` gives them. Where the real text is too short, `held_out` is None; where
        nothing can be measured, `temperatures` is None. `reason` says why.
    """
    try:
        return _measured(predictor, bundle, index, real, seconds=seconds, clock=clock)
    except RhapsodeError as problem:  # a finished run shall not fail for this
        return {"temperatures": None, "reason": problem.what}


def _measured(
    predictor: Predictor,
    bundle: IdBundle,
    index: TextIndex | str,
    real: RealText,
    *,
    seconds: float,
    clock: Callable[[], float],
) -> dict[str, Any]:
    if bundle.provenance.section("source").get("prompt_field") and not real.prompts:
        raise DataError("this model completes prompts, but the text has none")
    sizes = [length for length in LENGTHS if len(real.text) // length >= FEWEST]
    reason = None
    if not sizes:
        reason = (
            f"the held-out text has {len(real.text):,} characters, "
            f"at least {FEWEST * LENGTHS[-1]:,} are needed"
        )
        if isinstance(index, str):
            raise DataError(reason)
    # Without enough real text, what is copied of the training text is measured all the same.
    room = len(real.text) if sizes else FEWEST * LENGTHS[0]
    sizes = sizes or list(LENGTHS)
    wanted = min(TEXTS, room // sizes[0])
    began = clock()
    written: list[_Written] = []
    for temperature in TEMPERATURES:
        one = _Written(predictor, bundle, temperature, number=wanted, length=sizes[0])
        written.append(one)
        with _few_threads(bundle):
            one.write(real.prompts, began + seconds * len(written) / len(TEMPERATURES), clock)
    for length in sizes:
        number = min(TEXTS, room // length, *(len(one.texts(length)) for one in written))
        if number >= FEWEST:
            break
    else:
        raise DataError(
            f"{seconds:g} s were too short for {FEWEST} texts of {LENGTHS[-1]} characters"
        )
    unit = choose_unit([real.text if isinstance(index, str) else index.text(0, room)])

    def measure(texts: list[str]) -> dict[str, Any]:
        return measure_writing(texts, index, length=length, number=number, unit=unit, seed=SEED)

    held_out = None
    if reason is None:
        held_out = measure(held_out_pieces(real.text, length=length, number=number))
    measured = [
        {
            "temperature": one.temperature,
            "elements_per_text": round(one.elements_per_character * length, 1),
            "documents": len(one.drafts),
            "written": measure(one.texts(length)[:number]),
            "held_out": held_out,
        }
        for one in written
    ]
    return {
        "prompt": "held-out prompts" if real.prompts else "",
        "seed": SEED,
        "texts": number,
        "length": length,
        "temperatures": measured,
        "reason": reason,
    }


class _Written:
    """Generated texts at one temperature.

    Arguments:
        predictor: the model.
        bundle: its encoder.
        temperature: of the draw.
        number: how many texts are wanted.
        length: of how many characters each.
    """

    def __init__(
        self,
        predictor: Predictor,
        bundle: IdBundle,
        temperature: float,
        *,
        number: int,
        length: int,
    ) -> None:
        self.temperature = temperature
        self._predictor, self._bundle = predictor, bundle
        self._number, self._length = number, length
        # By number of the draw and of the call, so that neighbours in a text have other prompts.
        self.drafts: dict[tuple[int, int], _Draft] = {}

    def write(self, prompts: tuple[str, ...], until: float, clock: Callable[[], float]) -> None:
        """Generate until texts, time or prompts are used up."""
        draws = DRAWS if prompts else self._number
        for call in range(len(prompts) or ROUNDS):
            if clock() > until or len(self.texts(self._length)) >= self._number:
                return
            # Prompts from everywhere, however many are used.
            prompt = prompts[call * _step(len(prompts)) % len(prompts)] if prompts else ""
            options = GenerateSettings(
                temperature=self.temperature,
                length=self._length * ELEMENTS_PER_CHARACTER,
                count=draws,
                seed=SEED + call,
            )
            drafts = [self.drafts.setdefault((draw, call), _Draft()) for draw in range(draws)]
            going = set(range(draws))
            before = -1
            for piece in continue_prompt(self._predictor, self._bundle, prompt, options):
                # Between two steps, where all rows are equally far.
                if piece.index <= before and clock() > until:
                    return
                before = piece.index
                draft = drafts[piece.index]
                if piece.index in going:
                    draft.text += piece.text
                    draft.elements = piece.elements
                if piece.end is not None:
                    draft.ended = piece.end == "stop"
                if piece.end is not None or len(draft.text) >= self._length:
                    going.discard(piece.index)
                if not going:
                    break

    @property
    def elements_per_character(self) -> float:
        """Mean over all generated text."""
        characters = sum(len(draft.text) for draft in self.drafts.values())
        return sum(draft.elements for draft in self.drafts.values()) / max(1, characters)

    def texts(self, length: int) -> list[str]:
        """Texts of `length` characters, made of joined documents.

        Unfinished documents below that length are left out.
        """
        found: list[str] = []
        text = ""
        for key in sorted(self.drafts):
            draft = self.drafts[key]
            if draft.text and (draft.ended or len(draft.text) >= length):
                text += (BREAK if text else "") + draft.text
            if len(text) >= length:
                found.append(text[:length])
                text = ""
        return found


@dataclass
class _Draft:
    """One document during generation.

    `ended` is True if it ended by itself.
    """

    text: str = ""
    elements: int = 0
    ended: bool = False


def _step(number: int) -> int:
    """A step that visits all prompts, near the golden ratio.

    It is coprime to `number`.
    """
    step = max(1, int(number * 0.618))
    while np.gcd(step, number) != 1:
        step += 1
    return step


@contextmanager
def _few_threads(bundle: IdBundle) -> Iterator[None]:
    """Use one torch thread for a small network, where more are slower."""
    torch = sys.modules.get("torch")  # without it, nothing of it computes
    if torch is None or bundle.parameters > SMALL:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _normaliser(encoder: Encoder) -> Normaliser:
    names = {field.name for field in fields(NormalSettings)} & set(encoder.settings)
    return Normaliser(NormalSettings(**{name: encoder.settings[name] for name in names}))
