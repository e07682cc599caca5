"""Who paid what: refunds set off, payments, bank lines, exchange differences, and the reconciliations between them.

Every amount below is a magnitude; the document's `sign` gives its direction. What this module guarantees is what Odoo
guarantees: a line's residual is its balance less the partial reconciles on it, in both currencies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lakehouse.erp.arrays import Bools, Ints
from lakehouse.erp.chart import GRANULES
from lakehouse.erp.counters import Counters
from lakehouse.erp.deals import CANCELED, CONFIRMED, DRAFT, LOCKED, POSTED, Deals
from lakehouse.erp.documents import Documents
from lakehouse.erp.world import World


@dataclass(frozen=True)
class Payments:
    """One row per payment; `document` is -1 for money on account."""

    document: Ints
    deal: Ints
    sign: Ints  # +1 money comes in
    day: Ints
    state: Ints
    amount: Ints  # in the deal's currency
    company_amount: Ints  # at the payment's rate
    settled: Ints  # at the document's rate
    move: Ints
    id: Ints
    outstanding_id: Ints  # account_move_line ids
    counterpart_id: Ints
    bank_day: Ints  # 0 where the bank has not shown it yet


@dataclass(frozen=True)
class BankLines:
    """One row per bank statement line that matches a payment."""

    payment: Ints
    day: Ints
    move: Ints
    id: Ints
    bank_id: Ints
    outstanding_id: Ints


@dataclass(frozen=True)
class Exchanges:
    """One row per exchange difference entry."""

    payment: Ints
    gap: Ints  # settled less paid, in company currency, signed
    move: Ints
    partner_id: Ints  # account_move_line ids: the receivable or payable side, then gain or loss
    result_id: Ints


@dataclass(frozen=True)
class Partials:
    """Partial reconciles; `root` names the document whose settlement they belong to, -1 for bank matches."""

    id: Ints
    debit: Ints
    credit: Ints
    amount: Ints
    currency_amount: Ints
    deal: Ints
    day: Ints
    root: Ints
    bank: Ints  # position of the bank line, -1 otherwise
    exchange: Ints  # account_move id of the exchange entry, 0 otherwise


@dataclass(frozen=True)
class Settlement:
    """Everything that settles one chunk's documents."""

    payments: Payments
    bank: BankLines
    exchanges: Exchanges
    partials: Partials
    root: Ints  # of each document: itself, or the document it was set off against
    refunded: Bools  # documents that a refund was set off against
    offset: Bools  # refunds that were set off
    residual: Ints  # of each document, in its currency
    company_residual: Ints
    full: Ints  # of each document: account_full_reconcile id of its settlement, 0 while open
    bank_full: Ints  # of each bank line
    first_partial: Ints  # of each document as root: the partial that gives open lines their matching number


def settlement(world: World, docs: Documents, rng: np.random.Generator, counters: Counters) -> Settlement:
    """Settle the posted documents of one chunk."""
    deals = docs.deals
    residual = deals.total[docs.index].copy()
    company_residual = docs.company_total.copy()
    origin, offset = _set_off(docs, rng)
    refund = np.flatnonzero(offset)
    residual[origin[refund]] -= residual[refund]
    company_residual[origin[refund]] -= company_residual[refund]
    set_off = np.stack([residual[refund], company_residual[refund]])
    residual[refund], company_residual[refund] = 0, 0
    payments = _payments(world, docs, residual, company_residual, rng, counters)
    paid = np.flatnonzero(payments.document >= 0)
    residual[payments.document[paid]] -= payments.amount[paid]
    company_residual[payments.document[paid]] -= payments.settled[paid]
    bank = _bank_lines(payments, counters)
    exchanges = _exchanges(payments, counters)
    partials = _partials(docs, refund, origin[refund], set_off, payments, bank, exchanges, counters)
    root = np.where(offset, origin, np.arange(len(origin)))
    touched, first = _touched(partials, len(root))
    done = touched & (residual == 0) & (company_residual == 0)
    full = np.zeros(len(root), np.int64)
    full[done] = counters.take("account_full_reconcile", int(done.sum()))
    return Settlement(
        payments,
        bank,
        exchanges,
        partials,
        root,
        refunded=np.isin(np.arange(len(root)), origin[refund]),
        offset=offset,
        residual=residual,
        company_residual=company_residual,
        full=full,
        bank_full=counters.take("account_full_reconcile", len(bank.id)),
        first_partial=first,
    )


def _set_off(docs: Documents, rng: np.random.Generator) -> tuple[Ints, Bools]:
    """For each document its origin's position (-1 none) and whether it is set off against it."""
    origin_deal = docs.deals.origin[docs.index]
    origin = np.where(origin_deal >= 0, docs.place[origin_deal], -1)
    owing = docs.deals.total[docs.index] > 0
    chosen = (origin >= 0) & docs.posted & owing & (rng.random(len(origin)) < 0.75)
    return origin, chosen


def _payments(
    world: World,
    docs: Documents,
    residual: Ints,
    company_residual: Ints,
    rng: np.random.Generator,
    counters: Counters,
) -> Payments:
    deals, plan = docs.deals, world.plan
    wait = rng.integers(-10, 35, len(docs.index))
    day = np.maximum(docs.due + wait, deals.day[docs.index])
    owing = docs.posted & (residual > 0) & (company_residual > 0) & (day <= plan.last_day)
    document = np.flatnonzero(owing & (rng.random(len(owing)) < 0.85))
    whole = rng.random(len(document)) < 0.88
    granule = GRANULES[deals.currency[docs.index[document]]]
    half = np.maximum(residual[document] // 2 // granule, 1) * granule
    amount = np.where(whole, residual[document], np.minimum(half, residual[document]))
    ahead = _on_account(deals, rng)
    deal = np.r_[docs.index[document], ahead]
    day = np.r_[day[document], deals.day[ahead]]
    amount = np.r_[amount, deals.total[ahead]]
    currency, company = deals.currency[deal], deals.company[deal]
    converted = world.in_company_currency(amount, currency, company, day)
    at_document_rate = world.in_company_currency(amount, currency, company, deals.rate_day[deal])
    owed = np.r_[company_residual[document], np.zeros(len(ahead), np.int64)]
    everything = np.r_[amount[: len(document)] == residual[document], np.zeros(len(ahead), np.bool_)]
    settled = np.where(everything, owed, np.minimum(at_document_rate, owed))
    state = np.r_[
        np.full(len(document), POSTED), rng.choice([DRAFT, POSTED, CANCELED], len(ahead), p=[0.15, 0.75, 0.1])
    ]
    bank_day = day + rng.integers(1, 6, len(deal))
    shown = (state == POSTED) & (bank_day <= plan.last_day) & (rng.random(len(deal)) < 0.8)
    return Payments(
        document=np.r_[document, np.full(len(ahead), -1)],
        deal=deal,
        sign=np.r_[docs.sign[document], 1 - 2 * deals.purchase[ahead]],
        day=day,
        state=state,
        amount=amount,
        company_amount=converted,
        settled=settled,
        move=counters.take("account_move", len(deal)),
        id=counters.take("account_payment", len(deal)),
        outstanding_id=counters.take("account_move_line", len(deal)),
        counterpart_id=counters.take("account_move_line", len(deal)),
        bank_day=np.where(shown, bank_day, 0),
    )


def _on_account(deals: Deals, rng: np.random.Generator) -> Ints:
    """Deals paid before any document exists."""
    ordered = deals.has_order & ~deals.has_document & np.isin(deals.order_state, (CONFIRMED, LOCKED))
    return np.flatnonzero(ordered & (deals.total > 0) & (rng.random(len(deals)) < 0.3))


def _bank_lines(payments: Payments, counters: Counters) -> BankLines:
    payment = np.flatnonzero(payments.bank_day > 0)
    count = len(payment)
    return BankLines(
        payment=payment,
        day=payments.bank_day[payment],
        move=counters.take("account_move", count),
        id=counters.take("account_bank_statement_line", count),
        bank_id=counters.take("account_move_line", count),
        outstanding_id=counters.take("account_move_line", count),
    )


def _exchanges(payments: Payments, counters: Counters) -> Exchanges:
    gap = np.where(payments.document >= 0, payments.settled - payments.company_amount, 0)
    payment = np.flatnonzero(gap)
    return Exchanges(
        payment=payment,
        gap=gap[payment],
        move=counters.take("account_move", len(payment)),
        partner_id=counters.take("account_move_line", len(payment)),
        result_id=counters.take("account_move_line", len(payment)),
    )


def _partials(
    docs: Documents,
    refund: Ints,
    origin: Ints,
    set_off: Ints,
    payments: Payments,
    bank: BankLines,
    exchanges: Exchanges,
    counters: Counters,
) -> Partials:
    """All partial reconciles: set-offs, payments, exchange differences, bank matches."""
    paid = np.flatnonzero(payments.document >= 0)
    short = exchanges.gap > 0  # the payment brought less than the document claims: the difference closes the document
    open_line = np.where(
        short,
        docs.term_id[payments.document[exchanges.payment]],
        payments.counterpart_id[exchanges.payment],
    )
    exchange_of = np.zeros(len(payments.id), np.int64)
    exchange_of[exchanges.payment] = exchanges.move
    none = [np.full(n, -1) for n in (len(refund), len(paid), len(exchanges.move), len(bank.id))]
    sign = np.r_[
        docs.sign[origin],
        payments.sign[paid],
        np.where(short, 1, -1) * payments.sign[exchanges.payment],
        payments.sign[bank.payment],
    ]
    # `ours` is the debit where sign is +1: the document, the open line, the payment's outstanding line.
    ours = np.r_[
        docs.term_id[origin], docs.term_id[payments.document[paid]], open_line, payments.outstanding_id[bank.payment]
    ]
    theirs = np.r_[docs.term_id[refund], payments.counterpart_id[paid], exchanges.partner_id, bank.outstanding_id]
    gaps = np.zeros(len(exchanges.move), np.int64)
    return Partials(
        id=counters.take("account_partial_reconcile", len(sign)),
        debit=np.where(sign > 0, ours, theirs),
        credit=np.where(sign > 0, theirs, ours),
        amount=np.r_[
            set_off[1],
            np.minimum(payments.settled, payments.company_amount)[paid],
            np.abs(exchanges.gap),
            payments.company_amount[bank.payment],
        ],
        currency_amount=np.r_[set_off[0], payments.amount[paid], gaps, payments.amount[bank.payment]],
        deal=np.r_[
            docs.index[refund], payments.deal[paid], payments.deal[exchanges.payment], payments.deal[bank.payment]
        ],
        day=np.r_[docs.deals.day[docs.index[refund]], payments.day[paid], payments.day[exchanges.payment], bank.day],
        root=np.r_[origin, payments.document[paid], payments.document[exchanges.payment], none[3]],
        bank=np.r_[none[0], none[1], none[2], np.arange(len(bank.id))],
        exchange=np.r_[none[0] * 0, exchange_of[paid], exchanges.move, none[3] * 0],
    )


def _touched(partials: Partials, documents: int) -> tuple[Bools, Ints]:
    known = np.flatnonzero(partials.root >= 0)
    first = np.full(documents, np.iinfo(np.int64).max)
    np.minimum.at(first, partials.root[known], partials.id[known])
    return first < np.iinfo(np.int64).max, first
