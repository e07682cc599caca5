"""Generation: deterministic, growing with scale, all or nothing, only into an empty database."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date

import asyncpg
import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse.erp import generate
from opscore.db.load import loading
from opscore.domain.errors import Conflict, InvalidInput, SourceRightMissing, SourceUnavailable
from support.erp import Erp

FINGERPRINT = """
select md5(coalesce(string_agg(md5(t::text), '' order by md5(t::text)), '')) from "{table}" as t
"""


async def fingerprints(dsn: str) -> dict[str, str]:
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {
            table: await connection.fetchval(FINGERPRINT.format(table=table))
            for (table,) in sorted(tuple(row) for row in tables)
        }
    finally:
        await connection.close()


async def test_the_same_arguments_make_the_same_rows(postgres: ThrowawayPostgres) -> None:
    first, again, other = [await postgres.create_database(f"erp_{n}") for n in ("first", "again", "other")]
    await generate(first, scale=0.2, seed=5)
    await generate(again, scale=0.2, seed=5)
    await generate(other, scale=0.2, seed=6)

    made = await fingerprints(first)

    assert made == await fingerprints(again)
    assert made["account_move_line"] != (await fingerprints(other))["account_move_line"]


async def test_lines_grow_with_scale_over_several_chunks(
    postgres: ThrowawayPostgres, erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.erp.plan.CHUNK", 700)
    monkeypatch.setattr("lakehouse.erp.deals.CHUNK", 700)
    dsn = await postgres.create_database("erp_large")

    large = await generate(dsn, scale=3)

    assert 2.7 < large.lines / erp.summary.lines < 3.3
    assert await Erp(dsn, large).faults() == {}


async def test_business_ends_on_the_given_day(postgres: ThrowawayPostgres) -> None:
    dsn = await postgres.create_database("erp_dated")

    await generate(dsn, scale=0.2, today=date(2024, 2, 29))

    connection = await asyncpg.connect(dsn)
    newest = await connection.fetchval("select max(date) from account_move")
    await connection.close()
    assert date(2024, 2, 25) <= newest <= date(2024, 2, 29)


async def test_the_summary_counts_what_is_there(erp: Erp) -> None:
    counted = {table: await erp.value(f'select count(*) from "{table}"') for table in erp.summary.tables}

    assert counted == erp.summary.tables


async def test_new_ids_continue_after_the_generated_ones(erp: Erp) -> None:
    newest, following = (await erp.rows("select max(m.id), nextval('account_move_id_seq') from account_move m"))[0]

    assert following > newest


async def test_progress_is_told_to_its_end(postgres: ThrowawayPostgres) -> None:
    dsn = await postgres.create_database("erp_watched")
    told: list[tuple[str, int, int]] = []

    await generate(dsn, scale=0.1, progress=lambda *news: told.append(news))

    ends = {stage: (done, total) for stage, done, total in told}
    assert set(ends) == {"data", "keys"}
    assert all(done == total for done, total in ends.values())


async def test_a_database_with_tables_is_refused(erp: Erp) -> None:
    with pytest.raises(Conflict, match="already holds"):
        await generate(erp.dsn)


async def test_a_stopped_generation_leaves_the_database_empty(postgres: ThrowawayPostgres) -> None:
    dsn = await postgres.create_database("erp_stopped")

    def stop(stage: str, _done: int, _total: int) -> None:
        if stage == "keys":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await generate(dsn, scale=0.1, progress=stop)

    assert (await generate(dsn, scale=0.1)).lines > 0


async def test_a_role_that_may_not_create_is_told_so(postgres: ThrowawayPostgres) -> None:
    dsn = await postgres.create_database("erp_closed")
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "drop role if exists erp_guest; create role erp_guest login password 'guest'; revoke create on schema public from public"
    )
    await connection.close()
    host = dsn.partition("@")[2]

    with pytest.raises(SourceRightMissing, match="erp_guest"):
        await generate(f"postgresql://erp_guest:guest@{host}", scale=0.1)


async def test_a_connection_that_breaks_in_the_middle_is_reported(postgres: ThrowawayPostgres) -> None:
    dsn = await postgres.create_database("erp_broken")

    class Cut:
        """Ends the loading session from outside, once data flows."""

        done = False

        def __call__(self, stage: str, _done: int, _total: int) -> None:
            if stage == "data" and not self.done:
                self.done = True
                with ThreadPoolExecutor(max_workers=1) as thread:
                    thread.submit(lambda: asyncio.run(cut(dsn))).result()

    with pytest.raises(SourceUnavailable, match="broke while loading"):
        await generate(dsn, scale=0.1, progress=Cut())


async def test_a_session_ended_between_two_statements_is_reported(postgres: ThrowawayPostgres) -> None:
    dsn = await postgres.create_database("erp_ended")

    async def load_on_after_a_cut() -> None:
        async with loading(dsn) as load:
            await cut(dsn)
            with suppress(asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError):
                await load.fetch("select 1")
            await load.copy_csv("anything", ["id"], [b"1\n"])

    with pytest.raises(SourceUnavailable, match="broke while loading"):
        await load_on_after_a_cut()


async def cut(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:1/erp") as refused:
        await generate("postgresql://someone:hunter2@127.0.0.1:1/erp")

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("scale", [0, -1, 1e9, float("nan")])
async def test_an_impossible_scale_is_refused(scale: float) -> None:
    with pytest.raises(InvalidInput, match="Scale"):
        await generate("postgresql://nobody@127.0.0.1:1/erp", scale=scale)
