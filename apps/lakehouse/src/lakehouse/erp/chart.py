"""The fixed frame of the books: companies, currencies, accounts, journals and taxes, and how ids follow from it.

Ids are arithmetic, so that whole columns of them are computed at once: account `k` of company `c` is
`c * len(ACCOUNTS) + k + 1`, and likewise for journals and taxes. Companies and currencies count from 0 here.
"""

from __future__ import annotations

import numpy as np

from lakehouse.erp.arrays import Ints

COMPANIES = (
    ("Brightwater Instruments Inc.", "US", "brightwater.example"),
    ("Lindenhof Präzision GmbH", "DE", "lindenhof.example"),
    ("青山精機株式会社", "JP", "aoyama.example"),
)
CURRENCIES = (("USD", "$", 2), ("EUR", "€", 2), ("JPY", "¥", 0))
GRANULES = np.array([1, 1, 100], np.int64)  # the smallest amount of each currency, in hundredths
CURRENCY_OF = np.array([0, 1, 2], np.int64)  # of each company
MICRO_RATES = (1_000_000, 920_000, 148_500_000)  # units for one US dollar, in millionths

# code, English, French, type, may be reconciled
ACCOUNTS = (
    ("101200", "Account Receivable", "Comptes clients", "asset_receivable", True),
    ("201000", "Account Payable", "Comptes fournisseurs", "liability_payable", True),
    ("101401", "Bank", "Banque", "asset_cash", False),
    ("101402", "Bank Suspense Account", "Compte d'attente bancaire", "asset_current", False),
    ("101403", "Outstanding Receipts", "Encaissements en suspens", "asset_current", True),
    ("101404", "Outstanding Payments", "Décaissements en suspens", "asset_current", True),
    ("131000", "Tax Paid", "Taxe payée", "asset_current", False),
    ("251000", "Tax Received", "Taxe reçue", "liability_current", False),
    ("400000", "Product Sales", "Ventes de produits", "income", False),
    ("410000", "Service Sales", "Ventes de services", "income", False),
    ("500000", "Cost of Goods Sold", "Coût des ventes", "expense_direct_cost", False),
    ("600000", "Expenses", "Charges", "expense", False),
    ("630000", "Salary Expenses", "Charges salariales", "expense", False),
    ("230000", "Salary Payable", "Salaires à payer", "liability_current", True),
    ("252000", "Payroll Tax Payable", "Charges sociales à payer", "liability_current", False),
    ("151000", "Fixed Asset", "Immobilisations", "asset_fixed", False),
    ("640000", "Depreciation Expense", "Dotations aux amortissements", "expense_depreciation", False),
    ("441000", "Foreign Exchange Gain", "Gain de change", "income_other", False),
    ("642000", "Foreign Exchange Loss", "Perte de change", "expense", False),
    ("301000", "Capital", "Capital", "equity", False),
    ("999999", "Undistributed Profits/Losses", "Résultats non distribués", "equity_unaffected", False),
)
RECEIVABLE, PAYABLE, BANK, SUSPENSE, RECEIPTS, PAYMENTS, TAX_PAID, TAX_RECEIVED, SALES, SERVICES, COST = range(11)
EXPENSES, SALARIES, SALARY_PAYABLE, PAYROLL_TAX, ASSETS, DEPRECIATION, GAIN, LOSS, CAPITAL = range(11, 20)

# code, English, French, type
JOURNALS = (
    ("INV", "Customer Invoices", "Factures clients", "sale"),
    ("BILL", "Vendor Bills", "Factures fournisseurs", "purchase"),
    ("BNK1", "Bank", "Banque", "bank"),
    ("CSH1", "Cash", "Espèces", "cash"),
    ("MISC", "Miscellaneous Operations", "Opérations diverses", "general"),
    ("EXCH", "Exchange Difference", "Différence de change", "general"),
)
INV, BILL, BNK, CSH, MISC, EXCH = range(6)

# Basis points of the standard, the reduced and the zero tax of each company.
TAX_RATES = np.array([[825, 400, 0], [1900, 700, 0], [1000, 800, 0]], np.int64)
TAX_NAMES = (("8.25%", "4%", "0% Exempt"), ("19%", "7%", "0%"), ("10%", "8%", "0%"))

# name, company, code
WAREHOUSES = (("Portland", 0, "WH"), ("Austin", 0, "WH2"), ("Ulm", 1, "ULM"), ("大阪", 2, "OSA"))
LOCATIONS_A_WAREHOUSE = 5  # view, stock, two shelves, output
VIRTUAL_LOCATIONS = ("Partners", "Vendors", "Customers", "Virtual Locations", "Inventory adjustment", "Scrap")
VENDORS, CUSTOMERS, ADJUSTMENT = 2, 3, 5


def account(company: Ints, kind: Ints | int) -> Ints:
    """Account ids."""
    return company * len(ACCOUNTS) + kind + 1


def journal(company: Ints, kind: Ints | int) -> Ints:
    """Journal ids."""
    return company * len(JOURNALS) + kind + 1


def tax(company: Ints, purchase: Ints, kind: Ints) -> Ints:
    """Tax ids; purchase is 0 or 1, kind 0 standard, 1 reduced, 2 zero."""
    return company * 6 + purchase * 3 + kind + 1


def repartition(tax_id: Ints, refund: Ints, kind: int) -> Ints:
    """Ids of tax repartition lines; refund is 0 or 1, kind 0 base, 1 tax."""
    return (tax_id - 1) * 4 + refund * 2 + kind + 1


def tax_group(company: Ints, kind: Ints) -> Ints:
    """Tax group ids: one per company and rate."""
    return company * 3 + kind + 1


def stock_location(warehouse: Ints, kind: Ints | int = 1) -> Ints:
    """Location ids in a warehouse: 0 its view, 1 stock, 2 and 3 shelves, 4 output."""
    return len(VIRTUAL_LOCATIONS) + warehouse * LOCATIONS_A_WAREHOUSE + kind + 1


def picking_type(warehouse: Ints, kind: Ints | int) -> Ints:
    """Picking type ids: 0 receipts, 1 deliveries, 2 internal."""
    return warehouse * 3 + kind + 1
