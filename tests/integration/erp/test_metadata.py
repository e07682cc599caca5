"""Odoo's metadata tables describe exactly what is there."""

from __future__ import annotations

from support.erp import Erp

TABLE_OF = (
    "case m.model when 'project.task.stage.personal' then 'project_task_user_rel' else replace(m.model, '.', '_') end"
)
COLUMNS = f"""
select m.model, m.transient, c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
from ir_model as m
join pg_class as c on c.relname = {TABLE_OF} and c.relnamespace = 'public'::regnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
"""
KINDS = {
    "integer": "integer",
    "many2one": "integer",
    "many2one_reference": "integer",
    "date": "date",
    "datetime": "timestamp without time zone",
    "boolean": "boolean",
    "text": "text",
    "html": "text",
    "monetary": "numeric",
    "json": "jsonb",
    "properties": "jsonb",
    "properties_definition": "jsonb",
    "binary": "bytea",
}


async def test_every_column_of_every_model_is_described(erp: Erp) -> None:
    fields = {
        (model, name): (ttype, translate, required, store)
        for model, name, ttype, translate, required, store in await erp.rows(
            "select model, name, ttype, translate, required, store from ir_model_fields"
        )
    }

    wrong = []
    for model, _, _, kind, column, sql_type, not_null in await erp.rows(COLUMNS):
        ttype, translate, required, store = fields.get((model, column), ("missing", False, False, False))
        wanted = "jsonb" if translate else KINDS.get(ttype, sql_type)
        if ttype == "missing" or not store or sql_type != wanted or (kind == b"r" and required != not_null):
            wrong.append((model, column, ttype, sql_type))
    assert wrong == []


async def test_every_stored_field_with_a_column_type_has_its_column(erp: Erp) -> None:
    described = set(
        await erp.rows(
            "select model, name from ir_model_fields where store and ttype not in ('one2many', 'many2many', 'binary')"
        )
    )

    there = {(model, column) for model, _, _, _, column, *_ in await erp.rows(COLUMNS)}

    assert described - there == set()


async def test_every_table_is_a_model_or_a_relation(erp: Erp) -> None:
    models = {table for _, _, table, *_ in await erp.rows(COLUMNS)}
    relations = {
        name for (name,) in await erp.rows("select relation_table from ir_model_fields where ttype = 'many2many'")
    }
    tables = {name for (name,) in await erp.rows("select tablename from pg_tables where schemaname = 'public'")}

    assert tables <= models | relations
    assert len(models) > 60


async def test_many2many_fields_name_their_table_and_its_two_key_columns(erp: Erp) -> None:
    wrong = await erp.rows("""
        select f.model, f.name, f.relation_table
        from ir_model_fields as f
        where f.ttype = 'many2many' and f.relation_table <> 'project_task_user_rel' and not exists (
            select from pg_index as i
            join pg_attribute as one on one.attrelid = i.indrelid and one.attname = f.column1
            join pg_attribute as two on two.attrelid = i.indrelid and two.attname = f.column2
            where i.indrelid = to_regclass(f.relation_table) and i.indisprimary
                and array[one.attnum, two.attnum]::int2[] <@ i.indkey::int2[] and i.indnatts = 2
        )
    """)
    registered = await erp.value(
        "select count(*) from ir_model_relation r join pg_tables t on t.tablename = r.name and t.schemaname = 'public'"
    )

    assert wrong == []
    assert registered == await erp.value("select count(*) from ir_model_relation")


async def test_wizards_are_transient_and_reports_are_views(erp: Erp) -> None:
    transient = {model for (model,) in await erp.rows("select model from ir_model where transient")}
    views = {model for model, _, _, kind, *_ in await erp.rows(COLUMNS) if kind == b"v"}

    assert transient == {"account.payment.register", "account.move.reversal", "sale.advance.payment.inv"}
    assert views == {"account.invoice.report"}


async def test_each_model_comes_from_one_module(erp: Erp) -> None:
    homeless = await erp.rows("""
        select m.model from ir_model as m where not exists (
            select from ir_model_data as d join ir_module_module as module on module.name = d.module
            where d.model = 'ir.model' and d.res_id = m.id and module.state = 'installed'
        )
    """)

    assert homeless == []
