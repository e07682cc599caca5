"""Projects share the executors' slots by weight, nothing starves, and order within a project is by priority and age."""

from __future__ import annotations

from datetime import timedelta

import pytest

from support.caps import CapPlane
from support.flood import RUN_S, p95_of_the_quiet_project
from support.plane import ENVIRONMENT


async def test_a_flood_of_one_project_at_most_doubles_the_delay_of_another(plane: CapPlane) -> None:
    alone = await p95_of_the_quiet_project(plane, 0)
    beside = await p95_of_the_quiet_project(plane, 1000)

    assert alone == RUN_S
    assert alone < beside <= 2 * alone


async def test_slots_are_shared_by_weight_while_both_have_work(plane: CapPlane) -> None:
    heavy, light = await plane.elsewhere(weight=3), await plane.elsewhere(weight=1)
    await plane.enqueue_many(heavy, 100)
    await plane.enqueue_many(light, 100)

    taken = await plane.projects_of(await plane.take(40, slots=40))

    assert (taken.count(heavy), taken.count(light)) == (30, 10)


async def test_what_a_project_runs_already_counts_as_its_share(plane: CapPlane) -> None:
    early, late = await plane.elsewhere(), await plane.elsewhere()
    await plane.enqueue_many(early, 100)
    await plane.take(6, slots=12)
    await plane.enqueue_many(late, 100)

    taken = await plane.projects_of(await plane.take(6, slots=12))

    assert taken == [late] * 6


async def test_a_share_that_nobody_asks_for_goes_to_who_does(plane: CapPlane) -> None:
    heavy, light = await plane.elsewhere(weight=100), await plane.elsewhere(weight=1)
    await plane.enqueue_many(heavy, 3)
    await plane.enqueue_many(light, 100)

    taken = await plane.projects_of(await plane.take(20, slots=20))

    assert (taken.count(heavy), taken.count(light)) == (3, 17)


async def test_projects_whose_runs_need_other_things_share_all_the_same(plane: CapPlane) -> None:
    plain, special = await plane.elsewhere(), await plane.elsewhere()
    await plane.apply(special, "p", requires=["gpu"])
    await plane.enqueue_many(plain, 100)
    await plane.enqueue_many(special, 100)

    taken = await plane.projects_of(await plane.take(10, capabilities=("gpu",)))

    assert (taken.count(plain), taken.count(special)) == (5, 5)


async def test_no_slot_stays_free_while_something_fits_it(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "special", requires=["gpu"])
    await plane.apply(ENVIRONMENT, "plain")
    await plane.enqueue_many(ENVIRONMENT, 8, "special")
    await plane.enqueue_many(ENVIRONMENT, 8, "plain")
    small = await plane.executor("small", slots=3)
    large = await plane.executor("large", slots=3, capabilities=("gpu",))

    rows = await plane.db.fetch("select executor_id from ops.lease_runs(100)")
    got = [row["executor_id"] for row in rows]

    assert (got.count(small), got.count(large)) == (3, 3)


@pytest.mark.parametrize(("minutes", "first"), [(24, "urgent"), (26, "old")])
async def test_priority_goes_first_until_age_has_caught_up(plane: CapPlane, minutes: int, first: str) -> None:
    await plane.pipeline("p")
    old = await plane.enqueue("p")
    await plane.pass_time(timedelta(minutes=minutes))
    urgent = await plane.enqueue("p", priority=5)

    (taken,) = await plane.take(1)

    assert taken.run_id == {"old": old, "urgent": urgent}[first]


async def test_nothing_starves_behind_an_endless_stream_of_urgent_runs(plane: CapPlane) -> None:
    await plane.pipeline("p")
    patient = await plane.enqueue("p")
    await plane.enqueue_many(ENVIRONMENT, 2, priority=3)

    waited = 0
    while (taken := (await plane.take(1))[0]).run_id != patient:
        await plane.finish(taken)
        await plane.enqueue_many(ENVIRONMENT, 2, priority=3)
        await plane.pass_time(timedelta(minutes=1))
        waited += 1
        assert waited < 60

    assert waited > 15


async def test_lanes_of_one_project_keep_one_order(plane: CapPlane) -> None:
    await plane.pipeline("p")
    await plane.pipeline("q")
    expected = [
        await plane.enqueue("q", priority=2),
        await plane.enqueue("p", priority=1, labels=["a"]),
        await plane.enqueue("p", priority=1),
        await plane.enqueue("q"),
    ]

    taken = [(await plane.take(1))[0].run_id for _ in expected]

    assert taken == expected
