"""A table rewritten while a run begins would look empty to the run's snapshot: the run starts over instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lakehouse_executor.phases import ingest as phase
from opscore.domain.errors import SourceUnavailable

if TYPE_CHECKING:
    from integration.ingest.bench import Bench

PARTITIONED = """
insert into ir_model (model) values ('mail.part');
create table mail_part (id int primary key) partition by range (id);
create table mail_part_a partition of mail_part for values from (0) to (10);
insert into mail_part values (1);
"""


def between_snapshot_and_lock(bench: Bench, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    discover = phase.discover

    async def after_the_change(*args: Any) -> Any:
        await bench.source.execute(change)
        return await discover(*args)

    monkeypatch.setattr(phase, "discover", after_the_change)


@pytest.mark.parametrize(
    "change",
    [
        "truncate sale_order",
        "alter table sale_order alter column amount_total type numeric(20,4)",
        "alter table sale_order rename to old_order; create table sale_order (like old_order including all)",
        "drop table sale_order cascade; create table sale_order (id int primary key)",
    ],
)
async def test_a_table_rewritten_under_the_snapshot_ends_the_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    between_snapshot_and_lock(bench, monkeypatch, change)

    with pytest.raises(SourceUnavailable, match="sale_order was rewritten"):
        await bench.stage()


async def test_a_rewritten_partition_ends_the_attempt(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.source.execute(PARTITIONED)
    between_snapshot_and_lock(bench, monkeypatch, "truncate mail_part_a")

    with pytest.raises(SourceUnavailable, match="mail_part was rewritten"):
        await bench.stage()


async def test_writes_that_rewrite_nothing_do_not_end_the_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    between_snapshot_and_lock(bench, monkeypatch, "delete from sale_order; create index on res_users (login)")

    result = await bench.stage()

    assert result["counts"]["bronze.sale_order"]["source_rows"] == 50


async def test_a_table_rewritten_after_discovery_ends_the_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    discover = phase.discover

    async def before_the_change(*args: Any) -> Any:
        tables = await discover(*args)
        await bench.source.execute("truncate sale_order")
        return tables

    monkeypatch.setattr(phase, "discover", before_the_change)

    with pytest.raises(SourceUnavailable, match="sale_order was rewritten"):
        await bench.stage()
