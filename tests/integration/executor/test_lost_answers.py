"""The wire to Postgres loses answers: a real executor tells its beats and ends again, and nothing doubles."""

from __future__ import annotations

from urllib.parse import urlsplit

from lakehouse.embedded.throwaway import ThrowawayPostgres
from support.deaf_proxy import deaf_proxy
from support.services import Services


async def test_beats_and_ends_whose_answers_are_lost_leave_one_trace_each(
    services: Services, postgres: ThrowawayPostgres, control_dsn: str
) -> None:
    straight = postgres.dsn(urlsplit(control_dsn).path.removeprefix("/"), role="lakehouse_executor")
    async with deaf_proxy(straight, beat=3, finish_runs=2) as wire:
        await services.executor(
            LAKEHOUSE_DATABASE_URL=wire.dsn, LAKEHOUSE_DIRECT_URL=straight, LAKEHOUSE_EXECUTOR_CLAIM_AFTER_S="0.1"
        )
        run_id = await services.enqueue('{"sleep": 3}')
        row = await services.until(run_id, now="succeeded")
        again = await services.enqueue()
        await services.until(again, now="succeeded")

    assert sorted(wire.met) == ["ops.beat("] * 3 + ["ops.finish_runs("] * 2
    assert (row["attempt"], row["failures"], row["losses"]) == (1, 0, 0)
    assert await services.events(run_id) == [
        "RUN_CREATED",
        "PHASE_CLAIMED",
        "PHASE_STARTED",
        "PHASE_PROGRESS",
        "PHASE_SUCCEEDED",
        "RUN_SUCCEEDED",
    ]
