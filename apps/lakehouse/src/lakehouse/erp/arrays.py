"""Integer arithmetic over whole columns: everything the generator counts is int64, money in hundredths.

Used by every module that draws or derives numbers; no floats touch money, so books balance to the cent by construction.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def spread(counts: Ints) -> tuple[Ints, Ints]:
    """Owner index and rank within its owner for each of `sum(counts)` children."""
    owner = np.repeat(np.arange(len(counts)), counts)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, rank


def sums(owner: Ints, values: Ints, owners: int) -> Ints:
    """Sum of values per owner. Exact: bincount adds doubles, and sums of hundredths stay far below 2**53."""
    return np.bincount(owner, weights=values, minlength=owners).astype(np.int64)


def ratio(values: Ints, numerator: Ints | int, denominator: Ints | int, granule: Ints | int = 1) -> Ints:
    """Return values * numerator / denominator, rounded half away from zero to multiples of granule."""
    unit = np.asarray(denominator, dtype=np.int64) * granule
    magnitude = (2 * np.abs(values) * numerator + unit) // (2 * unit)
    return np.sign(values) * magnitude * granule


def occurrence(keys: Ints) -> Ints:
    """For each element how many equal elements stand before it."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else np.zeros(0, np.int64)
    _, rank = spread(np.diff(np.r_[starts, len(keys)]))
    result = np.empty(len(keys), np.int64)
    result[order] = rank
    return result


def positions(indices: Ints, size: int) -> Ints:
    """Inverse of an index list: where each of `size` elements stands in it, or -1."""
    where = np.full(size, -1, np.int64)
    where[indices] = np.arange(len(indices))
    return where


def years(days: Ints) -> Ints:
    """Calendar year of days since 1970-01-01."""
    return days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
