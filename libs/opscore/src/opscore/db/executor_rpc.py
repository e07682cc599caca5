"""The executors' half of the control plane, one method per SQL function. Composed in the executor's `app.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg

from opscore.db.pool import Database
from opscore.domain.artifact import Artifact
from opscore.domain.bundle import Bundle
from opscore.domain.check import CheckOutcome
from opscore.domain.errors import Canceled, LeaseLost, NotFound
from opscore.domain.lease import Lease
from opscore.domain.phase import Phase
from opscore.domain.run import Outcome, OutcomeKind, Verdict, WorkOrder
from opscore.domain.table import StagedTable
from opscore.ports.control_plane import Accepted, Beat

ORDER = """run_id, attempt, token, ttl_ms, environment_id, pipeline, bundle, params, phases, checkpoint, failures,
           max_attempts, created_at"""
TAKE = f"select {ORDER} from ops.take_work($1, $2)"  # noqa: S608 - our own column names
HANDED = f"select {ORDER}, leased_ms_ago from ops.handed_over($1, $2)"  # noqa: S608 - our own column names
CLAIM = f"select {ORDER} from ops.claim_work($1, $2)"  # noqa: S608 - our own column names


class PostgresControlPlane:
    """ControlPlane over SQL functions of schema ops."""

    def __init__(self, database: Database) -> None:
        """database: connected as a role that may execute the executors' functions."""
        self._db = database

    async def register_executor(self, name: str, capabilities: Sequence[str], slots: int, version: str) -> UUID:
        """See ControlPlane."""
        return await self._db.fetchval(
            "select ops.register_executor($1, $2, $3, $4)", name, list(capabilities), slots, version
        )

    async def take_work(self, executor_id: UUID, limit: int) -> list[WorkOrder]:
        """See ControlPlane."""
        return _orders(await self._db.fetch(TAKE, executor_id, limit))

    async def claim_work(self, executor_id: UUID, limit: int) -> list[WorkOrder]:
        """See ControlPlane."""
        return _orders(await self._db.fetch(CLAIM, executor_id, limit))

    async def open_session(self, executor_id: UUID) -> UUID:
        """See ControlPlane."""
        return await self._db.fetchval("select ops.open_session($1)", executor_id)

    async def handed_over(self, executor_id: UUID, session: UUID) -> list[WorkOrder]:
        """See ControlPlane."""
        return _orders(await self._db.fetch(HANDED, executor_id, session))

    async def beat(self, executor_id: UUID, beats: Sequence[Beat], *, draining: bool = False) -> dict[UUID, Verdict]:
        """See ControlPlane."""
        offered = [_beat(beat) for beat in beats]
        rows = await self._db.fetch("select * from ops.beat($1, $2, $3)", executor_id, offered, draining)
        return {row["run_id"]: Verdict(row["verdict"]) for row in rows}

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Accepted]:
        """See ControlPlane."""
        rows = await self._db.fetch("select * from ops.finish_runs($1)", [_outcome(outcome) for outcome in outcomes])
        return [Accepted(row["run_id"], row["accepted"], row["state"]) for row in rows]

    async def sign_off(self, executor_id: UUID, session: UUID | None = None) -> None:
        """See ControlPlane."""
        await self._db.fetchval("select ops.sign_off($1, $2)", executor_id, session)

    async def bundle(self, digest: str) -> Bundle:
        """See ControlPlane."""
        row = await self._db.fetchrow("select * from ops.bundle($1)", digest)
        if row is None:
            raise NotFound(kind="bundle", name=digest)
        return Bundle(row["digest"], row["spec"], row["files"])

    async def table_states(self, lease: Lease) -> dict[str, dict[str, Any]]:
        """See ControlPlane."""
        rows = await self._db.fetch("select * from ops.table_states($1, $2)", lease.run_id, lease.token)
        return {row["name"]: row["state"] for row in rows}

    async def register_artifacts(self, lease: Lease, artifacts: Sequence[Artifact]) -> None:
        """See ControlPlane."""
        offered = [asdict(artifact) for artifact in artifacts]
        accepted = await self._db.fetchval(
            "select ops.register_artifacts($1, $2, $3)", lease.run_id, lease.token, offered
        )
        _fenced(lease, "register_artifacts", accepted=accepted)

    async def record_checks(self, lease: Lease, outcomes: Sequence[CheckOutcome]) -> None:
        """See ControlPlane."""
        offered = [outcome.as_json() for outcome in outcomes]
        accepted = await self._db.fetchval("select ops.record_checks($1, $2, $3)", lease.run_id, lease.token, offered)
        _fenced(lease, "record_checks", accepted=accepted)

    async def publish(
        self, lease: Lease, tables: Sequence[StagedTable], states: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """See ControlPlane."""
        offered = [_without_files(table) for table in tables]
        answer = await self._db.fetchval(
            "select ops.publish_run($1, $2, $3, $4)", lease.run_id, lease.token, offered, dict(states)
        )
        if answer == "cancel":
            raise Canceled(run_id=lease.run_id)
        _fenced(lease, "publish", accepted=answer == "published")
        return True


def _orders(rows: Iterable[asyncpg.Record]) -> list[WorkOrder]:
    """One order per row of ORDER. Columns are read by place: by name, each costs a look-up per run."""
    return [
        WorkOrder(Lease(run, attempt, token, ttl_ms), environment, pipeline, bundle, params, _phases(*phases), *rest)
        for run, attempt, token, ttl_ms, environment, pipeline, bundle, params, phases, *rest in rows
    ]


@cache
def _phases(*names: str) -> tuple[Phase, ...]:
    """Few combinations exist, and each is looked up for every run."""
    return tuple(Phase(name) for name in names)


def _beat(beat: Beat) -> dict[str, Any]:
    return {
        "run_id": beat.lease.run_id,
        "token": beat.lease.token,
        "phase": beat.phase,
        "progress": beat.progress,
        "checkpoint": beat.checkpoint,
        "events": _events(beat.events),
        "events_from": beat.events_from,
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    """Only what was said: most runs just succeed, and every null costs both sides."""
    said: dict[str, Any] = {
        "run_id": outcome.lease.run_id,
        "token": outcome.lease.token,
        "outcome": outcome.kind,
        "events": _events(outcome.events),
    }
    if outcome.kind is not OutcomeKind.SUCCEEDED:
        said |= {
            "error": outcome.error,
            "retry_in_ms": outcome.retry_in_ms,
            "clear_checkpoint": outcome.clear_checkpoint,
        }
    if outcome.manifest_sha256 is not None:
        said["manifest_sha256"] = outcome.manifest_sha256
    if outcome.events_from is not None:
        said["events_from"] = outcome.events_from
    if outcome.usage is not None:
        said["usage"] = outcome.usage
    return said


def _events(events: Iterable[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [{"type": kind, "data": data} for kind, data in events]


def _without_files(table: StagedTable) -> dict[str, Any]:
    """The ledger keeps addresses and counts; file lists stay in the manifest."""
    return {name: value for name, value in table.as_json().items() if name != "written"}


def _fenced(lease: Lease, write: str, *, accepted: bool) -> None:
    if not accepted:
        raise LeaseLost(run_id=lease.run_id, write=write)
