"""An opened model of identifiers: its prompts, and continuations of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor, bundle_path, read_bundle
from rhapsode.bundle.id_facts import IdBundle, IdFacts
from rhapsode.config import GenerateSettings, to_mapping
from rhapsode.encoding import END_ID, UNKNOWN_ID, Encoder
from rhapsode.errors import DataError, EncodingError
from rhapsode.files import write_atomically
from rhapsode.generation import Chain, Rows, StopText
from rhapsode.generation.loop import DrawKey
from rhapsode.modalities.ids.continuation import (
    OpenIndex,
    chain_for,
    continue_prompts,
    look_back,
)
from rhapsode.modalities.ids.predictors import IdPredictors
from rhapsode.modalities.ids.search_prompt import way_of
from rhapsode.modalities.opened import Continuation, Fragments, Given, Model, Piece, Prompt

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rhapsode.counts import NGramModel  # loads the compiler
    from rhapsode.modalities.ids.next_elements import IdChoice, IdsFollowing

__all__ = ["IdDocument", "IdModel", "IdPrompt", "IdsSeen", "elements_of"]


@dataclass(frozen=True)
class IdDocument:
    """A document as text.

    Arguments:
        value: the text.
    """

    value: str

    def text(self) -> str:
        """The text."""
        return self.value

    def save(self, path: Path) -> None:
        """Write it as UTF-8; escapes for bytes that were never UTF-8 become those bytes again."""
        write_atomically(path, self.value.encode("utf-8", "surrogateescape"))


class _Decoded(Fragments):
    """Text of ids as they come, up to a stop text."""

    def __init__(self, encoder: Encoder, before: Sequence[int], settings: GenerateSettings) -> None:
        decoder = encoder.decoder()
        decoder.feed(before)  # so that a character or a space between turns comes out whole
        self._text = StopText(decoder, settings.stop, after=settings.min_length)

    @property
    def stopped(self) -> bool:  # type: ignore[override]
        return self._text.stopped

    def feed(self, element: int) -> str:
        return self._text.feed(element) if element != END_ID else ""

    def pause(self) -> str:
        # Half a character is not shown: the next turn may complete it.
        return self._text.finish().removesuffix("\N{REPLACEMENT CHARACTER}")


class IdPrompt(Prompt):
    """A text that is continued.

    Arguments:
        model: that continues it.
        text: the text, of which the model knows every piece.
    """

    end = END_ID

    def __init__(self, model: IdModel, text: str) -> None:
        self._model = model
        self.text = text
        self.ids_N: NDArray[np.int64] = model.bundle.encoder.encode(text).astype(np.int64)

    @property
    def opening(self) -> Given:
        return Given(tuple(self.ids_N.tolist()), self.text)

    def start(self, predictor: Predictor) -> tuple[Any, tuple[int, ...]]:
        return predictor.start(1), (END_ID,)

    def stack(self, elements: Sequence[int]) -> NDArray[np.int64]:
        return np.array([elements], dtype=np.int64)

    def restored(self, plain: Any) -> int:
        if not isinstance(plain, int) or not 0 <= plain < self._model.bundle.encoder.vocab_size:
            raise DataError("an element that the model does not have")
        return plain

    def seen(self, elements: Sequence[int]) -> NDArray[np.int64]:
        return np.array(elements, dtype=np.int64)

    def keys(self, seed: int, sequence: int) -> tuple[DrawKey, DrawKey]:
        key = DrawKey(seed, np.array([sequence], dtype=np.int64))
        return key, key

    def fragments(self, before: Sequence[int], settings: GenerateSettings) -> Fragments:
        return _Decoded(self._model.bundle.encoder, before, settings)

    def given(self, text: str, settings: GenerateSettings) -> Given:
        more = self._model.prompt(text, settings)
        return replace(more.opening, notes=tuple(self._model.unknown_notes([more])))

    def cut(self, elements: tuple[int, ...], text: str) -> tuple[int, ...]:
        encoder = self._model.bundle.encoder
        kept = len(elements)
        while kept and not text.startswith(encoder.decode(elements[:kept])):
            kept -= 1
        rest = text[len(encoder.decode(elements[:kept])) :]
        return elements[:kept] + tuple(int(element) for element in encoder.encode(rest))

    def document(self, elements: Sequence[int], text: str = "") -> IdDocument:
        return IdDocument(text or self._model.bundle.encoder.decode(elements))


class IdModel(IdPredictors, Model[IdBundle]):
    """A model file of identifiers, opened.

    What computes is loaded when the first prediction is asked for, torch for scores only. Where the
    file names a mixture and the n-gram model lies beside it, all that predicts is the mixture;
    without that sidecar, or with another run's, it is the network alone, and `alone` says why.

    Arguments:
        path: a run folder or a model file.
        bundle: its contents, where they are at hand; None reads them.
        ngram: the counts that belong to it, where they are at hand.

    Raises:
        BundleError: missing, damaged, or of another version or modality.
    """

    facts: ClassVar[type[IdFacts]]
    """Of its modality."""

    def __init__(
        self, path: str | Path, bundle: IdBundle | None = None, ngram: NGramModel | None = None
    ) -> None:
        read = read_bundle(path, self.facts) if bundle is None else bundle
        super().__init__(bundle_path(path), read, ngram)

    def ready(self, settings: GenerateSettings, tell: Callable[[str], None]) -> None:
        self.writer_for(settings, tell)
        if settings.weights != "float32":
            tell(self.rounding(settings.weights).in_words())

    def prompt(self, value: Any, settings: GenerateSettings) -> IdPrompt:
        """The text, or what is left of it under `unknown="skip"`.

        Raises:
            EncodingError: it has pieces without an element of their own, which are named.
        """
        encoder, text = self.bundle.encoder, str(value)
        missing = encoder.unknown(text)
        if not missing or (encoder.unknown_prompt == "element" and settings.unknown != "skip"):
            return IdPrompt(self, text)
        if settings.unknown == "skip":
            return IdPrompt(self, encoder.without_unknown(text))
        named = ", ".join(f"{piece!r} (U+{ord(piece[0]):04X})" for piece in missing[:8])
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        raise EncodingError(
            f"the model has never seen {named}{more}",
            where="prompt",
            hint="leave them out, or drop them with --unknown skip",
        )

    def restored(self, saved: Mapping[str, Any]) -> IdPrompt:
        if saved:
            raise DataError("this session begins behind something that the model cannot read")
        return IdPrompt(self, "")

    def notes(self, prompts: Sequence[Prompt]) -> list[str]:
        lines = [f"warning: {line}" for line in self.unknown_notes(prompts)]
        window = look_back(self.bundle)
        longest = max(len(prompt.opening.elements) for prompt in prompts)
        if window is None or longest < window:
            return lines
        if self.bundle.context.kind == "window":
            return [
                *lines,
                f"the prompt has {longest:,} elements, of which the model sees the last {window:,}",
            ]
        return [
            *lines,
            f"the prompt has {longest:,} elements; the model looks back {window:,}, and to what "
            "lies before them through its layers only",
        ]

    def unknown_notes(self, prompts: Sequence[Prompt]) -> list[str]:
        """A line on pieces of prompts that are read as the unknown element."""
        encoder = self.bundle.encoder
        if encoder.unknown_prompt != "element":
            return []
        unknown = list(dict.fromkeys(w for each in prompts for w in encoder.unknown(each.text)))
        if not unknown:
            return []
        named = ", ".join(map(repr, unknown[:8]))
        return [f"the model does not know {named}, and reads the unknown element there"]

    def open_index(self, tell: Callable[[str], None]) -> OpenIndex | None:
        """Opens the index over the elements of the training data; None where there is none."""
        return None

    def chain(self, settings: GenerateSettings, tell: Callable[[str], None]) -> Chain:
        return chain_for(self.bundle, settings, self.open_index(tell))

    def explained(self, settings: GenerateSettings, tell: Callable[[str], None]) -> str:
        return self.chain(settings, tell).explain(way_of(settings))

    def write(
        self, prompts: Sequence[Prompt], settings: GenerateSettings, tell: Callable[[str], None]
    ) -> Iterator[Piece]:
        yield from continue_prompts(
            self.writer_for(settings),
            self.bundle,
            [prompt.seen(prompt.opening.elements) for prompt in prompts],
            settings,
            self.open_index(tell),
        )

    def described(self, continuation: Continuation) -> dict[str, Any]:
        plain = super().described(continuation)
        if continuation.trace is not None:
            label = self.bundle.encoder.label
            plain["trace"] = [
                {"text": label(each.element), **each.to_mapping()} for each in continuation.trace
            ]
        return plain

    def name_of(self, element: int) -> str:
        from rhapsode.modalities.ids.next_elements import name_of

        return name_of(self.bundle.encoder, element)

    def why(self, rows: Rows, element: int, top: int) -> IdChoice:
        from rhapsode.modalities.ids.next_elements import IdChoice

        trace = rows.trace(element, top)
        return IdChoice(trace, rows.following().logits_BV[0], self.bundle.encoder)

    def following(
        self,
        prompts: Sequence[Prompt],
        settings: GenerateSettings,
        *,
        temperatures: Sequence[float] = (),
        top: int = 5,
    ) -> IdsFollowing:
        from rhapsode.modalities.ids.next_elements import next_elements

        several = [replace(settings, temperature=t) for t in temperatures] or [settings]
        return next_elements(
            self.predictor,
            self.bundle.encoder,
            [(prompt.text, prompt.seen(prompt.opening.elements)) for prompt in prompts],
            [(one, chain_for(self.bundle, one)) for one in several],
            top=top,
        )

    def encoded(self, value: Any) -> IdsSeen:
        return IdsSeen(elements_of(self.bundle.encoder, str(value)))

    def fingerprint(self) -> str:
        bundle = self.bundle
        digest = hashlib.sha256(bundle.encoder.fingerprint.encode())
        if bundle.network is not None:
            digest.update(json.dumps(to_mapping(bundle.network), sort_keys=True).encode())
        elif bundle.facts.ngram is not None:
            digest.update(json.dumps(dict(bundle.facts.ngram.numbers), sort_keys=True).encode())
            for name, array in sorted(bundle.facts.ngram.arrays.items()):
                digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        if len(bundle.members) > 1:
            digest.update(repr(bundle.weights).encode())
        for name, array in sorted(bundle.arrays.items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        if bundle.mixture is not None and self.alone is None:
            digest.update(f"{bundle.mixture.share!r} of {bundle.mixture.ngram}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class IdsSeen:
    """Elements of a text.

    Arguments:
        mapping: as `elements_of` gives them.
    """

    mapping: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return self.mapping

    def shown(self, width: int) -> Sequence[RenderableType]:
        """The elements, and how many they are."""
        from rich.text import Text

        from rhapsode.views.candidates import elements_text

        seen = self.mapping
        summary = f"{len(seen['ids']):,} elements"
        if seen["unknown"]:
            named = ", ".join(map(repr, seen["unknown"][:8]))
            summary += f", {seen['unknown_elements']} of them unknown: {named}"
        return [elements_text(seen), Text(summary)]


def elements_of(encoder: Encoder, text: str) -> dict[str, Any]:
    """The elements of a text: ids, their names, and what is unknown."""
    ids_N = encoder.encode(text)
    return {
        "encoding": encoder.name,
        "text": text,
        "ids": ids_N.tolist(),
        "elements": [encoder.label(int(element)) for element in ids_N],
        "unknown": encoder.unknown(text),
        "unknown_elements": int((ids_N == UNKNOWN_ID).sum()),
        "round_trip": encoder.decode(ids_N) == text,
    }
