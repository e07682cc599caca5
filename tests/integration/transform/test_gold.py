from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from opscore.domain.errors import TransformFailed

if TYPE_CHECKING:
    from conftest import LakeBench

MONEY = pa.decimal128(38, 10)
MARTS = {
    "revenue_by_month": ["company_id", "month"],
    "trial_balance": ["company_id", "account_id"],
    "receivable_aging": ["as_of", "company_id", "partner_id"],
    "sales_by_customer": ["company_id", "partner_id", "currency_id"],
    "stock_on_hand": ["company_id", "product_id", "location_id"],
}


def schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


NAMED = schema(id=pa.int32(), name=pa.string())


async def masterdata(bench: LakeBench) -> None:
    company = schema(id=pa.int32(), name=pa.string(), currency_id=pa.int32())
    await bench.table("silver.res_company", company, [(1, "Acme", 2), (2, "Beta", 1)])
    await bench.table("silver.res_currency", NAMED, [(1, "EUR"), (2, "USD")])
    await bench.table("silver.res_partner", NAMED, [(7, "Ada"), (8, None)])


@pytest.fixture
def mart(bench: LakeBench, pipelines: Path) -> Any:
    """One of the product's own marts as a transform."""

    def of(name: str) -> dict[str, Any]:
        file = f"sql/gold/{name}.sql"
        bench.files[file] = (pipelines / file).read_text(encoding="utf-8")
        return {"table": f"gold.{name}", "file": file, "key": MARTS[name]}

    return of


async def test_revenue_is_summed_by_month_of_the_invoice_date_in_the_companys_currency(
    bench: LakeBench, mart: Any
) -> None:
    await masterdata(bench)
    move = schema(
        id=pa.int32(),
        company_id=pa.int32(),
        state=pa.string(),
        move_type=pa.string(),
        invoice_date=pa.date32(),
        amount_untaxed_signed=MONEY,
    )
    rows = [
        (1, 1, "posted", "out_invoice", date(2026, 1, 31), Decimal("100.01")),
        (2, 1, "posted", "out_refund", date(2026, 1, 1), Decimal("-0.02")),
        (3, 1, "posted", "out_invoice", date(2026, 2, 1), Decimal(5)),
        (4, 1, "draft", "out_invoice", date(2026, 2, 1), Decimal(1000)),
        (5, 1, "posted", "in_invoice", date(2026, 2, 1), Decimal(1000)),
        (6, None, "posted", "out_invoice", None, Decimal(7)),
    ]
    await bench.table("silver.account_move", move, rows)

    made = await bench.gold(mart("revenue_by_month"))

    found = [tuple(row.values()) for row in bench.staged_rows(made, "gold.revenue_by_month")]
    assert found == [
        (1, "Acme", "USD", date(2026, 1, 1), 2, Decimal("99.9900000000")),
        (1, "Acme", "USD", date(2026, 2, 1), 1, Decimal("5.0000000000")),
        (None, None, None, None, 1, Decimal("7.0000000000")),
    ]


async def test_the_trial_balance_takes_posted_lines_with_an_account(bench: LakeBench, mart: Any) -> None:
    account = schema(id=pa.int32(), code=pa.string(), name=pa.string())
    await bench.table("silver.account_account", account, [(10, "1000", "Bank")])
    line = schema(
        id=pa.int32(),
        company_id=pa.int32(),
        account_id=pa.int32(),
        parent_state=pa.string(),
        debit=MONEY,
        credit=MONEY,
        balance=MONEY,
    )
    zero = Decimal(0)
    rows = [
        (1, 1, 10, "posted", Decimal("0.1"), zero, Decimal("0.1")),
        (2, 1, 10, "posted", zero, Decimal("0.3"), Decimal("-0.3")),
        (3, 1, 10, "draft", Decimal(9), zero, Decimal(9)),
        (4, 1, None, "posted", None, None, None),
        (5, 1, 11, "posted", None, None, None),
    ]
    await bench.table("silver.account_move_line", line, rows)

    made = await bench.gold(mart("trial_balance"))

    found = [tuple(row.values()) for row in bench.staged_rows(made, "gold.trial_balance")]
    assert found == [
        (1, 10, "1000", "Bank", Decimal("0.1"), Decimal("0.3"), Decimal("-0.2")),
        (1, 11, None, None, zero, zero, zero),
    ]


async def test_receivables_age_from_the_due_date_else_the_date(bench: LakeBench, mart: Any) -> None:
    await masterdata(bench)
    account = schema(id=pa.int32(), account_type=pa.string())
    await bench.table("silver.account_account", account, [(10, "asset_receivable"), (11, "income")])
    line = schema(
        id=pa.int32(),
        company_id=pa.int32(),
        partner_id=pa.int32(),
        account_id=pa.int32(),
        parent_state=pa.string(),
        reconciled=pa.bool_(),
        date=pa.date32(),
        date_maturity=pa.date32(),
        amount_residual=MONEY,
    )
    long_ago = date(2020, 1, 1)

    def owed(number: int, due: date | None, amount: int, **other: Any) -> tuple[Any, ...]:
        row = {"partner": 7, "account": 10, "state": "posted", "reconciled": False, "date": long_ago, **other}
        return (
            number,
            1,
            row["partner"],
            row["account"],
            row["state"],
            row["reconciled"],
            row["date"],
            due,
            Decimal(amount),
        )

    rows = [
        owed(1, date(2026, 3, 2), 1),
        owed(2, date(2026, 3, 1), 2),
        owed(3, date(2026, 2, 28), 4),
        owed(4, date(2026, 1, 30), 8),
        owed(5, date(2026, 1, 29), 16),
        owed(6, date(2025, 12, 31), 32),
        owed(7, date(2025, 12, 30), 64),
        owed(8, date(2025, 12, 1), 128),
        owed(9, date(2025, 11, 30), 256),
        owed(10, None, 512, date=date(2026, 2, 28)),
        owed(11, None, 1, reconciled=True),
        owed(12, None, 1, state="draft"),
        owed(13, None, 1, account=11),
        owed(14, date(2026, 3, 1), 3, partner=None, reconciled=None),
    ]
    await bench.table("silver.account_move_line", line, rows)

    made = await bench.gold(mart("receivable_aging"), params={"as_of": "2026-03-01"})

    found = [tuple(row.values()) for row in bench.staged_rows(made, "gold.receivable_aging")]
    day = date(2026, 3, 1)
    assert found == [
        (day, 1, 7, "Ada", *map(Decimal, (3, 4 + 8 + 512, 16 + 32, 64 + 128, 256, 1023))),
        (day, 1, None, None, *map(Decimal, (3, 0, 0, 0, 0, 3))),
    ]


async def test_without_a_day_receivables_age_to_the_day_the_run_was_asked_for(bench: LakeBench, mart: Any) -> None:
    await masterdata(bench)
    account = schema(id=pa.int32(), account_type=pa.string())
    await bench.table("silver.account_account", account, [(10, "asset_receivable")])
    line = schema(
        id=pa.int32(),
        company_id=pa.int32(),
        partner_id=pa.int32(),
        account_id=pa.int32(),
        parent_state=pa.string(),
        reconciled=pa.bool_(),
        date=pa.date32(),
        date_maturity=pa.date32(),
        amount_residual=MONEY,
    )
    row = (1, 1, 7, 10, "posted", False, date(2026, 1, 1), None, Decimal(1))
    await bench.table("silver.account_move_line", line, [row])

    made = await bench.gold(mart("receivable_aging"))

    (found,) = bench.staged_rows(made, "gold.receivable_aging")
    assert found["as_of"] == datetime(2026, 3, 1, tzinfo=UTC).date()
    assert made["states"]["gold.receivable_aging"]["params"] == {"as_of": "2026-03-01"}


async def test_sales_count_confirmed_orders_by_customer_and_currency(bench: LakeBench, mart: Any) -> None:
    await masterdata(bench)
    order = schema(
        id=pa.int32(),
        company_id=pa.int32(),
        partner_id=pa.int32(),
        currency_id=pa.int32(),
        state=pa.string(),
        amount_total=MONEY,
    )
    rows = [
        (1, 1, 7, 1, "sale", Decimal("10.5")),
        (2, 1, 7, 1, "done", Decimal("0.5")),
        (3, 1, 7, 2, "sale", Decimal(3)),
        (4, 1, 7, 1, "draft", Decimal(99)),
        (5, 1, 8, None, "sale", None),
    ]
    await bench.table("silver.sale_order", order, rows)

    made = await bench.gold(mart("sales_by_customer"))

    found = [tuple(row.values()) for row in bench.staged_rows(made, "gold.sales_by_customer")]
    assert found == [
        (1, 7, 1, "Ada", "EUR", 2, Decimal(11)),
        (1, 7, 2, "Ada", "USD", 1, Decimal(3)),
        (1, 8, None, None, None, 1, Decimal(0)),
    ]


async def test_stock_is_what_lies_in_internal_locations(bench: LakeBench, mart: Any) -> None:
    location = schema(id=pa.int32(), usage=pa.string(), complete_name=pa.string())
    await bench.table("silver.stock_location", location, [(1, "internal", "WH/Stock"), (2, "customer", "Customers")])
    product = schema(id=pa.int32(), product_tmpl_id=pa.int32())
    await bench.table("silver.product_product", product, [(5, 50)])
    await bench.table("silver.product_template", NAMED, [(50, "Desk")])
    quant = schema(id=pa.int32(), company_id=pa.int32(), product_id=pa.int32(), location_id=pa.int32(), quantity=MONEY)
    rows = [
        (1, 1, 5, 1, Decimal("2.5")),
        (2, 1, 5, 1, Decimal("-0.5")),
        (3, 1, 5, 2, Decimal(99)),
        (4, None, 5, 1, Decimal(1)),
    ]
    await bench.table("silver.stock_quant", quant, rows)

    made = await bench.gold(mart("stock_on_hand"))

    found = [tuple(row.values()) for row in bench.staged_rows(made, "gold.stock_on_hand")]
    assert found == [(1, 5, 1, "Desk", "WH/Stock", Decimal(2)), (None, 5, 1, "Desk", "WH/Stock", Decimal(1))]


async def test_sums_of_the_largest_money_are_exact(bench: LakeBench) -> None:
    big = Decimal("9999999999999999999999999.0000000001")
    await bench.table("silver.m", schema(id=pa.int32(), amount=MONEY), [(1, big), (2, big), (3, big.copy_negate())])
    bench.files["sql/m.sql"] = "select 1 as id, sum(amount) as amount from silver.m"

    made = await bench.gold({"table": "gold.m", "file": "sql/m.sql", "key": ["id"]})

    assert bench.staged_rows(made, "gold.m") == [{"id": 1, "amount": big}]


async def test_a_mart_is_made_again_only_when_inputs_query_or_parameters_move(bench: LakeBench) -> None:
    await bench.table("silver.res_partner", NAMED, [(7, "Ada")])
    bench.files["sql/p.sql"] = "select id, name, $as_of as as_of from silver.res_partner"
    step = {"table": "gold.p", "file": "sql/p.sql", "key": ["id"]}
    day = {"as_of": "2026-01-01"}
    await bench.publish(await bench.gold(step, params=day))

    async def made_again(**params: str) -> bool:
        result = await bench.gold(step, params=params or day)
        await bench.publish(result)
        return bool(result["tables"])

    assert not await made_again()
    assert await made_again(as_of="2026-01-02")
    assert not await made_again(as_of="2026-01-02")
    await bench.table("silver.res_partner", NAMED, [(7, "Ada"), (8, "Bob")])
    assert await made_again(as_of="2026-01-02")
    bench.files["sql/p.sql"] += " where id > 7"
    assert await made_again(as_of="2026-01-02")


async def test_an_unrelated_parameter_makes_nothing_again(bench: LakeBench) -> None:
    await bench.table("silver.res_partner", NAMED, [(7, "Ada")])
    bench.files["sql/p.sql"] = "select id from silver.res_partner"
    step = {"table": "gold.p", "file": "sql/p.sql", "key": ["id"]}
    await bench.publish(await bench.gold(step, params={"as_of": "2026-01-01"}))

    again = await bench.gold(step, params={"as_of": "2026-01-02"})

    assert again["tables"] == []
    assert again["unchanged"] == 1


async def test_a_mart_may_read_another_one_of_the_same_run(bench: LakeBench) -> None:
    await bench.table("silver.res_partner", NAMED, [(7, "Ada"), (8, "Bob")])
    bench.files["sql/a.sql"] = "select id from silver.res_partner where id = 7;\n-- a comment at the end"
    bench.files["sql/b.sql"] = "select count(*) as id from gold.a"

    made = await bench.gold(
        {"table": "gold.a", "file": "sql/a.sql", "key": ["id"]},
        {"table": "gold.b", "file": "sql/b.sql", "key": ["id"]},
    )

    assert bench.staged_rows(made, "gold.b") == [{"id": 1}]


async def test_rows_with_equal_keys_still_have_one_order(bench: LakeBench) -> None:
    await bench.table("silver.res_partner", NAMED, [(1, "z"), (1, None), (1, "a"), (0, "b")])
    bench.files["sql/p.sql"] = "select name, id from silver.res_partner"

    made = await bench.gold({"table": "gold.p", "file": "sql/p.sql", "key": ["id"]})

    assert [row["name"] for row in bench.staged_rows(made, "gold.p")] == ["b", "a", "z", None]


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("select id from silver.sale_order", r"it reads silver.sale_order, which is not in the lake"),
        ("select id from res_partner", r"it reads res_partner, which lacks its layer \(silver.res_partner\?\)"),
        ("select nam as id from silver.res_partner", r'column "nam" not found .* \(line 1, column 8\)'),
        ("select name from silver.res_partner", r"its key names id, which the query does not return"),
        ("select id, 1::smallint as d from silver.res_partner", r"column d has type int16, which no table holds"),
        ("select id, interval 1 day as d from silver.res_partner", r"column d has type .*, which no table holds"),
        ("select id from silver.res_partner where id = $day", r"it uses \$day, which is not a parameter"),
        ("selec id", r'syntax error at or near "selec" \(line 1, column 1\)'),
        ("select (id from silver.res_partner", r"Expecting \)"),
        ("select 1 as id; select 2 as id", r"one statement is expected, there are 2"),
        ("insert into silver.res_partner values (1, 'x')", r"INSERT statements are not run here"),
        (
            "select\n  name::int as id from silver.res_partner;",
            r"Could not convert string 'Ada' to INT32 .*\(line 2, column 7\)",
        ),
        ("select id from silver.res_partner, read_csv('/etc/passwd')", r"file system operations are disabled"),
    ],
)
async def test_a_query_that_cannot_be_run_is_refused_with_file_and_fault(
    bench: LakeBench, sql: str, fault: str
) -> None:
    await bench.table("silver.res_partner", NAMED, [(7, "Ada")])
    bench.files["sql/p.sql"] = sql

    with pytest.raises(TransformFailed, match=rf"^sql/p\.sql: .*{fault}"):
        await bench.gold({"table": "gold.p", "file": "sql/p.sql", "key": ["id"]})


async def test_a_file_that_is_not_in_the_bundle_is_named(bench: LakeBench) -> None:
    with pytest.raises(TransformFailed, match=r"sql/none\.sql: the file is not in the run's bundle"):
        await bench.gold({"table": "gold.p", "file": "sql/none.sql", "key": ["id"]})


async def test_a_column_that_would_change_its_type_is_refused(bench: LakeBench) -> None:
    await bench.table("silver.res_partner", NAMED, [(7, "Ada")])
    step = {"table": "gold.p", "file": "sql/p.sql", "key": ["id"]}
    bench.files["sql/p.sql"] = "select id, name from silver.res_partner"
    await bench.publish(await bench.gold(step))
    bench.files["sql/p.sql"] = "select id, true as name from silver.res_partner"

    with pytest.raises(
        TransformFailed, match=r"sql/p\.sql: column name of gold\.p would change from string to boolean"
    ):
        await bench.gold(step)
