"""The control plane as people see it: what the CLI, the SDK and the control room read and ask for.

Implemented by `opscore.db.people_rpc`. Rows are JSON objects in the shapes of the CLI and the HTTP API: times are
ISO 8601 in UTC, ids and snapshot ids text, scores numbers. Nothing here needs or shows a lease token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from opscore.domain.bundle import Bundle
from opscore.domain.phase import Phase

DEFAULT_ENVIRONMENT = UUID("00000000-0000-4000-8000-000000000003")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest first. next: what to pass as `after` for the rows behind them, None at the end."""

    items: list[Json]
    next: str | None


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A run that was accepted. created False: the idempotency key had been used, this is that run."""

    run_id: UUID
    state: str
    created: bool


class Runs(Protocol):
    """Runs: look at them, ask for them, end them."""

    async def runs(
        self, environment: UUID, *, state: str | None, pipeline: str | None, limit: int, after: str | None
    ) -> Page:
        """Newest first. after: a page's `next`; InvalidInput when it is not one."""
        ...

    async def run(self, run_id: UUID) -> Json:
        """One run. Raises NotFound."""
        ...

    async def runs_by_id(self, run_ids: Sequence[UUID]) -> list[Json]:
        """Those that exist, newest first."""
        ...

    async def chain(self, run_id: UUID) -> list[Json]:
        """The run and all that its publish triggered, directly or not, oldest first."""
        ...

    async def pulse(self, environment: UUID, *, newest: int, known: Sequence[UUID]) -> dict[UUID, str]:
        """Run id -> a text that changes with the run, for the newest runs, all open runs and those in `known`."""
        ...

    async def enqueue(
        self,
        environment: UUID,
        pipeline: str,
        params: Mapping[str, Any],
        *,
        idempotency_key: str | None,
        labels: Sequence[str] = (),
        estimate: Mapping[str, str] | None = None,
    ) -> Enqueued:
        """Ask for a run. Raises NotFound, InvalidInput, IdempotencyConflict and CapExceeded.

        labels: beside the pipeline's own. estimate: what it will use by metered kind, as exact text, instead of the
        pipeline's.
        """
        ...

    async def cancel_run(self, run_id: UUID, *, by: str, reason: str | None) -> str:
        """Ask for a run's end; the state it is in now. Raises NotFound."""
        ...

    async def retry_run(self, run_id: UUID, *, by: str) -> str:
        """Put a failed or canceled run back into the queue. Raises NotFound and Conflict."""
        ...

    async def rollback_run(self, run_id: UUID, *, by: str, reason: str) -> int:
        """Return the run's tables to the version before it; how many. Raises NotFound and Conflict."""
        ...

    async def run_events(self, run_id: UUID, *, after: int, limit: int) -> list[Json]:
        """Events of a run behind a `run_seq`, in order."""
        ...

    async def latest_events(self, *, limit: int) -> tuple[list[Json], str]:
        """The newest settled events, oldest first, and the position behind them."""
        ...

    async def events_after(self, position: str, *, limit: int) -> tuple[list[Json], str]:
        """Settled events behind a position and the position behind them: none is skipped, none comes twice."""
        ...

    async def artifacts(self, run_id: UUID) -> list[Json]:
        """What a run left behind, newest attempt first."""
        ...

    async def artifact(self, artifact_id: UUID) -> Json:
        """One artifact. Raises NotFound."""
        ...


class Catalogue(Protocol):
    """What there is: pipelines, tables, executors, caps."""

    async def pipelines(self, environment: UUID) -> list[Json]:
        """All pipelines by name, the built-in ones last."""
        ...

    async def pipeline(self, environment: UUID, name: str) -> Json:
        """One pipeline with its spec and the names of its files. Raises NotFound."""
        ...

    async def apply_pipeline(
        self, environment: UUID, bundle: Bundle, phases: Sequence[Phase], writes: Sequence[str] = ()
    ) -> bool:
        """Make a bundle its pipeline's present version; False when it was already. Raises Conflict.

        writes: the tables it may publish, `bronze.*` for all of a namespace.
        """
        ...

    async def tables(self) -> list[Json]:
        """Published tables by name."""
        ...

    async def table(self, name: str) -> Json:
        """One table. Raises NotFound."""
        ...

    async def table_versions(self, name: str) -> list[Json]:
        """What was published of a table, newest first. Raises NotFound."""
        ...

    async def executors(self) -> list[Json]:
        """Executors, those seen last first, and whether each is alive."""
        ...

    async def caps(self, environment: UUID) -> list[Json]:
        """Caps with what is in use now."""
        ...

    async def vitals(self) -> Json:
        """What `doctor` asks: versions, executors alive, notify queue usage, counts of open runs."""
        ...


class Alerts(Protocol):
    """Alerts, routes and silences."""

    async def alerts(self, environment: UUID, *, state: str | None, limit: int) -> list[Json]:
        """Newest first, with what was sent about each."""
        ...

    async def change_alert(self, alert_id: UUID, state: str, *, by: str) -> Json:
        """Acknowledge or resolve an open alert. Raises NotFound."""
        ...

    async def silence(self, environment: UUID, match: Json, *, reason: str, by: str, length: timedelta) -> UUID:
        """Keep matching alerts from notifying for a while."""
        ...

    async def routes(self, environment: UUID) -> list[Json]:
        """The routing matrix in the order it is asked."""
        ...

    async def set_route(
        self,
        environment: UUID,
        name: str,
        *,
        match: Json,
        channel: str,
        target: Json,
        position: int,
        go_on: bool,
        enabled: bool,
    ) -> Json:
        """Add a route or change the one of this name. go_on: whether later routes are asked as well."""
        ...


class People(Runs, Catalogue, Alerts, Protocol):
    """All of it."""
