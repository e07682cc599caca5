"""Tables above the limit are cut into ranges of their heap and copied side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.ingest.bench import added
from lakehouse_executor.phases import ingest_plan

if TYPE_CHECKING:
    from integration.ingest.bench import Bench

FILL = """
insert into sale_order (partner_id, amount_total, write_date)
select n % 3, n * 0.01, '2026-01-01' from generate_series(1, 20000) as n
"""


@pytest.fixture(autouse=True)
def everything_is_big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_plan, "SMALL_BYTES", 100_000)
    monkeypatch.setattr(ingest_plan, "PART_BYTES", 100_000)


async def test_ranges_add_up_to_the_table(bench: Bench) -> None:
    await bench.source.execute(FILL)

    result = await bench.run()

    assert added(result)["bronze.sale_order"] == 20_050
    assert await bench.differences(result) == {}
    assert len(bench.lake.version("bronze.sale_order").files) == 6
    assert len({entry["_seq"] for entry in bench.log("bronze.sale_order")}) == 20_050


async def test_decimals_are_measured_before_the_ranges_part(bench: Bench) -> None:
    await bench.source.execute(FILL)
    await bench.source.execute("update sale_order set amount_total = 0.123456789012 where id = 20000")

    await bench.run()

    types = {column.name: column.type for column in bench.lake.version("bronze.sale_order").columns}
    assert types["amount_total"] == "decimal(38, 12)"


async def test_changes_after_a_split_load_come_after_it(bench: Bench) -> None:
    await bench.source.execute(FILL)
    await bench.run()
    await bench.source.execute("delete from sale_order where id = 7; update sale_order set partner_id = 9 where id = 8")

    result = await bench.run()

    last = bench.log("bronze.sale_order")[-2:]
    assert [(entry["_op"], entry["id"], entry["partner_id"]) for entry in last] == [("u", 8, 9), ("d", 7, None)]
    assert await bench.differences(result) == {}


async def test_a_full_reload_knows_what_is_gone(bench: Bench) -> None:
    await bench.source.execute(FILL)
    await bench.run()
    bench.control.states.clear()
    await bench.source.execute("delete from sale_order where id <= 10")

    result = await bench.run(mode="snapshot")

    assert added(result)["bronze.sale_order"] == 20_040 + 10
    assert await bench.differences(result) == {}
