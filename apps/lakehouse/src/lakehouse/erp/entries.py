"""Entries that no deal makes: payroll, depreciation, opening balances, and bank lines nobody has matched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from lakehouse.erp import batch as b
from lakehouse.erp.arrays import Ints
from lakehouse.erp.batch import Batch
from lakehouse.erp.chart import (
    ASSETS,
    BANK,
    BNK,
    CAPITAL,
    CURRENCY_OF,
    DEPRECIATION,
    GRANULES,
    MISC,
    PAYROLL_TAX,
    RECEIVABLE,
    SALARIES,
    SALARY_PAYABLE,
    SUSPENSE,
    journal,
)
from lakehouse.erp.counters import Counters
from lakehouse.erp.deals import POSTED
from lakehouse.erp.entry import Moves, Side, lines
from lakehouse.erp.numbering import numbered
from lakehouse.erp.world import World

# What each kind of entry debits and credits: (account kind, hundredths of the whole, sign). Shares sum to zero.
RECIPES = (
    ("Payroll", ((SALARIES, 100, 1), (PAYROLL_TAX, 22, -1), (SALARY_PAYABLE, 78, -1))),
    ("Depreciation", ((DEPRECIATION, 100, 1), (ASSETS, 100, -1))),
    ("Opening balance", ((RECEIVABLE, 100, 1), (CAPITAL, 100, -1))),  # nobody knows the partner any more
    ("Unidentified deposit", ((BANK, 100, 1), (SUSPENSE, 100, -1))),
)
PAYROLL, DEPRECIATING, OPENING, DEPOSIT = range(4)
DEALS_AN_ENTRY = 8


def entries(world: World, number: int, days: Ints, counters: Counters) -> Iterator[Batch]:
    """One entry for every eighth deal of the chunk, on that deal's day."""
    rng = np.random.default_rng([world.plan.seed, 2, number])
    day = days[::DEALS_AN_ENTRY]
    kinds = rng.choice(4, len(day), p=[0.45, 0.25, 0.05, 0.25])
    for kind, (label, recipe) in enumerate(RECIPES):
        yield from _entries(rng, kind, label, recipe, day[kinds == kind], counters)


def _entries(
    rng: np.random.Generator,
    kind: int,
    label: str,
    recipe: tuple[tuple[int, int, int], ...],
    day: Ints,
    counters: Counters,
) -> Iterator[Batch]:
    count = len(day)
    company = rng.choice(3, count, p=[0.5, 0.3, 0.2])
    own = CURRENCY_OF[company]
    whole = rng.integers(1, 4_000, count) * 10_000  # so that every share is a whole amount in every currency
    whole = np.where(rng.random(count) < 0.02, 0, whole * np.where(GRANULES[own] > 1, 100, 1))
    state = np.where(kind == DEPOSIT, POSTED, rng.choice(3, count, p=[0.06, 0.9, 0.04]))
    books = journal(company, BNK if kind == DEPOSIT else MISC)
    always = np.ones(count, np.bool_)
    moves = Moves(
        id=counters.take("account_move", count),
        journal=books,
        company=company,
        currency=own,
        partner=np.zeros(count, np.int64),
        has_partner=~always,
        day=day,
        state=state,
        numbers=numbered(counters, books, day, state != 0, ~always),
        user=np.full(count, 2),
        ref=pa.array([None if kind == DEPOSIT else label] * count, pa.string()),
    )
    statement = counters.take("account_bank_statement_line", count) if kind == DEPOSIT else None
    yield moves.entry(whole, whole, day, statement_line_id=statement)
    for account_kind, share, sign in recipe:
        balance = sign * whole * share // 100
        open_ = balance if account_kind in (SALARY_PAYABLE, RECEIVABLE, BANK) else np.zeros(count, np.int64)
        ids = counters.take("account_move_line", count)
        side = Side(ids, np.full(count, account_kind), balance, balance, own, open_, open_)
        yield lines(moves, side, None, day, display="product", name=label, statement_line_id=statement)
    if statement is not None:
        yield _statement_lines(moves, statement, whole)


def _statement_lines(moves: Moves, ids: Ints, amount: Ints) -> Batch:
    return b.batch(
        "account_bank_statement_line",
        len(ids),
        id=ids,
        move_id=moves.id,
        sequence=1,
        currency_id=moves.currency + 1,
        payment_ref=b.joined("Cash deposit ", b.text(ids)),
        partner_name=b.where(ids % 2 == 0, "unknown sender\n(branch counter)", None),
        internal_index=b.joined(b.text(moves.day, 8), b.text(2_147_483_647 - ids, 10)),
        amount=b.money(amount),
        amount_currency=b.money(np.zeros(len(ids), np.int64)),
        is_reconciled=False,
        amount_residual=-amount / 100.0,
        create_uid=1,
        write_uid=1,
        create_date=b.moments(moves.day, ids),
        write_date=b.moments(moves.day, ids),
    )
