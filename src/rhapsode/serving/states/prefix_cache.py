"""States after recent prompts, in memory, by exact prefix."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from rhapsode.serving.states.snapshots import Snapshot, StoredDistribution
from rhapsode.serving.states.state_arrays import bytes_of
from rhapsode.serving.writing.work import Work

# Shorter prompts are read as fast as they are found.
LEAST = 16


class PrefixCache:
    """Snapshots at exact prefixes, the least recently used dropped first.

    Arguments:
        size: bytes of all snapshots; 0 keeps none.
    """

    def __init__(self, size: int) -> None:
        self._size, self._used = size, 0
        self._snapshots: OrderedDict[tuple[int, bytes], tuple[Snapshot, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = 0

    def __len__(self) -> int:
        """Number of snapshots."""
        return len(self._snapshots)

    @property
    def bytes(self) -> int:
        """Bytes of all snapshots."""
        return self._used

    def find(self, work: Work) -> Snapshot | None:
        """The snapshot after the longest known beginning of a prompt."""
        if not self._snapshots or len(work.elements) < LEAST or work.settings.trace is not None:
            return None  # a trace also tells of parts that a snapshot does not keep
        with self._lock:
            lengths = sorted({size for size, _ in self._snapshots if size <= len(work.elements)})
            keys = _digests(work, lengths)
            for key in reversed(keys):
                if key in self._snapshots:
                    self._snapshots.move_to_end(key)
                    self.hits += 1
                    return self._snapshots[key][0]
        return None

    def keep(self, work: Work, snapshot: Snapshot) -> None:
        """Keep the snapshot after a prompt."""
        elements = snapshot.elements
        if len(elements) < LEAST or work.begin is not None or not self._size:
            return
        following = snapshot.following
        alone = StoredDistribution(following.logits_BV.copy(), following.alone_BV.copy())
        snapshot = replace(snapshot, following=alone)
        size = bytes_of(snapshot)
        if size > self._size // 2:
            return
        key = _digests(work, [len(elements)])[0]
        with self._lock:
            if key in self._snapshots:
                return
            self._snapshots[key] = snapshot, size
            self._used += size
            while self._used > self._size:
                _, (_, freed) = self._snapshots.popitem(last=False)
                self._used -= freed


def _digests(work: Work, lengths: list[int]) -> list[tuple[int, bytes]]:
    """Keys of the beginnings of a prompt of some lengths, which rise."""
    digest = hashlib.blake2b(digest_size=16)
    origin = [work.settings.adapt, work.prompt.saved()]
    digest.update(json.dumps(origin, sort_keys=True, default=str).encode())
    elements_N = np.asarray(work.elements)
    keys, done = [], 0
    for length in lengths:
        digest.update(np.ascontiguousarray(elements_N[done:length]).tobytes())
        done = length
        keys.append((length, digest.copy().digest()))
    return keys
