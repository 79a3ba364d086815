"""Nats per character of the validation share of a model that nanoGPT trained, every character scored once.

    python nanogpt_sweep.py CLONE OUT_DIR

Windows of the model's block size that overlap by half: a character is scored with at least half a block before it.
"""

import sys
from pathlib import Path

import numpy as np
import torch


def main() -> None:
    clone, out = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(clone))
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    kept = torch.load(out / "ckpt.pt", map_location="cpu", weights_only=False)
    model = GPT(GPTConfig(**kept["model_args"]))
    model.load_state_dict(kept["model"])
    model.eval()
    ids = np.fromfile(clone / "data" / "shakespeare_char" / "val.bin", dtype=np.uint16).astype(
        np.int64
    )
    block = kept["model_args"]["block_size"]
    total, scored = 0.0, 0
    with torch.no_grad():
        for begin in range(0, len(ids) - 1, block // 2):
            window = torch.from_numpy(ids[begin : begin + block + 1])
            logits, _ = model(window[None, :-1], window[None, 1:])
            first = 0 if begin == 0 else block // 2
            loss = torch.nn.functional.cross_entropy(
                logits[0, first:], window[1 + first :], reduction="sum"
            )
            total += float(loss)
            scored += len(window) - 1 - first
    print(f"{total / scored:.4f} nats over {scored:,} characters, {kept['iter_num']} updates")


if __name__ == "__main__":
    main()
