"""One connection to a stack, with the few things that are more than one call: run and wait, ask in SQL.

Everything else is in `lakehouse.people` (see `opscore.ports.people`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from lakehouse.client.naming import find
from lakehouse.client.reading import read_artifact
from lakehouse.client.target import Target, find_stack
from lakehouse.client.waiting import CHANNEL, Patience, Saw, follow
from opscore.db.backfills_rpc import BackfillsRpc
from opscore.db.caps_rpc import CapsRpc
from opscore.db.executors_rpc import ExecutorsRpc
from opscore.db.listen import listening
from opscore.db.people_rpc import PeopleRpc
from opscore.db.pool import Database, open_database
from opscore.db.schedules_rpc import SchedulesRpc
from opscore.db.scores_rpc import ScoresRpc
from opscore.db.upkeep_rpc import UpkeepRpc
from opscore.domain.errors import NotFound
from opscore.ports.people import Json

APPLICATION = "lakehouse client"
QUERY = "query"
RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Lakehouse:
    """A stack in hand."""

    people: PeopleRpc
    target: Target
    database: Database = field(repr=False)

    @property
    def environment(self) -> UUID:
        """The environment that is meant."""
        return self.target.environment

    @property
    def upkeep(self) -> UpkeepRpc:
        """The switch that stops new leases, and the state the house is in."""
        return UpkeepRpc(self.database)

    @property
    def caps(self) -> CapsRpc:
        """Ceilings on what runs may use."""
        return CapsRpc(self.database)

    @property
    def executors(self) -> ExecutorsRpc:
        """Processes that carry out runs."""
        return ExecutorsRpc(self.database)

    @property
    def schedules(self) -> SchedulesRpc:
        """Schedules, deadlines and triggers."""
        return SchedulesRpc(self.database)

    @property
    def scores(self) -> ScoresRpc:
        """Signals, scores and weights."""
        return ScoresRpc(self.database)

    @property
    def backfills(self) -> BackfillsRpc:
        """Backfills."""
        return BackfillsRpc(self.database)

    async def find_run(self, beginning: str) -> UUID:
        """The one run whose id is this or begins so. Raises NotFound, and InvalidInput when several do."""
        return await find(self.database, "run", beginning)

    async def find_backfill(self, beginning: str) -> UUID:
        """The one backfill whose id is this or begins so. Raises NotFound, and InvalidInput when several do."""
        return await find(self.database, "backfill", beginning)

    async def start(
        self,
        pipeline: str,
        given: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        labels: Sequence[str] = (),
        estimate: Mapping[str, str] | None = None,
    ) -> UUID:
        """Ask for a run of an applied pipeline. Raises NotFound, InvalidParameter and CapExceeded."""
        shown = await self.people.pipeline(self.environment, pipeline)
        params = dict(given)
        if not shown["built_in"]:
            from opscore.domain.arguments import resolve_params  # noqa: PLC0415 - only those who start runs need specs
            from opscore.domain.pipeline import PipelineSpec  # noqa: PLC0415

            params = resolve_params(PipelineSpec.model_validate(shown["spec"]), given, datetime.now(UTC).date())
        accepted = await self.people.enqueue(
            self.environment, pipeline, params, idempotency_key=idempotency_key, labels=labels, estimate=estimate
        )
        return accepted.run_id

    async def accept(self, pipeline: str, given: Mapping[str, Any]) -> Json:
        """Parameters as the applied pipeline takes them, only those given. Raises NotFound and InvalidParameter."""
        shown = await self.people.pipeline(self.environment, pipeline)
        if shown["built_in"] or not given:
            return dict(given)
        from opscore.domain.arguments import accept_given  # noqa: PLC0415 - only those who give some need specs
        from opscore.domain.pipeline import PipelineSpec  # noqa: PLC0415

        return accept_given(PipelineSpec.model_validate(shown["spec"]), given, datetime.now(UTC).date())

    async def wait(
        self, run_id: UUID, *, chain: bool = False, patience: Patience | None = None, saw: Saw = lambda _: None
    ) -> list[Json]:
        """The run, and what it triggered when chain is set, as it stands at the end or when patience is over.

        saw: told of every change on the way. Raises NotFound.
        """

        async def look() -> list[Json]:
            return await self.people.chain(run_id) if chain else await self.people.runs_by_id([run_id])

        if not await look():
            raise NotFound(kind="run", name=str(run_id), hint="`lakehouse run list` shows what there is.")
        async with listening(self.target.listen_dsn, [CHANNEL], application=APPLICATION) as bell:
            return await follow(look, bell, patience or Patience(), saw)

    async def result(self, run: Mapping[str, Any]) -> Json:
        """What a finished statement answered. Raises NotFound when it left no result."""
        found = [one for one in await self.people.artifacts(UUID(run["id"])) if one["name"] == RESULT]
        if not found:
            raise NotFound(kind="result of run", name=run["id"], hint="Run the statement again.")
        import orjson  # noqa: PLC0415 - only results need it

        content = orjson.loads(await read_artifact(self.target, found[0]))
        keys = ("columns", "rows", "row_count", "truncated")
        return {**{key: content[key] for key in keys}, "query_id": run["id"]}


@asynccontextmanager
async def connect(home: Path | None = None, environ: Mapping[str, str] | None = None) -> AsyncGenerator[Lakehouse]:
    """Open the stack that the environment or the home names. Raises ControlPlaneUnavailable and InvalidSetting."""
    target = find_stack(os.environ if environ is None else environ, home)
    async with open_target(target) as lakehouse:
        yield lakehouse


@asynccontextmanager
async def open_target(target: Target) -> AsyncGenerator[Lakehouse]:
    """Open a stack that was found before."""
    async with open_database(target.dsn, application=APPLICATION, min_size=1, max_size=2) as database:
        yield Lakehouse(PeopleRpc(database), target, database)
