"""What bronze tables say about themselves, and their current rows.

A bronze table is an append-only log: the source's columns plus five of its own. The latest entry of a key (highest
`_seq`) is its state; an entry with `_op` 'd' says that the key is gone. Used by the silver transform and the checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from opscore.domain.errors import TransformFailed
from opscore.domain.sql_text import columns_text, quoted, quoted_table
from opscore.domain.table import TableVersion

LOG_COLUMNS = ("_op", "_lsn", "_seq", "_run_id", "_extracted_at")
KEY = "lakehouse.key"
MODEL = "lakehouse.model"
SOURCE_COLUMNS = "lakehouse.source.columns"


def is_log(table: TableVersion) -> bool:
    """Whether the table is a change log."""
    return "_op" in table.column_names and "_seq" in table.column_names


def key_of(table: TableVersion) -> tuple[str, ...]:
    """The key's columns, empty when the table does not say."""
    return tuple(orjson.loads(table.properties.get(KEY, "[]")))


def key_text(key: Iterable[str]) -> str:
    """A key as the table's property carries it."""
    return orjson.dumps(list(key)).decode()


def source_columns(table: TableVersion) -> Mapping[str, Mapping[str, Any]]:
    """Column -> what the source says about it: pg_type, ttype, translate, company_dependent."""
    return orjson.loads(table.properties.get(SOURCE_COLUMNS, "{}"))


def data_columns(table: TableVersion) -> tuple[str, ...]:
    """The source's columns, in schema order."""
    return tuple(name for name in table.column_names if name not in LOG_COLUMNS)


def first_load_question(table: str) -> str:
    """SQL that answers with one boolean: does the log hold nothing but one run's first load?"""
    one_load = "min(_op) = 'r' and max(_op) = 'r' and min(_run_id) = max(_run_id)"
    return f"select coalesce({one_load}, true) from {quoted_table(table)}"  # noqa: S608 - the name is quoted


def current_rows(table: TableVersion, *, first_load: bool) -> str:
    """SQL of the rows in force, with all columns. first_load: every entry is a row, nothing has to be looked up."""
    name = quoted_table(table.name)
    if first_load:
        return f"select * from {name}"  # noqa: S608 - names are quoted
    key = columns_text(required_key(table))
    latest = f"select {key}, max(_seq) as _seq from {name} group by {key}"  # noqa: S608 - names are quoted
    return f"select * from {name} semi join ({latest}) using ({key}, _seq) where _op <> 'd'"  # noqa: S608 - as above


def required_key(table: TableVersion) -> tuple[str, ...]:
    """The key's columns. Raises TransformFailed when the table does not say or lacks them."""
    key = key_of(table)
    missing = [name for name in key if name not in table.column_names]
    if key and not missing:
        return key
    fault = (
        f"its key column {missing[0]} is not in the table" if missing else "it does not say which columns are its key"
    )
    raise TransformFailed(file=table.name, fault=fault, hint="Rebuild the table from a full load.")


def ordered_by(key: tuple[str, ...]) -> str:
    """An order that does not depend on the engine's defaults."""
    return ", ".join(f"{quoted(name)} asc nulls last" for name in key)
