"""Opened models of text; generation is in `modalities/ids/model.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhapsode.config import GenerateSettings, SourceSettings, from_mapping
from rhapsode.errors import BundleError, SettingsError
from rhapsode.log import log
from rhapsode.modalities.ids.continuation import OpenIndex
from rhapsode.modalities.ids.model import IdModel
from rhapsode.modalities.ids.prompts import IdPrompt
from rhapsode.modalities.ids.typed_text import named
from rhapsode.modalities.text.facts import TextFacts

if TYPE_CHECKING:  # what only scores need, and what loads the compiler
    from rhapsode.counts import SuffixIndex
    from rhapsode.encoding import Encoder
    from rhapsode.modalities.opened import Answered, Prompt
    from rhapsode.modalities.text.pairs.pair_prompts import PairPrompt
    from rhapsode.modalities.text.quality.text_index import TextIndex

# Suffixes of files that hold something else than a text that people write.
_NO_TEXT = """
    .mid .midi .kar .musicxml .mxl .mscz .wav .mp3 .ogg .oga .opus .flac .aac .m4a .aif .aiff .wma
    .mp4 .mov .avi .mkv .webm .svg .png .jpg .jpeg .gif .bmp .tif .tiff .webp .ico .heic .avif
    .pdf .ps .doc .docx .odt .rtf .epub .mobi .azw3 .djvu .ppt .pptx .odp .xls .xlsx .ods .parquet
    .feather .arrow .npy .npz .pkl .pickle .pt .pth .onnx .gguf .safetensors .h5 .sqlite .db
    .zip .gz .bz2 .xz .zst .7z .rar .tar .tgz .exe .dll .so .bin .whl .jar .class .pyc
"""


class TextModel(IdModel):
    """A model file of texts, opened."""

    facts = TextFacts
    _elements: SuffixIndex | None = None
    _text: TextIndex | str | None = None

    def elements_index(self) -> SuffixIndex:
        """The index of the training data by elements, opened on first use.

        Raises:
            RunError: there is no index of the text beside the model.
        """
        if self._elements is None:
            from rhapsode.modalities.text.quality.elements_index import open_elements_index

            self._elements = open_elements_index(self.bundle, self.path)
        return self._elements

    def check_output(self, path: Path) -> None:
        super().check_output(path)
        suffix = path.suffix.lower()
        if suffix in _NO_TEXT.split():
            raise SettingsError(
                f"this model writes text, not {suffix} files",
                where=str(path),
                hint=f"write into {path.with_suffix('.txt').name}",
            )

    def normalised(self, text: str) -> str:
        text = text.removeprefix("\N{BYTE ORDER MARK}")
        if "\r" in text and self.source_settings().newlines == "lf":
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        form = self.trained_text.in_its_form(text)
        if form != text:
            gone = named([each for each in dict.fromkeys(text) if each not in form])
            log.info(f"the training text has no {gone}: an equivalent Unicode form is read")
        return form

    @property
    def source_encoder(self) -> Encoder | None:
        """The encoder of the inputs; None without pairs."""
        facts = self.bundle.facts
        assert isinstance(facts, TextFacts)
        return facts.source

    @property
    def answers_inputs(self) -> bool:
        return self.source_encoder is not None

    def prompt(self, value: Any, settings: GenerateSettings) -> IdPrompt:
        text = str(value)
        if self.source_encoder is not None:
            return self._input(text, settings)
        if self.source_settings().prompt_field is not None and text and text[-1] != "\n":
            text += "\n"  # completions followed it
        return super().prompt(text, settings)

    def begin(self, value: Any, settings: GenerateSettings) -> IdPrompt:
        if self.source_encoder is not None and not str(value).strip():
            raise SettingsError(
                "a model of pairs writes nothing without an input",
                where="prompt",
                hint="give the input, or a file of inputs with --input",
            )
        return self.prompt(self.without_open_space(value), settings)

    def without_open_space(self, value: Any) -> Any:
        # An input is read whole.
        return value if self.source_encoder is not None else super().without_open_space(value)

    def prompt_of_elements(self, elements: Sequence[int], settings: GenerateSettings) -> IdPrompt:
        if self.source_encoder is not None:
            raise SettingsError("the input of a model of pairs is a text", where="prompt")
        return super().prompt_of_elements(elements, settings)

    def _input(self, text: str, settings: GenerateSettings) -> PairPrompt:
        from rhapsode.modalities.text.pairs.pair_prompts import PairPrompt, input_text

        encoder = self.source_encoder
        assert encoder is not None
        text = input_text(text, encoder)
        if settings.unknown == "skip" and encoder.unknown(text):
            text = encoder.without_unknown(text)
        return PairPrompt(self, text, encoder)

    def unknown_notes(self, prompts: Sequence[Prompt]) -> list[str]:
        encoder = self.source_encoder
        if encoder is None:
            return super().unknown_notes(prompts)
        texts = [getattr(prompt, "source", "") for prompt in prompts]
        missing = list(dict.fromkeys(piece for text in texts for piece in encoder.unknown(text)))
        if not missing:
            return []
        return [f"the training inputs had no {named(missing)}: read as the unknown element"]

    def restored(self, saved: Mapping[str, Any]) -> IdPrompt:
        if self.source_encoder is not None and set(saved) == {"source"}:
            return self._input(str(saved["source"]), GenerateSettings())
        return super().restored(saved)

    def with_defaults(self, settings: GenerateSettings) -> GenerateSettings:
        if self.source_encoder is None:
            return settings
        from rhapsode.modalities.text.pairs.pair_evaluation import answer_length

        settings = likeliest(settings)
        if settings.length is None:
            settings = replace(settings, length=answer_length(self.bundle))
        return settings

    def answers(
        self, inputs: Sequence[str], settings: GenerateSettings, *, n_best: int = 1
    ) -> Iterator[Sequence[Answered]]:
        encoder = self.source_encoder
        if encoder is None:
            return super().answers(inputs, settings, n_best=n_best)
        from rhapsode.modalities.text.pairs.answer_files import answer_inputs

        return answer_inputs(self, encoder, inputs, settings, n_best)

    def identity(self) -> Iterator[bytes]:
        yield from super().identity()
        if self.source_encoder is not None:
            yield self.source_encoder.fingerprint.encode()

    def held_out(self, number: int, settings: GenerateSettings) -> list[str]:
        if self.source_encoder is not None:
            raise SettingsError(
                "inputs of pairs are answered from a file",
                where="--prompt-from-data",
                hint="use --input FILE",
            )
        from rhapsode.modalities.text.passages import prompts_from_data

        assert settings.seed is not None
        return prompts_from_data(self.path, self.bundle.encoder, number, settings.seed)

    def open_index(self) -> OpenIndex:
        return self.elements_index

    def copies(self, text: str, least: int = 20) -> list[dict[str, Any]] | None:
        if self._text is None:
            from rhapsode.modalities.text.quality.writing_check import open_text_index

            self._text = open_text_index(self.path, self.bundle.provenance.text_index)
        if isinstance(self._text, str):
            return None
        return [copied.to_mapping() for copied in self._text.copies(text, least)]

    def source_settings(self, sources: Sequence[Any] = ()) -> SourceSettings:
        """Reading settings of training.

        Files without records are read as text.
        """
        learnt = from_mapping(
            SourceSettings,
            self.bundle.provenance.section("source"),
            where="settings",
            error=BundleError,
        )

        def may_hold_records(source: Any) -> bool:
            from rhapsode.data import holds_records, record_kind

            if not isinstance(source, str | Path):
                return holds_records(source)
            named = source == "-" or record_kind(str(source)) is not None
            return named or Path(source).is_dir()

        if (
            sources
            and learnt.records
            and learnt.pairs is None
            and not any(map(may_hold_records, sources))
        ):
            learnt = replace(
                learnt, field=None, template=None, prompt_field=None, completion_field=None
            )  # the fields of pairs are kept: nothing else can be read
        return replace(learnt, limit=None, pattern=None, text_encoding="auto", errors="stop")


def likeliest(settings: GenerateSettings) -> GenerateSettings:
    """Settings under which one answer is the likeliest one; several are drawn."""
    if settings.searching or settings.best_of is not None or settings.count > 1:
        return settings
    untouched = settings.temperature == GenerateSettings.temperature
    return replace(settings, temperature=0.0) if untouched else settings
