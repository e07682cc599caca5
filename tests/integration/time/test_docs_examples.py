"""The worked examples of docs/backfill.md and docs/schedules.md: their numbers are what the code says and does."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli.main import run as run_line
from lakehouse_dispatcher.timekeeping import Timekeeper
from support.plane import ENVIRONMENT, Plane

DOCS = Path(__file__).parents[3] / "docs"
RANGE = "--from 2026-01-01 --to 2026-02-01 --timezone Europe/Brussels --concurrency 3"
DAILY = {
    "params": {"day": {"type": "date", "default": "today"}, "next_day": {"type": "date"}},
    "backfill": {"from": "day", "to": "next_day"},
    "caps": [{"kind": "concurrency", "limit": 4}],
}
# rows, seconds of the clock, seconds of a processor
HISTORY = """
    insert into ops.runs (environment_id, pipeline, bundle, phases, state, max_attempts, max_losses, event_seq,
                          due_at, created_at, started_at, finished_at, usage)
    select p.environment_id, p.name, p.bundle, p.phases, 'succeeded', 3, 3, 1, t.at, t.at, t.at, t.at + g.seconds * interval '1 second',
           jsonb_build_object('rows', g.rows, 'bytes', g.rows * 52, 'compute_seconds', g.compute)
      from (values (3, 41200, 103, 96.5), (4, 38900, 98.5, 91.2), (5, 40100, 100, 93.4)) as g (hours, rows, seconds, compute)
      cross join ops.pipelines as p
      cross join lateral (select ops.now() - g.hours * interval '1 hour' as at) as t
     where p.name = 'daily_orders'
"""


@pytest.fixture
async def cli(plane: Plane, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Runs a command line; its exit code, what it printed and what it said."""
    monkeypatch.setenv("LAKEHOUSE_DATABASE_URL", plane.dsn)
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", f"file://{tmp_path}")

    async def line(words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run_line, words.split())
        return code, *capsys.readouterr()

    return line


async def daily_orders(plane: Plane) -> None:
    await plane.pipeline("daily_orders", **DAILY)
    cap = {"name": "rows-an-hour", "kind": "rows", "limit": 500_000, "window_seconds": 3600}
    await plane.db.fetchval("select ops.set_cap($1, $2)", ENVIRONMENT, cap)
    await plane.db.execute("alter table ops.runs disable trigger user")
    await plane.db.execute(HISTORY)
    await plane.db.execute("alter table ops.runs enable trigger user")


async def test_the_page_on_backfills_shows_the_plan_that_the_command_prints(plane: Plane, cli: Any) -> None:
    await daily_orders(plane)
    page = (DOCS / "backfill.md").read_text(encoding="utf-8")
    words = f"backfill create daily_orders {RANGE} --dry-run -o yaml"
    assert f"lakehouse {words}" in page

    code, out, said = await cli(words)

    assert code == 0, said
    assert out in page, out
    assert await plane.db.fetchval("select count(*) from ops.backfills") == 0


async def test_the_page_on_backfills_tells_what_becomes_of_one(plane: Plane, cli: Any, keeper: Timekeeper) -> None:
    await daily_orders(plane)
    page = (DOCS / "backfill.md").read_text(encoding="utf-8")
    executor = await plane.executor()
    rows: list[str] = []

    async def note(step: str, words: str = "") -> None:
        code, out, said = await cli(words or f"backfill show {made} -o json")
        if code == 0:
            found = json.loads(out)["backfill"]
            numbers = (found["pending"], found["running"] + found["waiting"], found["succeeded"], found["canceled"])
            rows.append(f"| {step} | {' | '.join(map(str, numbers))} | {found['state']} |")
        else:
            message = json.loads(said)["error"]["message"]
            rows.append(f"| {step} | {rows[-1].split(' | ', 1)[1].rsplit(' | ', 1)[0]} | refused: {message} |")

    _, out, _ = await cli(f"backfill create daily_orders {RANGE} -o json")
    made = json.loads(out)["backfill"]["id"]
    await note("created")
    await keeper.one_pass()
    await note("the dispatcher starts 1, 2 and 3 January")
    first, *others = await plane.claim(executor, 3)
    await plane.finish(first)
    await note(
        '1 January succeeds, then `lakehouse backfill cancel ID --reason "wrong currency"`',
        f"backfill cancel {made} --reason wrong_currency -o json",
    )
    await note("`resume` at once", f"backfill resume {made} -o json")
    for work in others:
        await plane.finish(work, "canceled")
    await note("they end, `resume` again", f"backfill resume {made} -o json")

    shown = [line.replace(made, "ID") for line in rows]
    assert [line for line in shown if line not in page] == []


async def test_the_page_on_schedules_tells_which_ticks_start_runs(plane: Plane, keeper: Timekeeper) -> None:
    page = (DOCS / "schedules.md").read_text(encoding="utf-8")
    zone = {"timezone": "Europe/Brussels"}
    await plane.set_time(datetime(2026, 3, 27, 12, tzinfo=UTC))
    await plane.pipeline(
        "daily_orders",
        schedule={"cron": "30 2 * * *", "catch_up": "all", "catch_up_runs": 3, "catch_up_seconds": 604800, **zone},
        expected_by={"cron": "0 7 * * *", "within_seconds": 18000, **zone},
    )
    await keeper.one_pass()
    next_tick = "select next_tick_at from ops.schedules where name = 'main'"
    first = await plane.db.fetchval(next_tick)
    await plane.set_time(datetime(2026, 3, 31, 8, tzinfo=UTC))
    await keeper.one_pass()

    due = [
        row["due_at"]
        for row in await plane.db.fetch("select due_at from ops.runs where trigger = 'schedule' order by 1")
    ]
    told = await plane.db.fetch(
        "select data ->> 'message' as message from ops.run_events where type = 'DEADLINE_MISSED'"
    )
    moments = [first, *due, await plane.db.fetchval(next_tick)]
    assert [f"{moment:%Y-%m-%d %H:%M}" for moment in moments] == [
        "2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30", "2026-03-31 00:30", "2026-04-01 00:30",
    ]  # fmt: skip
    assert [row["message"] for row in told] == ["no run succeeded between 2026-03-31 00:00 and 2026-03-31 05:00 UTC"]
    assert [
        text for text in (*(f"{moment:%Y-%m-%d %H:%M}" for moment in moments), told[0]["message"]) if text not in page
    ] == []
