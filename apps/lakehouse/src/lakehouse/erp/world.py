"""What the moving data refers to: rates, partners and products, drawn once from the seed.

`masterdata` and `catalogue` write these to their tables; deals, invoices, payments and stock index into them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakehouse.erp import batch as b
from lakehouse.erp import names
from lakehouse.erp.arrays import Bools, Ints, ratio
from lakehouse.erp.batch import Column
from lakehouse.erp.chart import CURRENCIES, CURRENCY_OF, GRANULES, MICRO_RATES
from lakehouse.erp.plan import Plan

FIXED_PARTNERS = 11  # the companies' own and the users' partners come first
DAYS_A_RATE = 30
UNITS, HOURS = 1, 2


@dataclass(frozen=True)
class World:
    """Arrays to index into; ids are positions plus one."""

    plan: Plan
    micro_rates: Ints  # [currency, month]: units for one US dollar, in millionths
    customers: Ints  # partner ids
    vendors: Ints
    partner_names: Column
    partner_kinds: Ints  # of partners after the fixed ones: 0 customer, 1 vendor, 2 contact of a firm
    product_labels: Column
    product_names: tuple[tuple[str, str], ...]
    product_prices: Ints  # US dollars in hundredths
    storable: Bools
    service: Bools

    def rate(self, currency: Ints, day: Ints) -> Ints:
        """Units of a currency for one US dollar on a day, in millionths."""
        month = np.clip((day - self.plan.first_day) // DAYS_A_RATE + 1, 0, self.micro_rates.shape[1] - 1)
        return self.micro_rates[currency, month]

    def in_company_currency(self, amounts: Ints, currency: Ints, company: Ints, day: Ints) -> Ints:
        """Amounts of a currency in the company's own, rounded to its smallest amount."""
        own = CURRENCY_OF[company]
        converted = ratio(amounts, self.rate(own, day), self.rate(currency, day), GRANULES[own])
        return np.where(own == currency, amounts, converted)


def world(plan: Plan) -> World:
    """Draw partners, products and rates."""
    rng = np.random.default_rng([plan.seed, 0])
    kinds = rng.choice(3, plan.partners, p=[0.6, 0.28, 0.12])
    kinds[:4] = (0, 1, 0, 1)
    ids = np.arange(plan.partners) + FIXED_PARTNERS + 1
    products = _product_names(plan.products)
    service = np.arange(plan.products) % 5 == 4
    return World(
        plan=plan,
        micro_rates=_rates(plan, rng),
        customers=ids[kinds == 0],
        vendors=ids[kinds == 1],
        partner_names=_partner_names(kinds, rng),
        partner_kinds=kinds,
        product_labels=pa.array([f"[{_code(number)}] {name[0]}" for number, name in enumerate(products)]),
        product_names=products,
        product_prices=rng.integers(8, 2_000, plan.products) * 100 + rng.choice([0, 25, 50, 90, 99], plan.products),
        storable=~service & (np.arange(plan.products) % 4 != 3),
        service=service,
    )


def _code(number: int) -> str:
    return f"PRD-{number + 1:05d}"


def _rates(plan: Plan, rng: np.random.Generator) -> Ints:
    months = (plan.last_day - plan.first_day) // DAYS_A_RATE + 2
    steps = rng.integers(-20, 21, (len(CURRENCIES), months))
    steps[0] = 0  # the US dollar is the yardstick
    drift = 1_000 + np.cumsum(steps, axis=1).clip(-150, 150)
    return np.array(MICRO_RATES, np.int64)[:, None] * drift // 1_000


def _partner_names(kinds: Ints, rng: np.random.Generator) -> Column:
    def drawn(words: tuple[str, ...]) -> Column:
        return b.pick(words, rng.integers(0, len(words), len(kinds)))

    firms = b.joined(drawn(names.FIRM), " ", drawn(names.TRADE), " ", drawn(names.FORM))
    people = b.joined(drawn(names.FIRST), " ", drawn(names.LAST))
    return b.where(kinds == 2, people, firms)


def _product_names(count: int) -> tuple[tuple[str, str], ...]:
    return tuple(_product_name(number) for number in range(count))


def _product_name(number: int) -> tuple[str, str]:
    if number % 5 == 4:
        english, french = names.SERVICES[number // 5 % len(names.SERVICES)]
        return f"{english} {number + 1}", f"{french} {number + 1}"
    adjective = names.ADJECTIVE[number % len(names.ADJECTIVE)]
    goods = names.GOODS[number // 3 % len(names.GOODS)]
    return f"{adjective[0]} {goods[0]} {number + 1}", f"{goods[1]} {adjective[1]} {number + 1}"
