"""Caps by command line: set, look at, raise, ask, remove; and runs that say what they wait for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from lakehouse.cli.main import run as run_line
from opscore.db.pool import set_codecs
from support.caps import CapPlane
from support.plane import ENVIRONMENT

SPEC = """
version: 1
name: books
owner: ana@example.com
layer: gold
labels: [team:sales]
estimate: {rows: 1000, cost: 0.25}
sources: [{name: silver, kind: lake, namespace: silver}]
destinations: [{namespace: gold}]
transforms: [{kind: sql, table: gold.books, file: a.sql, key: [id]}]
caps: [{kind: cost, limit: 1.50, window_seconds: 86400, max_waiting: 3}]
"""


class Cli:
    """Runs command lines in a thread, as the real program does."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run_line, list(words))
        out, said = self._capsys.readouterr()
        return code, out, said

    async def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        ended, out, said = await self(*words, "-o", "json")
        assert ended == code, said
        return json.loads(out)


@pytest.fixture
async def plane(control_dsn: str) -> AsyncIterator[CapPlane]:
    connection = await asyncpg.connect(control_dsn)
    await set_codecs(connection)
    yield CapPlane(connection, control_dsn)
    await connection.close()


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


async def test_a_cap_is_set_listed_shown_raised_and_removed(cli: Cli) -> None:
    made = await cli.json("cap", "set", "erp", "--kind", "rows", "--limit", "5000", "--window", "1h", "--scope", "label",
                          "--subject", "team:sales", "--behaviour", "reject", "--max-waiting", "9")  # fmt: skip
    listed = (await cli.json("cap", "list"))["items"]
    raised = (await cli.json("cap", "raise", "erp", "--to", "9000", "--for", "2h", "--reason", "month end"))["cap"]
    [shown] = (await cli.json("cap", "show", "erp"))["items"]
    removed = await cli.json("cap", "remove", "erp")

    assert [cap["name"] for cap in listed] == ["erp", "spec:books:cost"]
    assert made["cap"] == listed[0]
    assert {"kind": "rows", "limit": 5000, "used": 0, "window_seconds": 3600, "behaviour": "reject"}.items() <= listed[
        0
    ].items()
    assert (raised["limit"], raised["standing_limit"], raised["raised"]["reason"]) == (9000, 5000, "month end")
    assert shown == raised
    assert removed == {"removed": {"name": "erp"}}
    assert [cap["name"] for cap in (await cli.json("cap", "list"))["items"]] == ["spec:books:cost"]


async def test_the_table_of_caps_can_be_read(cli: Cli) -> None:
    _, table, _ = await cli("cap", "list", "-o", "table")

    head, row = table.splitlines()
    assert head.split()[:6] == ["name", "kind", "scope", "subject", "used", "limit"]
    assert row.split()[:6] == ["spec:books:cost", "cost", "pipeline", "books", "0", "1.5"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("show", "nobody"), 5, "There is no cap nobody"),
        (("remove", "nobody"), 5, "There is no cap nobody"),
        (("raise", "nobody", "--to", "2", "--for", "1h", "--reason", "x"), 5, "no cap 'nobody'"),
        (("raise", "spec:books:cost", "--to", "1", "--for", "1h", "--reason", "x"), 2, "1 is no raise"),
        (("raise", "spec:books:cost", "--to", "9", "--for", "1w", "--reason", "x"), 2, "no length of time"),
        (("set", "a", "--kind", "rows", "--limit", "5"), 2, "needs a window"),
        (("set", "a", "--kind", "rows", "--limit", "many", "--window", "1h"), 2, "no number"),
        (
            ("set", "a", "--kind", "concurrency", "--limit", "1", "--scope", "pipeline", "--subject", "nobody"),
            5,
            "no pipeline",
        ),
        (("set", "a", "--kind", "concurrency", "--limit", "1", "--scope", "table"), 2, "must say which"),
        (("remove", "spec:books:cost"), 1, "stands in its pipeline's spec"),
        (("allow", "nobody"), 5, "no pipeline 'nobody'"),
        (("allow", "books", "--estimate", "rows=-1"), 2, "rows=-1"),
    ],
)
async def test_what_cannot_be_done_is_said_with_its_exit_code(
    cli: Cli, words: tuple[str, ...], code: int, says: str
) -> None:
    ended, out, said = await cli("cap", *words, "-o", "json")

    assert (ended, out) == (code, "")
    error = json.loads(said)["error"]
    assert says in error["message"]
    assert error["hint"]


async def test_asking_whether_a_run_may_start_answers_8_when_it_would_wait(cli: Cli) -> None:
    yes = await cli.json("cap", "allow", "books")
    no = await cli.json("cap", "allow", "books", "--estimate", "cost=2", code=8)
    code, _, said = await cli("cap", "allow", "books", "--estimate", "cost=2", "-o", "table")

    assert yes == {"allowed": True, "reason": None}
    assert (no["allowed"], no["reason"]["cap"], no["reason"]["needs"]) == (False, "spec:books:cost", 2)
    assert code == 8
    assert (
        "would wait for cap spec:books:cost (0 of 1.5 in use); it asks for 2 cost, more than the cap ever allows"
        in said
    )


async def test_a_run_that_a_cap_refuses_ends_with_8_and_says_why(cli: Cli) -> None:
    await cli.json("cap", "set", "one", "--kind", "concurrency", "--limit", "1", "--behaviour", "reject")
    await cli.json("pipeline", "run", "books")

    code, out, said = await cli("pipeline", "run", "books", "-o", "json")

    error = json.loads(said)["error"]
    assert (code, out, error["code"]) == (8, "", "CAP_EXCEEDED")
    assert error["message"] == "Cap one is full: 0 of 1 concurrent runs in use, 2 asked for by what waits and this."
    assert "lakehouse cap raise" in error["hint"]


async def test_a_run_carries_its_labels_and_its_estimate(cli: Cli) -> None:
    run = (await cli.json("pipeline", "run", "books", "--label", "month-end", "--estimate", "rows=7.5"))["run"]

    assert (run["labels"], run["estimate"]) == (["month-end", "team:sales"], {"rows": 7.5})


async def test_runs_say_what_they_wait_for_in_lists_and_on_their_sheet(cli: Cli, plane: CapPlane) -> None:
    await cli.json("cap", "set", "one", "--kind", "concurrency", "--limit", "1")
    working = await plane.work("books")
    held = await plane.enqueue("books")
    behind = await plane.enqueue("books")
    await plane.take()

    _, listed, _ = await cli("run", "list", "-o", "table")
    _, sheet, _ = await cli("run", "show", str(behind), "-o", "table")
    shown = (await cli.json("run", "show", str(held)))["run"]

    assert listed.count("cap one (1 of 1 in use)") == 2
    assert "held by cap one (1 of 1 in use)" in sheet
    assert f"counted in runs; used by run {str(working.run_id)[:8]}; place 2 of 2" in sheet
    assert (shown["wait_reason"]["why"], shown["wait_reason"]["position"]) == ("cap", 1)


async def test_what_a_pipeline_writes_is_known_to_caps_on_tables(cli: Cli, plane: CapPlane) -> None:
    await cli.json(
        "cap", "set", "t", "--kind", "concurrency", "--limit", "0", "--scope", "table", "--subject", "gold.books"
    )
    await plane.enqueue_many(ENVIRONMENT, 1, "books")

    assert await plane.take() == []
