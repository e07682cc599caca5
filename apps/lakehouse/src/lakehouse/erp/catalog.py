"""The Odoo 17 models the generator makes, read from `odoo17/*.models`: one truth for tables and for their metadata.

`schema` turns a model into DDL, `metadata` turns the same model into rows of `ir_model` and its kin, so a column can
never be missing from the metadata. A `.models` file holds blocks of

    model NAME | title | module | order [| transient] [| view] [| table TABLE]
      FIELD TYPE [relation] [required] [translate] [cascade|restrict] [index]
      FIELD one2many MODEL INVERSE
      FIELD many2many MODEL TABLE COLUMN1 COLUMN2
      FIELD attachment                  stored, but in ir_attachment
      FIELD property TYPE [MODEL]       company dependent: its values stand in ir_property
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files

FILES = ("base", "masterdata", "finance", "ops")
SQL_TYPES = {
    "many2one": "int4",
    "integer": "int4",
    "many2one_reference": "int4",
    "char": "varchar",
    "selection": "varchar",
    "reference": "varchar",
    "text": "text",
    "html": "text",
    "date": "date",
    "datetime": "timestamp",
    "boolean": "bool",
    "monetary": "numeric",
    "float": "numeric",
    "float8": "float8",
    "json": "jsonb",
    "properties": "jsonb",
    "properties_definition": "jsonb",
    "bytea": "bytea",
}
FLAGS = frozenset({"required", "translate", "cascade", "restrict", "index"})


@dataclass(frozen=True)
class Field:
    """One field of a model; `sql_type` is None when it has no column (one2many, many2many, attachment, property)."""

    name: str
    ttype: str
    sql_type: str | None = None
    relation: str | None = None
    inverse: str | None = None
    relation_table: str | None = None
    column1: str | None = None
    column2: str | None = None
    required: bool = False
    translate: bool = False
    index: bool = False
    on_delete: str | None = None
    store: bool = True


@dataclass(frozen=True)
class Model:
    """One model with its table (or view) and its fields in column order, without `id` and the log columns."""

    name: str
    title: str
    module: str
    order: str
    table: str
    transient: bool = False
    view: bool = False
    fields: tuple[Field, ...] = field(default=())

    @property
    def columns(self) -> tuple[Field, ...]:
        """The fields that have a column, in table order, `id` and the log columns included."""
        kept = tuple(f for f in self.fields if f.sql_type)
        return (IDENTITY, *kept) if self.view else (IDENTITY, *kept, *LOG_FIELDS)


@dataclass(frozen=True)
class Relation:
    """A many2many table: two int4 columns that are its primary key together."""

    table: str
    module: str
    model: str
    left: str
    right: str
    column1: str
    column2: str


IDENTITY = Field("id", "integer", "int4", required=True)
LOG_FIELDS = (
    Field("create_uid", "many2one", "int4", relation="res.users", on_delete="set null"),
    Field("create_date", "datetime", "timestamp"),
    Field("write_uid", "many2one", "int4", relation="res.users", on_delete="set null"),
    Field("write_date", "datetime", "timestamp"),
)


@cache
def models() -> tuple[Model, ...]:
    """Every model, in file order."""
    return tuple(model for name in FILES for model in _parse(_text(name)))


@cache
def relations() -> tuple[Relation, ...]:
    """Every many2many table between two of the models, once, named from the side that declares it first."""
    known = {model.name: model for model in models()}
    taken = {model.table for model in models()}
    found: dict[str, Relation] = {}
    for model in models():
        for item in model.fields:
            if item.ttype != "many2many" or item.relation_table in taken or item.relation_table in found:
                continue
            table, column1, column2 = item.relation_table or "", item.column1 or "", item.column2 or ""
            right = known[item.relation or ""].table
            found[table] = Relation(table, model.module, model.name, model.table, right, column1, column2)
    return tuple(found.values())


def _text(name: str) -> str:
    return files("lakehouse.erp").joinpath("odoo17", f"{name}.models").read_text(encoding="utf-8")


def _parse(text: str) -> Iterator[Model]:
    for block in re.split(r"^model ", text, flags=re.MULTILINE)[1:]:
        head, *body = block.rstrip().splitlines()
        name, title, module, order, *marks = head.split(" | ")
        named = [mark.removeprefix("table ") for mark in marks if mark.startswith("table ")]
        yield Model(
            name,
            title,
            module,
            order,
            named[0] if named else name.replace(".", "_"),
            transient="transient" in marks,
            view="view" in marks,
            fields=tuple(_field(line.split()) for line in body if line.strip()),
        )


def _field(words: list[str]) -> Field:
    name, kind, *rest = words
    if kind == "one2many":
        return Field(name, kind, relation=rest[0], inverse=rest[1])
    if kind == "many2many":
        return Field(name, kind, None, rest[0], None, rest[1], rest[2], rest[3])
    if kind == "attachment":
        return Field(name, "binary")
    if kind == "property":
        return Field(name, rest[0], relation=rest[1] if rest[1:] else None, store=False)
    return _column(name, kind, rest)


def _column(name: str, kind: str, rest: list[str]) -> Field:
    base, _, size = kind.partition("(")
    flags = FLAGS.intersection(rest)
    relation = next((word for word in rest if word not in FLAGS), None)
    sql_type = "jsonb" if "translate" in flags else SQL_TYPES[base] + (f"({size}" if size else "")
    made = Field(
        name,
        {"float8": "float", "bytea": "binary"}.get(base, base),
        sql_type,
        relation,
        required="required" in flags,
        translate="translate" in flags,
        index="index" in flags,
    )
    if base != "many2one":
        return made
    return replace(made, on_delete=next((rule for rule in ("cascade", "restrict") if rule in flags), "set null"))
