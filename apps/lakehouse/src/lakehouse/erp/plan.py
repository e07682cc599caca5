"""How much of everything one generated database holds, from its scale.

Orders, moves and lines grow with scale; people and products grow with its square root, as they do in a real firm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import ceil, sqrt

from opscore.domain.errors import InvalidInput

TODAY = date(2026, 6, 30)
HISTORY_DAYS = 3 * 365
DEALS_AT_SCALE_1 = 990
CHUNK = 10_000
EPOCH = date(1970, 1, 1)
MAX_SCALE = 50_000  # account_move_line.id is int4: larger books do not fit Odoo itself


@dataclass(frozen=True)
class Plan:
    """The sizes of one database; `last_day` and `first_day` count days since 1970-01-01."""

    scale: float
    seed: int
    last_day: int

    @property
    def first_day(self) -> int:
        """The first day with business; master data is older."""
        return self.last_day - HISTORY_DAYS

    @property
    def deals(self) -> int:
        """Orders, invoices and bills before refunds and payments are derived."""
        return ceil(DEALS_AT_SCALE_1 * self.scale)

    @property
    def chunks(self) -> int:
        """Pieces of at most CHUNK deals that are made and loaded one after the other."""
        return ceil(self.deals / CHUNK)

    @property
    def partners(self) -> int:
        """Customers and vendors, contacts included."""
        return ceil(200 * self._growth)

    @property
    def products(self) -> int:
        """Product templates, one variant each."""
        return ceil(60 * self._growth)

    @property
    def employees(self) -> int:
        """Employees over all companies."""
        return ceil(24 * self._growth)

    @property
    def tasks(self) -> int:
        """Project tasks."""
        return ceil(80 * self._growth)

    @property
    def _growth(self) -> float:
        return max(1.0, sqrt(self.scale))


def plan(scale: float, seed: int, today: date) -> Plan:
    """The plan for a scale, or InvalidInput when no Odoo database can be that large."""
    if not 0 < scale <= MAX_SCALE:
        raise InvalidInput(
            f"Scale {scale} cannot be generated: it must be above 0 and at most {MAX_SCALE}.",
            hint="Scale 1 makes about 8,000 journal items; 1,000 makes about 8 million.",
        )
    return Plan(scale, seed, (today - EPOCH).days)
