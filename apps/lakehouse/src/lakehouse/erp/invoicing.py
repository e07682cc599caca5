"""Writes the documents of one chunk: `account_move`, their lines, taxes and analytic lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lakehouse.erp import batch as b
from lakehouse.erp.analytic import analytic_account, distribution
from lakehouse.erp.arrays import Bools, Ints
from lakehouse.erp.batch import Batch, Column
from lakehouse.erp.chart import (
    CURRENCY_OF,
    EXPENSES,
    PAYABLE,
    RECEIVABLE,
    SALES,
    SERVICES,
    TAX_PAID,
    TAX_RATES,
    TAX_RECEIVED,
    repartition,
    tax,
    tax_group,
)
from lakehouse.erp.counters import Counters
from lakehouse.erp.deals import POSTED
from lakehouse.erp.documents import Documents
from lakehouse.erp.entry import Moves, Side, lines
from lakehouse.erp.orders import Orders
from lakehouse.erp.settlement import Settlement
from lakehouse.erp.world import HOURS, UNITS, World

TYPES = ("out_invoice", "out_refund", "in_invoice", "in_refund")
PAYMENT_STATES = ("not_paid", "partial", "paid", "reversed")
NOTES = (
    'Delivered in two parcels.\nPlease keep the "blue" label,\nit carries the serial number.',
    "Prices as agreed on the phone; see annex B, page 2.",
    "Merci de régler sous 30 jours.\n\nGültig bis Monatsende — 以上",
)


def invoices(world: World, docs: Documents, settled: Settlement, made: Orders, counters: Counters) -> Iterator[Batch]:
    """All rows of the chunk's documents."""
    moves = _moves(docs)
    changed = _changed(docs, settled)
    yield _heads(world, moves, docs, settled, made, changed)
    yield from _product_lines(world, moves, docs, made, changed, counters)
    yield _tax_lines(moves, docs, changed)
    yield _term_lines(moves, docs, settled, changed)
    yield _notes(moves, docs, counters)


def _moves(docs: Documents) -> Moves:
    deals, index = docs.deals, docs.index
    lost = (deals.document_state[index] == 0) & (index % 5 == 0)  # drafts scanned before anyone knew the partner
    refund = deals.origin[index] >= 0
    origin = b.at(docs.names, np.maximum(docs.place[np.maximum(deals.origin[index], 0)], 0))
    theirs = b.joined("SI-", b.text(index * 37 % 99_991 + 10_000))
    ref = b.where(refund, b.joined("Reversal of: ", origin), b.where(deals.purchase[index] == 1, theirs, None))
    return Moves(
        id=docs.move,
        journal=docs.journal,
        company=deals.company[index],
        currency=deals.currency[index],
        partner=deals.partner[index],
        has_partner=~lost,
        day=deals.day[index],
        state=deals.document_state[index],
        numbers=docs.numbers,
        user=deals.user[index],
        ref=ref,
    )


def _changed(docs: Documents, settled: Settlement) -> Ints:
    """The day each document was last touched: reconciliation rewrites its residual."""
    day = docs.deals.day[docs.index].copy()
    known = np.flatnonzero(settled.partials.root >= 0)
    np.maximum.at(day, settled.partials.root[known], settled.partials.day[known])
    return day


def _heads(world: World, moves: Moves, docs: Documents, settled: Settlement, made: Orders, changed: Ints) -> Batch:
    deals, index, sign = docs.deals, docs.index, docs.sign
    untaxed, taxes, total = deals.untaxed[index], deals.tax[index], deals.total[index]
    purchase, refund = deals.purchase[index], deals.origin[index] >= 0
    names = b.pick(world.partner_names, np.maximum(deals.partner[index] - 12, 0))
    sale = purchase == 0
    return moves.batch(
        changed,
        move_type=b.pick(TYPES, purchase * 2 + refund),
        payment_state=b.pick(PAYMENT_STATES, _payment_states(docs, settled)),
        invoice_payment_term_id=b.optional(deals.term[index], deals.term[index] > 0),
        invoice_user_id=b.optional(deals.user[index], sale),
        team_id=b.optional(deals.company[index] + 1, sale),
        partner_shipping_id=b.optional(deals.partner[index], sale & moves.has_partner),
        invoice_partner_display_name=b.where(moves.has_partner, names, None),
        invoice_origin=b.where(made.id[index] > 0, b.at(made.names, index), None),
        payment_reference=b.where((deals.document_state[index] != 0) & sale, docs.names, None),
        reversed_entry_id=b.optional(docs.move[docs.place[np.maximum(deals.origin[index], 0)]], refund),
        invoice_date=b.dates(deals.day[index], deals.document_state[index] != 0),
        invoice_date_due=b.dates(docs.due),
        delivery_date=b.dates(deals.day[index], sale),
        narration=b.where(index % 23 == 0, b.pick(NOTES, index % len(NOTES)), None),
        amount_untaxed=b.money(untaxed),
        amount_tax=b.money(taxes),
        amount_total=b.money(total),
        amount_residual=b.money(settled.residual),
        amount_untaxed_signed=b.money(sign * docs.company_untaxed),
        amount_tax_signed=b.money(sign * docs.company_tax),
        amount_total_signed=b.money(sign * docs.company_total),
        amount_total_in_currency_signed=b.money(sign * total),
        amount_residual_signed=b.money(sign * settled.company_residual),
        always_tax_exigible=False,
        is_move_sent=sale & (index % 3 == 0),
    )


def _payment_states(docs: Documents, settled: Settlement) -> Ints:
    """0 not paid, 1 partly, 2 paid, 3 reversed by refunds alone."""
    paid = np.zeros(len(docs.index), np.bool_)
    linked = settled.payments.document
    paid[linked[linked >= 0]] = True
    closed = settled.residual == 0
    touched = paid | settled.refunded | settled.offset
    state = np.where(closed, np.where(settled.refunded & ~paid, 3, 2), np.where(touched, 1, 0))
    return np.where(docs.posted, state, 0)


def _product_lines(
    world: World, moves: Moves, docs: Documents, made: Orders, changed: Ints, counters: Counters
) -> Iterator[Batch]:
    deals, row, at = docs.deals, docs.line_row, docs.line_document
    source = deals.lines
    deal, product = source.deal[row], source.product[row]
    purchase, sign = deals.purchase[deal], docs.sign[at]
    kind = np.where(purchase == 1, EXPENSES, np.where(world.service[product], SERVICES, SALES))
    zero = np.zeros(len(row), np.int64)
    accounts = analytic_account(docs.line_id, deals.company[deal])
    balance = -sign * docs.line_company_amount
    side = Side(docs.line_id, kind, balance, -sign * source.subtotal[row], deals.currency[deal], zero, zero)
    yield lines(
        moves,
        side,
        at,
        changed,
        display="product",
        sequence=10 + source.rank[row],
        name=b.pick(world.product_labels, product),
        product_id=product + 1,
        product_uom_id=np.where(world.service[product], HOURS, UNITS),
        quantity=b.money(source.quantity[row]),
        price_unit=b.money(source.price[row]),
        price_subtotal=b.money(source.subtotal[row]),
        price_total=b.money(source.subtotal[row] + source.tax[row]),
        discount=b.money(source.discount[row] * 100),
        invoice_date=b.dates(deals.day[deal], deals.document_state[deal] != 0),
        analytic_distribution=distribution(accounts),
        purchase_line_id=b.optional(made.line[row], (purchase == 1) & (made.line[row] > 0)),
        tax_tag_invert=sign > 0,
        is_downpayment=False,
    )
    yield b.batch(
        "account_move_line_account_tax_rel",
        len(row),
        account_move_line_id=docs.line_id,
        account_tax_id=tax(deals.company[deal], purchase, deals.tax_kind[deal]),
    )
    yield _analytic_lines(world, docs, accounts, balance, counters)


def _analytic_lines(world: World, docs: Documents, accounts: Ints, balance: Ints, counters: Counters) -> Batch:
    deals, source = docs.deals, docs.deals.lines
    kept = np.flatnonzero((accounts > 0) & docs.posted[docs.line_document])
    row, at = docs.line_row[kept], docs.line_document[kept]
    deal, product = source.deal[row], source.product[row]
    number = counters.take("account_analytic_line", len(kept))
    return b.batch(
        "account_analytic_line",
        len(kept),
        id=number,
        account_id=accounts[kept],
        partner_id=deals.partner[deal],
        user_id=deals.user[deal],
        company_id=deals.company[deal] + 1,
        currency_id=CURRENCY_OF[deals.company[deal]] + 1,
        name=b.pick(world.product_labels, product),
        category=b.pick(("invoice", "vendor_bill"), deals.purchase[deal]),
        date=b.dates(deals.day[deal]),
        amount=b.money(-balance[kept]),
        unit_amount=source.quantity[row] / 100.0,
        product_id=product + 1,
        product_uom_id=np.where(world.service[product], HOURS, UNITS),
        move_line_id=docs.line_id[kept],
        ref=b.at(docs.names, at),
        journal_id=docs.journal[at],
        create_uid=deals.user[deal],
        write_uid=deals.user[deal],
        create_date=b.moments(deals.day[deal], number),
        write_date=b.moments(deals.day[deal], number),
    )


def _tax_lines(moves: Moves, docs: Documents, changed: Ints) -> Batch:
    deals, at = docs.deals, docs.tax_document
    deal, sign = docs.index[at], docs.sign[at]
    company, purchase, kind = deals.company[deal], deals.purchase[deal], deals.tax_kind[deal]
    tax_id = tax(company, purchase, kind)
    refund = (deals.origin[deal] >= 0).astype(np.int64)
    zero = np.zeros(len(at), np.int64)
    side = Side(
        docs.tax_id,
        np.where(purchase == 1, TAX_PAID, TAX_RECEIVED),
        -sign * docs.company_tax[at],
        -sign * deals.tax[deal],
        deals.currency[deal],
        zero,
        zero,
    )
    rate = TAX_RATES[company, kind]
    return lines(
        moves,
        side,
        at,
        changed,
        display="tax",
        name=b.joined(b.text(rate // 100), ".", b.text(rate % 100, 2), "%"),
        tax_line_id=tax_id,
        tax_group_id=tax_group(company, kind),
        tax_repartition_line_id=repartition(tax_id, refund, 1),
        tax_base_amount=b.money(docs.company_untaxed[at]),
        invoice_date=b.dates(deals.day[deal], deals.document_state[deal] != 0),
        tax_tag_invert=sign > 0,
    )


def _term_lines(moves: Moves, docs: Documents, settled: Settlement, changed: Ints) -> Batch:
    deals, index, sign = docs.deals, docs.index, docs.sign
    side = Side(
        docs.term_id,
        np.where(deals.purchase[index] == 1, PAYABLE, RECEIVABLE),
        sign * docs.company_total,
        sign * deals.total[index],
        deals.currency[index],
        sign * settled.company_residual,
        sign * settled.residual,
    )
    full = settled.full[settled.root]
    return lines(
        moves,
        side,
        None,
        changed,
        display="payment_term",
        name=b.where((deals.document_state[index] != 0) & (deals.purchase[index] == 0), docs.names, None),
        date_maturity=b.dates(docs.due),
        invoice_date=b.dates(deals.day[index], deals.document_state[index] != 0),
        full_reconcile_id=b.optional(full, full > 0),
        matching_number=matching(settled, np.arange(len(index))),
    )


def matching(settled: Settlement, document: Ints) -> Column:
    """Matching numbers of lines of documents' settlements: the full reconcile's id, P and a partial, or null."""
    root = settled.root[document]
    full, first = settled.full[root], settled.first_partial[root]
    touched = first < np.iinfo(np.int64).max
    part = b.where(touched, b.joined("P", b.text(np.where(touched, first, 0))), None)
    return b.where(full > 0, b.text(full), part)


def _notes(moves: Moves, docs: Documents, counters: Counters) -> Batch:
    """Comment lines, which carry text alone: no account, no amounts."""
    at = np.flatnonzero(docs.index % 17 == 3)
    number = counters.take("account_move_line", len(at))
    zero = b.money(np.zeros(len(at), np.int64))
    amounts = ("debit", "credit", "balance", "amount_currency", "amount_residual", "amount_residual_currency")
    columns: dict[str, Any] = dict.fromkeys(amounts, zero)
    deals, deal = docs.deals, docs.index[at]
    known: Bools = moves.has_partner[at]
    return b.batch(
        "account_move_line",
        len(at),
        id=number,
        move_id=docs.move[at],
        journal_id=docs.journal[at],
        company_id=moves.company[at] + 1,
        company_currency_id=CURRENCY_OF[moves.company[at]] + 1,
        currency_id=moves.currency[at] + 1,
        partner_id=b.optional(moves.partner[at], known),
        sequence=99,
        move_name=b.at(docs.names, at),
        parent_state=b.pick(("draft", "posted", "cancel"), moves.state[at]),
        display_type="line_note",
        name=b.pick(NOTES, deal % len(NOTES)),
        date=b.dates(deals.day[deal]),
        reconciled=moves.state[at] == POSTED,
        blocked=False,
        create_uid=moves.user[at],
        write_uid=moves.user[at],
        create_date=b.moments(deals.day[deal], number),
        write_date=b.moments(deals.day[deal], number),
        **columns,
    )
