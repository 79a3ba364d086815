"""How far a model is from the optimum: nats per document against the exact probability under the grammar.

    rhapsode train kitchen --encoding words --budget 3m -o runs/kitchen
    python benchmarks/kitchen_gap.py runs/kitchen

The test share is the last tenth of the corpus, as in training; documents that a cut went through are left out.
"""

import argparse
import math

import numpy as np

from rhapsode.config import from_mapping
from rhapsode.data import kitchen_log_prob
from rhapsode.modalities.text.corpus import split_texts
from rhapsode.modalities.text.model import TextModel
from rhapsode.modalities.text.reading import prepare_texts
from rhapsode.modalities.text.settings import TrainSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    model = TextModel(parser.parse_args().model)
    settings = from_mapping(TrainSettings, model.bundle.provenance.settings, where="model")
    store = prepare_texts(["kitchen"], settings.source).store
    parts = split_texts(store, settings).test
    whole = parts[(parts[:, 1] == 0) & (parts[:, 2] == store.lengths_D[parts[:, 0]])]
    test = [piece.text for piece in store.pieces(whole, most=1 << 30)]
    exact, theirs = [], []
    state = model.predictor.start(1)
    end = np.zeros((1, 1), dtype=np.int64)
    following, state = model.predictor.advance(end, state)
    fresh = model.bundle.context.kind != "carried"
    for text in test:
        ids = np.append(model.bundle.encoder.encode(text), 0).astype(np.int64)
        if fresh:
            following, state = model.predictor.advance(end, model.predictor.start(1))
        total = 0.0
        for element in ids:
            total += float(following.log_prob(np.array([element]))[0])
            following, state = model.predictor.advance(np.array([[element]]), state)
        exact.append(-kitchen_log_prob(text))
        theirs.append(-total)
    difference = np.array(theirs) - np.array(exact)
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    optimum, loss = float(np.mean(exact)), float(np.mean(theirs))
    print(f"test documents: {len(test):,}")
    print(f"exact:  {optimum:.3f} nats per document")
    print(f"model:  {loss:.3f} nats per document")
    print(
        f"gap:    {loss - optimum:+.3f} nats, {(loss - optimum) / optimum:+.2%}  (standard error {error:.3f})"
    )


if __name__ == "__main__":
    main()
