"""A bundle is fetched once."""

from __future__ import annotations

import anyio

from lakehouse_executor.bundles import Bundles
from opscore.testing.clock import ManualClock
from opscore.testing.factories import make_bundle
from opscore.testing.memory import MemoryControlPlane


def control_with(*names: str) -> tuple[MemoryControlPlane, list[str]]:
    control = MemoryControlPlane(ManualClock())
    bundles = [make_bundle(name) for name in names]
    control.bundles = {bundle.digest: bundle for bundle in bundles}
    return control, [bundle.digest for bundle in bundles]


async def test_many_runs_of_a_bundle_fetch_it_once() -> None:
    control, (digest,) = control_with("a")
    bundles = Bundles(control)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(bundles.get, digest)

    assert control.calls == ["bundle"]


async def test_the_least_recently_used_bundle_makes_room() -> None:
    control, (a, b, c) = control_with("a", "b", "c")
    bundles = Bundles(control, kept=2)

    for digest in (a, b, a, c, a, b):
        await bundles.get(digest)

    assert len(control.calls) == 4
