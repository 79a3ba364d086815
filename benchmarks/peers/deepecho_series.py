"""DeepEcho's PAR model, in its own environment: deepecho_series.py TASK.npz FACTS.json OUT.npz.

Its defaults, with as many of its 128 epochs as fit into the time; every series is an entity without context.
"""

import json
import sys
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402
from deepecho import PARModel  # noqa: E402

task, facts = np.load(sys.argv[1]), json.loads(sys.argv[2])
values, offsets = task["values"], task["offsets"]
names = [f"y{number}" for number in range(values.shape[1])]
frame = pd.DataFrame(values, columns=names)
frame["entity"] = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def fitted(epochs):
    model = PARModel(epochs=epochs, cuda=False, verbose=False)
    began = time.perf_counter()
    types = {"entity": "categorical", **dict.fromkeys(names, "continuous")}
    model.fit(frame, entity_columns=["entity"], data_types=types)
    return model, time.perf_counter() - began


_, once = fitted(1)
_, twice = fitted(3)
each = max(1e-3, (twice - once) / 2)
epochs = int(max(1, min(128, (facts["seconds"] - once) / each)))
model, seconds = fitted(epochs)
drawn = model.sample(num_entities=facts["count"])
parts = [part[names].to_numpy(dtype=float) for _, part in drawn.groupby("entity", sort=False)]
ends = np.cumsum([0, *(len(part) for part in parts)])
np.savez(sys.argv[3], values=np.concatenate(parts), offsets=ends, epochs=epochs, seconds=seconds)
