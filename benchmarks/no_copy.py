"""That `--no-copy` keeps its word, and what it costs: a model made to know a small text by heart writes a megabyte.

    RHAPSODE_DATA=folder python benchmarks/no_copy.py [--seconds 75] [--text 20000] [--characters 1000000]
        [--size 30] [--temperature 0.5]

Plain torch updates on the first 20 KB of tinyshakespeare, no validation, until the model repeats it; then 64
continuations side by side, with and without the limit, and what of them stands in the data by the index of characters,
which the limit does not use. Seconds of an element are of the whole loop: model, filters, draw; single runs.
"""

import argparse
import time

import numpy as np
import torch

from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.network import build_network
from rhapsode.bundle.torch_predictor import TorchPredictor
from rhapsode.data import catalogue_documents
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.generation import Chain, Job, generate_elements
from rhapsode.generation.filters.contract import Suppress
from rhapsode.generation.filters.control_filters import NoCopy
from rhapsode.generation.filters.temperature import Temperature
from rhapsode.modalities.text.quality.elements_index import index_elements
from rhapsode.modalities.text.quality.text_index import TextIndex

ROWS = 64


def learnt_by_heart(text: str, encoder: CharacterEncoder, seconds: float) -> TorchPredictor:
    torch.manual_seed(0)
    network = build_network(
        NetworkConfig(
            Component("table", {"vocab_size": encoder.vocab_size, "embedding_size": 32}),
            Component("lstm", {"hidden_size": 256}),
            Component("categorical", {"vocab_size": encoder.vocab_size}),
        )
    )
    ids = torch.from_numpy(encoder.encode(text).astype(np.int64))
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    random = np.random.default_rng(0)
    began, updates, loss = time.perf_counter(), 0, torch.zeros(())
    while (spent := time.perf_counter() - began) < seconds:
        starts = random.integers(len(ids) - 101, size=16)
        batch = torch.stack([ids[start : start + 101] for start in starts])
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * (1 - spent / seconds) + 1e-5
        logits, _ = network(batch[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        updates += 1
    print(f"{updates:,} updates in {seconds:.0f} s, loss {loss.item():.3f} nats a character")
    return TorchPredictor(network.eval(), encoder.vocab_size)


def write(
    predictor, encoder, filters, characters: int, temperature: float
) -> tuple[list[str], float, float]:
    """Texts, seconds an element, and those of the filters in it."""
    spent = 0.0

    class Timed(Chain):
        def apply(self, logits_BV, context, states):
            nonlocal spent
            began = time.perf_counter()
            result = super().apply(logits_BV, context, states)
            spent += time.perf_counter() - began
            return result

    # End-of-sequence was never learnt: all rows write on to their length.
    chain = Timed([Suppress((0, 1), encoder.vocab_size), *filters, Temperature(temperature)])
    length = -(-characters // ROWS)
    jobs = [Job(np.empty(0, dtype=np.int64), sequence, length) for sequence in range(ROWS)]
    ids: list[list[int]] = [[] for _ in jobs]
    began = time.perf_counter()
    for chosen in generate_elements(predictor, jobs, chain, seed=0):
        ids[chosen.job].append(chosen.element)
    took = time.perf_counter() - began
    count = ROWS * length
    return [encoder.decode(each) for each in ids], took / count, spent / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=75)
    parser.add_argument("--text", type=int, default=20_000)
    parser.add_argument("--characters", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=30)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    text = "".join(document.text for document in catalogue_documents("tinyshakespeare"))[
        : asked.text
    ]
    encoder = CharacterEncoder.learn([text], {})
    predictor = learnt_by_heart(text, encoder, asked.seconds)
    index = TextIndex.build([("text", text)])
    began = time.perf_counter()
    elements = index_elements(index, encoder)
    print(f"index by elements: {1000 * (time.perf_counter() - began):.0f} ms")
    elements.extend(elements.start(1), [2])  # compiled before anything is timed
    for name, filters in (
        ("without", []),
        (f"--no-copy {asked.size}", [NoCopy(asked.size, elements, encoder)]),
    ):
        texts, each, filtering = write(
            predictor, encoder, filters, asked.characters, asked.temperature
        )
        longest = copied = total = 0
        for written in texts:
            lengths_M = index.match_lengths(written)
            longest = max(longest, int(lengths_M.max()))
            copied += int((lengths_M >= asked.size).sum())
            total += len(written)
        print(
            f"{name}: {total:,} characters, longest run found in the data {longest:,}, runs of "
            f"{asked.size} begin at {100 * copied / total:.2f} %, {1e6 * each:.1f} us an element, "
            f"filters {1e6 * filtering:.1f} us",
            flush=True,
        )


if __name__ == "__main__":
    main()
