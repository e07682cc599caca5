"""The publish phase: manifest first, then everything at once or nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

import anyio
import pytest

from lakehouse_executor.context import PhaseContext
from lakehouse_executor.phases.publish import publish
from opscore.domain.artifact import Artifact
from opscore.domain.errors import LeaseLost, PublishConflict
from opscore.domain.run import WorkOrder
from opscore.testing.clock import ManualClock
from opscore.testing.factories import add_run, staged_table
from opscore.testing.memory import MemoryControlPlane


class MemoryArtifacts:
    """Artifacts over a dictionary."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def put(self, run_id: UUID, attempt: int, name: str, kind: str, content: bytes, media_type: str) -> Artifact:
        uri = f"memory:///{run_id}/{attempt}/{name}"
        self.contents[uri] = content
        return Artifact(name, kind, uri, hashlib.sha256(content).hexdigest(), len(content), media_type)

    def get(self, uri: str) -> bytes:
        return self.contents[uri]


class Bench:
    """One run that has come to its publish phase."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.control = MemoryControlPlane(self.clock)
        self.artifacts = MemoryArtifacts()

    async def order(self) -> WorkOrder:
        executor = await self.control.register_executor("one", [], 10, "0")
        add_run(self.control, phases=("ingest", "publish"))
        (order,) = await self.control.claim_work(executor, 1)
        return order

    def context(self, order: WorkOrder, **results: Any) -> PhaseContext:
        return PhaseContext(
            order=order,
            spec={},
            files={},
            results=results,
            control=self.control,
            lake=None,  # type: ignore[arg-type] # publishing does not touch it
            artifacts=self.artifacts,
            lake_options=None,
            workers=anyio.CapacityLimiter(1),
            clock=self.clock,
            progress=lambda _: None,
            secret=lambda name: name,
        )


async def test_staged_tables_of_all_phases_become_visible_with_their_states() -> None:
    bench = Bench()
    order = await bench.order()
    ingested = {"tables": [staged_table("bronze.a", rows=3).as_json()], "states": {"bronze.a": {"seq": 3}}}
    made = {"tables": [staged_table("silver.a", rows=2).as_json()], "states": {"silver.a": {"input": "1"}}}

    result = await publish(bench.context(order, ingest=ingested, transform=made))

    assert sorted(bench.control.tables) == ["bronze.a", "silver.a"]
    assert bench.control.states["sample", "bronze.a"] == {"seq": 3}
    assert (result["published"], result["rows_added"]) == (2, 5)


async def test_the_manifest_is_stored_registered_and_named_by_its_digest() -> None:
    bench = Bench()
    order = await bench.order()

    result = await publish(bench.context(order, ingest={"tables": [staged_table("bronze.a").as_json()]}))

    artifact = bench.control.artifacts[order.lease.run_id, 1, "manifest.json"]
    content = bench.artifacts.get(artifact.uri)
    assert result["manifest_sha256"] == artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert json.loads(content)["tables"][0]["name"] == "bronze.a"


async def test_a_run_that_found_nothing_new_moves_its_states_alone() -> None:
    bench = Bench()
    order = await bench.order()

    result = await publish(bench.context(order, ingest={"tables": [], "states": {"bronze.a": {"seq": 9}}}))

    assert result["published"] == 0
    assert bench.control.tables == {}
    assert bench.control.states["sample", "bronze.a"] == {"seq": 9}


async def test_a_moved_table_refuses_the_publish() -> None:
    bench = Bench()
    order = await bench.order()
    moved = staged_table("bronze.a", base="file:///lake/bronze.a/0.metadata.json")

    with pytest.raises(PublishConflict):
        await publish(bench.context(order, ingest={"tables": [moved.as_json()]}))

    assert bench.control.tables == {}


async def test_a_stale_lease_publishes_nothing() -> None:
    bench = Bench()
    order = await bench.order()
    bench.clock.jump(31)
    await bench.control.requeue_stale_runs(10)

    with pytest.raises(LeaseLost):
        await publish(bench.context(order, ingest={"tables": [staged_table("bronze.a").as_json()]}))

    assert bench.control.tables == {}
