"""Artifacts in the warehouse: written once, read by address."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import pytest

from opscore.domain.errors import NotAllowed, NotFound
from opscore.lake.artifacts import WarehouseArtifacts
from opscore.lake.options import LakeOptions


def test_an_artifact_is_read_back_by_its_address(options: LakeOptions) -> None:
    artifacts = WarehouseArtifacts(options)

    kept = artifacts.put(uuid4(), 2, "manifest.json", "manifest", b"{}", "application/json")

    assert artifacts.get(kept.uri) == b"{}"
    assert (kept.sha256, kept.bytes) == (hashlib.sha256(b"{}").hexdigest(), 2)
    assert kept.uri.endswith("/2/manifest.json")


def test_a_missing_artifact_is_not_found(options: LakeOptions) -> None:
    with pytest.raises(NotFound):
        WarehouseArtifacts(options).get(f"{options.warehouse}/artifacts/none")


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "{root}/artifacts/../bronze/t", "{root}/bronze/t"])
def test_an_address_outside_the_artifacts_is_refused(options: LakeOptions, uri: str) -> None:
    with pytest.raises(NotAllowed):
        WarehouseArtifacts(options).get(uri.format(root=options.warehouse))
