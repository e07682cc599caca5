"""`lakehouse executor` against a real control plane."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from lakehouse.cli.main import run as run_line
from opscore.db.pool import set_codecs
from support.plane import Plane


class Cli:
    """Runs command lines in a thread, as the real program does, beside the plane that they mean."""

    def __init__(self, plane: Plane, capsys: pytest.CaptureFixture[str]) -> None:
        self.plane = plane
        self._capsys = capsys

    async def __call__(self, *words: str) -> tuple[int, dict[str, Any]]:
        code = await asyncio.to_thread(run_line, [*words, "-o", "json"])
        return code, json.loads(self._capsys.readouterr().out or "{}")


@pytest.fixture
async def cli(control_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("LAKEHOUSE_DATABASE_URL", control_dsn)
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", (tmp_path / "warehouse").as_uri())
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    connection = await asyncpg.connect(control_dsn)
    await set_codecs(connection)
    yield Cli(Plane(connection, control_dsn), capsys)
    await connection.close()


async def test_an_executor_is_shown_with_the_runs_it_holds(cli: Cli) -> None:
    work = await cli.plane.work()

    code, shown = await cli("executor", "show", "e1")

    assert code == 0
    assert (shown["executor"]["state"], shown["executor"]["running"]) == ("working", 1)
    assert shown["executor"]["runs"] == [str(work.run_id)]


async def test_a_stopped_executor_is_listed_only_when_all_are_wanted(cli: Cli) -> None:
    executor = await cli.plane.executor()
    await cli.plane.db.execute("select ops.sign_off($1)", executor)

    _, alive = await cli("executor", "list")
    _, everyone = await cli("executor", "list", "--all")

    assert alive["items"] == []
    assert [(one["name"], one["state"], one["alive"]) for one in everyone["items"]] == [("e1", "stopped", False)]


async def test_an_executor_is_drained_with_a_reason_and_undrained(cli: Cli) -> None:
    await cli.plane.executor()

    _, drained = await cli("executor", "drain", "e1", "--reason", "new disk")
    _, back = await cli("executor", "undrain", "e1")

    assert (drained["executor"]["state"], drained["executor"]["drain_reason"]) == ("draining", "new disk")
    assert back["executor"]["state"] == "working"


@pytest.mark.parametrize("verb", ["show", "drain", "undrain"])
async def test_an_executor_that_is_not_there_is_not_found(cli: Cli, verb: str) -> None:
    code, _ = await cli("executor", verb, "nobody")

    assert code == 5


async def test_a_canceled_run_says_who_asked_and_why(cli: Cli) -> None:
    work = await cli.plane.work()
    await cli("run", "cancel", str(work.run_id), "--reason", "wrong month")

    _, shown = await cli("run", "show", str(work.run_id))

    assert shown["run"]["cancel_request"]["reason"] == "wrong month"
    assert shown["run"]["cancel_request"]["by"]


async def test_doctor_says_when_all_executors_are_being_drained(cli: Cli) -> None:
    await cli.plane.executor()
    _, sound = await cli("doctor")
    await cli("executor", "drain", "e1")
    _, drained = await cli("doctor")

    seen = [next(one for one in said["checks"] if one["check"] == "executors") for said in (sound, drained)]
    assert [one["result"] for one in seen] == ["ok", "warn"]
    assert "undrain" in seen[1]["remedy"]
