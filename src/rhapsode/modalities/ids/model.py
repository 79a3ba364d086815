"""An opened model of identifiers: its predictors, and continuations of prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rhapsode.bundle import (
    IdBundle,
    IdFacts,
    MixedPredictor,
    Predictor,
    bundle_path,
    naming_file,
    read_bundle,
)
from rhapsode.config import GenerateSettings, to_mapping, unescaped
from rhapsode.errors import BundleError, DataError, EncodingError, SettingsError
from rhapsode.generation import Chain, Filter, Rows
from rhapsode.log import log
from rhapsode.modalities.ids.beside_counts import without_counts
from rhapsode.modalities.ids.continuation import (
    OpenIndex,
    chain_for,
    continue_prompts,
    look_back,
    of_characters,
    penalised,
    way_of,
)
from rhapsode.modalities.ids.ngram_sidecar import NGRAM, inner_ngram, open_ngram
from rhapsode.modalities.ids.prompts import IdPrompt, name_of
from rhapsode.modalities.ids.typed_text import TrainedText, can_write, named
from rhapsode.modalities.model import Model, array_bytes
from rhapsode.modalities.opened import Continuation, Piece, Prompt
from rhapsode.views.figures import plural

if TYPE_CHECKING:  # what loads torch or the compiler, or draws tables
    import torch

    from rhapsode.counts import NGramModel
    from rhapsode.modalities.ids.next_elements import IdChoice, IdsFollowing, IdsSeen


class IdModel(Model[IdBundle]):
    """A model file of identifiers, opened.

    Predictors are loaded at the first prediction; torch is loaded for scores only. If the file
    names a mixture and the n-gram model is beside it, all predictions are those of the mixture.
    Without that sidecar, or with that of another run, they are those of the network alone, and
    `alone` gives the reason.

    Arguments:
        path: a run folder or a model file.
        bundle: its contents, where they are at hand; None reads them.
        ngram: the counts that belong to it, where they are at hand.
        device: where torch computes; None for the CPU.

    Raises:
        BundleError: missing, damaged, or of another version or modality.
    """

    facts: ClassVar[type[IdFacts]]
    """Class of its contents of a model file."""

    def __init__(
        self,
        path: str | Path,
        bundle: IdBundle | None = None,
        ngram: NGramModel | None = None,
        *,
        device: torch.device | None = None,
    ) -> None:
        self.path = bundle_path(path)
        self.bundle = read_bundle(path, self.facts) if bundle is None else bundle
        self._ngram = ngram
        self._device = device
        self._compiled: dict[tuple[str, int | None, bool], Predictor] = {}
        self._told = False

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

    @cached_property
    def predictor(self) -> Predictor:
        return self.predictor_for("auto")

    def predictor_of(self, *, adapt: bool) -> Predictor:
        return self.predictor_for("auto", adapt=True) if adapt else self.predictor

    def predictor_for(
        self,
        engine: str,
        *,
        weights: str = "float32",
        threads: int | None = None,
        adapt: bool = False,
    ) -> Predictor:
        """The predictor of an engine; made on first use.

        Arguments:
            engine: "compiled" (loads no torch), "torch", or "auto": compiled where it can run this
                model.
            weights: number format in the compiled engine: "float32", "bf16" or "int8".
            threads: maximum number of cores; None for the fastest number.
            adapt: whether counts adapt to what is read and written.

        Raises:
            BundleError: the arrays do not fit the configuration.
            SettingsError: the compiled engine cannot run this model, torch is to have other
                weights than float32, or there are no counts that could adapt.
        """
        self.tell_alone()
        if engine == "torch" and weights != "float32":
            raise SettingsError(
                f"the torch engine has no {weights} weights",
                where="--weights",
                hint="leave --engine out",
            )
        if engine == "torch":
            return self.adapting if adapt else self.scorer
        if (weights, threads, adapt) in self._compiled:
            return self._compiled[weights, threads, adapt]
        from rhapsode.engine.compiled_predictor import compiled_predictor
        from rhapsode.engine.packed_weights import unsupported

        reason = unsupported(self.bundle)
        if reason is not None and (engine == "compiled" or weights != "float32"):
            raise SettingsError(
                f"the compiled engine cannot run this model: {reason}",
                where="--engine" if engine == "compiled" else "--weights",
            )
        if reason is not None:
            return self.adapting if adapt else self.scorer
        with naming_file(self.path):
            network = compiled_predictor(self.bundle, weights=weights, threads=threads)
        made = _mixed(self, self._restricted(network), adapt=adapt)
        self._compiled[weights, threads, adapt] = made
        return made

    def writer_for(self, settings: GenerateSettings) -> Predictor:
        """The predictor that settings ask for; see `predictor_for`.

        Raises:
            SettingsError: there is no such device, or the compiled engine is to run on one.
        """
        engine = settings.engine
        if settings.device is not None and self.place(settings.device):
            if engine == "compiled":
                raise SettingsError(
                    f"the compiled engine does not run on {settings.device}",
                    where="--engine",
                    hint="leave --engine or --device out",
                )
            engine = "torch"
        return self.predictor_for(
            engine, weights=settings.weights, threads=settings.threads, adapt=settings.adapt
        )

    def place(self, device: str) -> bool:
        """Let torch compute on a device from now on.

        True is returned if that is not the CPU.

        Raises:
            SettingsError: there is no such device.
        """
        from rhapsode.bundle.device import CPU, choose_device

        chosen = choose_device(device)
        if chosen != self._device:
            self._device = chosen
            for made in ("network_scorer", "scorer"):
                vars(self).pop(made, None)
        return chosen != CPU

    @cached_property
    def scorer(self) -> Predictor:
        """The torch predictor that scores whole texts, created on first use.

        It uses all cores.

        Raises:
            BundleError: the arrays do not fit the configuration, or there are neither network nor
                counts.
        """
        if self.bundle.network is not None:
            return _mixed(self, self.network_scorer)
        from rhapsode.bundle.combined.mixed_predictor import NGramPredictor

        ngram = self.counts
        if isinstance(ngram, str):
            raise BundleError(f"this model has no network, and {ngram}", where=str(self.path))
        scorer: Predictor = self._restricted(NGramPredictor(ngram))
        return scorer

    @property
    def adapting(self) -> Predictor:
        """The torch predictor whose counts adapt to what is read.

        Raises:
            BundleError: the arrays do not fit the configuration.
            SettingsError: there are no counts that could adapt.
        """
        if self.bundle.network is None:
            raise SettingsError("a model of counts alone does not adapt", where="adapt")
        return _mixed(self, self.network_scorer, adapt=True)

    @cached_property
    def network_scorer(self) -> Predictor:
        """The network alone, in torch; made on first use.

        Raises:
            BundleError: the arrays do not fit the configuration.
        """
        from rhapsode.bundle.network import load_network
        from rhapsode.bundle.torch_predictor import torch_predictor

        bundle = self.bundle
        with naming_file(self.path):
            networks = [load_network(bundle, member) for member in range(len(bundle.members))]
        if self._device is not None:
            networks = [network.to(self._device) for network in networks]
            for network in networks:
                network.tie()
        scorer: Predictor = self._restricted(
            torch_predictor(networks, bundle.encoder.vocab_size, bundle.context, bundle.weights)
        )
        return scorer

    def _restricted(self, predictor: Any) -> Any:
        """A predictor within the grammar of its elements, where there is one."""
        grammar = self.bundle.facts.grammar(self.bundle.encoder)
        return predictor if grammar is None else predictor.restricted(grammar)

    @cached_property
    def counts(self) -> NGramModel | str:
        """The n-gram model of the file, or the reason for its absence."""
        if self._ngram is not None:
            return self._ngram
        if self.bundle.facts.ngram is not None:
            with naming_file(self.path):
                return inner_ngram(self.bundle.facts)
        return open_ngram(self.path, self.bundle.facts.counts_V)

    @cached_property
    def alone(self) -> str | None:
        """The reason why a network predicts without its counts; None otherwise."""
        mixture = self.bundle.mixture
        if mixture is None:
            return None
        ngram = self.counts
        if isinstance(ngram, str):
            return ngram
        if ngram.fingerprint == mixture.ngram:
            return None
        if self.bundle.facts.ngram is not None:
            return "its n-gram counts are not those that this model was mixed with"
        return f"{NGRAM} is not the one that this model was mixed with"

    def tell_alone(self) -> None:
        """Warn once if the network predicts without the counts of its figures."""
        if not self._told and self.alone is not None:
            self._told = True
            log.warning(f"{self.alone}: {without_counts(self.bundle.provenance)}")


def _mixed(model: IdModel, network: Predictor, *, adapt: bool = False) -> Predictor:
    """A network mixed with its n-gram counts, if there are any.

    Raises:
        SettingsError: they are to adapt, but cannot.
        BundleError: the weights are not those of the counts.
    """
    mixture = model.bundle.mixture
    if adapt and (mixture is None or model.alone is not None or not mixture.adapting):
        reason = model.alone or "it is not mixed with counts, or sees a window only"
        raise SettingsError(f"this model cannot adapt: {reason}", where="adapt")
    if mixture is None or model.alone is not None:
        return network
    ngram = model.counts
    assert not isinstance(ngram, str)
    weights = mixture.adapting if adapt else mixture.weights
    mixed = MixedPredictor(network, ngram, weights, adapt=adapt)
    try:
        _ = mixed.experts
    except ValueError as problem:
        raise BundleError(
            f"its mixture does not fit its counts ({problem})", where=str(model.path)
        ) from None
    return mixed
