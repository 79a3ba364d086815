"""The `rhapsode` command: imports only the file of the chosen command."""

import contextlib
import gc
import os
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import rhapsode as rh
from rhapsode.cli.process import (
    accept_any_character,
    discard_output,
    is_closed_pipe,
    seconds_since_process_start,
)
from rhapsode.errors import RhapsodeError

_KNOWN = {
    "train": "train a model on files, folders or named corpora",
    "generate": "continue a prompt",
    "next": "show the likeliest next elements after a prompt",
    "play": "write a text in turns with a model",
    "evaluate": "measure loss, perplexity and bits of a model on data",
    "compare": "compare several models on the same data, or by a blind vote",
    "info": "show components, parameters and provenance of a model",
    "forecast": "forecast series of numbers: sample paths, quantiles, a picture",
    "write": "write a text as strokes of a pen",
    "serve": "serve models over HTTP, with the interface of OpenAI",
    "render": "render a score as sound, a picture or notation",
    "encode": "show the elements of a text",
    "data": "list the named corpora, or survey a source",
    "demo": "train on the documentation of Python and generate; needs no data and no internet",
}

# Those whose file is there: one that only one modality has goes with it.
COMMANDS = {name: about for name, about in _KNOWN.items() if find_spec(f"rhapsode.cli.{name}")}

# Commands that are over soon: garbage collection would take a tenth of their loading time.
_SHORT = ("generate", "next", "info", "encode")

_HELP = """\
usage: rhapsode COMMAND ...

Train an autoregressive model on your own sequences, and generate new ones.

commands:
{commands}

rhapsode COMMAND --help lists the options of a command. Examples:

  rhapsode demo
  rhapsode train my-texts.txt -o my-run --budget 3m
  rhapsode generate my-run "Once upon a time" --temperature 0.8
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Arguments:
        arguments: words after `rhapsode`; None: those of the process, whose start begins budgets.

    Returns:
        0 done, 1 a RhapsodeError, 130 interrupted; bad usage exits with 2.
    """
    began = time.monotonic()
    if arguments is None:
        began -= seconds_since_process_start()
        arguments = sys.argv[1:]
        accept_any_character()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        listing = "\n".join(f"  {name:<10} {about}" for name, about in COMMANDS.items())
        sys.stdout.write(_HELP.format(commands=listing))
        return 0 if arguments else 2
    if arguments[0] == "--version":
        sys.stdout.write(f"rhapsode {rh.__version__}\n")
        return 0
    name, rest = arguments[0], list(arguments[1:])
    if name not in COMMANDS:
        return _no_such(name)
    from rhapsode.cli.console import fail, messages_on_stderr

    collections = gc.get_threshold()
    try:
        if name in _SHORT:
            gc.set_threshold(50_000, *collections[1:])
        with _one_voice(), messages_on_stderr():
            _run(name, rest, began)
        if sys.stdout is not None:  # it may be closed
            sys.stdout.flush()
    except RhapsodeError as problem:
        if not _are_several() or rh.claim_report():
            fail(str(problem))
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return 130
    except OSError as problem:
        if not is_closed_pipe(problem):
            raise
        discard_output()
        return 0
    finally:
        gc.set_threshold(*collections)
    return 0


def _run(name: str, words: Sequence[str], began: float) -> None:
    from rhapsode.cli.parse import parse_command

    command, typed = parse_command(name, words)
    command.run(typed, began)


# CPython keeps frames in chunks of 16 kB, and a loop of calls across the end of one maps and unmaps
# a chunk a pass: `generate` was a tenth slower. This frame claims one chunk of a megabyte for all.
_run.__code__ = _run.__code__.replace(co_stacksize=70_000)


def _are_several() -> bool:
    return os.environ.get("WORLD_SIZE", "1") != "1" and "MASTER_ADDR" in os.environ


@contextlib.contextmanager
def _one_voice() -> Iterator[None]:
    """Silence all processes but the first while this lasts.

    One process of each other machine says so first.
    """
    with contextlib.ExitStack() as silence:
        rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
        if _are_several() and rank != "0":
            if os.environ.get("LOCAL_RANK") == "0":
                sys.stderr.write(f"rank {rank} of {size}: rank 0 prints and writes the files\n")
            # The null device needs no `Path`.
            nowhere = silence.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123
            silence.enter_context(contextlib.redirect_stdout(nowhere))
            silence.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def _no_such(name: str) -> int:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    sys.stderr.write(f"rhapsode: no command {name!r}{hint}\nrhapsode --help lists the commands\n")
    return 2
