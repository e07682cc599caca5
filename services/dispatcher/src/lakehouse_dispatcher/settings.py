"""What the dispatcher reads from the environment."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from opscore.config import Settings
from opscore.signing import EXAMPLE


class DispatcherSettings(Settings):
    """LAKEHOUSE_DISPATCHER_*: batch size, scan intervals and the leader's time to live, in seconds; the seals' key."""

    examples: ClassVar[dict[str, str]] = {
        **Settings.examples,
        "dispatcher_batch": "1000",
        "dispatcher_scan_s": "2",
        "dispatcher_leader_ttl_s": "3",
        "event_key": EXAMPLE,
    }

    dispatcher_batch: int = Field(default=1000, ge=1, le=10_000)
    dispatcher_scan_s: float = Field(default=2.0, gt=0, le=60)
    dispatcher_leader_ttl_s: float = Field(default=3.0, ge=0.3, le=60)
    event_key: str | None = None  # a reference; None leaves the event log's seals unsigned
