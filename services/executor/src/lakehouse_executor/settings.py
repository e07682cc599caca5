"""What the executor reads from the environment."""

from __future__ import annotations

import os
import secrets
import socket
from typing import ClassVar

from pydantic import Field

from opscore.config import LakeSettings


def unique_name() -> str:
    """Host, process and a random part: two executors never share a name, a restarted one is a new one."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class ExecutorSettings(LakeSettings):
    """LAKEHOUSE_EXECUTOR_*.

    name: unique among live executors. capabilities: what runs may require of it, comma-separated. slots: runs at once.
    workers: worker processes at once. drain_s: how long running work may go on after a stop was asked for.
    claim_after_s: without work from a dispatcher for so long, it helps itself.
    """

    examples: ClassVar[dict[str, str]] = {
        **LakeSettings.examples,
        "executor_capabilities": "engine:duckdb,container",
        "executor_slots": "4",
        "executor_workers": "2",
        "executor_drain_s": "20",
        "executor_claim_after_s": "5",
    }

    executor_name: str = Field(default_factory=unique_name, min_length=1, max_length=200)
    executor_capabilities: str = "engine:duckdb,container"
    executor_slots: int = Field(default=4, ge=1, le=10_000)
    executor_workers: int = Field(default=2, ge=1, le=1000)
    executor_drain_s: float = Field(default=20.0, ge=0, le=3600)
    executor_claim_after_s: float = Field(default=5.0, gt=0, le=3600)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Sorted, without blanks."""
        return tuple(sorted({part.strip() for part in self.executor_capabilities.split(",") if part.strip()}))
