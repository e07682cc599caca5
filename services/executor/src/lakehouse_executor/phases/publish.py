"""Makes what a run staged visible: the only step that readers notice, and the only one that spans systems.

Called by `run.py` through the registry. The manifest is stored and registered first, then one transaction of the
control plane swaps every table's pointer, remembers the states and writes the ledger, or refuses all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from anyio import to_thread

from lakehouse_executor.context import PhaseContext, PhaseResult
from opscore.domain.artifact import Artifact
from opscore.domain.manifest import build_manifest
from opscore.domain.table import StagedTable

NAME, KIND, MEDIA_TYPE = "manifest.json", "manifest", "application/json"


async def publish(context: PhaseContext) -> PhaseResult:
    """Publish staged tables and states of the phases before. Raises LeaseLost, Canceled and PublishConflict.

    Without staged tables only the states move: the run found nothing new.
    """
    lease = context.order.lease
    tables = staged_tables(context.results.values())
    manifest = await _store_manifest(context)
    await context.control.register_artifacts(lease, [manifest])
    await context.control.publish(lease, tables, table_states(context.results.values()))
    return {
        "published": len(tables),
        "rows_added": sum(table.rows_added for table in tables),
        "manifest_sha256": manifest.sha256,
    }


def staged_tables(results: Iterable[Mapping[str, Any]]) -> list[StagedTable]:
    """The last version each table was staged at, by name."""
    found = {item["name"]: item for result in results for item in result.get("tables", ())}
    return [StagedTable.from_json(found[name]) for name in sorted(found)]


def table_states(results: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the next run of the pipeline compares with, by table."""
    return {name: state for result in results for name, state in result.get("states", {}).items()}


async def _store_manifest(context: PhaseContext) -> Artifact:
    lease = context.order.lease
    content = build_manifest(context.order, context.results)
    put = partial(context.artifacts.put, lease.run_id, lease.attempt, NAME, KIND, content, MEDIA_TYPE)
    return await to_thread.run_sync(put)
