"""Puts bundles into the control plane. Used by `pipeline apply` and the demo."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.client.lakehouse import Lakehouse
from opscore.domain.bundle import Bundle
from opscore.domain.pipeline import PipelineSpec, phases, writes
from opscore.ports.people import Json


async def apply_bundles(lakehouse: Lakehouse, bundles: Sequence[Bundle]) -> list[Json]:
    """Apply bundles in order: [{name, bundle, changed}]."""
    return [await _apply(lakehouse, bundle) for bundle in bundles]


async def _apply(lakehouse: Lakehouse, bundle: Bundle) -> Json:
    spec = PipelineSpec.model_validate(bundle.spec)
    changed = await lakehouse.people.apply_pipeline(lakehouse.environment, bundle, phases(spec), writes(spec))
    return {"name": spec.name, "bundle": bundle.digest, "changed": changed}
