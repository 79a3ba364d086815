"""GluonTS DeepAR with its defaults, in its own environment: gluonts_series.py TASK.npz FACTS.json OUT.npz."""

import itertools
import json
import sys
import tempfile
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")

import pandas as pd  # noqa: E402
from gluonts.dataset.common import ListDataset  # noqa: E402
from gluonts.torch import DeepAREstimator  # noqa: E402
from lightning.pytorch import seed_everything  # noqa: E402

task, facts = np.load(sys.argv[1]), json.loads(sys.argv[2])
values, offsets = task["values"], task["offsets"]
seed_everything(facts["seed"])
frequency = {"MS": "M", "QS": "Q"}.get(facts["frequency"], facts["frequency"])
start = pd.Period(facts["start"], freq=frequency)
series = [values[a:b] for a, b in itertools.pairwise(offsets)]


def entries(which, rows):
    return ListDataset(
        [
            {"start": start, "target": series[s][:n], "feat_static_cat": [int(s)]}
            for s, n in zip(which, rows, strict=True)
        ],
        freq=frequency,
    )


estimator = DeepAREstimator(
    freq=frequency,
    prediction_length=facts["horizon"],
    num_parallel_samples=facts["samples"],
    trainer_kwargs={
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "default_root_dir": tempfile.mkdtemp(),
        "max_time": {"seconds": facts["most_seconds"]},
        **({"max_epochs": facts["epochs"]} if facts.get("epochs") else {}),
    },
)
began = time.perf_counter()
predictor = estimator.train(entries(range(len(series)), task["first"]))
seconds = time.perf_counter() - began
asked = entries(task["which"], task["rows"])
drawing = []
for _ in range(facts.get("rounds", 1)):
    began = time.perf_counter()
    samples = np.stack([each.samples for each in predictor.predict(asked)])
    drawing.append(time.perf_counter() - began)
np.savez(sys.argv[3], samples=samples, seconds=seconds, drawing=drawing)
