"""What the executor reads from the environment."""

from __future__ import annotations

import os
import secrets
import socket
from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import Field

from opscore.config import LakeSettings

KINDS = frozenset({"edge", "container"})
SIZES = ("small", "medium", "large")


def unique_name() -> str:
    """Host, process and a random part: two executors never share a name, a restarted one is a new one."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class ExecutorSettings(LakeSettings):
    """LAKEHOUSE_EXECUTOR_*.

    name: unique among live executors. kind: `edge` gets light runs first, `container` heavy ones. engines: SQL engines
    it can run, comma-separated. size: the largest class of run it has room for. capabilities: what else runs may
    require of it, comma-separated. slots: runs at once. workers: worker processes at once. drain_s: how long running
    work may go on after a stop was asked for. claim_after_s: without work from a dispatcher for so long, it helps
    itself.
    cancel_grace_s: between asking a worker process to stop and killing it. price_compute_second, price_byte: money per
    CPU second of workers and per byte published, for caps on cost.
    """

    examples: ClassVar[dict[str, str]] = {
        **LakeSettings.examples,
        "executor_kind": "container, or edge",
        "executor_engines": "duckdb",
        "executor_size": "small, medium or large",
        "executor_capabilities": "gpu,region:eu",
        "executor_slots": "4",
        "executor_workers": "2",
        "executor_drain_s": "20",
        "executor_claim_after_s": "5",
        "executor_cancel_grace_s": "2",
        "executor_price_compute_second": "0.00002",
        "executor_price_byte": "0.00000000002",
    }

    executor_name: str = Field(default_factory=unique_name, min_length=1, max_length=200)
    executor_kind: Literal["edge", "container"] = "container"
    executor_engines: str = "duckdb"
    executor_size: Literal["small", "medium", "large"] = "medium"
    executor_capabilities: str = ""
    executor_slots: int = Field(default=4, ge=1, le=10_000)
    executor_workers: int = Field(default=2, ge=1, le=1000)
    executor_drain_s: float = Field(default=20.0, ge=0, le=3600)
    executor_claim_after_s: float = Field(default=5.0, gt=0, le=3600)
    executor_cancel_grace_s: float = Field(default=2.0, ge=0, le=60)
    executor_price_compute_second: Decimal = Field(default=Decimal(0), ge=0, max_digits=20, decimal_places=12)
    executor_price_byte: Decimal = Field(default=Decimal(0), ge=0, max_digits=20, decimal_places=18)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it offers, sorted. A size offers the smaller ones too; one that names its kind itself has no other."""
        named = _parts(self.executor_capabilities)
        kind = set[str]() if named & KINDS else {self.executor_kind}
        engines = {f"engine:{name}" for name in _parts(self.executor_engines)}
        sizes = {f"size:{size}" for size in SIZES[: SIZES.index(self.executor_size) + 1]}
        return tuple(sorted(named | kind | engines | sizes))


def _parts(text: str) -> set[str]:
    return {part.strip() for part in text.split(",") if part.strip()}
