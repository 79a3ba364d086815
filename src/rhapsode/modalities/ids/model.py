"""An opened model of identifiers: prompts and their continuations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rhapsode.config import GenerateSettings, to_mapping, unescaped
from rhapsode.errors import DataError, EncodingError
from rhapsode.generation import Chain, Filter, Rows
from rhapsode.log import log
from rhapsode.modalities.ids.continuation import (
    OpenIndex,
    chain_for,
    continue_prompts,
    look_back,
    of_characters,
    penalised,
    way_of,
)
from rhapsode.modalities.ids.predictors import IdPredictors
from rhapsode.modalities.ids.prompts import IdPrompt, name_of
from rhapsode.modalities.ids.typed_text import TrainedText, can_write, named
from rhapsode.modalities.model import array_bytes
from rhapsode.modalities.opened import Continuation, Piece, Prompt
from rhapsode.views.figures import plural

if TYPE_CHECKING:  # what loads torch or the compiler, or draws tables
    from rhapsode.modalities.ids.next_elements import IdChoice, IdsFollowing, IdsSeen


class IdModel(IdPredictors):
    """A model file of identifiers, opened.

    Arguments and errors are those of `IdPredictors`.
    """

    def ready(self, settings: GenerateSettings) -> None:
        self.writer_for(settings)
        if settings.weights != "float32":
            from rhapsode.engine.rounding import rounding_of

            rounded = self.predictor_for("compiled", weights=settings.weights)
            log.info(rounding_of(self.predictor_for("compiled"), rounded).in_words())

    def prompt(self, value: Any, settings: GenerateSettings) -> IdPrompt:
        """Make a prompt of a text, without unknown pieces under `unknown="skip"`.

        Raises:
            EncodingError: the text has pieces without an element of their own.
        """
        encoder, text = self.bundle.encoder, self.normalised(str(value))
        missing = encoder.unknown(text)
        if not missing or (encoder.unknown_prompt == "element" and settings.unknown != "skip"):
            return IdPrompt(self, text)
        if settings.unknown == "skip":
            return IdPrompt(self, encoder.without_unknown(text))
        pieces = len(encoder.unknown_pieces(text))
        shown = named(missing, lambda piece: f"{piece!r} (U+{ord(piece[0]):04X})")
        raise EncodingError(
            f"the model has never seen {shown}: {pieces:,} of {len(text):,} characters",
            where="prompt",
            hint="leave them out, or drop them with --unknown skip",
        )

    def prompt_of_elements(self, elements: Sequence[int], settings: GenerateSettings) -> IdPrompt:
        return IdPrompt.of_ids(self, elements)

    def without_open_space(self, value: Any) -> Any:
        return self.trained_text.without_open_space(str(value))

    @cached_property
    def trained_text(self) -> TrainedText:
        """Characters and elements of the training text."""
        return TrainedText(self.bundle.encoder, self.bundle.facts.counts_V)

    def normalised(self, text: str) -> str:
        """A text as the training text was normalised."""
        return text

    def typed(self, text: str) -> str:
        if "\\" not in text or self.trained_text.has("\\"):
            return text
        meant = unescaped(text)
        if meant != text:
            log.info(f"escapes are read in {text}: the training text has no backslash")
        return meant

    def restored(self, saved: Mapping[str, Any]) -> IdPrompt:
        if saved:
            raise DataError("this session starts after text that the model cannot read")
        return IdPrompt(self, "")

    def tell_notes(self, prompts: Sequence[Prompt], settings: GenerateSettings) -> None:
        for line in (*self.unknown_notes(prompts), *self._setting_notes(settings)):
            log.warning(line)
        window = look_back(self.bundle)
        longest = max(len(prompt.opening.elements) for prompt in prompts)
        if window is None or longest < window:
            return
        seen = (
            f", of which the model sees the last {window:,}"
            if self.bundle.context.kind == "window"
            else f"; the model attends to the last {window:,}, and to earlier ones through its "
            "layers only"
        )
        log.info(f"the prompt has {longest:,} elements{seen}")

    def unknown_notes(self, prompts: Sequence[Prompt]) -> list[str]:
        """Describe pieces of prompts that are read as the unknown element."""
        encoder, notes = self.bundle.encoder, []
        pieces = [piece for prompt in prompts for piece in encoder.unknown_pieces(prompt.text)]
        if pieces:
            elements = sum(len(prompt.opening.elements) for prompt in prompts)
            shown = named(list(dict.fromkeys(pieces)))
            notes.append(
                f"the model has no element for {shown}: it reads {len(pieces):,} of "
                f"{plural(elements, 'element')} as the unknown element"
            )
        text = "".join(prompt.text for prompt in prompts)
        unseen = [] if pieces or text.isascii() else self.trained_text.unseen(text)
        if unseen:
            number = sum(map(text.count, unseen))
            notes.append(
                f"the training text has no {named(unseen)}: {number:,} of {len(text):,} characters"
            )
        return notes

    def _setting_notes(self, settings: GenerateSettings) -> Iterator[str]:
        encoder = self.bundle.encoder
        for stop in settings.stop:
            if stop and not can_write(encoder, stop):
                yield f"the model cannot write the stop text {stop!r}: it stops nothing"
        if penalised(settings) and of_characters(encoder):
            yield (
                "elements are single characters here: penalties on elements that have occurred "
                "distort the spelling; dry_multiplier and no_repeat_ngram act on repeated passages"
            )

    def open_index(self) -> OpenIndex | None:
        """Function that opens the index of the training data, or None."""
        return None

    def own_filters(self, settings: GenerateSettings) -> list[Filter]:
        """Constraints of one kind of sequence.

        Raises:
            SettingsError: they do not go with this model.
        """
        return []

    def chain(self, settings: GenerateSettings) -> Chain:
        return chain_for(self.bundle, settings, self.open_index(), self.own_filters(settings))

    def explained(self, settings: GenerateSettings) -> str:
        return self.chain(settings).explain(way_of(settings))

    def write(self, prompts: Sequence[Prompt], settings: GenerateSettings) -> Iterator[Piece]:
        yield from continue_prompts(
            self.writer_for(settings),
            self.bundle,
            [prompt.seen(prompt.opening.elements) for prompt in prompts],
            settings,
            self.open_index(),
            own=self.own_filters(settings),
            conditions=[prompt.condition for prompt in prompts],
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
        return name_of(self.bundle.encoder, element)

    def why(self, rows: Rows, element: int, top: int) -> IdChoice:
        from rhapsode.modalities.ids.next_elements import IdChoice

        return IdChoice(
            rows.trace(element, top), rows.following().logits_BV[0], self.bundle.encoder
        )

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
        return next_elements(self, prompts, several, top)

    def encoded(self, value: Any) -> IdsSeen:
        from rhapsode.modalities.ids.next_elements import IdsSeen, elements_of

        return IdsSeen(elements_of(self.bundle.encoder, self.normalised(str(value))))

    def identity(self) -> Iterator[bytes]:
        bundle = self.bundle
        yield bundle.encoder.fingerprint.encode()
        if bundle.network is not None:
            yield json.dumps(to_mapping(bundle.network), sort_keys=True).encode()
        elif bundle.facts.ngram is not None:
            yield json.dumps(dict(bundle.facts.ngram.numbers), sort_keys=True).encode()
            yield from array_bytes(bundle.facts.ngram.arrays)
        if len(bundle.members) > 1:
            yield repr(bundle.weights).encode()
        yield from array_bytes(bundle.arrays)
        if bundle.mixture is not None and self.alone is None:
            yield f"{bundle.mixture.weights!r} of {bundle.mixture.ngram}".encode()
