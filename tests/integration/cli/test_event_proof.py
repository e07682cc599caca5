"""`event verify`, `event head`, `pause`, `resume` and `status` against a real control plane."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli.main import run as run_line
from lakehouse.embedded.signing_key import key_path
from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.domain.seal import Head
from opscore.signing import load_signer, make_key
from support.plane import Plane


class Cli:
    """Command lines in a thread."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = ""

    async def __call__(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit code and document."""
        code = await asyncio.to_thread(run_line, [*words, "-o", "json"])
        out, self.said = self._capsys.readouterr()
        return code, json.loads(out) if out else {}


@pytest.fixture
def home(postgres: ThrowawayPostgres, control_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Command lines connect as the control room does, which may not do what the owner may."""
    as_people = postgres.dsn(control_dsn.rsplit("/", 1)[1], role="lakehouse_controlroom")
    monkeypatch.setenv("LAKEHOUSE_DATABASE_URL", as_people)
    monkeypatch.setenv("LAKEHOUSE_DIRECT_URL", control_dsn)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.delenv("LAKEHOUSE_EVENT_KEY", raising=False)
    return tmp_path


@pytest.fixture
def cli(home: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    del home
    return Cli(capsys)


async def sealed(plane: Plane, key: Path | None = None) -> Head:
    """Two runs' events in seals of three, the last one signed."""
    for _ in range(2):
        assert await plane.finish(await plane.work())
    head = Head(0, "")
    while row := await plane.db.fetchrow("select * from ops.seal_events(3)"):
        head = Head(row["n"], row["digest"])
    if key is not None:
        make_key(key)
        signer = load_signer(f"file:{key}")
        await plane.db.fetchval(
            "select ops.sign_seal($1, $2, $3, $4)", head.n, head.digest, signer.key_id, signer.sign(head)
        )
    return head


async def tamper(plane: Plane) -> str:
    async with plane.db.transaction():
        await plane.db.execute("set local session_replication_role = replica")
        return str(
            await plane.db.fetchval(
                "update ops.run_events set data = '{}' where seq = (select max(seq) from ops.run_events where type = 'RUN_CREATED')"
                " returning run_id"
            )
        )


async def test_an_untouched_log_verifies_with_the_homes_own_key(cli: Cli, plane: Plane, home: Path) -> None:
    head = await sealed(plane, key_path(home))

    code, verdict = await cli("event", "verify")

    assert (code, verdict["ok"], verdict["signatures"]) == (0, True, "checked")
    assert (verdict["signed_upto"], verdict["head"]) == (head.n, {"n": head.n, "digest": head.digest})


async def test_without_a_key_it_says_that_signatures_were_not_checked(cli: Cli, plane: Plane) -> None:
    await sealed(plane)

    code, verdict = await cli("event", "verify")

    assert (code, verdict["signatures"]) == (0, "not checked: no key is known")


async def test_a_changed_event_ends_with_one_and_names_batch_and_run(cli: Cli, plane: Plane, home: Path) -> None:
    await sealed(plane, key_path(home))
    run = await tamper(plane)

    code, verdict = await cli("event", "verify")

    assert (code, verdict["ok"], verdict["run_id"], verdict["fault"]) == (1, False, run, "an event was changed")
    assert verdict["batch"] >= 1


async def test_what_was_sealed_before_since_is_not_looked_at(cli: Cli, plane: Plane) -> None:
    await sealed(plane)
    await tamper(plane)
    await plane.db.execute("update ops.clock set shift = '1 day'")
    await sealed(plane)

    whole, _ = await cli("event", "verify")
    code, verdict = await cli(
        "event", "verify", "--since", str(await plane.db.fetchval("select (ops.now() - interval '1 hour')::text"))
    )

    assert (whole, code) == (1, 0)
    assert verdict["first_batch"] > 1


async def test_since_a_moment_to_come_there_is_nothing_to_look_at(cli: Cli, plane: Plane) -> None:
    await sealed(plane)

    code, verdict = await cli("event", "verify", "--since", "2999-01-01")

    assert (code, verdict["batches"], verdict["unsealed"]) == (0, 0, 0)


async def test_a_head_kept_in_a_file_proves_the_log_later(cli: Cli, plane: Plane, tmp_path: Path) -> None:
    await sealed(plane)
    kept = str(tmp_path / "head.json")

    given, head = await cli("event", "head", "--to", kept)
    good, _ = await cli("event", "verify", "--head", kept)
    async with plane.db.transaction():
        await plane.db.execute("set local session_replication_role = replica")
        await plane.db.execute("delete from ops.event_seals where n > 1")
    bad, verdict = await cli("event", "verify", "--head", kept)

    assert (given, good, bad) == (0, 0, 1)
    assert verdict["batch"] == head["n"]
    assert "missing from the chain" in verdict["fault"]


async def test_there_is_no_head_before_anything_is_sealed(cli: Cli) -> None:
    code, _ = await cli("event", "head")

    assert code == 5
    assert "Nothing is sealed yet." in cli.said


async def test_a_file_without_a_head_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")

    code, _ = await cli("event", "verify", "--head", str(tmp_path / "x"))

    assert code == 2
    assert "holds no head of the event log" in cli.said


async def test_a_pause_shows_in_status_and_ends_with_resume(cli: Cli, plane: Plane) -> None:
    executor = await plane.executor()
    run = await plane.enqueue()

    code, paused = await cli("pause", "--reason", "moving house")
    _, status = await cli("status")
    held_back = await plane.claim(executor)
    again, _ = await cli("resume")
    _, later = await cli("status")

    assert (code, again, paused["reason"]) == (0, 0, "moving house")
    assert status["paused"] == {"by": paused["by"], "reason": "moving house", "since": status["paused"]["since"]}
    assert (later["paused"], held_back) == (None, [])
    assert [work.run_id for work in await plane.claim(executor)] == [run]


async def test_a_pause_needs_a_reason(cli: Cli) -> None:
    code, _ = await cli("pause")

    assert code == 2
    assert "--reason" in cli.said


async def test_doctor_looks_at_partitions_seals_and_clocks(cli: Cli, plane: Plane) -> None:
    await sealed(plane)
    await plane.db.execute("drop table ops.run_events_p000000005000000")

    code, document = await cli("doctor")

    found = {one["check"]: one for one in document["checks"]}
    assert code == 1
    assert (found["partitions"]["result"], found["clock"]["result"], found["sealing"]["result"]) == ("fail", "ok", "ok")
    assert "run_events_p000000005000000" in found["partitions"]["detail"]
