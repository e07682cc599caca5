"""Whether anything new may start, for `status`: an answer within a moment, or none."""

from __future__ import annotations

import os

from lakehouse.client.lakehouse import open_target
from lakehouse.client.target import find_stack
from opscore.domain.errors import OpsError
from opscore.ports.people import Json


async def who_paused() -> Json | None:
    """{"by", "reason", "since"}; None when nothing is paused, or nobody answers."""
    try:
        async with open_target(find_stack(os.environ)) as lakehouse:
            return await lakehouse.upkeep.paused()
    except OpsError:
        return None
