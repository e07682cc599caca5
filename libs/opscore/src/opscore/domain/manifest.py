"""What a run produced, as bytes that are equal whenever the data is: the run's fingerprint.

Built by the publish phase, compared by replay. Nothing in it depends on when, where or as which run the work was done:
no run id, no time, no file name, no snapshot id of its own. Files are named by content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from opscore.domain.run import WorkOrder
from opscore.domain.table import StagedTable

VERSION = 1
MOMENT = ("system", "database", "snapshot", "lsn")  # what a source says about the state that was read, but not the time
NOT_DATA = frozenset({"chain"})  # parameters that change what happens next, not what is made


def build_manifest(order: WorkOrder, results: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Canonical JSON (sorted keys, no spaces, UTF-8) of a run's phases. results: checkpoints by phase name."""
    document = {
        "version": VERSION,
        "pipeline": order.pipeline,
        "bundle": order.bundle,
        "params": {name: value for name, value in order.params.items() if name not in NOT_DATA},
        "inputs": _inputs(results.values()),
        "tables": [_table(table, keys) for table, keys in _tables(results.values())],
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def manifest_digest(manifest: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(manifest).hexdigest()


def _inputs(results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What was read: lake tables -> snapshot id as text; a source's moment under `source`."""
    found: dict[str, Any] = {}
    for result in results:
        found |= result.get("inputs", {})
        source = result.get("source", {})
        if source:
            found["source"] = {name: source[name] for name in MOMENT if name in source}
    return found


def _tables(results: Iterable[Mapping[str, Any]]) -> list[tuple[StagedTable, list[str]]]:
    """Each table's last version in the run, by name, with its key."""
    found: dict[str, tuple[StagedTable, list[str]]] = {}
    for result in results:
        keys = result.get("keys", {})
        for item in result.get("tables", ()):
            found[item["name"]] = (StagedTable.from_json(item), list(keys.get(item["name"], ())))
    return [found[name] for name in sorted(found)]


def _table(table: StagedTable, key: list[str]) -> dict[str, Any]:
    files = sorted((file.sha256, file.rows, file.bytes) for file in table.written)
    return {
        "name": table.name,
        "key": key,
        "schema": table.schema_hash,
        "rows": table.rows,
        "rows_added": table.rows_added,
        "files": [{"sha256": sha256, "rows": rows, "bytes": size} for sha256, rows, size in files],
    }
