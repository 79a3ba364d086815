"""The card of a model of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rhapsode.bundle import IdBundle
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.views.card import Card, markdown_table
from rhapsode.views.pair_report import answer_rows


def pair_card(bundle: IdBundle, summary: Mapping[str, Any]) -> Card:
    """Contents of the card of a run on pairs.

    Arguments:
        bundle: the model.
        summary: as in `summary.json`.
    """
    provenance, facts, answers = bundle.provenance, bundle.facts, summary["answers"]
    assert isinstance(facts, TextFacts)
    assert facts.source is not None
    sides = [
        f"{encoder.vocab_size:,} elements ({encoder.name.partition('.')[0]})"
        for encoder in (facts.source, bundle.encoder)
    ]
    figures = ["None: no test split was held out."]
    if answers is not None:
        rows = [*answer_rows(answers), ("loss, nats per element", f"{summary['loss']:.4f}")]
        protocol = "; ".join(f"{name}: {value}" for name, value in summary["protocol"].items())
        how = f"The likeliest element was taken each time. How: {protocol}."
        figures = [*markdown_table(["measure", "value"], rows), "", how]
    wrong = [] if answers is None else answers["wrong"]
    examples = [f"- `{each['input']}` -> `{each['answer']}`, right: `{each['right'][0]}`"
                for each in wrong if "`" not in "".join(map(str, each.values()))]  # fmt: skip
    return Card(
        title=f"A {bundle.config.model.name} that writes one text from another",
        summary=f"Trained with rhapsode {provenance.rhapsode} for {summary['seconds']:.0f} s "
        f"({summary['steps']:,} updates, {summary['epochs']:g} passes); "
        f"{summary['parameters']:,} parameters.",
        data=[
            f"{provenance.documents:,} pairs; inputs of {sides[0]}, outputs of {sides[1]}. "
            f"SHA-256 of the texts: `{provenance.data_sha256}`.",
            "All outputs of one input are in the same split; a hash of the input chooses it.",
        ],
        figures=figures,
        sections={"Some wrong answers": examples} if examples else {},
        limits=[
            "Answers to inputs unlike those of the training data, or much longer than them, may be "
            "wrong.",
        ],
        use=['rhapsode generate . "your input"', "rhapsode generate . --input FILE --n-best 5"],
    )
