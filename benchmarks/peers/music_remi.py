"""nanoGPT over MidiTok's REMI beside rhapsode: nats per note on the same snapped scores.

    python music_remi.py NANOGPT nottingham midi_classical irish_abc --steps 700 --work DIR

Runs in an environment with rhapsode, torch and miditok. Both programs get the same training pieces
in the same keys; ends of pieces are scored, too. rhapsode makes so many updates, and nanoGPT then
trains for as many seconds of the processor as that took with everything, so that other programs on
the machine favour neither. The scores are those that the encoding `notes` keeps.
What is done is kept in the work folder, so that a run can be continued.
REMI has bars, positions, pitches, velocities, durations, programs, time signatures and tempos.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(os.environ.get("RHAPSODE_DATA", "../shared/data"))
SETS = {
    "nottingham": DATA / "nottingham" / "nottingham_midi.tar.gz",
    "irish_abc": DATA / "irish_abc",
    "midi_classical": DATA / "midi_classical",
}
SPLITS = ("train", "validation", "test")
# nanoGPT's settings for a CPU, with a context that holds a tune.
SHAPE = {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 256, "dropout": 0.0, "bias": False}
BATCH, RATE, WARMUP = 12, 1e-3, 0.03


def snapped(name: str) -> dict[str, Any]:
    """Scores of each split as `notes` keeps them, and the keys of the training split."""
    from rhapsode.modalities.music.corpus import prepare_corpus
    from rhapsode.modalities.music.settings import MusicTrainSettings

    corpus = prepare_corpus([str(SETS[name])], MusicTrainSettings(encoding="notes"))
    scores = {
        split: [corpus.encoder.snap(piece.score)[0] for piece in corpus.pieces[split]]
        for split in SPLITS
    }
    return {"scores": scores, "keys": corpus.keys}


def tokenizer() -> Any:
    """REMI with everything that `notes` keeps."""
    from miditok import REMI, TokenizerConfig

    return REMI(
        TokenizerConfig(
            pitch_range=(0, 127),
            beat_res={(0, 4): 24, (4, 16): 12},
            num_velocities=16,
            use_programs=True,
            one_token_stream_for_programs=True,
            use_time_signatures=True,
            use_tempos=True,
            num_tempos=64,
            use_rests=False,
        )
    )


def tokens(work: Path, name: str) -> tuple[dict[str, list[np.ndarray]], int, dict[str, int]]:
    """Ids of the pieces of each split, the vocabulary, and numbers of notes of the test split."""
    import symusic

    from rhapsode.modalities.music.files.write_scores import write_score
    from rhapsode.modalities.music.pieces.transposing import KEYS

    kept = work / f"{name}.npz"
    remi = tokenizer()
    if not kept.exists():
        known = snapped(name)
        arrays: dict[str, np.ndarray] = {}
        notes = {"given": 0, "kept": 0}
        for split in SPLITS:
            for number, score in enumerate(known["scores"][split]):
                path = work / "piece.mid"
                write_score(score, path)
                midi = symusic.Score(str(path))
                for key in KEYS if split == "train" and known["keys"] > 1 else (0,):
                    moved = midi.copy()
                    for track in moved.tracks:
                        if not track.is_drum:
                            track.shift_pitch(key, inplace=True)
                    ids = remi.encode(moved).ids
                    arrays[f"{split}.{number}.{key}"] = np.array(ids, dtype=np.uint16)
                if split == "test":
                    again = remi.decode(remi.encode(midi))
                    notes["given"] += len(score.notes)
                    notes["kept"] += sum(len(track.notes) for track in again.tracks)
        np.savez(kept, **arrays, notes=np.array([notes["given"], notes["kept"]]))
    loaded = np.load(kept)
    pieces = {
        split: [loaded[key] for key in loaded.files if key.startswith(f"{split}.")]
        for split in SPLITS
    }
    given, remaining = loaded["notes"].tolist()
    return pieces, len(remi), {"given": given, "kept": remaining}


def stream(pieces: Sequence[np.ndarray], opening: int) -> np.ndarray:
    """Pieces one after another, each after an opening token."""
    parts = [np.append(opening, ids).astype(np.int64) for ids in pieces]
    return np.concatenate([*parts, np.array([opening])])


def train(model: Any, ids_N: np.ndarray, valid_N: np.ndarray, seconds: float) -> tuple[Any, int]:
    """The weights with the lowest validation loss, and the number of updates.

    `seconds` are of the processor.
    """
    import torch

    block = SHAPE["block_size"]
    optimiser = model.configure_optimizers(0.1, RATE, (0.9, 0.99), "cpu")
    data = torch.from_numpy(ids_N)
    generator = torch.Generator().manual_seed(1)
    began, updates, looks = time.process_time(), 0, 0
    best, weights = math.inf, None
    while (passed := (time.process_time() - began) / seconds) < 1:
        rate = RATE * min(1.0, passed / WARMUP) * (0.55 + 0.45 * math.cos(math.pi * passed))
        for group in optimiser.param_groups:
            group["lr"] = rate
        at = torch.randint(len(data) - block - 1, (BATCH,), generator=generator)
        rows = torch.stack([data[i : i + block + 1] for i in at.tolist()])
        _, loss = model(rows[:, :-1].contiguous(), rows[:, 1:].contiguous())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        updates += 1
        if passed > (looks + 1) / 10:
            looks += 1
            nats, count = sweep(model, valid_N[: 30 * block])
            if nats / count < best:
                best = nats / count
                weights = {name: value.clone() for name, value in model.state_dict().items()}
    if weights is not None:
        model.load_state_dict(weights)
    return model, updates


def sweep(model: Any, ids_N: np.ndarray) -> tuple[float, int]:
    """Nats of all tokens but the first, each with at least half a block before it, and their number."""
    import torch

    model.eval()
    block, total, count = SHAPE["block_size"], 0.0, 0
    ids = torch.from_numpy(ids_N)
    with torch.no_grad():
        for begin in range(0, len(ids) - 1, block // 2):
            window = ids[begin : begin + block + 1]
            first = 0 if begin == 0 else block // 2
            if len(window) - 1 <= first:
                break
            logits, _ = model(window[None, :-1], window[None, 1:])
            loss = torch.nn.functional.cross_entropy(
                logits[0, first:], window[1 + first :], reduction="sum"
            )
            total += float(loss)
            count += len(window) - 1 - first
    model.train()
    return total, count


def peer(clone: Path, work: Path, name: str, seconds: float, threads: int) -> dict[str, Any]:
    """Train nanoGPT and score the test pieces."""
    import torch

    sys.path.insert(0, str(clone))
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    pieces, vocab_size, notes = tokens(work, name)
    opening = vocab_size
    torch.manual_seed(1)
    torch.set_num_threads(threads)
    model = GPT(GPTConfig(vocab_size=vocab_size + 1, **SHAPE))
    order = np.random.default_rng(1).permutation(len(pieces["train"]))
    ids_N = stream([pieces["train"][number] for number in order], opening)
    model, updates = train(model, ids_N, stream(pieces["validation"], opening), seconds)
    nats, count = sweep(model, stream(pieces["test"], opening))
    return {
        "nats_per_note": nats / notes["given"], "tokens": count, "updates": updates, **notes,
        "passes": updates * BATCH * SHAPE["block_size"] / len(ids_N), "seconds": seconds,
        "tokens_per_note": count / notes["given"],
    }  # fmt: skip


def ours(work: Path, name: str, steps: int, count: int) -> dict[str, Any]:
    """Train rhapsode by its command, and read the figures of the test split."""
    folder = work / f"run-{name}"
    command = [sys.executable, "-m", "rhapsode", "train", str(SETS[name]), "-o", str(folder)]
    command += ["--encoding", "notes", "--modality", "music"]
    command += ["--steps", str(steps), "--seed", "1"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(count))
    subprocess.run(command, check=True, capture_output=True, env=os.environ | threads)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    units = json.loads((folder / "summary.json").read_text())["units"]
    return {
        system: units[system]["nats_per_note"]
        for system in ("model", "network", "ngram")
        if system in units
    } | {
        "notes": units["amounts"]["notes"],
        "updates": steps,
        "seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def done(work: Path, name: str, system: str) -> Path:
    """The file of a figure."""
    return work / f"{name}-{system}.json"


def missing(work: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is still to do."""
    for name in names:
        for system in ("ours", "remi"):
            if not done(work, name, system).exists():
                yield name, system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("nanogpt", type=Path)
    parser.add_argument("sets", nargs="+", choices=list(SETS))
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--most", type=int, default=99, help="figures to make in this call")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    for name, system in list(missing(given.work, given.sets))[: given.most]:
        if system == "remi":
            own = json.loads(done(given.work, name, "ours").read_text())
            figures = peer(given.nanogpt, given.work, name, own["seconds"], given.threads)
        else:
            figures = ours(given.work, name, given.steps, given.threads)
        done(given.work, name, system).write_text(json.dumps(figures))
    for name in given.sets:
        for system in ("ours", "remi"):
            path = done(given.work, name, system)
            print(name, system, path.read_text() if path.exists() else "not done")


if __name__ == "__main__":
    main()
