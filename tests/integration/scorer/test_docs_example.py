"""The worked example of docs/scores.md: its numbers are what the code says about these runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lakehouse.cli.main import run as run_line
from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse_scorer.follow import Following
from opscore.db.pool import open_database
from opscore.db.scorer_rpc import ScorerRpc
from opscore.runtime.clock import SystemClock
from support.plane import Plane
from support.seen import Seen

PAGE = Path(__file__).parents[3] / "docs" / "scores.md"
RUN = "5c0e5c0e-0000-4000-8000-000000000008"

# day -> seconds it took, rows it wrote; the eighth is the one that is looked at
RUNS = """
    with given (day, seconds, rows) as (
      values (1, 60, 1000), (2, 62, 1010), (3, 58, 990), (4, 61, 1005), (5, 240, 1002), (6, 59, 998), (7, 60, 400), (8, 95, 530)
    ),
    made as (
      insert into ops.runs (id, environment_id, pipeline, bundle, phases, state, max_attempts, max_losses, failures,
                            due_at, created_at, started_at, finished_at, published_at, event_seq)
      select ('5c0e5c0e-0000-4000-8000-00000000000' || g.day)::uuid, p.environment_id, p.name, p.bundle, p.phases, 'succeeded', 3, 3,
             case when g.day = 8 then 1 else 0 end, t.at, t.at, t.at, t.at + g.seconds * interval '1 second', t.at, 1
        from given as g cross join ops.pipelines as p
        cross join lateral (select timestamptz '2026-03-01 06:00+00' + g.day * interval '1 day' as at) as t
       where p.name = 'books'
    ),
    written as (
      insert into ops.run_tables (run_id, name, metadata_location, snapshot_id, rows_added, rows, files, bytes, schema_hash)
      select ('5c0e5c0e-0000-4000-8000-00000000000' || g.day)::uuid, 'gold.books', 'm' || g.day, g.day, g.rows, g.rows, 1, 1,
             case when g.day = 8 then 'b' else 'a' end
        from given as g
    )
    insert into ops.run_checks (run_id, attempt, ordinal, name, dataset, action, result)
    select '5c0e5c0e-0000-4000-8000-000000000008', 1, n, 'c' || n, 'gold.books', 'fail', case when n = 4 then 'warn' else 'pass' end
      from generate_series(1, 4) as n
"""
ENDED = """
    insert into ops.run_events (run_id, run_seq, attempt, type, at)
    select r.id, 1, 1, 'RUN_SUCCEEDED', r.finished_at from ops.runs as r where r.pipeline = 'books'
"""


async def test_the_page_shows_what_the_command_prints(
    postgres: ThrowawayPostgres,
    plane: Plane,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Any,
) -> None:
    await plane.pipeline("books")
    await plane.db.execute("alter table ops.runs disable trigger user")
    await plane.db.execute(RUNS)
    await plane.db.execute(ENDED)
    dsn = postgres.dsn(urlsplit(plane.dsn).path.removeprefix("/"), role="lakehouse_scorer")
    async with open_database(dsn, application="tests") as database:
        following = Following(ScorerRpc(database), Seen(), SystemClock())
        while await following.step():
            pass
    monkeypatch.setenv("LAKEHOUSE_DATABASE_URL", plane.dsn)
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", f"file://{tmp_path}")

    for words in (
        ["score", "show", RUN, "--verify", "-o", "table"],
        ["score", "what-if", "--weights", "drift=30,duration=20", "--since", "3650d", "--top", "2", "-o", "table"],
    ):
        assert await asyncio.to_thread(run_line, words) == 0
        out, said = capsys.readouterr()
        for line in [*out.splitlines(), *said.splitlines()]:
            assert line.rstrip() in PAGE.read_text(encoding="utf-8"), f"{said}{out}"
