"""What an attempt uses, as metered caps count it.

`workforce.py` adds what worker processes spent to the meter of the run whose task called; `run.py` turns it into the
outcome's usage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MICRO = Decimal("0.000001")


@dataclass(slots=True)
class Meter:
    """compute_seconds: CPU time of worker processes; of a stopped call, the time it took. queries: statements."""

    compute_seconds: float = 0.0
    queries: int = 0


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per CPU second of workers and per byte published, in the installation's currency."""

    compute_second: Decimal = Decimal(0)
    byte: Decimal = Decimal(0)

    def cost(self, compute_seconds: Decimal, bytes_published: int) -> Decimal:
        """What an attempt costs."""
        return self.compute_second * compute_seconds + self.byte * bytes_published


METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


def usage_of(meter: Meter, results: Mapping[str, Any], prices: Prices) -> dict[str, Any] | None:
    """By kind, amounts that are not zero: whole numbers, and exact decimal text. None when nothing was used.

    results: phase -> result; rows and bytes count once they are published.
    """
    tables = _published(results)
    seconds = Decimal(str(meter.compute_seconds)).quantize(MICRO)
    rows = sum(table["rows_added"] for table in tables)
    size = sum(file["bytes"] for table in tables for file in table.get("written", ()))
    used: dict[str, Any] = {
        "rows": rows,
        "bytes": size,
        "queries": meter.queries,
        "compute_seconds": seconds,
        "cost": prices.cost(seconds, size),
    }
    return {kind: str(n) if isinstance(n, Decimal) else n for kind, n in used.items() if n} or None


def _published(results: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    if "publish" not in results:
        return []
    return list({table["name"]: table for result in results.values() for table in result.get("tables", ())}.values())
