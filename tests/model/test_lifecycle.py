"""The SQL functions against a model, at random: 20,000 steps, every row compared after each. LAKEHOUSE_MODEL_STEPS asks for more or fewer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import asyncpg
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from opscore.db.pool import set_codecs
from support.lifecycle_machine import Bench, machine, prepare
from support.plane import Plane

STEPS = int(os.environ.get("LAKEHOUSE_MODEL_STEPS", "20000"))
STEPS_EACH = 100

HAPPENINGS = (
    "leased", "leased recovering", "kept back by a cap", "asked while paused", "started", "told to go_on", "told to cancel",
    "stale start", "stale beat", "stale end", "succeeded", "failed", "failed and again", "failed quarantined", "handed back",
    "taken back", "canceled confirmed", "canceled presumed", "retried", "same again", "conflict of keys", "signed off",
    "clock jumped back", "clock jumped on", "handed over",
)  # fmt: skip

BREAKAGES = {
    "an end without the token check": (
        "ops.finish_runs(jsonb)",
        "and r.lease_token = o.token",
        "and r.lease_token is not null",
    ),
    "a beat without the token check": (
        "ops.beat(uuid, jsonb, boolean)",
        "and r.lease_token = o.token",
        "and r.lease_token is not null",
    ),
    "a start without the token check": (
        "ops.start_run(uuid, uuid)",
        "r.lease_token = p_token and r.state = 'claimed'",
        "r.lease_token is not null and r.state = 'claimed'",
    ),
    "a lease that keeps its token": (
        "ops.lease_chosen(uuid[], uuid[], uuid, boolean, uuid[], timestamptz, uuid)",
        "lease_token = gen_random_uuid()",
        "lease_token = coalesce(r.ended_token, gen_random_uuid())",
    ),
    "a rescue that comes too soon": (
        "ops.requeue_stale_runs(integer)",
        "r.lease_expires_at < v_now",
        "r.lease_expires_at < v_now + interval '30 seconds'",
    ),
    "a pause that is not looked at": (
        "ops.lease_due(integer, uuid, boolean)",
        "s.paused_at is not null",
        "s.paused_at is null and false",
    ),
    "a queue without order": (
        "ops.choose_fairly(integer[], integer[], integer, uuid[], numeric[], timestamptz)",
        "order by q.rank, q.run_id limit l.at_most",
        "order by q.rank desc, q.run_id limit 1",
    ),
    "a cap that lets one more through": (
        "ops.ceiling(ops.caps, timestamptz)",
        "else p_cap.ceiling end",
        "else p_cap.ceiling + 1 end",
    ),
    "a hand-over past a pause": (
        "ops.hand_over(integer, uuid[])",
        "s.paused_at is not null",
        "s.paused_at is null and false",
    ),
    "a hand-over under a cap": (
        "ops.hand_over(integer, uuid[])",
        "exists (select 1 from ops.lane_caps as m where m.lane_id = p_lane)",
        "false",
    ),
    "a hand-over past those who wait": (
        "ops.hand_over(integer, uuid[])",
        "ops.none_waits(v_now, 9e15::bigint, p_runs) is not true",
        "false",
    ),
    "a hand-over beyond the slots": ("ops.hand_over(integer, uuid[])", "p_runs[1:v_slots]", "p_runs"),
    "an end that counts twice": (
        "ops.finish_runs(jsonb)",
        "failures = r.failures + (o.outcome = 'failed')::integer",
        "failures = r.failures + 2 * (o.outcome = 'failed')::integer",
    ),
}


@pytest.fixture
def bench(control_dsn: str) -> Iterator[Bench]:
    with asyncio.Runner() as runner:

        async def connect() -> Plane:
            connection = await asyncpg.connect(control_dsn)
            await set_codecs(connection)
            plane = Plane(connection, control_dsn)
            await prepare(plane)
            return plane

        bench = Bench(runner, runner.run(connect()))
        yield bench
        bench.do(bench.plane.db.close())


def drive(bench: Bench, steps: int, phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink)) -> None:
    """The same steps each time: what fails in CI fails here."""
    chosen = settings(
        max_examples=1 + steps // STEPS_EACH * 5 // 4, stateful_step_count=STEPS_EACH, derandomize=True, database=None,
        deadline=None, phases=phases, report_multiple_bugs=False, print_blob=False,
    )  # fmt: skip
    run_state_machine_as_test(machine(bench), settings=chosen)


@pytest.mark.timeout(1800)
def test_the_control_plane_does_what_its_model_says_at_every_step(bench: Bench) -> None:
    drive(bench, STEPS)

    assert bench.steps >= STEPS
    assert {what for what in HAPPENINGS if bench.happened[what] < STEPS // 4000} == set(), bench.happened


@pytest.mark.parametrize("breakage", sorted(BREAKAGES))
def test_the_model_notices(bench: Bench, breakage: str) -> None:
    function, right, wrong = BREAKAGES[breakage]
    body = bench.do(bench.plane.db.fetchval("select pg_get_functiondef($1::text::regprocedure)", function))
    assert right in body
    bench.do(bench.plane.db.execute(body.replace(right, wrong)))

    with pytest.raises((AssertionError, asyncpg.PostgresError)):
        drive(bench, STEPS, (Phase.generate,))
