"""Files of artifacts past retention go, then their rows; what cannot be deleted now keeps its row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from lakehouse_executor.tidying import BATCH, tidy
from opscore.domain.errors import NotAllowed, WarehouseMissing
from opscore.lake.artifacts import WarehouseArtifacts
from opscore.lake.options import LakeOptions
from opscore.lake.storage import MARKER, init_warehouse
from opscore.observe.observation import ArtifactsRemoved
from opscore.ports.housekeeping import ExpiredArtifact
from opscore.testing.factories import make_service


class Rows:
    """Expired artifacts, each handed out once."""

    def __init__(self, uris: Sequence[str]) -> None:
        self.expired = [ExpiredArtifact(uuid4(), uri) for uri in uris]
        self.forgotten: list[str] = []
        self._uris = {artifact.id: artifact.uri for artifact in self.expired}

    async def take_expired_artifacts(self, limit: int) -> list[ExpiredArtifact]:
        taken, self.expired = self.expired[:limit], self.expired[limit:]
        return taken

    async def forget_artifacts(self, artifacts: Sequence[UUID]) -> int:
        self.forgotten += [self._uris[artifact] for artifact in artifacts]
        return len(artifacts)


@pytest.fixture
def artifacts(tmp_path: Path) -> WarehouseArtifacts:
    options = LakeOptions("postgresql://u@127.0.0.1/x", (tmp_path / "warehouse").as_uri())
    init_warehouse(options)
    return WarehouseArtifacts(options)


def put(artifacts: WarehouseArtifacts, name: str = "result.json") -> str:
    return artifacts.put(uuid4(), 1, name, "result", b"{}", "application/json").uri


async def test_a_file_is_deleted_before_its_row_is_forgotten(artifacts: WarehouseArtifacts, tmp_path: Path) -> None:
    test = make_service()
    rows = Rows([put(artifacts), put(artifacts)])

    more = await tidy(rows, artifacts, test.service)

    assert not list(tmp_path.rglob("result.json"))
    assert (more, len(rows.forgotten)) == (False, 2)
    assert test.observer.of(ArtifactsRemoved) == [ArtifactsRemoved(2)]


async def test_a_file_that_is_gone_already_is_no_fault(artifacts: WarehouseArtifacts) -> None:
    uri = put(artifacts)
    artifacts.delete(uri)
    rows = Rows([uri])

    await tidy(rows, artifacts, make_service().service)

    assert rows.forgotten == [uri]


async def test_an_address_outside_of_the_warehouse_is_left_alone(artifacts: WarehouseArtifacts, tmp_path: Path) -> None:
    stranger = tmp_path / "precious.txt"
    stranger.write_text("mine")
    ours = put(artifacts)
    climbing = ours.rsplit("/", 3)[0] + "/../../precious.txt"
    rows = Rows([stranger.as_uri(), climbing, ours])

    await tidy(rows, artifacts, make_service().service)

    assert (stranger.read_text(), rows.forgotten) == ("mine", [ours])
    with pytest.raises(NotAllowed):
        artifacts.delete(climbing)


async def test_nothing_is_forgotten_while_the_warehouse_is_not_mounted(
    artifacts: WarehouseArtifacts, tmp_path: Path
) -> None:
    rows = Rows([put(artifacts)])
    (tmp_path / "warehouse" / MARKER).unlink()

    await tidy(rows, artifacts, make_service().service)

    assert rows.forgotten == []
    with pytest.raises(WarehouseMissing):
        artifacts.delete(put_address(tmp_path))


def put_address(tmp_path: Path) -> str:
    return (tmp_path / "warehouse" / "artifacts" / "x").as_uri()


async def test_a_full_batch_says_that_there_may_be_more(artifacts: WarehouseArtifacts) -> None:
    rows = Rows([put(artifacts)] * (BATCH + 1))

    assert await tidy(rows, artifacts, make_service().service)
    assert not await tidy(rows, artifacts, make_service().service)
