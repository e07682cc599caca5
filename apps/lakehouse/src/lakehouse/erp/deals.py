"""The business itself: who trades what with whom, drawn one chunk at a time.

A deal is a sale or a purchase. It may have an order, a document (invoice or bill), both, or be the refund of another
deal's document. Everything later (orders, invoices, payments, stock) is derived from these columns.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from lakehouse.erp.arrays import Bools, Ints, ratio, spread, sums
from lakehouse.erp.chart import CURRENCY_OF, GRANULES, MICRO_RATES, TAX_RATES
from lakehouse.erp.plan import CHUNK, Plan
from lakehouse.erp.world import World

DRAFT, POSTED, CANCELED = 0, 1, 2
QUOTED, SENT, CONFIRMED, DROPPED, LOCKED = range(5)


@dataclass(frozen=True)
class Lines:
    """Lines of the deals, in deal order."""

    deal: Ints
    rank: Ints
    product: Ints  # position, not id
    quantity: Ints  # hundredths
    price: Ints  # hundredths of the deal's currency
    discount: Ints  # percent
    subtotal: Ints
    tax: Ints


@dataclass(frozen=True)
class Deals:
    """One chunk of deals; `origin` is the deal that a refund refunds, else -1."""

    company: Ints
    purchase: Ints  # 0 sale, 1 purchase
    partner: Ints  # id
    currency: Ints
    day: Ints
    rate_day: Ints
    term: Ints  # payment term: 0 none, else its id
    tax_kind: Ints
    user: Ints  # id
    has_order: Bools
    order_state: Ints
    has_document: Bools
    document_state: Ints
    origin: Ints
    lines: Lines
    untaxed: Ints
    tax: Ints

    @property
    def total(self) -> Ints:
        """Untaxed plus tax, in hundredths of the deal's currency."""
        return self.untaxed + self.tax

    def __len__(self) -> int:
        return len(self.company)


def deals(world: World, number: int) -> Deals:
    """Chunk `number` (from 0) of the plan's deals, refunds appended at its end."""
    rng = np.random.default_rng([world.plan.seed, 1, number])
    base = _drawn(world, rng, number)
    return _with_refunds(base, world.plan, rng)


def _drawn(world: World, rng: np.random.Generator, number: int) -> Deals:
    plan: Plan = world.plan
    index = np.arange(number * CHUNK, min((number + 1) * CHUNK, plan.deals))
    count = len(index)
    company = rng.choice(3, count, p=[0.5, 0.3, 0.2])
    purchase = (rng.random(count) < 0.37).astype(np.int64)
    currency = np.where(rng.random(count) < 0.8, CURRENCY_OF[company], rng.integers(0, 3, count))
    day = (
        plan.first_day + index * (plan.last_day - plan.first_day) // max(plan.deals - 1, 1) + rng.integers(0, 7, count)
    )
    has_order = rng.random(count) < np.where(purchase == 1, 0.42, 0.64)
    order_state = _order_states(rng, purchase)
    confirmed = (order_state == CONFIRMED) | (order_state == LOCKED)
    lines = _lines(world, rng, currency, free=rng.random(count) < 0.01)
    tax_kind = rng.choice(3, count, p=[0.75, 0.15, 0.1])
    day = np.minimum(day, plan.last_day)
    made = Deals(
        company=company,
        purchase=purchase,
        partner=np.where(purchase == 1, _someone(rng, world.vendors, count), _someone(rng, world.customers, count)),
        currency=currency,
        day=day,
        rate_day=day,
        term=rng.choice(6, count, p=[0.1, 0.15, 0.15, 0.35, 0.15, 0.1]),
        tax_kind=tax_kind,
        user=rng.integers(2, 9, count),
        has_order=has_order,
        order_state=order_state,
        has_document=~has_order | (confirmed & (rng.random(count) < 0.85)),
        document_state=rng.choice(3, count, p=[0.07, 0.89, 0.04]),
        origin=np.full(count, -1, np.int64),
        lines=lines,
        untaxed=np.zeros(count, np.int64),
        tax=np.zeros(count, np.int64),
    )
    return _taxed(made)


def _someone(rng: np.random.Generator, ids: Ints, count: int) -> Ints:
    """Ids drawn so that the first ones are met far more often than the last."""
    return ids[(rng.random(count) ** 2.5 * len(ids)).astype(np.int64)]


def _order_states(rng: np.random.Generator, purchase: Ints) -> Ints:
    sale = rng.choice(5, len(purchase), p=[0.08, 0.07, 0.72, 0.06, 0.07])
    bought = rng.choice(5, len(purchase), p=[0.08, 0.05, 0.67, 0.05, 0.15])
    return np.where(purchase == 1, bought, sale)


def _lines(world: World, rng: np.random.Generator, currency: Ints, free: Bools) -> Lines:
    deal, rank = spread(rng.choice(np.arange(1, 8), len(currency), p=[0.3, 0.25, 0.18, 0.12, 0.08, 0.05, 0.02]))
    product = rng.integers(0, world.plan.products, len(deal))
    quantity = rng.integers(1, 13, len(deal)) * 100
    quantity = np.where(world.service[product] & (rng.random(len(deal)) < 0.5), quantity + 50, quantity)
    granule = GRANULES[currency[deal]]
    jitter = world.product_prices[product] * rng.integers(95, 106, len(deal))
    price = ratio(jitter, np.array(MICRO_RATES)[currency[deal]], 100_000_000, granule)
    price = np.where(free[deal], 0, price)
    discount = rng.choice(np.array([0, 5, 10, 15]), len(deal), p=[0.85, 0.07, 0.05, 0.03])
    subtotal = ratio(quantity * price, 100 - discount, 10_000, granule)
    return Lines(deal, rank, product, quantity, price, discount, subtotal, np.zeros(len(deal), np.int64))


def _taxed(made: Deals) -> Deals:
    lines = made.lines
    rate = TAX_RATES[made.company, made.tax_kind][lines.deal]
    tax = ratio(lines.subtotal, rate, 10_000, GRANULES[made.currency][lines.deal])
    return replace(
        made,
        lines=replace(lines, tax=tax),
        untaxed=sums(lines.deal, lines.subtotal, len(made)),
        tax=sums(lines.deal, tax, len(made)),
    )


def _with_refunds(base: Deals, plan: Plan, rng: np.random.Generator) -> Deals:
    """Append refunds of the first line of some posted documents, at the rate of the document they refund."""
    day = base.day + rng.integers(1, 25, len(base))
    posted = base.has_document & (base.document_state == POSTED)
    origin = np.flatnonzero(posted & (rng.random(len(base)) < 0.08) & (day <= plan.last_day))
    first = np.flatnonzero(base.lines.rank == 0)[origin]
    again = np.arange(len(origin))
    refunds = replace(
        _rows(base, origin),
        day=day[origin],
        rate_day=base.rate_day[origin],
        has_order=np.zeros(len(origin), np.bool_),
        document_state=np.where(rng.random(len(origin)) < 0.92, POSTED, DRAFT),
        origin=origin,
        lines=replace(_rows(base.lines, first), deal=again + len(base)),
        untaxed=base.lines.subtotal[first],
        tax=base.lines.tax[first],
    )
    return replace(_joined(base, refunds), lines=_joined(base.lines, refunds.lines))


def _rows(source: Any, index: Ints) -> Any:
    return replace(source, **{f.name: getattr(source, f.name)[index] for f in fields(source) if f.name != "lines"})


def _joined(left: Any, right: Any) -> Any:
    names = [f.name for f in fields(left) if f.name != "lines"]
    return replace(left, **{name: np.concatenate([getattr(left, name), getattr(right, name)]) for name in names})
