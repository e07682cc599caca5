from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from opscore.domain.lease import Lease
from opscore.domain.manifest import build_manifest, manifest_digest
from opscore.domain.run import WorkOrder
from opscore.domain.table import StagedTable, WrittenFile


def order(**changes: Any) -> WorkOrder:
    made = WorkOrder(
        lease=Lease(uuid4(), 1, uuid4(), 1000),
        environment_id=uuid4(),
        pipeline="silver_to_gold",
        bundle="d1",
        params={"as_of": "2026-01-01", "chain": True},
        phases=(),
        created_at=datetime.now(UTC),
    )
    return made._replace(**changes)


def staged(name: str, *hashes: str, **changes: Any) -> dict[str, Any]:
    table = StagedTable(
        name=name,
        base_location=f"file:///base-{uuid4()}",
        metadata_location=f"file:///next-{uuid4()}",
        snapshot_id=uuid4().int >> 66,
        rows_added=len(hashes),
        rows=len(hashes),
        files=len(hashes),
        bytes=9,
        schema_hash="s",
        written=tuple(WrittenFile(f"file:///{uuid4()}", 1, 9, sha256) for sha256 in hashes),
    )
    return replace(table, **changes).as_json()


def results(*tables: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"transform": {"tables": list(tables), "inputs": {"silver.a": "1"}, "keys": {"gold.b": ["id"]}, **more}}


def test_the_same_data_is_the_same_manifest_whichever_run_made_it() -> None:
    first = build_manifest(order(), results(staged("gold.b", "h1", "h2"), staged("gold.a", "h3")))
    second = build_manifest(order(), results(staged("gold.a", "h3"), staged("gold.b", "h2", "h1")))

    assert first == second
    assert manifest_digest(first) == manifest_digest(second)


def test_what_starts_the_next_pipeline_is_not_data() -> None:
    chained = order(params={"as_of": "2026-01-01", "chain": False})

    assert build_manifest(order(), results()) == build_manifest(chained, results())


def test_other_data_inputs_parameters_or_code_are_another_manifest() -> None:
    base = results(staged("gold.b", "h1"))
    others = [
        (order(), results(staged("gold.b", "h2"))),
        (order(), results(staged("gold.b", "h1", schema_hash="t"))),
        (order(), results(staged("gold.b", "h1", rows=7))),
        (order(), results(staged("gold.b", "h1"), inputs={"silver.a": "2"})),
        (order(params={"as_of": "2026-01-02"}), base),
        (order(bundle="d2"), base),
    ]

    digests = {manifest_digest(build_manifest(*made)) for made in [(order(), base), *others]}

    assert len(digests) == len(others) + 1


def test_a_manifest_is_canonical_json() -> None:
    manifest = build_manifest(order(), results(staged("gold.b", "h1")))

    document = json.loads(manifest)
    assert manifest == json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert document["tables"] == [
        {
            "name": "gold.b",
            "key": ["id"],
            "schema": "s",
            "rows": 1,
            "rows_added": 1,
            "files": [{"sha256": "h1", "rows": 1, "bytes": 9}],
        }
    ]


def test_a_source_is_named_by_its_moment_without_the_time() -> None:
    source = {
        "system": "7",
        "database": "odoo",
        "snapshot": "1:1:",
        "lsn": "9",
        "taken_at": "2026-01-01",
        "watermark": 1,
    }

    document = json.loads(build_manifest(order(), {"ingest": {"tables": [], "source": source}}))

    assert document["inputs"] == {"source": {"system": "7", "database": "odoo", "snapshot": "1:1:", "lsn": "9"}}
