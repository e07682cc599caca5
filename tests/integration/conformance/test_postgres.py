"""Postgres does what every control plane must do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db.dispatcher_rpc import DispatcherRpc
from opscore.db.executor_rpc import PostgresControlPlane
from opscore.db.pool import Database, open_database
from opscore.domain.event import RunEvent
from opscore.testing.conformance import ControlPlaneConformance
from opscore.testing.factories import ENVIRONMENT, make_bundle
from opscore.testing.world import PLAIN, Ask, SeenRun


class PostgresWorld:
    """World around the SQL functions. people: a connection that may do what people and tests do."""

    def __init__(self, control: Database, dispatching: Database, people: Database) -> None:
        self.control = PostgresControlPlane(control)
        self.dispatching = DispatcherRpc(dispatching)
        self._people = people

    async def enqueue(self, ask: Ask = PLAIN) -> UUID:
        await self._apply(ask)
        return await self._people.fetchval(
            "select run_id from ops.enqueue_run($1, 'sample', $2, p_priority => $3,"
            " p_due_at => ops.now() + make_interval(secs => $4))",
            ENVIRONMENT,
            ask.params,
            ask.priority,
            float(ask.due_in),
        )

    async def _apply(self, ask: Ask) -> None:
        retries = {"max_attempts": ask.max_attempts, "max_losses": ask.max_losses}
        bundle = make_bundle(retries=retries, requires=list(ask.requires))
        packed = {"digest": bundle.digest, "spec": bundle.spec, "files": bundle.files, "phases": list(ask.phases)}
        await self._people.fetch("select * from ops.apply_pipeline($1, $2)", ENVIRONMENT, packed)
        # as if the rings so far were long ago: none was kept back, and the next one is not
        await self._people.fetch("select setval('ops.work_bell_rung', 1), setval('ops.work_bell_missed', 1)")

    async def cancel(self, run_id: UUID) -> None:
        await self._people.fetchval("select ops.cancel_run($1, 'test')", run_id)

    async def pass_time(self, seconds: float) -> None:
        await self._people.fetch("update ops.clock set shift = shift + $1", timedelta(seconds=seconds))

    async def run(self, run_id: UUID) -> SeenRun:
        row = await self._people.fetchrow("select * from ops.runs where id = $1", run_id)
        assert row is not None
        return SeenRun(**{field: row[field] for field in SeenRun.__dataclass_fields__})

    async def events(self, run_id: UUID) -> Sequence[RunEvent]:
        rows = await self._people.fetch(
            "select seq, run_id, run_seq, type, at, attempt, data from ops.run_events where run_id = $1 order by run_seq",
            run_id,
        )
        return [RunEvent(**dict(row)) for row in rows]

    async def published(self) -> dict[str, str]:
        rows = await self._people.fetch(
            "select table_namespace || '.' || table_name as name, metadata_location from iceberg.iceberg_tables"
        )
        return {row["name"]: row["metadata_location"] for row in rows}

    async def artifacts(self, run_id: UUID) -> list[str]:
        rows = await self._people.fetch("select name from ops.artifacts where run_id = $1 order by name", run_id)
        return [row["name"] for row in rows]


@pytest.fixture
async def world(postgres: ThrowawayPostgres, control_dsn: str) -> AsyncIterator[PostgresWorld]:
    """Connected as each role is."""
    name = urlsplit(control_dsn).path.removeprefix("/")
    async with (
        open_database(postgres.dsn(name, role="lakehouse_executor"), application="executor") as control,
        open_database(postgres.dsn(name, role="lakehouse_dispatcher"), application="dispatcher") as dispatching,
        open_database(control_dsn, application="people") as people,
    ):
        yield PostgresWorld(control, dispatching, people)


class TestPostgres(ControlPlaneConformance):
    """The SQL functions, called by the roles that services log in as."""
