"""What every control plane must do, whatever keeps its rows. Tests subclass it and give it a `world` fixture.

The in-memory one is only worth testing against while it passes exactly what Postgres passes.
"""
# ruff: noqa: S101, D102 - tests: they assert, and their names are their sentences

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from opscore.domain.artifact import Artifact
from opscore.domain.check import CheckAction, CheckOutcome, CheckResult
from opscore.domain.errors import Canceled, LeaseLost, NotFound, PublishConflict
from opscore.domain.event import EventType, RunEvent
from opscore.domain.phase import Phase
from opscore.domain.run import Outcome, OutcomeKind, Verdict, WorkOrder
from opscore.ports.control_plane import Beat
from opscore.testing.factories import staged_table
from opscore.testing.world import PLAIN, Ask, World

LEASE, START_TIMEOUT = 30.0, 15.0
ERROR = {"code": "SOURCE_UNAVAILABLE", "message": "gone", "hint": "wait"}
MANIFEST = Artifact("manifest.json", "manifest", "file:///m", "0" * 64, 2, "application/json")
CHECK = CheckOutcome("rows", "bronze.t", None, CheckAction.FAIL, CheckResult.PASS, "1", "1")


async def an_executor(world: World, name: str = "one", *, slots: int = 10, capabilities: tuple[str, ...] = ()) -> UUID:
    """A registered executor."""
    return await world.control.register_executor(name, capabilities, slots, "0")


async def leased_order(world: World, ask: Ask = PLAIN, executor: UUID | None = None) -> WorkOrder:
    """A run that was enqueued, leased and taken."""
    executor = executor or await an_executor(world)
    await world.enqueue(ask)
    await world.dispatching.lease_runs(10)
    (order,) = await world.control.take_work(executor, 10)
    return order


async def retaken(world: World, executor: UUID) -> WorkOrder:
    """The same run after its lease ran out, under a new lease."""
    await world.pass_time(LEASE + 1)
    await world.dispatching.requeue_stale_runs(10)
    await world.control.beat(executor, [])
    await world.dispatching.lease_runs(10)
    (order,) = await world.control.take_work(executor, 10)
    return order


def types(events: Iterable[RunEvent]) -> list[str]:
    """What happened, in order."""
    return [event.type for event in events]


class LeasingConformance:
    """Who gets which run, and when."""

    async def test_a_due_run_is_leased_started_and_handed_over_once(self, world: World) -> None:
        executor = await an_executor(world)
        run_id = await world.enqueue()

        leased = await world.dispatching.lease_runs(10)
        (order,) = await world.control.take_work(executor, 10)

        assert leased == [(run_id, executor)]
        assert (order.lease.run_id, order.lease.attempt, order.phases) == (run_id, 1, (Phase.QUERY,))
        assert await world.control.take_work(executor, 10) == []
        assert (await world.run(run_id)).state == "running"
        assert types(await world.events(run_id)) == ["RUN_CREATED", "PHASE_CLAIMED", "PHASE_STARTED"]

    async def test_a_run_that_is_due_later_waits_and_says_how_long(self, world: World) -> None:
        await an_executor(world)
        await world.enqueue(Ask(due_in=20))

        early = await world.dispatching.lease_runs(10)
        due_in = await world.dispatching.next_due_in_ms()
        await world.pass_time(20.5)
        late = await world.dispatching.lease_runs(10)

        assert (early, len(late)) == ([], 1)
        assert 15_000 < due_in <= 20_000

    async def test_only_an_executor_with_the_capabilities_gets_the_run(self, world: World) -> None:
        await an_executor(world, "plain")
        able = await an_executor(world, "able", capabilities=("container", "engine:duckdb"))
        run_id = await world.enqueue(Ask(requires=("engine:duckdb",)))

        assert await world.dispatching.lease_runs(10) == [(run_id, able)]

    async def test_a_draining_executor_gets_nothing(self, world: World) -> None:
        executor = await an_executor(world)
        await world.enqueue()

        await world.control.beat(executor, [], draining=True)

        assert await world.dispatching.lease_runs(10) == []

    async def test_an_executor_that_fell_silent_gets_nothing_until_it_beats(self, world: World) -> None:
        executor = await an_executor(world)
        await world.enqueue()
        await world.pass_time(31)

        silent = await world.dispatching.lease_runs(10)
        await world.control.beat(executor, [])
        heard = await world.dispatching.lease_runs(10)

        assert (silent, len(heard)) == ([], 1)

    async def test_slots_are_never_exceeded(self, world: World) -> None:
        await an_executor(world, "one", slots=2)
        await an_executor(world, "two", slots=1)
        for _ in range(5):
            await world.enqueue()

        first = await world.dispatching.lease_runs(10)
        second = await world.dispatching.lease_runs(10)

        assert (len(first), second) == (3, [])

    async def test_a_higher_priority_goes_first(self, world: World) -> None:
        await an_executor(world, slots=1)
        await world.enqueue(Ask(priority=0))
        urgent = await world.enqueue(Ask(priority=5))

        ((leased, _),) = await world.dispatching.lease_runs(10)

        assert leased == urgent

    async def test_an_executor_can_help_itself(self, world: World) -> None:
        executor = await an_executor(world)
        run_id = await world.enqueue()

        (order,) = await world.control.claim_work(executor, 10)

        assert order.lease.run_id == run_id
        assert (await world.run(run_id)).state == "running"

    async def test_registering_again_keeps_the_id_and_ends_draining(self, world: World) -> None:
        executor = await an_executor(world)
        await world.control.beat(executor, [], draining=True)
        await world.enqueue()

        again = await an_executor(world)

        assert again == executor
        assert len(await world.dispatching.lease_runs(10)) == 1

    async def test_a_lease_that_is_not_taken_in_time_goes_back_and_counts_as_interruption(self, world: World) -> None:
        executor = await an_executor(world)
        run_id = await world.enqueue()
        await world.dispatching.lease_runs(10)

        await world.pass_time(START_TIMEOUT + 1)
        rescued = await world.dispatching.requeue_stale_runs(10)

        seen = await world.run(run_id)
        assert rescued == [(run_id, "queued")]
        assert (seen.losses, seen.interruptions) == (0, 1)
        assert await world.control.take_work(executor, 10) == []


class BeatConformance:
    """Leases are renewed, news stored, verdicts given."""

    async def test_a_beat_renews_the_lease(self, world: World) -> None:
        order = await leased_order(world)
        executor = await an_executor(world)

        await world.pass_time(LEASE - 10)
        verdicts = await world.control.beat(executor, [Beat(order.lease)])
        await world.pass_time(LEASE - 10)

        assert verdicts == {order.lease.run_id: Verdict.GO_ON}
        assert await world.dispatching.requeue_stale_runs(10) == []

    async def test_a_beat_stores_phase_progress_checkpoint_and_events_in_order(self, world: World) -> None:
        order = await leased_order(world, Ask(phases=("ingest", "publish")))
        news = (("PHASE_SUCCEEDED", {"phase": "ingest"}), ("PHASE_STARTED", {"phase": "publish"}))

        await world.control.beat(
            await an_executor(world),
            [Beat(order.lease, Phase.PUBLISH, {"done": 1}, {"ingest": {"rows": 2}}, news)],
        )

        seen = await world.run(order.lease.run_id)
        events = await world.events(order.lease.run_id)
        assert (seen.phase, seen.progress, seen.checkpoint) == ("publish", {"done": 1}, {"ingest": {"rows": 2}})
        assert types(events)[-2:] == ["PHASE_SUCCEEDED", "PHASE_STARTED"]
        assert [event.run_seq for event in events] == list(range(1, len(events) + 1))

    async def test_a_later_attempt_goes_on_behind_the_checkpoint(self, world: World) -> None:
        executor = await an_executor(world)
        order = await leased_order(world, Ask(phases=("ingest", "publish")), executor)
        await world.control.beat(executor, [Beat(order.lease, checkpoint={"ingest": {"rows": 2}})])

        again = await retaken(world, executor)

        assert again.lease.attempt == 2
        assert again.checkpoint == {"ingest": {"rows": 2}}
        assert again.remaining_phases == (Phase.PUBLISH,)

    async def test_a_beat_after_the_lease_was_taken_hears_that_and_changes_nothing(self, world: World) -> None:
        executor = await an_executor(world)
        stale = await leased_order(world, executor=executor)
        await retaken(world, executor)
        before = await world.run(stale.lease.run_id)

        late = Beat(stale.lease, progress={"done": 9}, events=(("PHASE_PROGRESS", {}),))
        verdicts = await world.control.beat(executor, [late])

        assert verdicts == {stale.lease.run_id: Verdict.LEASE_LOST}
        assert await world.run(stale.lease.run_id) == before
        assert "PHASE_PROGRESS" not in types(await world.events(stale.lease.run_id))

    async def test_one_stale_beat_does_not_strand_the_others(self, world: World) -> None:
        executor = await an_executor(world)
        stale = await leased_order(world, executor=executor)
        current = await retaken(world, executor)
        other = await leased_order(world, executor=executor)

        verdicts = await world.control.beat(executor, [Beat(stale.lease), Beat(other.lease)])

        assert verdicts[other.lease.run_id] is Verdict.GO_ON
        assert current.lease.token != stale.lease.token

    async def test_a_beat_that_is_made_again_stores_its_events_once(self, world: World) -> None:
        executor = await an_executor(world)
        order = await leased_order(world, executor=executor)
        first = Beat(order.lease, events=((EventType.PHASE_PROGRESS, {"done": 1}),))
        await world.control.beat(executor, [first])

        again = replace(first, events=(*first.events, (EventType.PHASE_PROGRESS, {"done": 2})))
        await world.control.beat(executor, [again])

        told = [event.data for event in await world.events(order.lease.run_id) if event.type == "PHASE_PROGRESS"]
        assert told == [{"done": 1}, {"done": 2}]

    async def test_a_canceled_run_hears_it_with_the_next_beat(self, world: World) -> None:
        order = await leased_order(world)
        await world.cancel(order.lease.run_id)

        verdicts = await world.control.beat(await an_executor(world), [Beat(order.lease)])

        assert verdicts == {order.lease.run_id: Verdict.CANCEL}


class EndConformance:
    """How attempts end, and where that leads."""

    async def test_success_ends_the_run(self, world: World) -> None:
        order = await leased_order(world)
        done = (("PHASE_SUCCEEDED", {"phase": "query"}),)

        (accepted,) = await world.control.finish(
            [Outcome(order.lease, OutcomeKind.SUCCEEDED, events=done, manifest_sha256="ab")]
        )

        seen = await world.run(order.lease.run_id)
        assert (accepted.accepted, accepted.state, seen.manifest_sha256) == (True, "succeeded", "ab")
        assert types(await world.events(order.lease.run_id))[-2:] == ["PHASE_SUCCEEDED", "RUN_SUCCEEDED"]

    async def test_a_stale_finish_is_refused_recorded_and_does_not_strand_the_others(self, world: World) -> None:
        executor = await an_executor(world)
        stale = await leased_order(world, executor=executor)
        await retaken(world, executor)
        other = await leased_order(world, executor=executor)

        answers = await world.control.finish(
            [Outcome(stale.lease, OutcomeKind.SUCCEEDED), Outcome(other.lease, OutcomeKind.SUCCEEDED)]
        )

        accepted = {answer.run_id: answer.accepted for answer in answers}
        assert accepted == {stale.lease.run_id: False, other.lease.run_id: True}
        assert (await world.run(stale.lease.run_id)).state == "running"
        assert types(await world.events(stale.lease.run_id))[-1] == "WRITE_REFUSED"

    async def test_an_end_that_is_told_again_is_answered_again(self, world: World) -> None:
        order = await leased_order(world)
        outcome = Outcome(order.lease, OutcomeKind.SUCCEEDED)
        [first] = await world.control.finish([outcome])

        [again] = await world.control.finish([outcome])

        assert again == first
        assert types(await world.events(order.lease.run_id))[-1] == "RUN_SUCCEEDED"

    async def test_who_signs_off_gives_back_what_it_had_not_begun_and_gets_nothing_more(self, world: World) -> None:
        executor = await an_executor(world)
        run_id = await world.enqueue()
        await world.dispatching.lease_runs(10)

        await world.control.sign_off(executor)

        seen = await world.run(run_id)
        assert (seen.state, seen.interruptions, seen.failures) == ("queued", 1, 0)
        assert await world.dispatching.lease_runs(10) == []

    async def test_a_failure_with_a_wait_is_tried_again_when_it_is_over(self, world: World) -> None:
        order = await leased_order(world)
        failed = Outcome(order.lease, OutcomeKind.FAILED, error=ERROR, retry_in_ms=10_000)

        (answer,) = await world.control.finish([failed])
        early = await world.dispatching.lease_runs(10)
        await world.pass_time(10.5)
        late = await world.dispatching.lease_runs(10)

        seen = await world.run(order.lease.run_id)
        assert (answer.state, early, len(late)) == ("queued", [], 1)
        assert (seen.attempt, seen.failures, seen.error) == (2, 1, ERROR)

    async def test_the_last_attempt_fails_the_run_whatever_wait_it_asks_for(self, world: World) -> None:
        order = await leased_order(world, Ask(max_attempts=1))

        (answer,) = await world.control.finish([Outcome(order.lease, OutcomeKind.FAILED, error=ERROR, retry_in_ms=10)])

        assert answer.state == "failed"

    async def test_a_failure_without_a_wait_fails_the_run(self, world: World) -> None:
        order = await leased_order(world)

        (answer,) = await world.control.finish([Outcome(order.lease, OutcomeKind.FAILED, error=ERROR)])

        assert answer.state == "failed"
        assert types(await world.events(order.lease.run_id))[-1] == "RUN_FAILED"

    async def test_an_interruption_gives_the_run_back_and_burns_no_attempt(self, world: World) -> None:
        order = await leased_order(world, Ask(max_attempts=1))

        (answer,) = await world.control.finish([Outcome(order.lease, OutcomeKind.INTERRUPTED)])

        seen = await world.run(order.lease.run_id)
        assert (answer.state, seen.failures, seen.interruptions) == ("queued", 0, 1)

    async def test_a_conflict_can_make_the_run_start_over(self, world: World) -> None:
        executor = await an_executor(world)
        order = await leased_order(world, Ask(phases=("ingest", "publish")), executor)
        await world.control.beat(executor, [Beat(order.lease, checkpoint={"ingest": {}})])

        await world.control.finish(
            [Outcome(order.lease, OutcomeKind.FAILED, error=ERROR, retry_in_ms=0, clear_checkpoint=True)]
        )

        assert (await world.run(order.lease.run_id)).checkpoint == {}

    async def test_a_waiting_run_is_canceled_at_once(self, world: World) -> None:
        run_id = await world.enqueue()

        await world.cancel(run_id)

        seen = await world.run(run_id)
        assert (seen.state, seen.cancel) == ("canceled", "confirmed")

    async def test_a_cancel_that_the_executor_confirms_is_confirmed(self, world: World) -> None:
        order = await leased_order(world)
        await world.cancel(order.lease.run_id)

        await world.control.finish([Outcome(order.lease, OutcomeKind.CANCELED)])

        seen = await world.run(order.lease.run_id)
        assert (seen.state, seen.cancel) == ("canceled", "confirmed")

    async def test_a_canceled_run_that_is_lost_counts_as_presumed_stopped(self, world: World) -> None:
        order = await leased_order(world)
        await world.cancel(order.lease.run_id)
        await world.pass_time(LEASE + 1)

        rescued = await world.dispatching.requeue_stale_runs(10)

        seen = await world.run(order.lease.run_id)
        assert rescued == [(order.lease.run_id, "canceled")]
        assert seen.cancel == "presumed"

    async def test_a_lost_run_goes_back_and_counts_the_loss(self, world: World) -> None:
        order = await leased_order(world)
        await world.pass_time(LEASE + 1)

        rescued = await world.dispatching.requeue_stale_runs(10)

        seen = await world.run(order.lease.run_id)
        assert rescued == [(order.lease.run_id, "queued")]
        assert (seen.losses, seen.failures) == (1, 0)

    async def test_a_run_that_keeps_losing_its_executor_is_quarantined(self, world: World) -> None:
        executor = await an_executor(world)
        order = await leased_order(world, Ask(max_losses=2), executor)
        await retaken(world, executor)
        await world.pass_time(LEASE + 1)

        await world.dispatching.requeue_stale_runs(10)

        seen = await world.run(order.lease.run_id)
        assert (seen.state, seen.quarantined) == ("failed", True)
        assert seen.error is not None
        assert seen.error["code"] == "RUN_QUARANTINED"


class PublishConformance:
    """One moment, all or nothing, once."""

    async def test_a_publish_swaps_all_tables_and_remembers_states(self, world: World) -> None:
        executor = await an_executor(world)
        order = await leased_order(world, executor=executor)

        await world.control.publish(
            order.lease, [staged_table("bronze.a"), staged_table("bronze.b")], {"bronze.a": {"seq": 7}}
        )

        await world.control.finish([Outcome(order.lease, OutcomeKind.SUCCEEDED)])
        following = await leased_order(world, executor=executor)
        assert set(await world.published()) == {"bronze.a", "bronze.b"}
        assert await world.control.table_states(following.lease) == {"bronze.a": {"seq": 7}}

    async def test_a_table_that_moved_meanwhile_refuses_the_whole_group(self, world: World) -> None:
        executor = await an_executor(world)
        order = await leased_order(world, executor=executor)
        first = staged_table("bronze.a")
        await world.control.publish(order.lease, [first], {})
        late = await leased_order(world, executor=executor)

        with pytest.raises(PublishConflict):
            await world.control.publish(
                late.lease, [staged_table("bronze.b"), staged_table("bronze.a", 2, base="file:///other")], {"x": {}}
            )

        assert await world.published() == {"bronze.a": first.metadata_location}
        assert await world.control.table_states(late.lease) == {}

    async def test_a_run_publishes_once_however_often_it_asks(self, world: World) -> None:
        order = await leased_order(world)
        table = staged_table("bronze.a")

        answers = [await world.control.publish(order.lease, [table], {}) for _ in range(2)]

        assert answers == [True, True]
        assert types(await world.events(order.lease.run_id)).count("RUN_PUBLISHED") == 1

    async def test_a_later_version_replaces_the_one_it_was_built_on(self, world: World) -> None:
        executor = await an_executor(world)
        first = staged_table("bronze.a")
        second = staged_table("bronze.a", 2, base=first.metadata_location)
        one = await leased_order(world, executor=executor)
        await world.control.publish(one.lease, [first], {})
        two = await leased_order(world, executor=executor)

        await world.control.publish(two.lease, [second], {})

        assert await world.published() == {"bronze.a": second.metadata_location}

    async def test_a_run_that_found_nothing_new_only_moves_its_states(self, world: World) -> None:
        order = await leased_order(world)

        await world.control.publish(order.lease, [], {"bronze.a": {"seq": 8}})

        assert await world.published() == {}
        assert await world.control.table_states(order.lease) == {"bronze.a": {"seq": 8}}
        assert "RUN_PUBLISHED" not in types(await world.events(order.lease.run_id))

    async def test_a_canceled_run_does_not_publish(self, world: World) -> None:
        order = await leased_order(world)
        await world.cancel(order.lease.run_id)

        with pytest.raises(Canceled):
            await world.control.publish(order.lease, [staged_table("bronze.a")], {})

        assert await world.published() == {}

    async def test_every_write_of_a_stale_leaseholder_is_refused_and_recorded(self, world: World) -> None:
        executor = await an_executor(world)
        stale = await leased_order(world, executor=executor)
        await retaken(world, executor)

        with pytest.raises(LeaseLost):
            await world.control.publish(stale.lease, [staged_table("bronze.a")], {})
        with pytest.raises(LeaseLost):
            await world.control.register_artifacts(stale.lease, [MANIFEST])
        with pytest.raises(LeaseLost):
            await world.control.record_checks(stale.lease, [CHECK])

        assert await world.published() == {}
        assert await world.artifacts(stale.lease.run_id) == []
        assert types(await world.events(stale.lease.run_id))[-3:] == ["WRITE_REFUSED"] * 3

    async def test_artifacts_and_checks_of_the_holder_are_kept(self, world: World) -> None:
        order = await leased_order(world)

        await world.control.register_artifacts(order.lease, [MANIFEST])
        await world.control.register_artifacts(order.lease, [MANIFEST])
        await world.control.record_checks(order.lease, [CHECK])

        assert await world.artifacts(order.lease.run_id) == ["manifest.json"]

    async def test_an_unknown_bundle_is_not_found(self, world: World) -> None:
        order = await leased_order(world)

        known = await world.control.bundle(order.bundle)

        assert known.spec["name"] == "sample"
        with pytest.raises(NotFound):
            await world.control.bundle("f" * 64)


class LeadershipConformance:
    """One acts, the others stand by."""

    async def test_one_holder_leads_until_its_time_is_up(self, world: World) -> None:
        one, two = uuid4(), uuid4()

        taken = await world.dispatching.take_leadership("dispatcher", one, 3000)
        refused = await world.dispatching.take_leadership("dispatcher", two, 3000)
        await world.pass_time(2)
        renewed = await world.dispatching.take_leadership("dispatcher", one, 3000)
        await world.pass_time(2)
        still_refused = await world.dispatching.take_leadership("dispatcher", two, 3000)
        await world.pass_time(2)
        succeeded = await world.dispatching.take_leadership("dispatcher", two, 3000)

        assert (taken, refused, renewed, still_refused, succeeded) == (1, None, 1, None, 2)

    async def test_a_role_that_was_handed_on_is_free_at_once(self, world: World) -> None:
        one, two = uuid4(), uuid4()
        await world.dispatching.take_leadership("dispatcher", one, 60_000)

        await world.dispatching.release_leadership("dispatcher", two)
        refused = await world.dispatching.take_leadership("dispatcher", two, 60_000)
        await world.dispatching.release_leadership("dispatcher", one)
        taken = await world.dispatching.take_leadership("dispatcher", two, 60_000)

        assert refused is None
        assert taken is not None

    async def test_the_next_lease_end_is_known_ahead(self, world: World) -> None:
        await leased_order(world)
        await world.pass_time(10)

        due_in = await world.dispatching.next_due_in_ms()

        assert 15_000 < due_in <= 20_000


class ControlPlaneConformance(
    LeasingConformance, BeatConformance, EndConformance, PublishConformance, LeadershipConformance
):
    """All of it."""
