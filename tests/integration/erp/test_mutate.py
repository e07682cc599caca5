"""A day of changes: what it says it changed has changed, and the books still hold."""

from __future__ import annotations

import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from lakehouse.erp import mutate
from opscore.domain.errors import Conflict
from support.erp import Erp


async def test_a_day_of_changes_keeps_the_books_consistent(own_erp: Erp) -> None:
    for seed in (1, 2, 3):
        await mutate(own_erp.dsn, seed)

    assert await own_erp.faults() == {}


async def test_the_same_seed_changes_the_same_rows(postgres: ThrowawayPostgres, own_erp: Erp, erp: Erp) -> None:
    template = erp.dsn.rpartition("/")[2].partition("?")[0]
    twin = await postgres.create_database("erp_twin", template=template)

    assert await mutate(own_erp.dsn, 7) == await mutate(twin, 7)


async def test_what_changed_is_what_was_reported(own_erp: Erp) -> None:
    newest = await own_erp.value("select max(write_date) from account_move")
    before = dict(await own_erp.rows("select id, write_date from res_partner"))

    day = await mutate(own_erp.dsn, 1)

    written = "select count(*) from account_move where id = any($1) and state = 'posted' and write_date > $2"
    assert await own_erp.value(written, [*day["invoices"], day["paid_invoice"]], newest) == 4
    paid = await own_erp.rows(
        "select payment_state, amount_residual from account_move where id = $1", day["paid_invoice"]
    )
    assert paid == [("paid", 0)]
    assert await own_erp.value("select count(*) from account_move where id = $1", day["deleted_move"]) == 0
    assert await own_erp.value("select count(*) from account_move_line where move_id = $1", day["deleted_move"]) == 0
    assert await own_erp.value("select state from sale_order where id = $1", day["canceled_order"]) == "cancel"
    after = dict(await own_erp.rows("select id, write_date from res_partner"))
    assert {partner for partner in after if after[partner] != before[partner]} == {day["partner"]}
    tags = (
        "select count(*) from product_tag_product_template_rel where product_template_id = $1 and product_tag_id = $2"
    )
    assert await own_erp.value(tags, *day["untagged"]) == 0


async def test_an_erp_without_drafts_says_so_and_stays_as_it_was(own_erp: Erp) -> None:
    await own_erp.run("delete from account_move where state = 'draft'")
    moves = await own_erp.value("select count(*) from account_move")

    with pytest.raises(Conflict, match="delete_draft"):
        await mutate(own_erp.dsn, 1)

    assert await own_erp.value("select count(*) from account_move") == moves
