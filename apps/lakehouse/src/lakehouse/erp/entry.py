"""Shapes shared by everything that writes journal entries: one batch of moves, one batch of their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lakehouse.erp import batch as b
from lakehouse.erp.arrays import Bools, Ints
from lakehouse.erp.batch import Batch, Column
from lakehouse.erp.chart import ACCOUNTS, CURRENCY_OF, account
from lakehouse.erp.deals import POSTED
from lakehouse.erp.numbering import Numbers

STATES = ("draft", "posted", "cancel")
ROOTS = np.array([ord(code[0]) * 1_000 + ord(code[1]) for code, *_ in ACCOUNTS], np.int64)


@dataclass(frozen=True)
class Moves:
    """Head columns of some journal entries; positions for company and currency, ids for the rest."""

    id: Ints
    journal: Ints
    company: Ints
    currency: Ints
    partner: Ints
    has_partner: Bools
    day: Ints
    state: Ints
    numbers: Numbers
    user: Ints
    ref: Column

    def batch(self, changed: Ints, **columns: Any) -> Batch:
        """The `account_move` rows, last changed on the days given."""
        partner = b.optional(self.partner, self.has_partner)
        return b.batch(
            "account_move",
            len(self.id),
            id=self.id,
            sequence_number=self.numbers.numbers,
            sequence_prefix=self.numbers.prefixes,
            name=self.numbers.names,
            journal_id=self.journal,
            company_id=self.company + 1,
            currency_id=self.currency + 1,
            partner_id=partner,
            commercial_partner_id=partner,
            ref=self.ref,
            state=b.pick(STATES, self.state),
            auto_post="no",
            date=b.dates(self.day),
            is_storno=False,
            to_check=False,
            posted_before=self.state != 0,
            create_uid=self.user,
            write_uid=self.user,
            create_date=b.moments(self.day, self.id),
            write_date=b.moments(np.maximum(changed, self.day), self.id + 1),
            **columns,
        )

    def entry(self, total: Ints, company_total: Ints, changed: Ints, **columns: Any) -> Batch:
        """The `account_move` rows of entries that are not invoices; totals are sums of debits."""
        nothing = b.money(np.zeros(len(self.id), np.int64))
        zero = ("amount_untaxed", "amount_tax", "amount_residual", "amount_untaxed_signed", "amount_tax_signed")
        return self.batch(
            changed,
            move_type="entry",
            payment_state="not_paid",
            always_tax_exigible=True,
            amount_total=b.money(total),
            amount_total_signed=b.money(company_total),
            amount_total_in_currency_signed=b.money(total),
            amount_residual_signed=nothing,
            **dict.fromkeys(zero, nothing),
            **columns,
        )


@dataclass(frozen=True)
class Side:
    """One line of each of some entries: the account and signed amounts in hundredths."""

    id: Ints
    kind: Ints | int  # account kind
    balance: Ints
    foreign: Ints  # amount_currency
    currency: Ints
    residual: Ints
    foreign_residual: Ints


def lines(moves: Moves, side: Side, row: Ints | None, changed: Ints, *, display: str, **columns: Any) -> Batch:
    """`account_move_line` rows; `row` names each line's move by position (None: one line per move, in order)."""
    at = np.arange(len(moves.id)) if row is None else row
    state, company = moves.state[at], moves.company[at]
    reconcilable = np.array([reconcile for *_, reconcile in ACCOUNTS])[side.kind]
    open_amount = (side.residual != 0) | (side.foreign_residual != 0)
    chosen: dict[str, Any] = {
        "quantity": b.money(np.zeros(len(at), np.int64)),
        "price_unit": b.money(np.zeros(len(at), np.int64)),
        "price_subtotal": b.money(np.zeros(len(at), np.int64)),
        "price_total": b.money(np.zeros(len(at), np.int64)),
        "sequence": 100,
        "partner_id": b.optional(moves.partner[at], moves.has_partner[at]),
        "ref": b.at(moves.ref, at),
    } | columns
    return b.batch(
        "account_move_line",
        len(at),
        id=side.id,
        move_id=moves.id[at],
        journal_id=moves.journal[at],
        company_id=company + 1,
        company_currency_id=CURRENCY_OF[company] + 1,
        account_id=account(company, side.kind),
        account_root_id=np.broadcast_to(ROOTS[side.kind], len(at)),
        currency_id=side.currency + 1,
        move_name=b.at(moves.numbers.names, at),
        parent_state=b.pick(STATES, state),
        display_type=display,
        date=b.dates(moves.day[at]),
        debit=b.money(np.maximum(side.balance, 0)),
        credit=b.money(np.maximum(-side.balance, 0)),
        balance=b.money(side.balance),
        amount_currency=b.money(side.foreign),
        amount_residual=b.money(side.residual),
        amount_residual_currency=b.money(side.foreign_residual),
        reconciled=reconcilable & ~open_amount & (state == POSTED),
        blocked=False,
        create_uid=moves.user[at],
        write_uid=moves.user[at],
        create_date=b.moments(moves.day[at], moves.id[at]),
        write_date=b.moments(np.maximum(changed[at], moves.day[at]), side.id),
        **chosen,
    )
