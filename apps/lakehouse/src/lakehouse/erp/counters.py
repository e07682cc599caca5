"""Where the next id and the next document number of a database stand while its chunks are made one after the other."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from lakehouse.erp.arrays import Ints, occurrence


class Counters:
    """Ids per table and numbers per (sequence, year). Only this object remembers anything between chunks."""

    def __init__(self) -> None:
        self._ids: defaultdict[str, int] = defaultdict(lambda: 1)
        self._numbers: defaultdict[int, int] = defaultdict(int)

    def take(self, table: str, count: int) -> Ints:
        """The next `count` ids of a table."""
        start = self._ids[table]
        self._ids[table] = start + count
        return np.arange(start, start + count)

    def taken(self, table: str) -> int:
        """How many ids of a table were taken."""
        return self._ids[table] - 1

    def number(self, sequence: Ints, year: Ints) -> Ints:
        """Gapless numbers from 1 within each sequence and year, in row order."""
        keys = sequence * 10_000 + year
        rank = occurrence(keys) + 1
        unique, where, count = np.unique(keys, return_inverse=True, return_counts=True)
        before = np.array([self._numbers[int(key)] for key in unique], np.int64)
        for key, used in zip(unique, count, strict=True):
            self._numbers[int(key)] += int(used)
        return before[where] + rank if len(keys) else rank
