"""Learning on from a trained model: what is taken over, what may differ, and how gently it learns."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rhapsode.bundle import NetworkConfig, TextBundle, bundle_path, read_text_bundle
from rhapsode.config import TrainSettings, merge
from rhapsode.data import Parts, TextStore
from rhapsode.encoding import ENCODERS, Encoder
from rhapsode.errors import BundleError, EncodingError, RunError, SettingsError
from rhapsode.models import FAMILIES, INPUTS
from rhapsode.training import Plan
from rhapsode.workflows.corpus import Corpus

__all__ = [
    "GENTLER",
    "Ancestor",
    "gentler_plan",
    "inherited",
    "network_settings",
    "open_ancestor",
    "unknown_lines",
]

GENTLER = 0.5
"""What is left of the learning rate a model was trained with.

Measured with LSTMs of 256 after 1,500 updates (test loss on the new text, loss on the old one): Shakespeare, then 150 kB
of Nietzsche for 400 updates: all of the rate 1.560 and 2.074, half 1.622 and 2.004, a quarter 1.700 and 1.942, a tenth
1.836 and 1.873. Python's manual, then Shakespeare, best validation loss: 60 kB for 300 updates 1.675, 1.733, 1.819,
1.979; 30 kB for 800 updates 1.702, 1.698, 1.702, where all of the rate ends at 1.956 and half at 1.780.
"""
MOST_UNKNOWN = 0.5
"""Share of a text above which nothing can be learnt from it."""
NAMED = 8
LOOKED_AT = 1 << 21
"""Characters in which unknown pieces are counted by name."""
_KEPT = ("optimiser", "beta1", "beta2", "weight_decay", "clip")
_READING = ("stride", "shuffle", "drop_last", "loss")


@dataclass(frozen=True)
class Ancestor:
    """A model that another one begins as.

    Arguments:
        path: its file.
        sha256: of the file.
        bundle: what is in it.
        line: it and all models before it, the nearest last, as a descendant's provenance keeps them.
    """

    path: Path
    sha256: str
    bundle: TextBundle
    line: tuple[Mapping[str, Any], ...]

    def trained(self, section: str) -> Mapping[str, Any]:
        """A section of the settings it was trained with; empty where its file does not tell."""
        return self.bundle.provenance.section(section)


def open_ancestor(model: str | Path, *, sha256: str | None = None) -> Ancestor:
    """The model in a run folder or model file.

    Arguments:
        model: a run folder or model file.
        sha256: what the file must have, where a run began with it already.

    Raises:
        BundleError: missing, damaged, or of another version.
        RunError: the file is another one.
    """
    path = bundle_path(model)
    bundle = read_text_bundle(path)
    if len(bundle.members) != 1:
        raise BundleError(
            f"training goes on with one network, this model has {len(bundle.members)}",
            where=str(path),
            hint="begin as a model of one network",
        )
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is not None and found != sha256:
        raise RunError(
            "this is not the model that the run began with any more",
            where=str(path),
            hint="restore it, or start a new run",
        )
    return Ancestor(path, found, bundle, _line(bundle, found))


def _line(bundle: TextBundle, sha256: str) -> tuple[Mapping[str, Any], ...]:
    facts = bundle.provenance
    told = ("data_sha256", "documents", "characters", "validation_loss", "rhapsode")
    own = {"model_sha256": sha256, **{name: getattr(facts, name) for name in told}}
    return (*facts.ancestors, own)


def network_settings(config: NetworkConfig) -> dict[str, Any]:
    """What `[network]` must say to give these components."""
    table = {"embedding_size": "embedding_size", "dropout": "input_dropout"}
    return {
        "input": config.input.name.partition(".")[0],
        **{
            ours: config.input.settings[theirs]
            for theirs, ours in table.items()
            if theirs in config.input.settings
        },
        **config.model.settings,
        "head_bias": bool(config.head.settings.get("bias", True)),
    }


def inherited(asked: Mapping[str, Any], ancestor: Ancestor) -> dict[str, Any]:
    """The settings asked for, with all that the model decides filled in from it.

    Arguments:
        asked: settings by name.
        ancestor: decides encoding, family, network and context, and how it was fitted where nothing else is asked.

    Raises:
        SettingsError: something is asked for that the model decides otherwise.
    """
    bundle = ancestor.bundle
    encoder, config = bundle.encoder, bundle.config
    decided: dict[str, Any] = {
        "model": config.model.name,
        "encoding": encoder.name,
        "encoder": dict(encoder.settings),
        "network": network_settings(config),
        "reading": {"context": config.context},
    }
    differing = list(_differences(asked, decided))
    if differing:
        raise SettingsError(
            f"the model decides this: {', '.join(differing)}",
            where="--from",
            hint="leave it out, or train a new model without --from",
        )
    fitted = {name: v for name, v in ancestor.trained("training").items() if name in _KEPT}
    read = {name: v for name, v in ancestor.trained("reading").items() if name in _READING}
    if not config.context.startswith("window"):
        read = {}
    return merge(merge({"training": fitted, "reading": read}, asked), decided)


def _differences(asked: Mapping[str, Any], decided: Mapping[str, Any]) -> Iterator[str]:
    """What is asked for and differs, as "network.hidden_size is 512, not 64"."""
    model = asked.get("model", decided["model"])
    if FAMILIES.full_name(str(model)) != decided["model"]:
        yield f"model is {decided['model']}, not {model}"
    encoding = asked.get("encoding", "auto")
    if encoding != "auto" and ENCODERS.full_name(str(encoding)) != decided["encoding"]:
        yield f"encoding is {decided['encoding']}, not {encoding}"
    for section in ("encoder", "network", "reading"):
        wanted = asked.get(section)
        if not isinstance(wanted, Mapping):
            continue
        for name, value in wanted.items():
            if section == "reading" and name != "context":
                continue
            has, asks = decided[section].get(name), value
            if section == "network" and name == "input":
                asks = INPUTS.full_name(str(value)).partition(".")[0]
            if has != asks:
                yield f"{section}.{name} is {'not set' if has is None else has}, not {value}"


def gentler_plan(plan: Plan, ancestor: Ancestor, settings: TrainSettings, train: int) -> Plan:
    """The plan of a run that begins with trained weights.

    A model that has converged forgets under the rate it was first trained with; `GENTLER` is measured.

    Arguments:
        plan: for the new text, as if for a new model.
        ancestor: gives the network and its learning rate.
        settings: what was asked for.
        train: elements of the training share.
    """
    peak = ancestor.trained("training").get("learning_rate")
    whose = "it was trained with"
    if not isinstance(peak, float) or not 0 < peak <= 10:
        peak, whose = float(plan.training["learning_rate"]), "planned for a new model"
    rate = GENTLER * peak
    # A few kept pages must do too.
    window = min(int(plan.training["window"]), max(1, train - 1))
    batch = max(1, min(int(plan.training["batch_size"]), train // window))
    if settings.reading.context != "carried":
        window, batch = int(plan.training["window"]), int(plan.training["batch_size"])
    told = settings.training.learning_rate
    reason = f"learning rate {told:g}" if told is not None else ""
    return replace(
        plan,
        network={},
        training={
            **plan.training,
            "batch_size": batch,
            "window": window,
            "learning_rate": rate,
        },
        reasons=(
            f"begins as {ancestor.path}: its network and elements, {train:,} elements of new text",
            reason or f"learning rate {rate:g}: {GENTLER:g} times the {peak:g} {whose}",
        ),
    )


def unknown_lines(corpus: Corpus) -> Iterator[str]:
    """What of a new text the encoder of a model has no elements for, in words.

    Raises:
        EncodingError: most of the text is unknown.
    """
    shares = (corpus.train, corpus.validation, corpus.test)
    total = sum(len(share) for share in shares)
    unknown = sum(share.unknown for share in shares)
    if not unknown:
        return
    counts = _counted(corpus.texts, corpus.texts.whole, corpus.encoder)
    named = ", ".join(f"{piece!r} {count:,}" for piece, count in counts.most_common(NAMED))
    rest = len(counts) - NAMED
    more = f" and {rest:,} others" if rest > 0 else ""
    share = unknown / total
    if share > MOST_UNKNOWN:
        raise EncodingError(
            f"{share:.0%} of the text is unknown to the model ({named}{more})",
            where="--from",
            hint="train a new model on it, without --from",
        )
    yield (
        f"{unknown:,} of {total:,} elements ({share:.2%}) are unknown to the model and read as its "
        f"unknown element, which it never writes: {named}{more}"
    )


def _counted(texts: TextStore, parts: Parts, encoder: Encoder) -> Counter[str]:
    """How often unknown pieces occur in the beginning of a corpus."""
    counts: Counter[str] = Counter()
    seen = 0
    for piece in texts.pieces(parts):
        counts.update(encoder.unknown_pieces(piece.text))
        seen += len(piece.text)
        if seen >= LOOKED_AT:
            break
    return counts
