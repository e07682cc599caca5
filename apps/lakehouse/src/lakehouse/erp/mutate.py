"""One believable day on a generated ERP: sales, a payment, changes, deletions. The demo and tests ingest it afterwards.

Rows are stamped as Odoo stamps them: by the database's clock at the start of the transaction, and never earlier than
the newest row there is. Which rows change depends on the seed alone. The books stay consistent.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from lakehouse.erp.ports import Loader
from opscore.db.load import loading
from opscore.domain.errors import Conflict

INVOICES = 3
CLOCK = """
select max(date) + 1, greatest(now() at time zone 'UTC', max(write_date) + interval '1 second')
from account_move
"""


async def mutate(dsn: str, seed: int) -> dict[str, Any]:
    """Change a generated database in one transaction and say what changed, by ids.

    Keys: `date`, `invoices`, `payment`, `paid_invoice`, `partner`, `product`, `silent_partner` (changed without
    write_date), `canceled_order`, `deleted_move`, `untagged` (product template and tag of a deleted many2many row).
    Raises SourceUnavailable, and Conflict when nothing is left to change.
    """
    async with loading(dsn) as load:
        (day, moment), *_ = await load.fetch(CLOCK)
        sources = await load.fetch(_sql("pick_invoice"), str(seed), INVOICES)
        invoices = [await _one(load, "invoice", source, day, moment) for (source,) in sources]
        paid, model = await _one(load, "pick_payable", str(seed))
        payment, _ = await _one(load, "payment", paid, model, day, moment)
        return {
            "date": day.isoformat(),
            "invoices": [invoice for invoice, *_ in invoices],
            "payment": payment,
            "paid_invoice": paid,
            "partner": (await _one(load, "partner", str(seed), moment))[0],
            "product": (await _one(load, "product", str(seed), moment))[0],
            "silent_partner": (await _one(load, "silent", str(seed)))[0],
            "canceled_order": (await _one(load, "cancel_order", str(seed), moment))[0],
            "deleted_move": (await _one(load, "delete_draft", str(seed)))[0],
            "untagged": list(await _one(load, "untag", str(seed))),
        }


async def _one(load: Loader, name: str, *arguments: Any) -> tuple[Any, ...]:
    rows = await load.fetch(_sql(name), *arguments)
    if not rows:
        raise Conflict(
            f"The ERP has no row left for the step `{name}` of a day of changes.",
            hint="Generate a new, larger database: these changes use up drafts, quotations and unpaid invoices.",
        )
    return rows[0]


def _sql(name: str) -> str:
    return files("lakehouse.erp").joinpath("day", f"{name}.sql").read_text(encoding="utf-8")
