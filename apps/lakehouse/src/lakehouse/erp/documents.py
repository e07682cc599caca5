"""Invoices, bills and refunds of one chunk: their moves, their lines and what they owe.

`settlement` lowers what they owe; `ledger` writes them out once that is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lakehouse.erp.arrays import Bools, Ints, positions, sums
from lakehouse.erp.batch import Column
from lakehouse.erp.chart import BILL, INV, journal
from lakehouse.erp.counters import Counters
from lakehouse.erp.deals import POSTED, Deals
from lakehouse.erp.numbering import Numbers, numbered
from lakehouse.erp.world import World

TERM_DAYS = np.array([0, 0, 15, 30, 45, 60], np.int64)  # by payment term id; 0 has none


@dataclass(frozen=True)
class Documents:
    """One row per document; amounts are magnitudes in hundredths, `sign` is +1 where the partner owes the company."""

    deals: Deals
    index: Ints  # position of each document's deal
    place: Ints  # of each deal: position of its document, or -1
    move: Ints  # account_move ids
    sign: Ints
    journal: Ints
    due: Ints
    numbers: Numbers
    line_row: Ints  # positions of the deal lines that are on documents
    line_document: Ints
    line_id: Ints  # account_move_line ids of the product lines
    line_company_amount: Ints
    tax_document: Ints  # documents that have a tax line
    tax_id: Ints  # account_move_line ids of the tax lines
    company_tax: Ints
    company_untaxed: Ints
    term_id: Ints  # account_move_line ids of the receivable or payable lines

    @property
    def posted(self) -> Bools:
        """Which documents are posted."""
        return self.deals.document_state[self.index] == POSTED

    @property
    def company_total(self) -> Ints:
        """Untaxed plus tax in company currency."""
        return self.company_untaxed + self.company_tax

    @property
    def names(self) -> Column:
        """Document names, '/' for drafts."""
        return self.numbers.names


def documents(world: World, deals: Deals, counters: Counters) -> Documents:
    """Number the chunk's documents and put their amounts into company currency."""
    index = np.flatnonzero(deals.has_document)
    place = positions(index, len(deals))
    purchase, refund = deals.purchase[index], deals.origin[index] >= 0
    books = journal(deals.company[index], np.where(purchase == 1, BILL, INV))
    rows = np.flatnonzero(deals.has_document[deals.lines.deal])
    owner = place[deals.lines.deal[rows]]
    subtotal = _converted(world, deals, index[owner], deals.lines.subtotal[rows])
    company_tax = _converted(world, deals, index, deals.tax[index])
    taxed = np.flatnonzero(deals.tax[index] > 0)
    return Documents(
        deals=deals,
        index=index,
        place=place,
        move=counters.take("account_move", len(index)),
        sign=np.where((purchase == 1) ^ refund, -1, 1),
        journal=books,
        due=deals.day[index] + TERM_DAYS[deals.term[index]],
        numbers=numbered(counters, books, deals.day[index], deals.document_state[index] != 0, refund),
        line_row=rows,
        line_document=owner,
        line_id=counters.take("account_move_line", len(rows)),
        line_company_amount=subtotal,
        tax_document=taxed,
        tax_id=counters.take("account_move_line", len(taxed)),
        company_tax=company_tax,
        company_untaxed=sums(owner, subtotal, len(index)),
        term_id=counters.take("account_move_line", len(index)),
    )


def _converted(world: World, deals: Deals, deal: Ints, amounts: Ints) -> Ints:
    return world.in_company_currency(amounts, deals.currency[deal], deals.company[deal], deals.rate_day[deal])
