"""Requests of continuations: prompts and settings, checked before anything is printed."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rhapsode.config import GenerateSettings, RequestSettings
from rhapsode.errors import DataError, SettingsError
from rhapsode.log import log
from rhapsode.modalities.opened import (
    Continuation,
    Document,
    Prompt,
    changed,
    collect,
    with_seed,
)
from rhapsode.workflows.inference.ask import AnyModel, as_model


@dataclass(frozen=True)
class Request:
    """A request that a model can fulfil.

    Arguments:
        model: ready to write.
        prompts: to continue.
        settings: with a seed; one for each temperature.
    """

    model: AnyModel
    prompts: Sequence[Prompt]
    settings: Sequence[GenerateSettings]

    def continuations(self, settings: GenerateSettings) -> Iterator[Continuation]:
        """Continue all prompts, giving each text when it is finished."""
        texts = [prompt.text for prompt in self.prompts]
        return collect(self.model.write(self.prompts, settings), texts, settings)

    def save(self, path: Path, *, only_new: bool = False) -> Iterator[Path]:
        """Generate documents, write them, and give their paths.

        The suffix decides the format.

        Several documents are numbered: `name-1.txt`, `name-2.txt`, ...

        Arguments:
            path: of the file; its folder must exist.
            only_new: True to leave out the prompt.

        Raises:
            SettingsError: a suffix that documents have no format for.
            RunError: a file cannot be written.
        """
        self.model.check_output(path)
        documents = self._documents(only_new=only_new)
        several = len(self.settings) * len(self.prompts) * self.settings[0].count > 1
        for number, document in enumerate(documents, 1):
            place = path.with_stem(f"{path.stem}-{number}") if several else path
            document.save(place)
            yield place

    def _documents(self, *, only_new: bool) -> Iterator[Document]:
        """Documents by temperature, prompt and index."""
        for settings in self.settings:
            for prompt in self.prompts:
                pieces = self.model.write([prompt], settings)
                for one in collect(pieces, [prompt.text], settings):
                    made = {"seed": one.seed, "finish_reason": one.finish_reason}
                    if only_new:
                        yield prompt.continued(one.chosen, one.text, **made)
                    else:
                        elements = (*prompt.opening.elements, *one.chosen)
                        yield prompt.document(elements, prompt.text + one.text, **made)


def request(
    model: str | Path | AnyModel,
    prompt: str,
    settings: GenerateSettings,
    more: RequestSettings,
    *,
    read_stdin: Callable[[], str],
) -> Request:
    """Prepare continuations.

    A drawn seed is logged, as are the sampling steps if requested.

    Arguments:
        model: a run folder or model file, or an open model.
        prompt: to continue; "-" is standard input.
        settings: of the continuations.
        more: prompts from elsewhere, and several temperatures.
        read_stdin: gives all of standard input.

    Raises:
        RhapsodeError: a model, prompt or setting that does not fit.
    """
    opened = as_model(model)
    opened.refuse([*changed(settings), *changed(more)])
    if settings.trace is not None and settings.format != "jsonl":
        raise SettingsError(
            "a trace needs the format jsonl", where="--trace", hint="add --format jsonl"
        )
    settings = opened.with_defaults(settings)
    drawn = settings.seed is None and opened.seed is None
    seed = opened.seed if settings.seed is None else settings.seed
    settings = with_seed(replace(settings, seed=seed))
    values = _values(opened, prompt, more, settings, read_stdin)
    prompts = [opened.begin(value, settings) for value in values]
    opened.tell_notes(prompts, settings)
    several = [replace(settings, temperature=t) for t in more.temperatures] or [settings]
    explained = [opened.explained(one) for one in several]  # refuses what does not fit
    if settings.explain:
        for line in explained:
            log.info(line)
    if drawn and any(one.temperature >= 1e-5 for one in several):
        log.info(f"seed {settings.seed}")
    opened.ready(settings)
    return Request(opened, prompts, several)


def _values(
    model: AnyModel,
    prompt: str,
    more: RequestSettings,
    settings: GenerateSettings,
    read_stdin: Callable[[], str],
) -> Sequence[Any]:
    places = (prompt, more.prompts, more.prompt_from_data)
    if sum(place not in ("", None) for place in places) > 1:
        raise SettingsError(
            "prompts from more than one place",
            hint="give one of PROMPT, --prompts and --prompt-from-data",
        )
    if more.prompt_from_data is not None:
        return model.held_out(more.prompt_from_data, settings)
    if more.prompts is not None:
        text = read_stdin() if more.prompts == "-" else _read(more.prompts)
        return _lines(text, more.prompts)
    return [read_stdin() if prompt == "-" and model.prompts_are_text else prompt]


def _read(path: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        problem = "this is not UTF-8"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None)
        problem = f"cannot read: {reason}" if reason else "cannot read"
    hint = "--prompts takes a text file with one prompt on each line"
    raise DataError(problem, where=path, hint=hint)


def _lines(text: str, where: str) -> list[str]:
    """The prompts in lines of text or of JSON strings."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    lines = [line for line in lines if line]
    if not lines:
        raise DataError("there is no prompt", where=where, hint="write one prompt on each line")
    if not all(line.lstrip().startswith('"') for line in lines):
        return lines
    try:
        prompts = [json.loads(line) for line in lines]
    except ValueError:
        return lines  # a text whose lines begin with quotation marks
    return prompts if all(isinstance(prompt, str) for prompt in prompts) else lines
