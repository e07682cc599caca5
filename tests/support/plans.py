"""The plans of every statement that a call runs, those inside functions too, as Postgres itself reports them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

BIG = frozenset({"runs", "open_runs", "run_events"})
PARTITION = re.compile(r"^run_events_p\d+")
REPORT = """
    load 'auto_explain';
    set auto_explain.log_min_duration = 0;
    set auto_explain.log_nested_statements = on;
    set auto_explain.log_format = json;
    set client_min_messages = log;
"""


@dataclass(frozen=True)
class Scan:
    """One read of a table that grows. index: None for a sequential scan. bounded: it looks for something."""

    table: str
    index: str | None
    bounded: bool
    statement: str

    def __str__(self) -> str:
        return f"{self.table} by {self.index or 'all of it'}{'' if self.bounded else ', from end to end'}"


@asynccontextmanager
async def reporting(db: asyncpg.Connection, mode: str) -> AsyncIterator[list[Scan]]:
    """Collects the scans of what runs inside the block. mode: of ops' plans, force_generic_plan or force_custom_plan."""
    scans: list[Scan] = []

    def take(_: object, message: asyncpg.PostgresLogMessage) -> None:
        _, reported, plan = str(message.message).partition("plan:\n")
        if reported:
            scans.extend(scans_of(json.loads(plan)))

    await db.execute(f"{REPORT} set plan_cache_mode = {mode}")
    db.add_log_listener(take)
    try:
        yield scans
        await db.execute("select")  # the last statement is reported when the next one takes its portal
    finally:
        db.remove_log_listener(take)
        await db.execute("reset auto_explain.log_min_duration; reset client_min_messages; reset plan_cache_mode")


def scans_of(plan: dict[str, Any]) -> list[Scan]:
    return [scan for node in nodes(plan["Plan"]) if (scan := _scan(node, plan["Query Text"])) is not None]


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def _scan(node: dict[str, Any], statement: str) -> Scan | None:
    """None for what reads no table that grows."""
    table = PARTITION.sub("run_events", node.get("Relation Name") or "")
    if table not in BIG or "Scan" not in node["Node Type"]:
        return None
    bitmap = node["Node Type"] == "Bitmap Heap Scan"
    index = "a bitmap" if bitmap else node.get("Index Name")
    name = None if index is None else PARTITION.sub("run_events", index)
    return Scan(table, name, bitmap or "Index Cond" in node, statement)
