"""Schedules, triggers and backfills by command line, with the dispatcher's keeper of time at work."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli.main import run as run_line
from support.keeper import keeping_time

SPEC = """
version: 1
name: books
owner: ana@example.com
layer: gold
schedule: {cron: "0 6 * * *", timezone: Europe/Brussels}
schedules: {nightly: {cron: "30 1 * * *", params: {mode: full}}}
expected_by: {cron: "0 8 * * *", timezone: Europe/Brussels, within_seconds: 7200}
triggers: [{kind: webhook, name: erp}]
params:
  day: {type: date}
  mode: {type: string, enum: [full, fast], default: fast}
backfill: {from: day}
sources: [{name: silver, kind: lake, namespace: silver}]
destinations: [{namespace: gold}]
transforms: [{kind: sql, table: gold.books, file: a.sql, key: [id]}]
caps: [{kind: concurrency, limit: 2}]
"""


class Cli:
    """Runs command lines in a thread, as the real program does."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run_line, list(words))
        out, said = self._capsys.readouterr()
        return code, out, said

    async def json(self, *words: str) -> dict[str, Any]:
        code, out, said = await self(*words, "-o", "json")
        assert code == 0, said
        return json.loads(out)


@pytest.fixture
async def cli(
    control_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """A command line that means this test's control plane, with one pipeline applied."""
    monkeypatch.setenv("LAKEHOUSE_DATABASE_URL", control_dsn)
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", (tmp_path / "warehouse").as_uri())
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    (tmp_path / "a.sql").write_text("select 1 as id\n")
    (tmp_path / "books.yaml").write_text(SPEC)
    line = Cli(capsys)
    await line.json("pipeline", "apply", str(tmp_path / "books.yaml"))
    return line


async def test_schedules_are_listed_shown_paused_and_resumed(cli: Cli, control_dsn: str) -> None:
    async with keeping_time(control_dsn) as keeper:
        await keeper.one_pass()

    listed = (await cli.json("schedule", "list"))["items"]
    shown = (await cli.json("schedule", "show", "books"))["schedule"]
    paused = (await cli.json("schedule", "pause", "books/nightly", "--reason", "stock-taking"))["schedule"]
    resumed = (await cli.json("schedule", "resume", "books/nightly"))["schedule"]

    assert [(one["name"], one["purpose"]) for one in listed] == [
        ("expected_by", "deadline"),
        ("main", "start"),
        ("nightly", "start"),
    ]
    assert len(shown["next_ticks"]) == 5
    assert shown["next_ticks"][0] == shown["next_tick_at"]
    assert (paused["paused_reason"], paused["next_ticks"], paused["next_tick_at"]) == ("stock-taking", [], None)
    assert (resumed["paused_reason"], resumed["next_tick_at"]) == (None, resumed["next_ticks"][0])


async def test_a_schedule_that_is_not_there_is_not_found(cli: Cli) -> None:
    for words in (("show", "books/hourly"), ("pause", "nowhere", "--reason", "x"), ("resume", "books/hourly")):
        assert (await cli("schedule", *words))[0] == 5


async def test_a_webhook_gets_a_token_that_is_shown_once(cli: Cli) -> None:
    made = (await cli.json("trigger", "token", "books", "erp"))["trigger"]
    (listed,) = (await cli.json("trigger", "list"))["items"]

    assert len(made["token"]) >= 40
    assert listed["token_set_at"] is not None
    assert made["token"] not in json.dumps(listed)
    assert (await cli("trigger", "token", "books", "nothing"))[0] == 5


RANGE = ("--from", "2026-01-01", "--to", "2026-01-04")


async def test_a_backfill_is_planned_created_shown_paused_resumed_and_canceled(cli: Cli, control_dsn: str) -> None:
    plan = (await cli.json("backfill", "create", "books", *RANGE, "--dry-run"))["plan"]
    none = (await cli.json("backfill", "list"))["items"]
    made = (await cli.json("backfill", "create", "books", *RANGE, "--param", "mode=full", "--concurrency", "2"))[
        "backfill"
    ]
    async with keeping_time(control_dsn) as keeper:
        await keeper.one_pass()
    shown = (await cli.json("backfill", "show", made["id"]))["backfill"]
    paused = (await cli.json("backfill", "pause", made["id"], "--reason", "later"))["backfill"]
    resumed = (await cli.json("backfill", "resume", made["id"]))["backfill"]
    _, table, _ = await cli("backfill", "show", made["id"][:8], "-o", "table")
    canceled = (await cli.json("backfill", "cancel", made["id"][:13]))["backfill"]

    assert (plan["partitions"], plan["runs"], plan["caps"][0]["needs"], none) == (3, 3, 1, [])
    assert (made["state"], made["partitions"], made["params"]) == ("running", 3, {"mode": "full", "chain": False})
    assert [part["state"] for part in shown["parts"]] == ["waiting", "waiting", "pending"]
    assert (paused["state"], resumed["state"]) == ("paused", "running")
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["partition", "1", "2", "3"]
    assert (canceled["state"], canceled["canceled"], canceled["changed_reason"]) == ("canceled", 3, None)


async def test_a_backfill_keeps_its_order_and_what_it_does_again(cli: Cli) -> None:
    made = (await cli.json("backfill", "create", "books", *RANGE, "--reverse", "--reprocess", "failed"))["backfill"]
    plain = (await cli.json("backfill", "create", "books", "--from", "2026-02-01", "--to", "2026-02-02"))["backfill"]

    assert (made["reverse"], made["reprocess"]) == (True, "failed")
    assert (plain["reverse"], plain["reprocess"]) == (False, "none")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("create", "nowhere", *RANGE), 5),
        (("create", "books", "--from", "2026-01-04", "--to", "2026-01-01"), 2),
        (("create", "books", *RANGE, "--timezone", "Mars/Base"), 2),
        (("create", "books", *RANGE, "--param", "mode=slow"), 2),
        (("create", "query", *RANGE), 2),
        (("create", "books", *RANGE, "--step", "week"), 2),
        (("cancel", "00000000-0000-4000-8000-000000000003"), 5),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_what_cannot_be_meant_ends_with_its_exit_code(cli: Cli, words: tuple[str, ...], code: int) -> None:
    ended, out, said = await cli("backfill", *words)

    assert (ended, out) == (code, "")
    assert said.startswith("Error: ")
