"""Writes what settles documents: payments, bank statement lines, exchange differences and reconciliations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from lakehouse.erp import batch as b
from lakehouse.erp.arrays import Ints
from lakehouse.erp.batch import Batch
from lakehouse.erp.chart import (
    BANK,
    BNK,
    CURRENCY_OF,
    EXCH,
    GAIN,
    LOSS,
    PAYABLE,
    PAYMENTS,
    RECEIPTS,
    RECEIVABLE,
    account,
    journal,
)
from lakehouse.erp.counters import Counters
from lakehouse.erp.deals import POSTED, Deals
from lakehouse.erp.documents import Documents
from lakehouse.erp.entry import Moves, Side, lines
from lakehouse.erp.invoicing import matching
from lakehouse.erp.numbering import numbered
from lakehouse.erp.settlement import Settlement
from lakehouse.erp.world import World


def cash(world: World, docs: Documents, settled: Settlement, counters: Counters) -> Iterator[Batch]:
    """All rows that settle the chunk's documents."""
    moves = _payment_moves(docs, settled, counters)
    yield from _payment_rows(docs, settled, moves)
    yield from _bank(world, docs.deals, settled, counters)
    yield from _exchanges(docs, settled, counters)
    yield from _reconciles(docs, settled)


def partner_account(deals: Deals, deal: Ints) -> Ints:
    """Account kinds on the partner's side."""
    return np.where(deals.purchase[deal] == 1, PAYABLE, RECEIVABLE)


def _payment_moves(docs: Documents, settled: Settlement, counters: Counters) -> Moves:
    pay, deals = settled.payments, docs.deals
    books = journal(deals.company[pay.deal], BNK)
    always = np.ones(len(pay.id), np.bool_)
    paid = b.at(docs.names, np.maximum(pay.document, 0)) if len(docs.index) else pa.nulls(len(pay.id), pa.string())
    return Moves(
        id=pay.move,
        journal=books,
        company=deals.company[pay.deal],
        currency=deals.currency[pay.deal],
        partner=deals.partner[pay.deal],
        has_partner=always,
        day=pay.day,
        state=pay.state,
        numbers=numbered(counters, books, pay.day, pay.state != 0, always, "P"),
        user=deals.user[pay.deal],
        ref=b.where(pay.document >= 0, paid, None),
    )


def _payment_rows(docs: Documents, settled: Settlement, moves: Moves) -> Iterator[Batch]:
    pay, deals, sign = settled.payments, docs.deals, settled.payments.sign
    changed = np.maximum(pay.day, pay.bank_day)
    matched, linked = pay.bank_day > 0, pay.document >= 0
    yield moves.entry(pay.amount, pay.company_amount, changed, payment_id=pay.id)
    bank_of = np.zeros(len(pay.id), np.int64)
    bank_of[settled.bank.payment] = settled.bank_full
    still = np.where(matched, 0, 1)
    label = b.joined(
        b.pick(("Vendor Payment", "Customer Payment"), (sign > 0).astype(np.int64)), " ", moves.numbers.names
    )
    kind = np.where(sign > 0, RECEIPTS, PAYMENTS)
    received, amount = sign * pay.company_amount, sign * pay.amount
    outstanding = Side(pay.outstanding_id, kind, received, amount, moves.currency, received * still, amount * still)
    full = b.optional(bank_of, bank_of > 0)
    yield lines(
        moves, outstanding, None, changed,
        display="product", name=label, payment_id=pay.id, full_reconcile_id=full,
        matching_number=b.where(matched, b.text(bank_of), None), date_maturity=b.dates(pay.day),
    )  # fmt: skip
    open_ = np.where(linked, 0, 1)
    partner = partner_account(deals, pay.deal)
    counterpart = Side(
        pay.counterpart_id, partner, -received, -amount, moves.currency, -received * open_, -amount * open_
    )
    document = np.maximum(pay.document, 0)
    full_id = np.where(linked, settled.full[settled.root[document]] if len(docs.index) else 0, 0)
    numbers = matching(settled, document) if len(docs.index) else pa.nulls(len(pay.id), pa.string())
    yield lines(
        moves, counterpart, None, changed,
        display="payment_term", name=label, payment_id=pay.id, full_reconcile_id=b.optional(full_id, full_id > 0),
        matching_number=b.where(linked, numbers, None), date_maturity=b.dates(pay.day),
    )  # fmt: skip
    yield b.batch(
        "account_payment",
        len(pay.id),
        id=pay.id,
        move_id=pay.move,
        payment_method_id=np.where(sign > 0, 1, 2),
        payment_method_line_id=deals.company[pay.deal] * 2 + np.where(sign > 0, 1, 2),
        currency_id=moves.currency + 1,
        partner_id=moves.partner,
        outstanding_account_id=account(moves.company, kind),
        destination_account_id=account(moves.company, partner),
        payment_type=b.pick(("outbound", "inbound"), (sign > 0).astype(np.int64)),
        partner_type=b.pick(("customer", "supplier"), deals.purchase[pay.deal]),
        payment_reference=moves.ref,
        amount=b.money(pay.amount),
        amount_company_currency_signed=b.money(received),
        is_reconciled=linked & (pay.state == POSTED),
        is_matched=matched,
        is_internal_transfer=False,
        create_uid=moves.user,
        write_uid=moves.user,
        create_date=b.moments(pay.day, pay.id),
        write_date=b.moments(changed, pay.id),
    )


def _bank(world: World, deals: Deals, settled: Settlement, counters: Counters) -> Iterator[Batch]:
    pay, bank = settled.payments, settled.bank
    at, deal = bank.payment, pay.deal[bank.payment]
    company = deals.company[deal]
    own, currency = CURRENCY_OF[company], deals.currency[deal]
    books = journal(company, BNK)
    always = np.ones(len(at), np.bool_)
    moves = Moves(
        id=bank.move,
        journal=books,
        company=company,
        currency=own,
        partner=deals.partner[deal],
        has_partner=always,
        day=bank.day,
        state=np.full(len(at), POSTED),
        numbers=numbered(counters, books, bank.day, always, ~always),
        user=deals.user[deal],
        ref=pa.nulls(len(at), pa.string()),
    )
    received, amount = pay.sign[at] * pay.company_amount[at], pay.sign[at] * pay.amount[at]
    debit = np.where(received > 0, np.abs(received), np.abs(amount))
    yield moves.entry(debit, np.abs(received), bank.day, statement_line_id=bank.id)
    zero = np.zeros(len(at), np.int64)
    label = b.joined("SEPA ", b.text(bank.id, 8), " ", b.pick(world.partner_names, np.maximum(moves.partner - 12, 0)))
    money_in = Side(bank.bank_id, BANK, received, received, own, received, received)
    yield lines(moves, money_in, None, bank.day, display="product", name=label, statement_line_id=bank.id)
    kind = np.where(pay.sign[at] > 0, RECEIPTS, PAYMENTS)
    cleared = Side(bank.outstanding_id, kind, -received, -amount, currency, zero, zero)
    yield lines(
        moves, cleared, None, bank.day,
        display="product", name=label, statement_line_id=bank.id,
        full_reconcile_id=settled.bank_full, matching_number=b.text(settled.bank_full),
    )  # fmt: skip
    yield b.batch(
        "account_bank_statement_line",
        len(at),
        id=bank.id,
        move_id=bank.move,
        sequence=1,
        partner_id=moves.partner,
        currency_id=own + 1,
        foreign_currency_id=b.optional(currency + 1, currency != own),
        payment_ref=label,
        internal_index=b.joined(b.text(bank.day, 8), b.text(2_147_483_647 - bank.id, 10)),
        amount=b.money(received),
        amount_currency=b.money(np.where(currency == own, 0, amount)),
        is_reconciled=True,
        amount_residual=0.0,
        create_uid=moves.user,
        write_uid=moves.user,
        create_date=b.moments(bank.day, bank.id),
        write_date=b.moments(bank.day, bank.id),
    )


def _exchanges(docs: Documents, settled: Settlement, counters: Counters) -> Iterator[Batch]:
    pay, exchange, deals = settled.payments, settled.exchanges, docs.deals
    at, deal = exchange.payment, pay.deal[exchange.payment]
    company, day = deals.company[deal], pay.day[at]
    books = journal(company, EXCH)
    always = np.ones(len(at), np.bool_)
    moves = Moves(
        id=exchange.move,
        journal=books,
        company=company,
        currency=deals.currency[deal],
        partner=deals.partner[deal],
        has_partner=always,
        day=day,
        state=np.full(len(at), POSTED),
        numbers=numbered(counters, books, day, always, ~always),
        user=np.ones(len(at), np.int64),
        ref=pa.nulls(len(at), pa.string()),
    )
    zero = np.zeros(len(at), np.int64)
    yield moves.entry(zero, np.abs(exchange.gap), day)
    balance = -pay.sign[at] * exchange.gap
    document = pay.document[at]
    full = settled.full[settled.root[document]] if len(at) else zero
    partner = Side(exchange.partner_id, partner_account(deals, deal), balance, zero, moves.currency, zero, zero)
    yield lines(
        moves, partner, None, day,
        display="product", name="Currency exchange rate difference", date_maturity=b.dates(day),
        full_reconcile_id=b.optional(full, full > 0),
        matching_number=matching(settled, document) if len(at) else pa.nulls(0, pa.string()),
    )  # fmt: skip
    result = Side(exchange.result_id, np.where(balance > 0, GAIN, LOSS), -balance, zero, moves.currency, zero, zero)
    yield lines(moves, result, None, day, display="product", name="Currency exchange rate difference")


def _reconciles(docs: Documents, settled: Settlement) -> Iterator[Batch]:
    part, deals = settled.partials, docs.deals
    root = np.maximum(part.root, 0)
    of_document = settled.full[root] if len(settled.full) else np.zeros(len(root), np.int64)
    of_bank = settled.bank_full[np.maximum(part.bank, 0)] if len(settled.bank_full) else of_document
    full = np.where(part.root >= 0, of_document, of_bank)
    currency = deals.currency[part.deal] + 1
    stamps = b.moments(part.day, part.id)
    yield b.batch(
        "account_partial_reconcile",
        len(part.id),
        id=part.id,
        debit_move_id=part.debit,
        credit_move_id=part.credit,
        full_reconcile_id=b.optional(full, full > 0),
        exchange_move_id=b.optional(part.exchange, part.exchange > 0),
        debit_currency_id=currency,
        credit_currency_id=currency,
        company_id=deals.company[part.deal] + 1,
        max_date=b.dates(part.day),
        amount=b.money(part.amount),
        debit_amount_currency=b.money(part.currency_amount),
        credit_amount_currency=b.money(part.currency_amount),
        create_uid=1,
        write_uid=1,
        create_date=stamps,
        write_date=stamps,
    )
    closed = np.flatnonzero(full > 0)
    ids, first = np.unique(full[closed], return_index=True)
    exchange = np.zeros(len(ids), np.int64)
    np.maximum.at(exchange, np.searchsorted(ids, full[closed]), part.exchange[closed])
    day = part.day[closed][first]
    yield b.batch(
        "account_full_reconcile",
        len(ids),
        id=ids,
        exchange_move_id=b.optional(exchange, exchange > 0),
        create_uid=1,
        write_uid=1,
        create_date=b.moments(day, ids),
        write_date=b.moments(day, ids),
    )
