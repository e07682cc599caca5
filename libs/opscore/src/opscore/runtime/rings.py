"""Who minds which ring. A ring for work may name the session of an executor that new runs were handed over to.

The dispatcher follows a moment later and finds what was left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

WORK = "lakehouse_work"
FOLLOWS_AFTER_S = 0.02


class Heard(NamedTuple):
    """What rang since the last question. named: a ring that names the asker's session. other: anything else."""

    named: bool = False
    other: bool = False


class OwnRings:
    """An executor's ear: it minds rings for work only when they name its session."""

    def __init__(self, session: UUID) -> None:
        """session: this process's own, see ControlPlane.open_session."""
        self._me = str(session)
        self._heard = Heard()

    def minds(self, channel: str, payload: str) -> bool:
        """See `opscore.db.listen.listening`."""
        if channel != WORK:
            self._heard = self._heard._replace(other=True)
            return True
        if payload != self._me:
            return False
        self._heard = self._heard._replace(named=True)
        return True

    def taken(self) -> Heard:
        """What was heard since it was last asked."""
        heard, self._heard = self._heard, Heard()
        return heard


class AfterOthers:
    """The dispatcher's ear: rings that name an executor reach it `FOLLOWS_AFTER_S` later, many at once."""

    def __init__(self, ring: Callable[[], None]) -> None:
        """ring: rings the bell from inside the process."""
        self._ring = ring
        self._waits = False

    def minds(self, _channel: str, payload: str) -> bool:
        """See `opscore.db.listen.listening`."""
        if payload and not self._waits:
            self._waits = True
            asyncio.get_running_loop().call_later(FOLLOWS_AFTER_S, self._follow)
        return not payload

    def _follow(self) -> None:
        self._waits = False
        self._ring()
