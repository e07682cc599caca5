"""The doorbell: proven, or refused where it cannot ring; whatever somebody else sends through it does nothing."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from opscore.db.dispatcher_rpc import DispatcherRpc
from opscore.db.listen import listening
from opscore.db.pool import open_database
from opscore.domain.errors import InvalidSetting
from support.plane import ENVIRONMENT
from support.pooler import transaction_pooler

TOOLS = Path(__file__).parents[3] / "tools"
NOT_TO_BE_HAD = 3
CHANNELS = ("lakehouse_work", "lakehouse_executor", "lakehouse_feed")


async def proven(dsn: str) -> bool:
    """Whether a listener on this address proves itself. Raises what the listener raises."""
    flips: asyncio.Queue[bool] = asyncio.Queue()
    async with listening(dsn, CHANNELS, application="test", on_change=flips.put_nowait), asyncio.timeout(20):
        return await flips.get()


def refusal(group: BaseExceptionGroup[BaseException]) -> InvalidSetting:
    found = group.exceptions[0]
    return refusal(found) if isinstance(found, BaseExceptionGroup) else found  # type: ignore[return-value]


async def test_a_direct_address_is_proven(control_dsn: str) -> None:
    assert await proven(control_dsn)


async def test_a_transaction_pooler_is_refused_with_what_to_do() -> None:
    async with transaction_pooler() as dsn:
        with pytest.raises(BaseExceptionGroup) as caught:
            await proven(dsn)

    error = refusal(caught.value)
    assert isinstance(error, InvalidSetting)
    assert "LAKEHOUSE_DIRECT_URL" in error.message
    assert "transaction pooler" in error.message
    assert "session pooler" in error.message + error.hint


@pytest.fixture(scope="module")
def program() -> str:
    """A real pgbouncer, brought the first time it is asked for."""
    found = subprocess.run([TOOLS / "pgbouncer.sh"], capture_output=True, text=True, check=False)
    if found.returncode == NOT_TO_BE_HAD:
        pytest.skip(found.stderr.strip().splitlines()[-1])
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@asynccontextmanager
async def pgbouncer(program: str, dsn: str, folder: Path, mode: str) -> AsyncIterator[str]:
    """A real one before the test's database."""
    parts = urlsplit(dsn)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.chmod(0o755)
    (folder / "users.txt").write_text(f'"{parts.username}" "{parts.password or ""}"\n')
    (folder / "bouncer.ini").write_text(
        f"[databases]\n* = host={parts.hostname} port={parts.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = plain\nauth_file = {folder}/users.txt\npool_mode = {mode}\n"
    )
    account = ["-u", "nobody"] if os.getuid() == 0 else []
    for parent in (folder, *folder.parents[:3]) if account else ():
        if parent.owner() == pwd.getpwuid(os.getuid()).pw_name and parent != Path("/tmp"):
            parent.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        program, *account, str(folder / "bouncer.ini"), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    await asyncio.sleep(0.05)
            writer.close()
        yield parts._replace(netloc=f"{parts.username}:{parts.password or ''}@127.0.0.1:{port}").geturl()
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "beside others"])
async def test_a_real_pooler_in_transaction_mode_is_refused(
    program: str, control_dsn: str, tmp_path: Path, *, busy: bool
) -> None:
    async with pgbouncer(program, control_dsn, tmp_path, "transaction") as dsn:
        others = [await asyncpg.connect(dsn, statement_cache_size=0) for _ in range(3 * busy)]
        for other in others:
            await other.execute("select 1")

        with pytest.raises(BaseExceptionGroup) as caught:
            await proven(dsn)

        for other in others:
            await other.close()
    assert "transaction pooler" in refusal(caught.value).message


async def test_a_real_pooler_in_session_mode_is_proven(program: str, control_dsn: str, tmp_path: Path) -> None:
    async with pgbouncer(program, control_dsn, tmp_path, "session") as dsn:
        assert await proven(dsn)


def payloads() -> list[str]:
    """10,000 that nobody of ours sends."""
    odd = [
        "",
        "\x01",
        "'; drop table ops.runs; --",
        "{" * 4000,
        "\\x00\\ud800",
        "[[" * 2000,
        "null",
        "x" * 7999,
        "é" * 3000,
    ]
    foreign = [f'{{"run_id": "{number:032x}", "state": "succeeded"}}' for number in range(500)]
    return (odd * 1112)[: 10_000 - len(foreign)] + foreign


async def test_ten_thousand_forged_payloads_ring_and_change_nothing(control_dsn: str) -> None:
    sender = await asyncpg.connect(control_dsn)
    await sender.fetch("select * from ops.enqueue_run($1, 'query')", ENVIRONMENT)
    state = "select md5(string_agg(r::text, '' order by r.id)) from ops.runs as r"
    before = await sender.fetchval(state), await sender.fetchval("select count(*) from ops.run_events")
    sent = payloads()

    async with listening(control_dsn, CHANNELS, application="test") as bell, asyncio.timeout(60):
        while not bell.healthy:
            await bell.wait(0.1)
        heard = bell.rings
        for start in range(0, len(sent), 500):
            batch = sent[start : start + 500]
            await sender.execute("begin")
            await sender.executemany(
                "select pg_notify($1, $2)", [(CHANNELS[n % 3], text) for n, text in enumerate(batch)]
            )
            await sender.execute("commit")
        await sender.execute("select pg_notify('lakehouse_feed', 'the end')")
        while bell.last_payload != "the end":
            await bell.wait(0.1)
        rung, healthy = bell.rings - heard, bell.healthy

    after = await sender.fetchval(state), await sender.fetchval("select count(*) from ops.run_events")
    await sender.close()
    assert rung > 500, "what is equal within a transaction comes once"
    assert healthy
    assert after == before


async def test_work_that_did_not_ring_is_looked_for_soon_and_then_ever_more_seldom(control_dsn: str) -> None:
    db = await asyncpg.connect(control_dsn)
    look = "select ops.next_look_in_ms()"
    age = "select setval('ops.work_bell_missed', (extract(epoch from clock_timestamp()) * 1000)::bigint - $1)"

    before = await db.fetchval(look)
    await db.execute("do $$ begin for n in 1..1000 loop perform ops.ring_for_work(); end loop; end $$")
    missed = await db.fetchval("select last_value > 1 from ops.work_bell_missed")
    looks = []
    for passed in (0, 100, 1000, 3000):
        await db.fetchval(age, passed)
        looks.append(await db.fetchval(look))
    await db.close()

    assert (before, missed) == (3_600_000, True)
    assert looks[0] < looks[1] < looks[2] < looks[3] == 3_600_000
    assert looks[1] >= 100


async def test_a_dispatcher_that_was_not_rung_for_asks_again_soon(control_dsn: str) -> None:
    db = await asyncpg.connect(control_dsn)
    async with open_database(control_dsn, application="test") as database:
        idle = await DispatcherRpc(database).next_due_in_ms()
        await db.execute("do $$ begin for n in 1..1000 loop perform ops.ring_for_work(); end loop; end $$")
        owed = await DispatcherRpc(database).next_due_in_ms()
    await db.close()

    assert (idle, owed <= 2000) == (3_600_000, True)


async def test_a_ring_after_a_silence_is_heard_at_once_though_the_clock_was_set_back(control_dsn: str) -> None:
    db = await asyncpg.connect(control_dsn)
    ahead = "select setval('ops.work_bell_rung', (extract(epoch from clock_timestamp()) * 1000)::bigint + 3600000)"
    async with listening(control_dsn, CHANNELS, application="test") as bell, asyncio.timeout(20):
        while not bell.healthy:
            await bell.wait(0.1)
        heard = bell.rings
        await db.fetchval(ahead)

        await db.execute("select ops.ring_for_work()")

        while bell.rings == heard:
            await bell.wait(1)
    await db.close()
