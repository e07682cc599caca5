"""The generated books are consistent, and the rules that say so can fail."""

from __future__ import annotations

import pytest

from support.erp import Erp


async def test_no_row_breaks_a_rule_of_the_books(erp: Erp) -> None:
    faults = await erp.faults()

    assert faults == {}


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (
            "update account_move_line set balance = balance + 0.01, debit = debit + 0.01 where debit > 0 and id < 900",
            "entries that do not balance",
        ),
        (
            "update account_partial_reconcile set amount = amount + 0.01 where id = 1",
            "residuals that are not balance less reconciliations",
        ),
        (
            "update account_move set payment_state = 'partial' where payment_state = 'paid' and id < 100",
            "payment states that lie",
        ),
        (
            "update sale_order set amount_total = amount_total + 1 where id = 1",
            "sale orders that are not their lines",
        ),
        (
            "update stock_quant set quantity = quantity + 1 where id = 1",
            "quants that are not the done moves",
        ),
    ],
)
async def test_a_damaged_row_is_noticed(own_erp: Erp, damage: str, fault: str) -> None:
    await own_erp.run(damage)

    assert fault in await own_erp.faults()


async def test_every_kind_of_document_state_and_settlement_occurs(erp: Erp) -> None:
    kinds = set(await erp.rows("select distinct move_type, state, payment_state from account_move"))

    wanted = {("out_invoice", "posted", state) for state in ("not_paid", "partial", "paid", "reversed")}
    wanted |= {(kind, "draft", "not_paid") for kind in ("out_invoice", "in_invoice", "entry")}
    wanted |= {(kind, "cancel", "not_paid") for kind in ("out_invoice", "in_invoice", "entry")}
    wanted |= {("out_refund", "posted", "paid"), ("in_refund", "posted", "paid"), ("entry", "posted", "not_paid")}
    assert wanted <= kinds


@pytest.mark.parametrize(
    ("what", "query"),
    [
        ("drafts without a partner", "account_move where state = 'draft' and partner_id is null"),
        ("receivables nobody owes", "account_move_line where account_id = 1 and partner_id is null and not reconciled"),
        ("documents of nothing", "account_move where move_type = 'out_invoice' and state = 'posted' and amount_total = 0"),
        ("lines of text alone", "account_move_line where display_type = 'line_note' and name like E'%\\n%'"),
        ("partners without a name", "res_partner where name is null"),
        ("names beyond ASCII", "res_partner where name ~ '[^ -~]'"),
        ("quotation marks", "res_partner where name like '%\"%'"),
        ("untranslated products", "product_template where not name ? 'fr_FR'"),
        ("foreign payments with an exchange difference", "account_full_reconcile where exchange_move_id is not null"),
        ("analytic lines", "account_analytic_line join account_move_line m on m.id = move_line_id where amount = -balance"),
        ("wizard rows", "account_payment_register"),
    ],
)  # fmt: skip
async def test_the_awkward_rows_of_real_life_are_there(erp: Erp, what: str, query: str) -> None:
    found = await erp.value(f"select count(*) from {query}")

    assert found > 0, what


async def test_the_marts_have_something_to_show(erp: Erp) -> None:
    companies = await erp.rows(
        "select company_id, count(distinct date_trunc('month', invoice_date)) from account_move"
        " where state = 'posted' and move_type in ('out_invoice', 'out_refund') group by company_id order by 1"
    )
    stocked = await erp.value(
        "select count(distinct q.company_id) from stock_quant q join stock_location l on l.id = q.location_id"
        " where l.usage = 'internal' and q.quantity > 0"
    )

    assert [company for company, _ in companies] == [1, 2, 3]
    assert min(months for _, months in companies) > 30
    assert stocked == 3
