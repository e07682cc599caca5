"""The frame of the books: chart of accounts, journals, taxes, payment terms and methods, analytic accounts."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from lakehouse.erp import batch as b
from lakehouse.erp import chart
from lakehouse.erp.analytic import ACCOUNTS_A_COMPANY
from lakehouse.erp.batch import Batch
from lakehouse.erp.entry import ROOTS
from lakehouse.erp.masterdata import COUNTRY, both, stamps
from lakehouse.erp.world import World

TERMS = (("Immediate Payment", "Paiement immédiat", 0), ("15 Days", "15 jours", 15), ("30 Days", "30 jours", 30))
MORE_TERMS = (("45 Days", "45 jours", 45), ("60 Days", "60 jours", 60))
ANALYTIC = ("Research", "Präsentation & Messe", "Field service")
COMPANIES = range(len(chart.COMPANIES))


def books(world: World) -> Iterator[Batch]:
    """All rows of this module."""
    made = stamps(world.plan)
    yield _accounts(made)
    yield _journals(made)
    yield from _taxes(made)
    yield from _terms(made)
    yield from _methods(made)
    yield from _analytic(made)


def _accounts(made: dict[str, Any]) -> Batch:
    kinds = list(enumerate(chart.ACCOUNTS))
    return b.listed(
        "account_account",
        [
            {"id": company * len(kinds) + number + 1, "company_id": company + 1, "code": code, "account_type": kind}
            | {"name": both(english, french), "internal_group": kind.partition("_")[0], "reconcile": reconcile}
            | {"root_id": int(ROOTS[number]), "include_initial_balance": kind.startswith(("asset", "liability"))}
            for company in COMPANIES
            for number, (code, english, french, kind, reconcile) in kinds
        ],
        deprecated=False,
        non_trade=False,
        **made,
    )


def _journals(made: dict[str, Any]) -> Batch:
    defaults = {chart.INV: chart.SALES, chart.BILL: chart.EXPENSES, chart.BNK: chart.BANK}
    size, accounts = len(chart.JOURNALS), len(chart.ACCOUNTS)
    return b.listed(
        "account_journal",
        [
            {"id": company * size + number + 1, "company_id": company + 1, "code": code, "type": kind}
            | {"name": both(english, french), "sequence": number + 1}
            | {"default_account_id": company * accounts + defaults[number] + 1 if number in defaults else None}
            | {"suspense_account_id": company * accounts + chart.SUSPENSE + 1 if kind in {"bank", "cash"} else None}
            for company in COMPANIES
            for number, (code, english, french, kind) in enumerate(chart.JOURNALS)
        ],
        invoice_reference_type="invoice",
        invoice_reference_model="odoo",
        active=True,
        refund_sequence=True,
        payment_sequence=True,
        show_on_dashboard=True,
        **made,
    )


def _taxes(made: dict[str, Any]) -> Iterator[Batch]:
    accounts = len(chart.ACCOUNTS)
    groups = [(company, kind) for company in COMPANIES for kind in range(3)]
    country = [COUNTRY[code] for _, code, _ in chart.COMPANIES]
    yield b.listed(
        "account_tax_group",
        [
            {"id": n, "company_id": company + 1, "name": both(f"Tax {chart.TAX_NAMES[company][kind]}")}
            | {"country_id": country[company], "sequence": 10}
            for n, (company, kind) in enumerate(groups, 1)
        ],
        **made,
    )
    taxes = [(company, use, kind) for company in COMPANIES for use in range(2) for kind in range(3)]
    yield b.listed(
        "account_tax",
        [
            {"id": n, "company_id": company + 1, "tax_group_id": company * 3 + kind + 1, "sequence": kind + 1}
            | {
                "country_id": country[company],
                "type_tax_use": ("sale", "purchase")[use],
                "tax_exigibility": "on_invoice",
            }
            | {"name": both(chart.TAX_NAMES[company][kind])}
            | {"amount": Decimal(int(chart.TAX_RATES[company, kind])).scaleb(-2).quantize(Decimal("0.0001"))}
            for n, (company, use, kind) in enumerate(taxes, 1)
        ],
        amount_type="percent",
        active=True,
        price_include=False,
        include_base_amount=False,
        is_base_affected=True,
        **made,
    )
    parts = [
        (tax, company, use, refund, kind)
        for tax, (company, use, _) in enumerate(taxes)
        for refund in (0, 1)
        for kind in (0, 1)
    ]
    yield b.listed(
        "account_tax_repartition_line",
        [
            {"id": n, "tax_id": tax + 1, "company_id": company + 1, "repartition_type": ("base", "tax")[kind]}
            | {"document_type": ("invoice", "refund")[refund]}
            | {"account_id": company * accounts + (chart.TAX_RECEIVED, chart.TAX_PAID)[use] + 1 if kind else None}
            for n, (tax, company, use, refund, kind) in enumerate(parts, 1)
        ],
        sequence=1,
        factor_percent=100.0,
        use_in_tax_closing=True,
        **made,
    )


def _terms(made: dict[str, Any]) -> Iterator[Batch]:
    terms = list(enumerate(TERMS + MORE_TERMS, 1))
    yield b.listed(
        "account_payment_term",
        [
            {"id": n, "name": both(english, french), "note": both(f"<p>{english}</p>", f"<p>{french}</p>")}
            for n, (english, french, _) in terms
        ],
        sequence=10,
        active=True,
        early_discount=False,
        display_on_invoice=True,
        **made,
    )
    yield b.listed(
        "account_payment_term_line",
        [{"id": n, "payment_id": n, "nb_days": days} for n, (_, _, days) in terms],
        value="percent",
        value_amount=Decimal("100.000000"),
        delay_type="days_after",
        **made,
    )


def _methods(made: dict[str, Any]) -> Iterator[Batch]:
    methods = [{"id": 1, "payment_type": "inbound"}, {"id": 2, "payment_type": "outbound"}]
    yield b.listed("account_payment_method", methods, name=both("Manual", "Manuel"), code="manual", **made)
    accounts, size = len(chart.ACCOUNTS), len(chart.JOURNALS)
    yield b.listed(
        "account_payment_method_line",
        [
            {"id": company * 2 + method, "payment_method_id": method, "journal_id": company * size + chart.BNK + 1}
            | {"payment_account_id": company * accounts + (chart.RECEIPTS, chart.PAYMENTS)[method - 1] + 1}
            for company in COMPANIES
            for method in (1, 2)
        ],
        sequence=10,
        name="Manual",
        **made,
    )


def _analytic(made: dict[str, Any]) -> Iterator[Batch]:
    plan = {"id": 1, "name": both("Projects", "Projets"), "complete_name": "Projects", "parent_path": "1/"}
    yield b.listed("account_analytic_plan", [plan], sequence=10, **made)
    numbers = [(company, number) for company in COMPANIES for number in range(ACCOUNTS_A_COMPANY)]
    yield b.listed(
        "account_analytic_account",
        [
            {"id": n, "name": both(ANALYTIC[number]), "company_id": company + 1, "code": f"AN{n:02d}"}
            for n, (company, number) in enumerate(numbers, 1)
        ],
        plan_id=1,
        root_plan_id=1,
        active=True,
        **made,
    )
