"""DDL of the generated database, made from the catalog in Odoo's own style.

`generate` runs `tables()` on the empty database, loads, and runs `finish()` afterwards: keys, indexes and foreign
keys are cheaper on full tables than row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from lakehouse.erp.catalog import Field, Model, Relation, models, relations


def tables() -> str:
    """One script that creates every table, without keys."""
    made = [_table(model) for model in models() if not model.view]
    return "\n".join([*made, *(_relation(relation) for relation in relations())])


def finish() -> Iterator[str]:
    """Scripts to run after the load, in order: primary keys, foreign keys, indexes, checks and views, sequences."""
    stored = [model for model in models() if not model.view]
    yield "\n".join([*(_key(model) for model in stored), *(_relation_key(relation) for relation in relations())])
    for model in stored:
        yield "\n".join([*_foreign_keys(model), *_indexes(model)])
    yield "\n".join(_relation_links(relation) for relation in relations())
    yield files("lakehouse.erp").joinpath("constraints.sql").read_text(encoding="utf-8")
    yield "\n".join(_sequence(model) for model in stored)


def _table(model: Model) -> str:
    columns = ", ".join(_column(model, column) for column in model.columns)
    return (
        f"create sequence {model.table}_id_seq as integer;\n"
        f"create table {model.table} ({columns});\n"
        f"alter sequence {model.table}_id_seq owned by {model.table}.id;\n"
        f"comment on table {model.table} is {_literal(model.title)};"
    )


def _column(model: Model, column: Field) -> str:
    default = f" default nextval('{model.table}_id_seq')" if column.name == "id" else ""
    return f'"{column.name}" {column.sql_type}{default}' + (" not null" if column.required else "")


def _relation(relation: Relation) -> str:
    comment = _literal(f"RELATION BETWEEN {relation.left} AND {relation.right}")
    return (
        f"create table {relation.table} ({relation.column1} int4 not null, {relation.column2} int4 not null);\n"
        f"comment on table {relation.table} is {comment};"
    )


def _key(model: Model) -> str:
    return f"alter table {model.table} add constraint {model.table}_pkey primary key (id);"


def _relation_key(relation: Relation) -> str:
    left, right = relation.column1, relation.column2
    return (
        f"alter table {relation.table} add constraint {relation.table}_pkey primary key ({left}, {right});\n"
        f"create index on {relation.table} ({right}, {left});"
    )


def _foreign_keys(model: Model) -> Iterator[str]:
    targets = {other.name: other.table for other in models() if not other.view}
    keys = [
        f'add constraint {_link(model.table, column.name)} foreign key ("{column.name}")'
        f" references {targets[column.relation]} (id) on delete {column.on_delete}"
        for column in model.columns
        if column.ttype == "many2one" and column.relation in targets
    ]
    if keys:
        yield f"alter table {model.table} {', '.join(keys)};"


def _indexes(model: Model) -> Iterator[str]:
    for column in model.columns:
        if column.index:
            yield f'create index {model.table}__{column.name}_index on {model.table} ("{column.name}");'


def _relation_links(relation: Relation) -> str:
    sides = ((relation.column1, relation.left), (relation.column2, relation.right))
    keys = (
        f"add constraint {_link(relation.table, column)} foreign key ({column})"
        f" references {table} (id) on delete cascade"
        for column, table in sides
    )
    return f"alter table {relation.table} {', '.join(keys)};"


def _link(table: str, column: str) -> str:
    return f"{table}_{column}_fkey"[:63]  # where Postgres would cut it, and say so in a notice


def _sequence(model: Model) -> str:
    newest = f"select coalesce(max(id), 0) + 1 from {model.table}"  # noqa: S608 - table names come from the catalog
    return f"select setval('{model.table}_id_seq', ({newest}), false);"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
