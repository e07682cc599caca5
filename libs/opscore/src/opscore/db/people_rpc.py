"""People's half of the control plane: named reads over schema api, actions over SQL functions of schema ops.

Composed in the control room's `app.py` and by the CLI's client. Implements `opscore.ports.people`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any
from uuid import UUID

import asyncpg

from opscore.db.pool import Database
from opscore.domain.bundle import Bundle
from opscore.domain.errors import InvalidInput, NotFound
from opscore.domain.phase import Phase
from opscore.ports.people import Enqueued, Json, Page

# The run object of the interface, in its order, then what else a person may ask about.
RUN_FIELDS = (
    *("id", "pipeline", "state", "phase", "attempt", "params", "created_at", "started_at", "finished_at"),
    *("wait_reason", "error", "checks", "cancel", "quarantined", "score", "tables"),
    *("progress", "due_at", "published_at", "rolled_back_at", "trigger", "parent_run_id", "bundle", "failures"),
    *("losses", "interruptions", "manifest_sha256", "executor_id", "event_seq", "labels", "estimate", "usage"),
    "cancel_request",
)
START = "0.0"


class PeopleRpc:
    """People over one database."""

    def __init__(self, database: Database) -> None:
        """database: connected as the control room's role, or the owner's."""
        self._db = database

    async def runs(
        self, environment: UUID, *, state: str | None, pipeline: str | None, limit: int, after: str | None
    ) -> Page:
        """See Runs."""
        created_at, run_id = decode_cursor(after) if after else (None, None)
        rows = await self._db.fetch(named("runs_page"), environment, state, pipeline, created_at, run_id, limit + 1)
        items = [run_json(row["item"]) for row in rows[:limit]]
        return Page(items, encode_cursor(items[-1]) if len(rows) > limit else None)

    async def run(self, run_id: UUID) -> Json:
        """See Runs."""
        found = await self.runs_by_id([run_id])
        return _only(found, "run", run_id)

    async def runs_by_id(self, run_ids: Sequence[UUID]) -> list[Json]:
        """See Runs."""
        return [run_json(row["item"]) for row in await self._db.fetch(named("runs_by_id"), list(run_ids))]

    async def chain(self, run_id: UUID) -> list[Json]:
        """See Runs."""
        return [run_json(row["item"]) for row in await self._db.fetch(named("runs_chain"), run_id)]

    async def pulse(self, environment: UUID, *, newest: int, known: Sequence[UUID]) -> dict[UUID, str]:
        """See Runs."""
        rows = await self._db.fetch(named("runs_pulse"), environment, newest, list(known))
        return {row["id"]: row["pulse"] for row in rows}

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
        """See Runs."""
        wanted = {
            "environment_id": environment,
            "pipeline": pipeline,
            "params": dict(params),
            "idempotency_key": idempotency_key,
            "labels": list(labels),
            "estimate": None if estimate is None else dict(estimate),
        }
        row = await self._db.fetchrow("select run_id, state::text, created from ops.enqueue_runs($1)", [wanted])
        assert row is not None  # noqa: S101 - the function answers one row or raises
        return Enqueued(row["run_id"], row["state"], row["created"])

    async def cancel_run(self, run_id: UUID, *, by: str, reason: str | None) -> str:
        """See Runs."""
        return await self._db.fetchval("select ops.cancel_run($1, $2, $3)", run_id, by, reason)

    async def retry_run(self, run_id: UUID, *, by: str) -> str:
        """See Runs."""
        return await self._db.fetchval("select ops.retry_run($1, $2)", run_id, by)

    async def rollback_run(self, run_id: UUID, *, by: str, reason: str) -> int:
        """See Runs."""
        return await self._db.fetchval("select ops.rollback_run($1, $2, $3)", run_id, by, reason)

    async def run_events(self, run_id: UUID, *, after: int, limit: int) -> list[Json]:
        """See Runs."""
        return _items(await self._db.fetch(named("run_events"), run_id, after, limit))

    async def latest_events(self, *, limit: int) -> tuple[list[Json], str]:
        """See Runs."""
        rows = list(reversed(await self._db.fetch(named("events_latest"), limit)))
        return _items(rows), _position(rows, START)

    async def events_after(self, position: str, *, limit: int) -> tuple[list[Json], str]:
        """See Runs."""
        xid, seq = _parts(position)
        rows = await self._db.fetch(named("events_after"), xid, seq, limit)
        return _items(rows), _position(rows, position)

    async def artifacts(self, run_id: UUID) -> list[Json]:
        """See Runs."""
        return _items(await self._db.fetch(named("artifacts"), run_id, None))

    async def artifact(self, artifact_id: UUID) -> Json:
        """See Runs."""
        found = _items(await self._db.fetch(named("artifacts"), None, artifact_id))
        return _only(found, "artifact", artifact_id)

    async def pipelines(self, environment: UUID) -> list[Json]:
        """See Catalogue."""
        return _items(await self._db.fetch(named("pipelines"), environment, None))

    async def pipeline(self, environment: UUID, name: str) -> Json:
        """See Catalogue."""
        found = _items(await self._db.fetch(named("pipelines"), environment, name))
        pipeline = _only(found, "pipeline", name)
        bundle = await self._db.fetchrow("select spec, files from ops.bundle($1)", pipeline["bundle"])
        spec, files = (bundle["spec"], sorted(bundle["files"])) if bundle else ({}, [])
        return {**pipeline, "spec": spec, "files": files}

    async def apply_pipeline(
        self, environment: UUID, bundle: Bundle, phases: Sequence[Phase], writes: Sequence[str] = ()
    ) -> bool:
        """See Catalogue."""
        content = {
            "digest": bundle.digest,
            "spec": bundle.spec,
            "files": bundle.files,
            "phases": list(phases),
            "writes": list(writes),
        }
        return await self._db.fetchval("select changed from ops.apply_pipeline($1, $2)", environment, content)

    async def tables(self) -> list[Json]:
        """See Catalogue."""
        return _items(await self._db.fetch(named("tables"), None))

    async def table(self, name: str) -> Json:
        """See Catalogue."""
        return _only(_items(await self._db.fetch(named("tables"), name)), "table", name)

    async def table_versions(self, name: str) -> list[Json]:
        """See Catalogue."""
        found = _items(await self._db.fetch(named("table_versions"), name))
        if not found:
            raise _unknown("table", name)
        return found

    async def executors(self) -> list[Json]:
        """See Catalogue."""
        return _items(await self._db.fetch(named("executors"), None))

    async def caps(self, environment: UUID) -> list[Json]:
        """See Catalogue."""
        return _items(await self._db.fetch(named("caps"), environment, None))

    async def vitals(self) -> Json:
        """See Catalogue."""
        return await self._db.fetchval(named("vitals"))

    async def alerts(self, environment: UUID, *, state: str | None, limit: int) -> list[Json]:
        """See Alerts."""
        return _items(await self._db.fetch(named("alerts"), environment, state, None, limit))

    async def change_alert(self, alert_id: UUID, state: str, *, by: str) -> Json:
        """See Alerts."""
        await self._db.fetchval("select ops.change_alert($1, $2, $3)", alert_id, state, by)
        return _only(_items(await self._db.fetch(named("alerts"), None, None, alert_id, 1)), "alert", alert_id)

    async def silence(self, environment: UUID, match: Json, *, reason: str, by: str, length: timedelta) -> UUID:
        """See Alerts."""
        return await self._db.fetchval("select ops.silence($1, $2, $3, $4, $5)", environment, match, reason, by, length)

    async def routes(self, environment: UUID) -> list[Json]:
        """See Alerts."""
        return _items(await self._db.fetch(named("routes"), environment, None))

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
        """See Alerts."""
        await self._db.fetchval(
            "select ops.set_route($1, $2, $3, $4, $5, $6, $7, $8)",
            *(environment, name, match, channel, target, position, go_on, enabled),
        )
        return _only(_items(await self._db.fetch(named("routes"), environment, name)), "route", name)


@cache
def named(query: str) -> str:
    """The text of `queries/<query>.sql`."""
    return (resources.files("opscore.db") / "queries" / f"{query}.sql").read_text(encoding="utf-8")


def run_json(row: Mapping[str, Any]) -> Json:
    """A row of api.runs as the CLI and the API show it; an error always has a hint, if only an empty one."""
    error = row["error"]
    shown = None if error is None else {"code": error.get("code"), "message": error.get("message"), "hint": ""} | error
    return {name: row[name] for name in RUN_FIELDS} | {"error": shown}


def encode_cursor(run: Mapping[str, Any]) -> str:
    """The place behind a run in the list of runs."""
    return base64.urlsafe_b64encode(f"{run['created_at']}|{run['id']}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """The place that a cursor means. Raises InvalidInput."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        created_at, run_id = text.split("|")
        return datetime.fromisoformat(created_at), UUID(run_id)
    except (ValueError, binascii.Error):
        raise InvalidInput(
            f"{cursor[:60]!r} is not a cursor of this list.", hint="Pass the `next` of the page before, unchanged."
        ) from None


def _items(rows: Iterable[asyncpg.Record]) -> list[Json]:
    return [row["item"] for row in rows]


def _only(found: Sequence[Json], kind: str, name: object) -> Json:
    if not found:
        raise _unknown(kind, name)
    return found[0]


def _unknown(kind: str, name: object) -> NotFound:
    return NotFound(kind=kind, name=str(name), hint=f"`lakehouse {kind} list` shows what there is.")


def _position(rows: Sequence[asyncpg.Record], before: str) -> str:
    return f"{rows[-1]['xid']}.{rows[-1]['seq']}" if rows else before


def _parts(position: str) -> tuple[str, int]:
    xid, _, seq = position.partition(".")
    if not (xid.isdigit() and seq.isdigit()):
        raise InvalidInput(f"{position[:60]!r} is not a position in the event log.", hint="Pass one the API answered.")
    return xid, int(seq)
