"""Analytic accounts: which lines carry one, and how Odoo writes that down."""

from __future__ import annotations

import numpy as np

from lakehouse.erp import batch as b
from lakehouse.erp.arrays import Ints
from lakehouse.erp.batch import Column

ACCOUNTS_A_COMPANY = 3


def analytic_account(line: Ints, company: Ints) -> Ints:
    """Analytic account id of each line, 0 for the six in seven that carry none."""
    chosen = company * ACCOUNTS_A_COMPANY + line // 7 % ACCOUNTS_A_COMPANY + 1
    return np.where(line % 7 == 0, chosen, 0)


def distribution(accounts: Ints) -> Column:
    """`analytic_distribution` as JSON text: all of the line on its one account; null without one."""
    return b.where(accounts > 0, b.joined('{"', b.text(accounts), '": 100.0}'), None)
