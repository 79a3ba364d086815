"""Writes docs/settings.md from the settings' own docstrings; --check only says whether it is up to date."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from rhapsode.config import (
    OptimisationSettings,
    ReadingSettings,
    RunSettings,
    SampleSettings,
    TrackSettings,
)
from rhapsode.config.options import field_docs
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.encoding import ENCODERS
from rhapsode.encoding.series import BinSettings, SeriesEncoderSettings
from rhapsode.encoding.strokes import StrokeEncoderSettings
from rhapsode.heads import HEADS, AlikeHead
from rhapsode.modalities.music.settings import MusicDataSettings, MusicSettings
from rhapsode.modalities.series.settings import CalibrationSettings, SeriesDataSettings
from rhapsode.modalities.strokes.settings import (
    InkSettings,
    StrokeDataSettings,
    WrittenTextSettings,
)
from rhapsode.modalities.text.settings import DataSettings, PairSettings
from rhapsode.models import FAMILIES

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

HEAD = """# Settings

Every setting can be given in a TOML file with `--config`, or with `--set section.key=value`. The settings of the first
table also have their own flags. The `config.toml` of a run contains the values of all settings that the run used.
"""

NETWORK = """Input and output sizes of the parts of a network follow from one another and are not settings. All families of text models
also have the settings `input` ("table", an embedding table, or "onehot"), `embedding_size` and `input_dropout` (for the
table), `head_bias`, and `tied` (true: the embedding table is also the output layer). Values that are not set are planned.

`shortlist` and `tail_size` are the settings of an adaptive output layer: the `shortlist` most frequent elements have
weights of full width, the others of width `tail_size`, and training computes those only before rare elements. It is
planned for vocabularies of 2,000 elements or more that are trained on a CPU. `shortlist = 0` gives a full layer. The
likelihoods of both are exact.
"""


SERIES = """## Time series

Models of series have the settings of the first table, `[training]`, `[network]` (`embedding_size` adds a linear layer before
the network), and the following settings.
"""

MUSIC = """## Music

Models of music have the settings of models of text except `[source]` and `[data]`, and the following settings.
"""

STROKES = """## Strokes

Models of strokes have the settings of the first table, `[training]`, `[network]` (`embedding_size` adds a linear layer before
the network), and the following settings.
"""

HEAD_NAMES = """`name`: laplace, gaussian, student_t, gaussian_mixture, quantiles, poisson or negative_binomial. The default is student_t, or
negative_binomial for small whole numbers. With `--encoding binned`, the head is bins. The settings of each head:
"""


def described(cls: type[Any]) -> list[tuple[str, str, str]]:
    """Name, default and docstring of every field of a settings dataclass."""
    docs: dict[str, str] = {}
    for owner in reversed([base for base in cls.__mro__ if dataclasses.is_dataclass(base)]):
        docs |= field_docs(owner)
    rows, hints = [], get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if get_origin(hint) is Literal:
            values = [value for value in get_args(hint) if value]
            if not all(value in docs[field.name] for value in values):
                docs[field.name] += f" [one of: {', '.join(values)}]"
        default = "" if field.default in (dataclasses.MISSING, None) else f"`{field.default!r}`"
        rows.append((field.name, default, docs[field.name]))
    return rows


def table(cls: type[Any], *, without: tuple[str, ...] = ()) -> str:
    """A Markdown table of a settings dataclass."""
    lines = ["| name | default | meaning |", "|---|---|---|"]
    for name, default, meaning in described(cls):
        if name not in without:
            lines.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Run\n", table(RunSettings)]
    for section, cls in (
        ("data", DataSettings),
        ("pairs", PairSettings),
        ("reading", ReadingSettings),
        ("training", OptimisationSettings),
        ("samples", SampleSettings),
        ("track", TrackSettings),
    ):
        parts += [f"## [{section}]\n", table(cls)]
    parts += ["## [network]\n", NETWORK]
    for name in FAMILIES.names():
        parts += [f"### {name}\n", table(FAMILIES.get(name).Config, without=("input_size",))]
    parts += ["## [encoder]\n"]
    for name in ENCODERS.names():
        cls = ENCODERS.get(name).Settings
        body = table(cls) if dataclasses.fields(cls) else "None.\n"
        parts += [f"### {name}\n", body]
    parts += [SERIES, "### [data] for series\n", table(SeriesDataSettings)]
    parts += ["### [calibration] for series\n", table(CalibrationSettings)]
    parts += ["### [series]\n", table(SeriesSettings)]
    parts += ["### [encoder] for series\n", table(SeriesEncoderSettings)]
    parts += ["### [head] for series\n", HEAD_NAMES]
    for name in HEADS.names():
        # The edges of bins are learnt; the settings say how.
        config = BinSettings if name == "bins.v1" else HEADS.get(name).Config
        own = table(config, without=("feature_size", "target_size"))
        if issubclass(HEADS.get(name), AlikeHead) and own.count("\n") > 2:
            parts += [f"#### {name}\n", own]
    parts += [MUSIC, "### [music]\n", table(MusicSettings)]
    parts += ["### [data] for music\n", table(MusicDataSettings)]
    parts += [STROKES, "### [strokes]\n", table(InkSettings)]
    parts += ["### [text] for strokes\n", table(WrittenTextSettings)]
    parts += ["### [data] for strokes\n", table(StrokeDataSettings)]
    parts += ["### [encoder] for strokes\n", table(StrokeEncoderSettings)]
    head = table(HEADS.get("pen").Config, without=("feature_size", "target_size"))
    parts += ["### [head] for strokes\n", head]
    return "\n".join(parts)


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    wanted = page()
    if not parser.parse_args().check:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print("docs/settings.md is not what the code says: run python scripts/settings_page.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
