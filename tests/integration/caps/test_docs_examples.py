"""The worked examples of docs/caps.md and docs/fairness.md are what the code does."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from support.caps import CapPlane
from support.flood import RUN_S, p95_of_the_quiet_project
from support.plane import ENVIRONMENT, Work

DOCS = Path(__file__).parents[3] / "docs"
CAP = "spec:p:cost"


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading line of a page."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(heading))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


async def standing(plane: CapPlane, fifth: uuid.UUID) -> list[float | str]:
    cap = await plane.cap(CAP)
    settled = float(await plane.db.fetchval("select coalesce(sum(amount), 0) from ops.cap_usage"))
    used = cap["used"]
    return [settled, round(used - settled, 2), used, cap["limit"], await plane.state(fifth)]


async def test_the_worked_example_of_caps(plane: CapPlane) -> None:
    day: dict[str, Any] = {"kind": "cost", "limit": "1.00", "window_seconds": 86_400}
    await plane.apply(ENVIRONMENT, "p", estimate={"cost": "0.25"}, caps=[day])
    runs = await plane.enqueue_many(ENVIRONMENT, 5)
    seen: list[list[float | str]] = []

    async def look() -> None:
        seen.append(await standing(plane, fifth))

    works: list[Work] = await plane.take()
    (fifth,) = set(runs) - {work.run_id for work in works}
    await look()
    await plane.finish(works[0], usage={"cost": "0.10"})
    await plane.finish(works[1], usage={"cost": "0.40"})
    await plane.take()
    await look()
    await plane.finish(works[2], usage={"cost": "0.15"})
    await plane.take()
    await look()
    await plane.pass_lease()
    await plane.rescue()
    await look()
    (again,) = await plane.take()
    await look()
    await plane.raise_cap("1.50", timedelta(hours=2), CAP)
    (last,) = await plane.take()
    await look()
    await plane.pass_time(timedelta(hours=2))
    await look()

    assert (again.run_id, last.run_id) == (works[3].run_id, fifth)
    told = table("caps.md", "| what happens |")
    assert seen == [[*map(float, row[1:5]), row[5]] for row in told]


async def test_the_worked_example_of_a_flood(plane: CapPlane) -> None:
    alone, beside = [row[1] for row in table("fairness.md", "| | p95")]

    assert f"{await p95_of_the_quiet_project(plane, 0)} s" == alone == f"{RUN_S} s"
    assert f"{await p95_of_the_quiet_project(plane, 1000)} s" == beside


async def test_the_worked_example_of_weights(plane: CapPlane) -> None:
    rows = {name: (int(weight), int(slots)) for name, weight, slots in table("fairness.md", "| project |")}
    homes = {name: await plane.elsewhere(weight=weight) for name, (weight, _) in rows.items()}
    for home in homes.values():
        await plane.enqueue_many(home, 100)

    taken = await plane.projects_of(await plane.take(40, slots=40))

    assert {name: taken.count(home) for name, home in homes.items()} == {
        name: slots for name, (_, slots) in rows.items()
    }
