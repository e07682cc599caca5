"""Bundles by digest, fetched once: content under a digest never changes. Called by `run.py`."""

from __future__ import annotations

from collections import OrderedDict

import anyio

from opscore.domain.bundle import Bundle
from opscore.ports.control_plane import ControlPlane

KEPT = 64


class Bundles:
    """The most recently used bundles of this process."""

    def __init__(self, control: ControlPlane, kept: int = KEPT) -> None:
        """kept: how many bundles stay in memory."""
        self._control = control
        self._kept = kept
        self._known: OrderedDict[str, Bundle] = OrderedDict()
        self._fetching = anyio.Lock()

    async def get(self, digest: str) -> Bundle:
        """The bundle. Raises NotFound."""
        known = self._known.get(digest)
        if known is None:
            return await self._fetch(digest)
        self._known.move_to_end(digest)
        return known

    async def _fetch(self, digest: str) -> Bundle:
        async with self._fetching:
            if digest not in self._known:
                self._known[digest] = await self._control.bundle(digest)
                if len(self._known) > self._kept:
                    self._known.popitem(last=False)
            return self._known[digest]
