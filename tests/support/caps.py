"""The control plane with the verbs that tests of caps and fairness need."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from support.plane import ENVIRONMENT, Plane, Work

HOUR = 3600


class CapPlane(Plane):
    """One connection to the control plane as its owner."""

    async def set_cap(self, kind: str = "concurrency", limit: object = 1, name: str = "c", **rest: Any) -> None:
        window = {} if kind == "concurrency" else {"window_seconds": HOUR}
        cap = {"name": name, "kind": kind, "limit": limit} | window | rest
        await self.db.fetchval("select ops.set_cap($1, $2)", ENVIRONMENT, cap)

    async def raise_cap(self, to: object, length: timedelta, name: str = "c") -> None:
        await self.db.fetchval(
            "select ops.raise_cap($1, $2, $3, $4, 'ana', 'month end')", ENVIRONMENT, name, to, length
        )

    async def cap(self, name: str = "c") -> dict[str, Any]:
        return await self.db.fetchval("select ops.caps_in_use($1, $2)", ENVIRONMENT, name)

    async def allow(self, pipeline: str = "p", **rest: Any) -> dict[str, Any]:
        return await self.db.fetchval(
            "select ops.cap_allow($1, $2, $3, $4)", ENVIRONMENT, pipeline, rest.get("labels", []), rest.get("estimate")
        )

    async def take(self, limit: int = 10, name: str = "e1", **rest: Any) -> list[Work]:
        """What the executor of this name gets now."""
        return await self.claim(await self.executor(name, **rest), limit)

    async def state(self, run: uuid.UUID) -> str:
        return (await self.run(run))["state"]

    async def reason(self, run: uuid.UUID) -> dict[str, Any] | None:
        """Why it waits, as api.runs shows it."""
        return await self.db.fetchval("select wait_reason from api.runs where id = $1", run)

    async def elsewhere(self, weight: float = 1, *, organization: bool = True) -> uuid.UUID:
        """Another environment, in a project of its own, with a pipeline `p`."""
        mark = uuid.uuid4().hex
        home = "select p.organization_id from ops.environments as e join ops.projects as p on p.id = e.project_id where e.id = $1"
        owner = (
            await self.db.fetchval("insert into ops.organizations (slug) values ($1) returning id", mark)
            if organization
            else await self.db.fetchval(home, ENVIRONMENT)
        )
        project = await self.db.fetchval(
            "insert into ops.projects (organization_id, slug, weight) values ($1, $2, $3) returning id",
            owner,
            mark,
            weight,
        )
        environment = await self.db.fetchval(
            "insert into ops.environments (project_id, slug) values ($1, 'main') returning id", project
        )
        await self.apply(environment, "p")
        return environment

    async def apply(self, environment: uuid.UUID, name: str, writes: list[str] | None = None, **spec: Any) -> None:
        """As `pipeline`, in any environment, with the tables it writes."""
        bundle = {
            "digest": uuid.uuid4().hex * 2,
            "spec": {"name": name} | spec,
            "files": {},
            "phases": ["transform", "publish"],
            "writes": writes or [],
        }
        await self.db.fetch("select * from ops.apply_pipeline($1, $2)", environment, bundle)

    async def enqueue_many(
        self, environment: uuid.UUID, count: int, pipeline: str = "p", **rest: Any
    ) -> list[uuid.UUID]:
        offered = [{"environment_id": environment, "pipeline": pipeline} | rest] * count
        return [row["run_id"] for row in await self.db.fetch("select run_id from ops.enqueue_runs($1)", offered)]

    async def projects_of(self, works: list[Work]) -> list[uuid.UUID]:
        """The environment of each, in their order."""
        rows = await self.db.fetch(
            "select id, environment_id from ops.runs where id = any ($1)", [w.run_id for w in works]
        )
        found = {row["id"]: row["environment_id"] for row in rows}
        return [found[work.run_id] for work in works]
