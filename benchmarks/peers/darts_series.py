"""Darts RNNModel (an LSTM with a Gaussian likelihood), in its own environment: darts_series.py TASK.npz FACTS.json OUT.npz.

Its defaults, unless told how many epochs, with scaled series as its guide has them; `input_chunk_length`, which has no
default, is two seasons.
"""

import itertools
import json
import logging
import sys
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import pandas as pd  # noqa: E402
from darts import TimeSeries  # noqa: E402
from darts.dataprocessing.transformers import Scaler  # noqa: E402
from darts.models import RNNModel  # noqa: E402
from darts.utils.likelihood_models.torch import GaussianLikelihood  # noqa: E402

task, facts = np.load(sys.argv[1]), json.loads(sys.argv[2])
values, offsets = task["values"].astype(np.float32), task["offsets"]
series = [values[a:b] for a, b in itertools.pairwise(offsets)]


def made(one):
    index = pd.date_range(facts["start"], periods=len(one), freq=facts["frequency"])
    return TimeSeries.from_times_and_values(index, one[:, None])


whole = [made(one) for one in series]
learnt = [one[: int(n)] for one, n in zip(whole, task["first"], strict=True)]
scalers = [Scaler() for _ in learnt]
scaled = [scaler.fit_transform(one) for scaler, one in zip(scalers, learnt, strict=True)]
chunk = 2 * max(facts["season"], 2)
model = RNNModel(
    model="LSTM",
    input_chunk_length=chunk,
    training_length=chunk + facts["horizon"],
    likelihood=GaussianLikelihood(),
    random_state=facts["seed"],
    **({"n_epochs": facts["epochs"]} if facts.get("epochs") else {}),
    pl_trainer_kwargs={
        "enable_progress_bar": False,
        "accelerator": "cpu",
        "max_time": {"seconds": facts["most_seconds"]},
    },
)
began = time.perf_counter()
model.fit(scaled)
seconds = time.perf_counter() - began
began = time.perf_counter()
drawn = []
for s, n in zip(task["which"], task["rows"], strict=True):
    history = scalers[s].transform(whole[s][: int(n)])
    found = model.predict(facts["horizon"], series=history, num_samples=facts["samples"])
    drawn.append(scalers[s].inverse_transform(found).all_values()[:, 0].T)
np.savez(sys.argv[3], samples=np.stack(drawn), seconds=seconds, drawing=time.perf_counter() - began)
