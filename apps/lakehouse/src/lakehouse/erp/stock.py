"""Goods that move: transfers of the chunk's orders, the opening inventory, and the quantities left on hand.

`OnHand` sums done moves over all chunks, so that `stock_quant` says what the moves say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lakehouse.erp import batch as b
from lakehouse.erp.arrays import Bools, Ints
from lakehouse.erp.batch import Batch, Column
from lakehouse.erp.chart import (
    ADJUSTMENT,
    CUSTOMERS,
    LOCATIONS_A_WAREHOUSE,
    VENDORS,
    VIRTUAL_LOCATIONS,
    WAREHOUSES,
    picking_type,
    stock_location,
)
from lakehouse.erp.counters import Counters
from lakehouse.erp.orders import Orders
from lakehouse.erp.world import UNITS, World

WAREHOUSE_COMPANY = np.array([company for _, company, _ in WAREHOUSES], np.int64)
LOCATIONS = len(VIRTUAL_LOCATIONS) + len(WAREHOUSES) * LOCATIONS_A_WAREHOUSE


class OnHand:
    """Quantities in hundredths by location and product, summed from done and reserved moves."""

    def __init__(self, products: int) -> None:
        self.quantity = np.zeros((LOCATIONS + 1, products), np.int64)
        self.reserved = np.zeros((LOCATIONS + 1, products), np.int64)
        self.touched = np.zeros((LOCATIONS + 1, products), np.bool_)

    def move(self, source: Ints, target: Ints, product: Ints, quantity: Ints) -> None:
        """Count done moves."""
        np.subtract.at(self.quantity, (source, product), quantity)
        np.add.at(self.quantity, (target, product), quantity)
        self.touched[source, product] = True
        self.touched[target, product] = True

    def reserve(self, source: Ints, product: Ints, quantity: Ints) -> None:
        """Count quantities promised to moves that are not done."""
        np.add.at(self.reserved, (source, product), quantity)
        self.touched[source, product] = True


def opening(world: World, on_hand: OnHand, counters: Counters) -> Iterator[Batch]:
    """The first inventory: every storable product into every warehouse's stock."""
    products = np.flatnonzero(world.storable)
    warehouse = np.repeat(np.arange(len(WAREHOUSES)), len(products))
    product = np.tile(products, len(WAREHOUSES))
    expected = world.plan.deals * 200 // len(world.storable)  # what deals will take, so that few quants end below zero
    quantity = (expected + product * 37 % 90 + 20) * 100
    source = np.full(len(product), ADJUSTMENT)
    target = stock_location(warehouse)
    on_hand.move(source, target, product, quantity)
    ids = counters.take("stock_move", len(product))
    day = np.full(len(product), world.plan.first_day - 3)
    columns: dict[str, Any] = {
        "company_id": WAREHOUSE_COMPANY[warehouse] + 1,
        "product_id": product + 1,
        "location_id": source,
        "location_dest_id": target,
        "reference": "Product Quantity Updated",
        "state": "done",
        "quantity": b.money(quantity),
        "picked": True,
        "date": b.moments(day, ids),
        "create_uid": 1,
        "write_uid": 1,
        "create_date": b.moments(day, ids),
        "write_date": b.moments(day, ids),
    }
    yield b.batch(
        "stock_move",
        len(ids),
        id=ids,
        name="Product Quantity Updated",
        product_uom=UNITS,
        procure_method="make_to_stock",
        product_uom_qty=b.money(quantity),
        product_qty=b.money(quantity),
        is_inventory=True,
        priority="0",
        **columns,
    )
    yield _move_lines(world, ids, product, quantity, columns, counters)


def transfers(world: World, made: Orders, on_hand: OnHand, counters: Counters) -> Iterator[Batch]:
    """Pickings, moves and move lines of the chunk's confirmed orders."""
    deals, source = made.deals, made.deals.lines
    rows = np.flatnonzero(made.confirmed[source.deal] & world.storable[source.product])
    deal, product, quantity = source.deal[rows], source.product[rows], source.quantity[rows]
    at = np.unique(deal)
    pickings = np.zeros(len(deals), np.int64)
    pickings[at] = counters.take("stock_picking", len(at))
    incoming = deals.purchase == 1
    home = stock_location(made.warehouse)
    origin, target = np.where(incoming, VENDORS, home), np.where(incoming, home, CUSTOMERS)
    code = [f"{warehouse}/{kind}/" for kind in ("OUT", "IN") for *_, warehouse in WAREHOUSES]
    names = b.joined(b.pick(code, deals.purchase * len(WAREHOUSES) + made.warehouse), b.text(pickings, 5))
    kind = picking_type(made.warehouse, 1 - deals.purchase)
    done = made.delivered
    on_hand.move(*(values[done[deal]] for values in (origin[deal], target[deal], product, quantity)))
    waiting = ~done[deal] & ~incoming[deal]
    on_hand.reserve(origin[deal][waiting], product[waiting], quantity[waiting])
    yield _pickings(made, at, pickings, names, origin, target, kind)
    yield from _moves(world, made, rows, pickings, names, origin, target, kind, counters)


def _pickings(made: Orders, at: Ints, pickings: Ints, names: Column, origin: Ints, target: Ints, kind: Ints) -> Batch:
    deals, ids, done = made.deals, pickings[at], made.delivered[at]
    sale = deals.purchase[at] == 0
    return b.batch(
        "stock_picking",
        len(at),
        id=ids,
        name=b.at(names, at),
        origin=b.at(made.names, at),
        location_id=origin[at],
        location_dest_id=target[at],
        picking_type_id=kind[at],
        partner_id=deals.partner[at],
        company_id=deals.company[at] + 1,
        user_id=b.optional(deals.user[at], done),
        move_type="direct",
        state=b.where(done, "done", "assigned"),
        priority="0",
        is_locked=True,
        has_deadline_issue=False,
        scheduled_date=b.moments(deals.day[at], ids),
        date=b.moments(deals.day[at] - 2, ids),
        date_done=b.moments(deals.day[at] + 1, ids, done),
        sale_id=b.optional(made.id[at], sale),
        create_uid=deals.user[at],
        write_uid=deals.user[at],
        create_date=b.moments(deals.day[at] - 2, ids),
        write_date=b.moments(deals.day[at] + 1, ids),
    )


def _moves(
    world: World,
    made: Orders,
    rows: Ints,
    pickings: Ints,
    names: Column,
    origin: Ints,
    target: Ints,
    kind: Ints,
    counters: Counters,
) -> Iterator[Batch]:
    deals, source = made.deals, made.deals.lines
    deal, product, quantity = source.deal[rows], source.product[rows], source.quantity[rows]
    done: Bools = made.delivered[deal]
    ids = counters.take("stock_move", len(rows))
    sale = deals.purchase[deal] == 0
    columns: dict[str, Any] = {
        "company_id": deals.company[deal] + 1,
        "product_id": product + 1,
        "location_id": origin[deal],
        "location_dest_id": target[deal],
        "picking_id": pickings[deal],
        "reference": b.at(names, deal),
        "state": b.where(done, "done", "assigned"),
        "quantity": b.money(quantity),
        "picked": done,
        "date": b.moments(deals.day[deal] + 1, ids),
        "create_uid": deals.user[deal],
        "write_uid": deals.user[deal],
        "create_date": b.moments(deals.day[deal] - 2, ids),
        "write_date": b.moments(deals.day[deal] + 1, ids),
    }
    yield b.batch(
        "stock_move",
        len(ids),
        id=ids,
        sequence=10 + source.rank[rows],
        name=b.pick(world.product_labels, product),
        product_uom=UNITS,
        partner_id=deals.partner[deal],
        picking_type_id=kind[deal],
        warehouse_id=b.optional(made.warehouse[deal] + 1, sale),
        origin=b.at(made.names, deal),
        priority="0",
        procure_method="make_to_stock",
        product_uom_qty=b.money(quantity),
        product_qty=b.money(quantity),
        price_unit=source.price[rows] / 100.0,
        scrapped=False,
        propagate_cancel=True,
        is_inventory=False,
        additional=False,
        sale_line_id=b.optional(made.line[rows], sale),
        purchase_line_id=b.optional(made.line[rows], ~sale),
        **columns,
    )
    yield _move_lines(world, ids, product, quantity, columns, counters)


def _move_lines(
    world: World, move: Ints, product: Ints, quantity: Ints, columns: dict[str, Any], counters: Counters
) -> Batch:
    return b.batch(
        "stock_move_line",
        len(move),
        id=counters.take("stock_move_line", len(move)),
        move_id=move,
        product_uom_id=UNITS,
        product_category_name=b.pick(("All / Goods", "All / Services"), world.service[product].astype(np.int64)),
        quantity_product_uom=b.money(quantity),
        **columns,
    )


def quants(world: World, on_hand: OnHand) -> Batch:
    """`stock_quant` from everything counted; shared virtual locations have no company."""
    location, product = np.nonzero(on_hand.touched)
    ids = np.arange(1, len(location) + 1)
    warehouse = np.maximum(location - len(VIRTUAL_LOCATIONS) - 1, 0) // LOCATIONS_A_WAREHOUSE
    day = np.full(len(ids), world.plan.last_day)
    return b.batch(
        "stock_quant",
        len(ids),
        id=ids,
        product_id=product + 1,
        company_id=b.optional(WAREHOUSE_COMPANY[warehouse] + 1, location > len(VIRTUAL_LOCATIONS)),
        location_id=location,
        inventory_date=b.dates(day + 184),
        quantity=b.money(on_hand.quantity[location, product]),
        reserved_quantity=b.money(on_hand.reserved[location, product]),
        inventory_quantity=b.money(np.zeros(len(ids), np.int64)),
        inventory_diff_quantity=b.money(np.zeros(len(ids), np.int64)),
        inventory_quantity_set=False,
        in_date=b.moments(day - 30, ids),
        create_uid=1,
        write_uid=1,
        create_date=b.moments(day - 30, ids),
        write_date=b.moments(day, ids),
    )
