"""A plain loop over torch.nn.LSTM, as tutorials write it: one layer, Adam, chunks of the text, float32.

    python plain_lstm.py TEXT SECONDS

Trains on the first 90 % of the characters for so many seconds and prints nats per character of the last 10 %, read in one
pass with the state carried.
"""

import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

UNITS, ROWS, WINDOW, RATE = 512, 32, 128, 2e-3


class Plain(nn.Module):
    """Embedding, LSTM, linear layer."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64)
        self.lstm = nn.LSTM(64, UNITS, batch_first=True)
        self.linear = nn.Linear(UNITS, vocabulary)

    def forward(
        self, ids: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        out, state = self.lstm(self.embedding(ids), state)
        return self.linear(out), state


def main() -> None:
    text, seconds = Path(sys.argv[1]).read_text(encoding="utf-8"), float(sys.argv[2])
    began = time.monotonic()
    torch.manual_seed(0)
    signs = sorted(set(text))
    ids = torch.tensor([signs.index(sign) for sign in text])
    train, test = ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :]
    lanes = train[: len(train) // ROWS * ROWS].view(ROWS, -1)
    model = Plain(len(signs))
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    state, step, per_pass = None, 0, (lanes.shape[1] - 1) // WINDOW
    while time.monotonic() - began < seconds:
        at = step % per_pass * WINDOW
        if at == 0:
            state = None
        logits, state = model(lanes[:, at : at + WINDOW], state)
        state = (state[0].detach(), state[1].detach())
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), lanes[:, at + 1 : at + WINDOW + 1].flatten()
        )
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
    took = time.monotonic() - began
    model.eval()
    total, state = 0.0, None
    with torch.no_grad():
        for at in range(0, len(test) - 1, 1024):
            logits, state = model(test[None, at : at + 1024][:, : len(test) - 1 - at], state)
            targets = test[at + 1 : at + 1 + logits.shape[1]]
            total += float(nn.functional.cross_entropy(logits[0], targets, reduction="sum"))
    print(
        f"{total / (len(test) - 1):.4f} nats, {step} updates, {step * ROWS * WINDOW / took:,.0f} characters/s"
    )


if __name__ == "__main__":
    main()
