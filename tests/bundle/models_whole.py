"""Small whole models of text and of series, as training writes them."""

from dataclasses import replace

import numpy as np
import torch

from rhapsode.bundle import (
    Calibration,
    Component,
    IdBundle,
    Member,
    Mixture,
    NetworkConfig,
    Provenance,
)
from rhapsode.bundle.network import build_network, network_arrays
from rhapsode.counts import NGramModel
from rhapsode.counts.mixing.expert_weights import fixed_weights
from rhapsode.counts.mixing.experts import Experts
from rhapsode.counts.mixing.word_contexts import WordContexts
from rhapsode.data.tables import Frequency
from rhapsode.encoding.series import SeriesEncoder, SeriesEncoderSettings
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.modalities.ids.counting.ngram_sidecar import ngram_part
from rhapsode.modalities.series.facts import (
    Covariates,
    SeriesBundle,
    SeriesFacts,
    Template,
    Templates,
)
from rhapsode.modalities.text.facts import TextFacts

TEXT = "the cat sat on the mat and the cat ran at the rat\n" * 4


def text_model(members: int = 1) -> IdBundle:
    """An LSTM over characters, mixed with the n-gram counts in its file."""
    encoder = CharacterEncoder.learn([TEXT], {})
    ids_N = encoder.encode(TEXT).astype(np.int64)
    size = encoder.vocab_size
    trie = NGramModel.learn(ids_N, size, order=3).trie
    letter_V = TextFacts.letters(encoder)
    assert letter_V is not None
    ngram = NGramModel(trie, 3, "kneser_ney", WordContexts.learn(ids_N, letter_V))
    experts = Experts(ngram)
    weights = tuple(fixed_weights(experts, 0.3).tolist())
    config = NetworkConfig(
        Component("table.v1", {"vocab_size": size, "embedding_size": 4}),
        Component("lstm.v1", {"hidden_size": 6, "num_layers": 1, "dropout": 0.1}),
        Component("categorical.v1", {"vocab_size": size}),
    )
    return IdBundle(
        config,
        encoder,
        TextFacts(np.bincount(ids_N, minlength=size), ngram_part(ngram)),
        tuple(Member(arrays_of(config, seed), seed + 1) for seed in range(members)),
        Calibration(Mixture(weights[: experts.lead], weights, ngram.fingerprint, 1.25, 1.5, 1.75)),
        Provenance(
            data_sha256="00" * 32,
            documents=1,
            copies=0,
            characters=len(TEXT),
            test_share=0.1,
            validation_share=0.05,
            selected_on="a validation slice",
            settings={"seed": 0, "source": {"newlines": "unix"}, "training": {"window": 8}},
            ancestors=({"data_sha256": "11", "step": 3},),
            step=12,
            validation_loss=1.5,
            test={"loss": 1.4, "baselines": {"ngram": None}},
            text_index="22",
            rhapsode="0.1.0",
        ),
    )


def series_model() -> SeriesBundle:
    """An LSTM over two numbers a day and what is known of them."""
    encoder = SeriesEncoder(SeriesEncoderSettings(lags=(2, 7)), 2)
    covariates = Covariates(
        ("day of week",), ("price",), (1.5,), (2.0,), ("size",), (0.0,), (1.0,), ("kind",),
        (("x", "y"),),
    )  # fmt: skip
    config = NetworkConfig(
        Component(
            "linear.v1", {"value_size": encoder.feature_size + covariates.size, "embedding_size": 4}
        ),
        Component("lstm.v1", {"hidden_size": 5}),
        Component("student_t.v1", {"target_size": 2}),
    )
    stats = encoder.stats(np.arange(40.0).reshape(20, 2)).to_array()
    template = Template(
        "a", 20, 0, tuple(map(tuple, stats.tolist())), Frequency("day"), (None,), (1,)
    )
    templates = Templates(
        "time", ("size",), ("kind",), (("x", "y"),), (template, replace(template, id="b"))
    )
    return SeriesBundle(
        config,
        encoder,
        SeriesFacts(covariates, 7, 14, 100, "daily", ("low", "high"), templates),
        (Member(arrays_of(config, 0)),),
        provenance=Provenance(series=2, values=80, test_share=0.1, settings={"seed": 0}),
    )


def arrays_of(config: NetworkConfig, seed: int) -> dict[str, np.ndarray]:
    """Fresh weights."""
    torch.manual_seed(seed)
    return network_arrays(build_network(config))
