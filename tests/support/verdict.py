"""Judges a storm: what the recorder heard against what the control plane holds, every difference in words."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

import asyncpg

RUNS = """
    select r.id, r.state::text, r.attempt, r.event_seq, t.metadata_location as address, c.metadata_location as visible,
           e.events, e.last, e.ends, e.publishes, e.published_by, e.ended_by
      from ops.runs as r
      left join ops.run_tables as t on t.run_id = r.id
      left join iceberg.iceberg_tables as c
        on c.table_namespace = 'gold' and c.table_name = 'run_' || replace(r.id::text, '-', '')
      cross join lateral (
        select count(*) as events, max(x.run_seq) as last,
               count(*) filter (where x.type in ('RUN_SUCCEEDED', 'RUN_FAILED', 'RUN_CANCELED')) as ends,
               count(*) filter (where x.type = 'RUN_PUBLISHED') as publishes,
               max(x.attempt) filter (where x.type = 'RUN_PUBLISHED') as published_by,
               max(x.attempt) filter (where x.type = 'RUN_SUCCEEDED') as ended_by
          from ops.run_events as x where x.run_id = r.id) as e
     where r.pipeline = $1
"""


async def judge(dsn: str, pipeline: str, heard: list[dict[str, Any]]) -> list[str]:
    """Every way in which work was lost or took effect twice; empty when all is well."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = {row["id"]: row for row in await connection.fetch(RUNS, pipeline)}
        doubles = await connection.fetch("select name from ops.run_tables group by 1 having count(*) > 1")
    finally:
        await connection.close()
    return [
        *(f"table {row['name']} was published more than once" for row in doubles),
        *_lost(rows, heard),
        *_half_done(rows),
        *_begun_twice(heard),
        *_contradicted(rows, heard),
    ]


def _lost(rows: dict[UUID, asyncpg.Record], heard: list[dict[str, Any]]) -> list[str]:
    """What was accepted and is not there, or what is there and nobody asked for."""
    asked = {UUID(fact["run"]) for fact in heard if fact["what"] == "enqueued"}
    return [f"run {run} was accepted and is gone" for run in asked - rows.keys()] + [
        f"run {run} was never asked for" for run in rows.keys() - asked
    ]


def _half_done(rows: dict[UUID, asyncpg.Record]) -> list[str]:
    """Runs that did not end well exactly once, with one visible publish and events without a gap."""
    faults: list[str] = []
    for run, row in rows.items():
        good = (
            row["state"] == "succeeded"
            and row["ends"] == row["publishes"] == 1
            and row["address"] is not None
            and row["address"] == row["visible"]
            and row["events"] == row["last"] == row["event_seq"]
        )
        if not good:
            faults.append(f"run {run} is half-done or was done twice: {dict(row)}")
        elif row["published_by"] != _attempt(row["address"]):
            faults.append(
                f"run {run}: attempt {row['published_by']} held the lease while {row['address']} was published"
            )
    return faults


def _begun_twice(heard: list[dict[str, Any]]) -> list[str]:
    """Attempts that were given to two executors, or to one twice."""
    given: dict[tuple[str, int], list[str]] = defaultdict(list)
    for fact in heard:
        if fact["what"] == "started":
            given[fact["run"], fact["attempt"]].append(fact["who"])
    return [
        f"run {run}: attempt {attempt} was given out {len(to)} times, to {to}"
        for (run, attempt), to in given.items()
        if len(to) > 1
    ]


def _contradicted(rows: dict[UUID, asyncpg.Record], heard: list[dict[str, Any]]) -> list[str]:
    """Answers that executors got and that the control plane does not stand by."""
    faults: list[str] = []
    ends: dict[UUID, set[int]] = defaultdict(set)
    for fact in heard:
        run = UUID(fact["run"])
        row = rows.get(run)
        if row is None:
            continue
        if fact["what"] == "published" and (row["address"] is None or fact["attempt"] < _attempt(row["address"])):
            faults.append(
                f"run {run}: attempt {fact['attempt']} was told that it published; visible is {row['address']}"
            )
        if fact["what"] == "ended" and fact["state"] == "succeeded":
            ends[run].add(fact["attempt"])
    for run, attempts in ends.items():
        if attempts != {rows[run]["ended_by"]}:
            faults.append(f"run {run} ended in attempt {rows[run]['ended_by']}; attempts {attempts} were told so")
    return faults


def _attempt(address: str) -> int:
    return int(address.rpartition("/")[2])
