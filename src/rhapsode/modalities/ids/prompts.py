"""Prompts and documents of identifiers."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.config import GenerateSettings
from rhapsode.encoding import END_ID, UNKNOWN_ID, Encoder
from rhapsode.errors import DataError
from rhapsode.files import write_atomically
from rhapsode.generation import StopText
from rhapsode.generation.loop import DrawKey
from rhapsode.modalities.opened import Document, Fragments, Given, Prompt

if TYPE_CHECKING:
    from rhapsode.modalities.ids.model import IdModel


def name_of(encoder: Encoder, element: int) -> str:
    """The name of an element for tables; white space as it is."""
    if element in (END_ID, UNKNOWN_ID):
        return "<end>" if element == END_ID else "<unknown>"
    label = encoder.label(element)
    text = encoder.decode([element]) if label.startswith("0x") else ""
    return text if text.isspace() else label


class IdDocument(str):
    """A text, and how it was generated.

    Arguments:
        value: the text.
        elements: ids of the text, those of the prompt first.
        seed: of the draw; None if nothing was drawn.
        finish_reason: "stop" (end-of-sequence or a stop text) or "length"; None if it is not known.
    """

    elements: tuple[int, ...]
    seed: int | None
    finish_reason: str | None

    def __new__(
        cls,
        value: str,
        elements: Sequence[int] = (),
        seed: int | None = None,
        finish_reason: str | None = None,
    ) -> Self:
        document = super().__new__(cls, value)
        document.elements, document.seed = tuple(elements), seed
        document.finish_reason = finish_reason
        return document

    @property
    def value(self) -> str:
        """The text as a plain `str`."""
        return str(self)

    def __str__(self) -> str:
        return super().__str__()[:]

    def text(self) -> str:
        """The text as a plain `str`."""
        return str(self)

    def save(self, path: str | Path) -> None:
        """Write UTF-8.

        Escapes of undecodable bytes are written as those bytes.
        """
        write_atomically(Path(path), self.encode("utf-8", "surrogateescape"))

    def _repr_html_(self) -> str:
        return f'<pre style="white-space:pre-wrap">{html.escape(self)}</pre>'


class _Decoded(Fragments):
    """Text of ids in order, up to a stop text."""

    def __init__(self, encoder: Encoder, before: Sequence[int], settings: GenerateSettings) -> None:
        decoder = encoder.decoder()
        decoder.feed(before)  # so that a character or a space between turns comes out whole
        self._text = StopText(decoder, settings.stop, after=settings.min_length)

    @property
    def stopped(self) -> bool:  # type: ignore[override]
        return self._text.stopped

    def feed(self, element: int) -> str:
        return self._text.feed(element) if element != END_ID else ""

    def extend(self, elements: Sequence[int]) -> tuple[str, int]:
        return self._text.extend([element for element in elements if element != END_ID])

    def pause(self) -> str:
        # Half a character is not shown: the next turn may complete it.
        return self._text.finish().removesuffix("\N{REPLACEMENT CHARACTER}")


class IdPrompt(Prompt):
    """A text that is continued.

    Arguments:
        model: continues the text.
        text: the text; every piece has an element.
    """

    end = END_ID

    def __init__(self, model: IdModel, text: str) -> None:
        self._model = model
        self.text = text
        self.ids_N: NDArray[np.int64] = model.bundle.encoder.encode(text).astype(np.int64)

    @classmethod
    def of_ids(cls, model: IdModel, ids: Sequence[int]) -> IdPrompt:
        """A prompt of ids.

        Raises:
            DataError: an id that the model does not have.
        """
        prompt = IdPrompt(model, "")
        prompt.ids_N = np.array([prompt.restored(each) for each in ids], dtype=np.int64)
        prompt.text = model.bundle.encoder.decode(prompt.ids_N)
        return prompt

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

    def document(self, elements: Sequence[int], text: str = "", **made: Any) -> Document:
        return IdDocument(text or self._model.bundle.encoder.decode(elements), elements, **made)
