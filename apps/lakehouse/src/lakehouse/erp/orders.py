"""Sale and purchase orders of one chunk, their lines and their links to invoices and taxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakehouse.erp import batch as b
from lakehouse.erp.arrays import Bools, Ints, ratio
from lakehouse.erp.batch import Batch, Column
from lakehouse.erp.chart import CURRENCY_OF, GRANULES, picking_type, tax
from lakehouse.erp.counters import Counters
from lakehouse.erp.deals import CANCELED, CONFIRMED, LOCKED, Deals
from lakehouse.erp.documents import Documents
from lakehouse.erp.world import HOURS, UNITS, World

SALE_STATES = ("draft", "sent", "sale", "cancel", "sale")
PURCHASE_STATES = ("draft", "sent", "purchase", "cancel", "done")


@dataclass(frozen=True)
class Orders:
    """Ids of orders and order lines by deal and deal line; 0 where there is none."""

    deals: Deals
    id: Ints
    line: Ints
    confirmed: Bools
    invoiced: Bools
    delivered: Bools  # every storable line left or entered the stock
    warehouse: Ints

    @property
    def names(self) -> Column:
        """S00001 for sales, P00001 for purchases; meaningless where a deal has no order."""
        return b.joined(b.pick(("S", "P"), self.deals.purchase), b.text(self.id, 5))


def orders(world: World, deals: Deals, rng: np.random.Generator, counters: Counters) -> Orders:
    """Give the chunk's orders and their lines ids and decide which are delivered."""
    ids = np.zeros(len(deals), np.int64)
    line = np.zeros(len(deals.lines.deal), np.int64)
    for purchase, table in ((0, "sale_order"), (1, "purchase_order")):
        chosen = np.flatnonzero(deals.has_order & (deals.purchase == purchase))
        ids[chosen] = counters.take(table, len(chosen))
        rows = np.flatnonzero((deals.has_order & (deals.purchase == purchase))[deals.lines.deal])
        line[rows] = counters.take(f"{table}_line", len(rows))
    confirmed = deals.has_order & np.isin(deals.order_state, (CONFIRMED, LOCKED))
    late = deals.day > world.plan.last_day - 5
    second = (deals.company == 0) & (rng.random(len(deals)) < 0.3)
    return Orders(
        deals,
        ids,
        line,
        confirmed,
        invoiced=deals.has_document & (deals.document_state != CANCELED),
        delivered=confirmed & ~late & (rng.random(len(deals)) < 0.92),
        warehouse=np.where(second, 1, deals.company + (deals.company > 0)),
    )


def order_rows(world: World, made: Orders, docs: Documents) -> Iterator[Batch]:
    """All rows of the chunk's orders."""
    for purchase in (0, 1):
        chosen = np.flatnonzero(made.deals.has_order & (made.deals.purchase == purchase))
        rows = np.flatnonzero((made.line > 0) & (made.deals.purchase[made.deals.lines.deal] == purchase))
        heads, lines = (_purchases, _purchase_lines) if purchase else (_sales, _sale_lines)
        yield heads(world, made, chosen)
        yield lines(world, made, rows)
        yield _taxes(made, rows, purchase)
    yield from _links(made, docs)


def _sales(world: World, made: Orders, at: Ints) -> Batch:
    deals, ids = made.deals, made.id[at]
    partner, state, day = deals.partner[at], deals.order_state[at], deals.day[at] - 2
    confirmed, invoiced = made.confirmed[at], made.invoiced[at]
    own = CURRENCY_OF[deals.company[at]]
    rate = ratio(world.rate(deals.currency[at], day), 1_000_000, world.rate(own, day))
    return b.batch(
        "sale_order",
        len(at),
        id=ids,
        name=b.at(made.names, at),
        company_id=deals.company[at] + 1,
        partner_id=partner,
        partner_invoice_id=partner,
        partner_shipping_id=partner,
        payment_term_id=b.optional(deals.term[at], deals.term[at] > 0),
        currency_id=deals.currency[at] + 1,
        user_id=b.optional(deals.user[at], ids % 11 != 0),
        team_id=deals.company[at] + 1,
        warehouse_id=made.warehouse[at] + 1,
        state=b.pick(SALE_STATES, state),
        client_order_ref=b.where(ids % 4 == 0, b.joined("PO/", b.text(ids * 13 % 9_973, 4)), None),
        invoice_status=b.where(~confirmed, "no", b.where(invoiced, "invoiced", "to invoice")),
        note=b.where(ids % 29 == 0, "<p>Please ring twice.<br/>\nDog in the yard!</p>", None),
        currency_rate=b.decimals(rate, 6),
        amount_untaxed=b.money(deals.untaxed[at]),
        amount_tax=b.money(deals.tax[at]),
        amount_total=b.money(deals.total[at]),
        amount_to_invoice=b.money(np.where(confirmed & ~invoiced, deals.total[at], 0)),
        locked=state == LOCKED,
        require_signature=True,
        require_payment=False,
        picking_policy="direct",
        delivery_status=b.where(confirmed, b.where(made.delivered[at], "full", "pending"), None),
        date_order=b.moments(day, ids),
        validity_date=b.dates(day + 30, ~confirmed),
        effective_date=b.moments(day + 3, ids, made.delivered[at]),
        prepayment_percent=1.0,
        **_stamps(deals.user[at], day, ids),
    )


def _sale_lines(world: World, made: Orders, row: Ints) -> Batch:
    deals, source = made.deals, made.deals.lines
    deal, product = source.deal[row], source.product[row]
    quantity, subtotal, tax_ = source.quantity[row], source.subtotal[row], source.tax[row]
    confirmed = made.confirmed[deal]
    invoiced = confirmed & made.invoiced[deal]
    moved = made.delivered[deal] & ~world.service[product]
    granule = GRANULES[deals.currency[deal]]
    return b.batch(
        "sale_order_line",
        len(row),
        id=made.line[row],
        order_id=made.id[deal],
        sequence=10 + source.rank[row],
        company_id=deals.company[deal] + 1,
        currency_id=deals.currency[deal] + 1,
        order_partner_id=deals.partner[deal],
        salesman_id=b.optional(deals.user[deal], made.id[deal] % 11 != 0),
        product_id=product + 1,
        product_uom=np.where(world.service[product], HOURS, UNITS),
        state=b.pick(SALE_STATES, deals.order_state[deal]),
        qty_delivered_method=b.where(world.storable[product], "stock_move", "manual"),
        invoice_status=b.where(~confirmed, "no", b.where(invoiced, "invoiced", "to invoice")),
        name=b.pick(world.product_labels, product),
        product_uom_qty=b.money(quantity),
        price_unit=b.money(source.price[row]),
        discount=b.money(source.discount[row] * 100),
        price_subtotal=b.money(subtotal),
        price_total=b.money(subtotal + tax_),
        price_tax=tax_ / 100.0,
        price_reduce_taxexcl=b.money(ratio(subtotal, 100, quantity, granule)),
        price_reduce_taxinc=b.money(ratio(subtotal + tax_, 100, quantity, granule)),
        qty_delivered=b.money(np.where(moved, quantity, 0)),
        qty_invoiced=b.money(np.where(invoiced, quantity, 0)),
        qty_to_invoice=b.money(np.where(confirmed & ~invoiced, quantity, 0)),
        untaxed_amount_invoiced=b.money(np.where(invoiced, subtotal, 0)),
        untaxed_amount_to_invoice=b.money(np.where(confirmed & ~invoiced, subtotal, 0)),
        is_expense=False,
        is_service=world.service[product],
        customer_lead=0.0,
        product_packaging_qty=0.0,
        **_stamps(deals.user[deal], deals.day[deal] - 2, made.line[row]),
    )


def _purchases(world: World, made: Orders, at: Ints) -> Batch:
    deals, ids = made.deals, made.id[at]
    day, confirmed, invoiced = deals.day[at] - 2, made.confirmed[at], made.invoiced[at]
    own = CURRENCY_OF[deals.company[at]]
    rate = ratio(world.rate(deals.currency[at], day), 1_000_000, world.rate(own, day))
    return b.batch(
        "purchase_order",
        len(at),
        id=ids,
        name=b.at(made.names, at),
        partner_id=deals.partner[at],
        currency_id=deals.currency[at] + 1,
        invoice_count=(deals.has_document[at]).astype(np.int64),
        payment_term_id=b.optional(deals.term[at], deals.term[at] > 0),
        user_id=deals.user[at],
        company_id=deals.company[at] + 1,
        priority=b.pick(("0", "1"), (ids % 10 == 0).astype(np.int64)),
        partner_ref=b.where(ids % 3 == 0, b.joined("SO-", b.text(ids * 17 % 9_973, 4)), None),
        state=b.pick(PURCHASE_STATES, deals.order_state[at]),
        invoice_status=b.where(~confirmed, "no", b.where(invoiced, "invoiced", "to invoice")),
        amount_untaxed=b.money(deals.untaxed[at]),
        amount_tax=b.money(deals.tax[at]),
        amount_total=b.money(deals.total[at]),
        date_order=b.moments(day, ids),
        date_approve=b.moments(day, ids + 1, confirmed),
        date_planned=b.moments(day + 3, ids),
        date_calendar_start=b.moments(day, ids),
        effective_date=b.moments(day + 3, ids, made.delivered[at]),
        currency_rate=rate / 1_000_000.0,
        picking_type_id=picking_type(made.warehouse[at], 0),
        receipt_status=b.where(confirmed, b.where(made.delivered[at], "full", "pending"), None),
        **_stamps(deals.user[at], day, ids),
    )


def _purchase_lines(world: World, made: Orders, row: Ints) -> Batch:
    deals, source = made.deals, made.deals.lines
    deal, product = source.deal[row], source.product[row]
    quantity, subtotal, tax_ = source.quantity[row], source.subtotal[row], source.tax[row]
    confirmed = made.confirmed[deal]
    invoiced = confirmed & made.invoiced[deal]
    moved = made.delivered[deal] & ~world.service[product]
    return b.batch(
        "purchase_order_line",
        len(row),
        id=made.line[row],
        sequence=10 + source.rank[row],
        product_uom=np.where(world.service[product], HOURS, UNITS),
        product_id=product + 1,
        order_id=made.id[deal],
        company_id=deals.company[deal] + 1,
        partner_id=deals.partner[deal],
        currency_id=deals.currency[deal] + 1,
        state=b.pick(PURCHASE_STATES, deals.order_state[deal]),
        qty_received_method=b.where(world.storable[product], "stock_moves", "manual"),
        name=b.pick(world.product_labels, product),
        product_qty=b.money(quantity),
        product_uom_qty=quantity / 100.0,
        discount=b.money(source.discount[row] * 100),
        price_unit=b.money(source.price[row]),
        price_subtotal=b.money(subtotal),
        price_total=b.money(subtotal + tax_),
        price_tax=tax_ / 100.0,
        qty_invoiced=b.money(np.where(invoiced, quantity, 0)),
        qty_received=b.money(np.where(moved, quantity, 0)),
        qty_to_invoice=b.money(np.where(confirmed & ~invoiced, quantity, 0)),
        date_planned=b.moments(deals.day[deal] + 1, made.line[row]),
        product_packaging_qty=0.0,
        propagate_cancel=True,
        **_stamps(deals.user[deal], deals.day[deal] - 2, made.line[row]),
    )


def _taxes(made: Orders, row: Ints, purchase: int) -> Batch:
    deals, deal = made.deals, made.deals.lines.deal[row]
    table = "account_tax_purchase_order_line_rel" if purchase else "account_tax_sale_order_line_rel"
    column = "purchase_order_line_id" if purchase else "sale_order_line_id"
    ids = tax(deals.company[deal], deals.purchase[deal], deals.tax_kind[deal])
    return b.batch(table, len(row), **{column: made.line[row], "account_tax_id": ids})


def _links(made: Orders, docs: Documents) -> Iterator[Batch]:
    deals, row = made.deals, docs.line_row
    sold = (made.line[row] > 0) & (deals.purchase[deals.lines.deal[row]] == 0)
    yield b.batch(
        "sale_order_line_invoice_rel",
        int(sold.sum()),
        invoice_line_id=docs.line_id[sold],
        order_line_id=made.line[row][sold],
    )
    bought = (made.id[docs.index] > 0) & (deals.purchase[docs.index] == 1)
    yield b.batch(
        "account_move_purchase_order_rel",
        int(bought.sum()),
        purchase_order_id=made.id[docs.index][bought],
        account_move_id=docs.move[bought],
    )


def _stamps(user: Ints, day: Ints, salt: Ints) -> dict[str, Any]:
    return {
        "create_uid": user,
        "write_uid": user,
        "create_date": b.moments(day, salt),
        "write_date": b.moments(day, salt + 1),
    }
