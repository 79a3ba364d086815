"""Writes src/rhapsode/keywords.pyi, the keywords of the Python API as type checkers see them; --check compares."""

import argparse
import dataclasses
import json
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from rhapsode.config import (
    OptimisationSettings,
    ReadingSettings,
    SampleSettings,
    SourceSettings,
    TrackSettings,
)
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.encoding import ENCODERS
from rhapsode.encoding.series import SeriesEncoderSettings
from rhapsode.encoding.strokes import StrokeEncoderSettings
from rhapsode.heads import HEADS
from rhapsode.modalities.music.render_settings import RenderSettings
from rhapsode.modalities.music.settings import (
    MusicDataSettings,
    MusicGenerateSettings,
    MusicSettings,
    MusicTrainSettings,
)
from rhapsode.modalities.series.settings import (
    CalibrationSettings,
    ForecastSettings,
    SeriesComparisonSettings,
    SeriesDataSettings,
    SeriesEvaluationSettings,
    SeriesTrainSettings,
)
from rhapsode.modalities.strokes.settings import (
    InkSettings,
    StrokeDataSettings,
    StrokeGenerateSettings,
    StrokeTrainSettings,
    WriteSettings,
    WrittenTextSettings,
)
from rhapsode.modalities.text.settings import (
    DataSettings,
    PairSettings,
    TextComparisonSettings,
    TextEvaluationSettings,
    TrainSettings,
)
from rhapsode.models import FAMILIES

STUB = Path(__file__).parent.parent / "src" / "rhapsode" / "keywords.pyi"

SECTIONS: dict[str, Sequence[type[Any]]] = {
    "training": [OptimisationSettings],
    "samples": [SampleSettings],
    "track": [TrackSettings],
    "reading": [ReadingSettings],
    "source": [SourceSettings],
    "data": [DataSettings, SeriesDataSettings, MusicDataSettings, StrokeDataSettings],
    "pairs": [PairSettings],
    "series": [SeriesSettings],
    "music": [MusicSettings],
    "strokes": [InkSettings],
    "text": [WrittenTextSettings],
    "calibration": [CalibrationSettings],
    "network": [FAMILIES.get(name).Config for name in FAMILIES.names()],
    "encoder": [
        *(ENCODERS.get(name).Settings for name in ENCODERS.names()),
        SeriesEncoderSettings,
        StrokeEncoderSettings,
    ],
    "head": [HEADS.get(name).Config for name in HEADS.names()],
}
OWN = {
    "network": {
        "input": Literal["table", "onehot"],
        "embedding_size": int,
        "input_dropout": float,
        "head_bias": bool,
        "shortlist": int,
        "tail_size": int,
        "tied": bool,
        "conditioner": Literal["static"],
    },
    "head": {"name": str},
}
GIVEN = ("input_size", "feature_size", "target_size")
"""Sizes that follow from the data and are not set."""

HEAD = '''"""Keywords of the Python API. Written by scripts/keyword_types.py from the settings; do not edit."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict
'''


def spelled(hint: Any) -> str:
    """A type as the stub spells it; lists are taken for tuples."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return spelled(inner[0])
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(spelled(each) for each in inner))
    if origin is Literal:
        return f"Literal[{', '.join(map(json.dumps, inner))}]"
    if origin is tuple:
        return f"Sequence[{' | '.join(dict.fromkeys(spelled(i) for i in inner if i is not ...))}]"
    if origin is not None and issubclass(origin, Mapping):
        return f"Mapping[{', '.join(map(spelled, inner))}]"
    if hint is Any:
        return "Any"
    return "None" if hint is type(None) else str(hint.__name__)


def fields_of(classes: Sequence[type[Any]], own: Mapping[str, Any]) -> dict[str, str]:
    """The fields of settings, those of one name as a union."""
    found: dict[str, list[str]] = {name: [spelled(hint)] for name, hint in own.items()}
    for cls in classes:
        hints = get_type_hints(cls, include_extras=True)
        for field in dataclasses.fields(cls):
            if field.name not in GIVEN:
                found.setdefault(field.name, []).append(spelled(hints[field.name]))
    return {
        name: " | ".join(dict.fromkeys(part for hint in hints for part in hint.split(" | ")))
        for name, hints in found.items()
    }


def typed_dict(name: str, about: str, entries: Mapping[str, str]) -> str:
    """A class of the stub."""
    lines = "".join(f"    {key}: {hint}\n" for key, hint in entries.items())
    return f'\nclass {name}(TypedDict, total=False):\n    """{about}"""\n\n{lines}'


def stub() -> str:
    """The whole file."""
    parts = [HEAD]
    for section, classes in SECTIONS.items():
        about = f"Settings under `{section}`."
        parts.append(
            typed_dict(f"{section.title()}Options", about, fields_of(classes, OWN.get(section, {})))
        )
    run = [TrainSettings, SeriesTrainSettings, MusicTrainSettings, StrokeTrainSettings]
    top = fields_of(run, {})
    top |= {section: f"{section.title()}Options" for section in SECTIONS}
    parts.append(typed_dict("TrainOptions", "Keywords of `train` and `plan`.", top))
    for name, about, classes in (
        (
            "GenerateOptions",
            "Keywords of `generate`.",
            [MusicGenerateSettings, StrokeGenerateSettings],
        ),
        ("ForecastOptions", "Keywords of `forecast`.", [ForecastSettings]),
        ("RenderOptions", "Keywords of `render`.", [RenderSettings]),
        ("WriteOptions", "Keywords of `write`.", [WriteSettings]),
        (
            "EvaluateOptions",
            "Keywords of `evaluate`.",
            [TextEvaluationSettings, SeriesEvaluationSettings, SeriesSettings],
        ),
        (
            "CompareOptions",
            "Keywords of `compare`.",
            [TextComparisonSettings, SeriesComparisonSettings],
        ),
    ):
        parts.append(typed_dict(name, about, fields_of(classes, {})))
    return "\n".join(parts)


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    wanted = stub()
    if not parser.parse_args().check:
        STUB.write_text(wanted, encoding="utf-8")
        return 0
    if STUB.exists() and STUB.read_text(encoding="utf-8") == wanted:
        return 0
    print("keywords.pyi is not what the settings say: run python scripts/keyword_types.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
