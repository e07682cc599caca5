"""A run that does not run says why, as of now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from support.caps import CapPlane
from support.plane import ENVIRONMENT


async def test_a_run_that_runs_or_ended_waits_for_nothing(plane: CapPlane) -> None:
    work = await plane.work()
    running = await plane.reason(work.run_id)
    await plane.finish(work)

    assert (running, await plane.reason(work.run_id)) == (None, None)


async def test_it_is_not_due_yet(plane: CapPlane) -> None:
    run = await plane.enqueue(due_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())

    reason = await plane.reason(run)

    assert reason is not None
    assert reason["why"] == "not_due"


async def test_no_executor_offers_what_it_needs(plane: CapPlane) -> None:
    await plane.pipeline("p", requires=["gpu"])
    await plane.executor()
    run = await plane.enqueue("p")

    facts = {"requires": ["gpu"], "alive": 1, "draining": [], "position": 1, "waiting": 1}
    assert await plane.reason(run) == {"why": "no_executor"} | facts


async def test_the_executor_that_is_being_drained_is_named(plane: CapPlane) -> None:
    await plane.executor("one")
    await plane.db.fetchval("select ops.drain_executor('one', 'ada', 'upgrade')")
    run = await plane.enqueue()

    reason = await plane.reason(run)

    assert (reason["why"], reason["alive"], reason["draining"]) == ("no_executor", 1, ["one"])


async def test_all_slots_are_taken_and_it_has_a_place_in_the_queue(plane: CapPlane) -> None:
    await plane.pipeline("p")
    first, second = await plane.enqueue("p"), await plane.enqueue("p")
    urgent = await plane.enqueue("p", priority=5)
    await plane.executor()

    reasons = [await plane.reason(run) for run in (urgent, first, second)]

    assert reasons == [{"why": "slots", "position": n, "waiting": 3} for n in (1, 2, 3)]


async def test_leases_are_paused_by_somebody_for_a_reason(plane: CapPlane) -> None:
    await plane.db.execute("update ops.settings set paused_at = ops.now(), paused_by = 'ana', paused_reason = 'move'")
    run = await plane.enqueue()

    reason = await plane.reason(run)

    assert reason is not None
    assert (reason["why"], reason["by"], reason["reason"]) == ("paused", "ana", "move")


async def test_a_cap_is_full_and_the_reason_follows_its_use(plane: CapPlane) -> None:
    await plane.pipeline("p")
    await plane.set_cap(limit=2)
    first, second = await plane.work("p"), await plane.work("p")
    run, behind = await plane.enqueue("p"), await plane.enqueue("p")
    await plane.take()

    before = await plane.reason(behind)
    await plane.set_cap(limit=1)
    await plane.finish(first)
    after = await plane.reason(run)

    assert before is not None
    assert after is not None
    assert (before["used"], before["limit"], before["position"], before["waiting"]) == (2, 2, 2, 2)
    assert before["holders"] == [str(first.run_id), str(second.run_id)]
    assert (after["used"], after["limit"], after["holders"]) == (1, 1, [str(second.run_id)])


async def test_a_window_says_when_it_frees_something(plane: CapPlane) -> None:
    await plane.pipeline("p")
    await plane.set_cap("runs", 1)
    await plane.finish(await plane.work("p"))
    run = await plane.enqueue("p")

    reason = await plane.reason(run)
    assert reason is not None
    left = datetime.fromisoformat(reason["frees_at"]) - datetime.now(UTC)

    assert timedelta(minutes=58) < left < timedelta(minutes=62)


async def test_a_run_behind_a_thousand_others_is_told_so(plane: CapPlane) -> None:
    await plane.pipeline("p")
    await plane.enqueue_many(ENVIRONMENT, 1500)
    last = await plane.enqueue("p")
    await plane.executor()

    assert await plane.reason(last) == {"why": "slots", "position": 1000}
