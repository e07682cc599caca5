"""Names of journal entries: `INV/2026/00042`, refunds with R, payments with P before the journal's code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lakehouse.erp import batch as b
from lakehouse.erp.arrays import Bools, Ints, years
from lakehouse.erp.batch import Column
from lakehouse.erp.chart import JOURNALS
from lakehouse.erp.counters import Counters


@dataclass(frozen=True)
class Numbers:
    """Name, prefix and number of each entry; '/', empty and 0 where it was never posted."""

    names: Column
    prefixes: Column
    numbers: Ints


def numbered(counters: Counters, journal: Ints, day: Ints, named: Bools, special: Bools, mark: str = "R") -> Numbers:
    """Draw gapless numbers per journal, kind and year for the entries that are named."""
    year, which = years(day), np.flatnonzero(named)
    drawn = np.zeros(len(journal), np.int64)
    drawn[which] = counters.number(journal[which] * 2 + special[which], year[which])
    codes = [prefix + code for prefix in ("", mark) for code, *_ in JOURNALS]
    kinds = special.astype(np.int64) * len(JOURNALS) + (journal - 1) % len(JOURNALS)
    prefixes = b.joined(b.pick(codes, kinds), "/", b.text(year), "/")
    names = b.joined(prefixes, b.text(drawn, 5))
    return Numbers(b.where(named, names, "/"), b.where(named, prefixes, ""), drawn)
