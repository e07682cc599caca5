"""The five marts and the row counts, computed on the source itself: the oracle that the lake is held against."""

from __future__ import annotations

import json
import subprocess
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

SQL = {
    "gold.revenue_by_month": """
        select m.company_id, c.name as company, u.name as currency, date_trunc('month', m.invoice_date)::date as month,
               count(*) as move_count, sum(m.amount_untaxed_signed) as revenue
          from account_move m join res_company c on c.id = m.company_id join res_currency u on u.id = c.currency_id
         where m.state = 'posted' and m.move_type in ('out_invoice', 'out_refund')
         group by 1, 2, 3, 4""",
    "gold.trial_balance": """
        select l.company_id, l.account_id, a.code as account_code,
               coalesce(a.name ->> 'en_US', (select value from jsonb_each_text(a.name) limit 1)) as account_name,
               sum(l.debit) as debit, sum(l.credit) as credit, sum(l.balance) as balance
          from account_move_line l join account_account a on a.id = l.account_id
         where l.parent_state = 'posted'
         group by 1, 2, 3, 4""",
    "gold.receivable_aging": """
        select $1::date as as_of, x.company_id, x.partner_id, p.name as partner,
               sum(case when x.overdue <= 0 then x.residual else 0 end) as not_due,
               sum(case when x.overdue between 1 and 30 then x.residual else 0 end) as d1_30,
               sum(case when x.overdue between 31 and 60 then x.residual else 0 end) as d31_60,
               sum(case when x.overdue between 61 and 90 then x.residual else 0 end) as d61_90,
               sum(case when x.overdue > 90 then x.residual else 0 end) as d90_plus,
               sum(x.residual) as total
          from (select l.company_id, l.partner_id, l.amount_residual as residual, $1::date - coalesce(l.date_maturity, l.date) as overdue
                  from account_move_line l join account_account a on a.id = l.account_id
                 where a.account_type = 'asset_receivable' and l.parent_state = 'posted' and l.reconciled is not true) x
          left join res_partner p on p.id = x.partner_id
         group by 2, 3, 4""",
    "gold.sales_by_customer": """
        select o.company_id, o.partner_id, o.currency_id, p.name as partner, u.name as currency,
               count(*) as orders, sum(o.amount_total) as amount_total
          from sale_order o left join res_partner p on p.id = o.partner_id left join res_currency u on u.id = o.currency_id
         where o.state in ('sale', 'done')
         group by 1, 2, 3, 4, 5""",
    "gold.stock_on_hand": """
        select q.company_id, q.product_id, q.location_id,
               coalesce(t.name ->> 'en_US', (select value from jsonb_each_text(t.name) limit 1)) as product,
               s.complete_name as location, sum(q.quantity) as quantity
          from stock_quant q join stock_location s on s.id = q.location_id
          left join product_product d on d.id = q.product_id left join product_template t on t.id = d.product_tmpl_id
         where s.usage = 'internal'
         group by 1, 2, 3, 4, 5""",
}

Row = tuple[Any, ...]


def plain(value: Any) -> Any:
    """One value in a form that both sides share: decimals without trailing zeros, dates as text."""
    if isinstance(value, Decimal):
        return format(value.normalize() + 0, "f")
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value


async def at_the_source(dsn: str, as_of: date) -> dict[str, list[Row]]:
    """Every mart's rows by SQL on the source, sorted."""
    connection = await asyncpg.connect(dsn)
    try:
        return {name: await _rows(connection, sql, as_of) for name, sql in SQL.items()}
    finally:
        await connection.close()


async def _rows(connection: asyncpg.Connection, sql: str, as_of: date) -> list[Row]:
    rows = await connection.fetch(sql, *([as_of] if "$1" in sql else []))
    return _sorted([tuple(plain(value) for value in row.values()) for row in rows])


def in_the_lake(catalog: Any, name: str) -> list[Row]:
    """A published table's rows, sorted, in the order of its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    version = catalog.version(name)
    files = [pq.read_table(path.removeprefix("file://")) for path in version.files]
    if not files:
        return []
    table = pa.concat_tables(files, promote_options="default").select(list(version.column_names))
    return _sorted([tuple(plain(value) for value in row.values()) for row in table.to_pylist()])


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: json.dumps(row, default=str))


def restore(psql: Path, dump: Path, dsn: str) -> None:
    """Load a gzipped plain SQL dump."""
    with subprocess.Popen(["gunzip", "-c", str(dump)], stdout=subprocess.PIPE) as unpacked:
        subprocess.run([psql, "-q", "-v", "ON_ERROR_STOP=0", dsn], stdin=unpacked.stdout, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)  # fmt: skip
