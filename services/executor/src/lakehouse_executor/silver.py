"""Current, typed state from a change log, by one rule for every table.

Translated text is unpacked to one language, a boolean that was never set is false (as Odoo reads it), naive timestamps
are the UTC they always were. Everything else stays as it came. Raise VERSION when the meaning changes: every table is
then made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse_executor.change_log import current_rows, data_columns, ordered_by, required_key, source_columns
from opscore.domain.sql_text import columns_text, literal, quoted, quoted_table
from opscore.domain.table import Column, TableVersion

VERSION = 1
FALLBACK_LANGUAGE = "en_US"


def silver_select(log: TableVersion, language: str, *, first_load: bool) -> str:
    """SQL of a silver table: one row for each key in force, ordered by key."""
    facts = source_columns(log)
    wanted = set(data_columns(log))
    columns = ", ".join(
        _typed(column, facts.get(column.name, {}), language) for column in log.columns if column.name in wanted
    )
    rows = current_rows(log, first_load=first_load)
    return f"select {columns} from ({rows}) order by {ordered_by(required_key(log))}"  # noqa: S608 - names are quoted


def expected_rows(log: TableVersion) -> str:
    """SQL that counts the keys in force by another way than `silver_select` finds them: a check's other side."""
    key = columns_text(required_key(log))
    last = f"select arg_max(_op, _seq) as op from {quoted_table(log.name)} group by {key}"  # noqa: S608 - names are quoted
    return f"select count(*) from ({last}) where op <> 'd'"  # noqa: S608 - as above


def _typed(column: Column, facts: Mapping[str, Any], language: str) -> str:
    name = quoted(column.name)
    if facts.get("translate") and facts.get("pg_type") == "jsonb":
        return f"{_in_language(name, language)} as {name}"
    if column.type == "boolean" and facts.get("ttype") == "boolean":
        return f"coalesce({name}, false) as {name}"
    if column.type == "timestamp":
        return f"timezone('UTC', {name}) as {name}"
    return name


def _in_language(name: str, language: str) -> str:
    """The text in a language, else in en_US, else in the first language there is."""
    wanted = ", ".join(f"{name} ->> {_path(choice)}" for choice in dict.fromkeys((language, FALLBACK_LANGUAGE)))
    first = f"list_filter(json_extract_string({name}, '$.*'), lambda text: text is not null)[1]"
    return f"case json_type({name}) when 'OBJECT' then coalesce({wanted}, {first}) else {name} ->> '$' end"


def _path(language: str) -> str:
    return literal(f'$."{language}"')
