"""Losses and samples of a run in progress, read from its folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

POINTS = 1500
"""Most training losses in one answer."""
_SAMPLE = re.compile(
    r"^Temperature ([\d.e+-]+):\n\n(`{3,})text\n(.*?)\n\2$", re.MULTILINE | re.DOTALL
)


class RunCourse:
    """The record of a run.

    Arguments:
        run: its folder.
    """

    def __init__(self, run: Path) -> None:
        self._metrics, self._samples = run / "metrics.jsonl", run / "samples.md"

    def after(self, since: int) -> dict[str, Any]:
        """Events after some lines of the record.

        Arguments:
            since: lines to leave out; more than there are start again.

        Returns:
            lines: of the record so far; restarted: True if `since` was more than that.
            steps: update, mean loss, lowest and highest loss of its neighbours, seconds; evenly
                thinned to 1,500. fraction: of the run. evaluations: update, loss, best, seconds.
            samples: update, and texts by temperature.
        """
        lines = self._lines()
        restarted = since > len(lines)
        events = [json.loads(line) for line in lines[0 if restarted else since :]]
        steps = [event for event in events if event["event"] == "step"]
        return {
            "lines": len(lines),
            "restarted": restarted,
            "steps": _thinned(steps),
            "fraction": steps[-1]["fraction"] if steps else None,
            "elements_per_second": _rate(steps),
            "evaluations": [
                [event["step"], event["loss"], event["best"], event["elapsed"]]
                for event in events
                if event["event"] == "evaluation"
            ],
            "samples": self._texts([e for e in events if e["event"] == "samples"]),
        }

    def _lines(self) -> list[str]:
        if not self._metrics.is_file():
            return []
        lines = self._metrics.read_text(encoding="utf-8").splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines.pop()  # still being written
        return lines

    def _texts(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The texts of the last samples among events; earlier ones as well."""
        if not events:
            return []
        content = self._samples.read_bytes()
        samples = []
        for event in events:
            part = content[: event["samples_bytes"]].decode("utf-8", "replace")
            last = part.rpartition("\n## ")[2]
            texts = [[float(each[0]), each[2]] for each in _SAMPLE.findall(last)]
            samples.append({"step": event["step"], "texts": texts})
        return samples


def _rate(steps: list[dict[str, Any]]) -> float | None:
    if len(steps) < 2:
        return None
    first, last = steps[0], steps[-1]
    seconds = last["elapsed"] - first["elapsed"]
    return (last["elements"] - first["elements"]) / seconds if seconds > 0 else None


def _thinned(steps: list[dict[str, Any]]) -> list[list[float]]:
    size = max(1, -(-len(steps) // POINTS))
    points = []
    for start in range(0, len(steps), size):
        group = steps[start : start + size]
        losses = [event["loss"] for event in group]
        mean = sum(losses) / len(losses)
        points.append([group[-1]["step"], mean, min(losses), max(losses), group[-1]["elapsed"]])
    return points
