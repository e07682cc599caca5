"""Discovers what an Odoo database holds, from Odoo's own metadata; there is no list of tables anywhere.

Called by the ingest phase, once per run, inside the run's snapshot. Models come from `ir_model`, fields and many2many
tables from `ir_model_fields` and `ir_model_relation`, columns and keys from Postgres' catalog.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse_executor.change_log import LOG_COLUMNS
from lakehouse_executor.sources.rewritten import refuse_rewritten
from lakehouse_executor.sources.scope import Scope
from lakehouse_executor.sources.tables import SourceColumn, SourceTable
from opscore.domain.errors import SourceNotOdoo, SourceRefused, SourceRightMissing, TableWithoutKey, UnsupportedType
from opscore.ports.source import SourceSession

PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
NEEDED = ("ir_model", "ir_model_fields", "ir_model_relation")

HOME = """
select n.nspname as schema, c.relname as name, has_schema_privilege(n.oid, 'usage') as enter,
       has_table_privilege(c.oid, 'select') as read, current_database()::text as database, current_user::text as role
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
 where c.relname = any($1) and c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
 order by n.nspname = 'public' desc, n.nspname
"""

MODELS = "select model, coalesce(transient, false) as transient from {schema}.ir_model order by model"

RELATIONS = """
select distinct on (relation_table) relation_table as name, model, relation
  from {schema}.ir_model_fields
 where ttype = 'many2many' and coalesce(store, true) and relation_table is not null and relation is not null
 order by relation_table, id
"""

# Many2many tables that no field names any more: their foreign keys say what they join.
OTHER_RELATIONS = """
select r.name, array_agg(t.relname::text order by k.conkey) as joined
  from {schema}.ir_model_relation as r
  join pg_class as c on c.relname = r.name and c.relnamespace = '{schema}'::regnamespace
  join pg_constraint as k on k.conrelid = c.oid and k.contype = 'f'
  join pg_class as t on t.oid = k.confrelid
 group by r.id, r.name
"""

FIELDS = """
select model, name, ttype, to_jsonb(f) -> 'translate' as translate,
       to_jsonb(f) -> 'company_dependent' as company_dependent
  from {schema}.ir_model_fields as f
 where coalesce(store, true)
"""

TABLES = """
select c.oid::bigint as oid, c.relname as name, c.relkind = 'p' as partitioned,
       (pg_relation_size(c.oid) / 8192)::bigint as pages,
       (select coalesce(sum(pg_table_size(p.relid)), 0) from pg_partition_tree(c.oid) as p where p.isleaf)::bigint
       + case when c.relkind = 'r' then pg_table_size(c.oid) else 0 end as bytes,
       has_table_privilege(c.oid, 'select') as read
  from pg_class as c
 where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
 order by c.relname
"""

COLUMNS = """
select a.attrelid::bigint as oid, a.attname as name, a.attnum::int as number,
       format_type(coalesce(nullif(t.typbasetype, 0), t.oid),
                   case when t.typbasetype <> 0 then t.typtypmod else a.atttypmod end) as type,
       b.typname::text as base, b.typcategory::text as category,
       has_column_privilege(a.attrelid, a.attnum, 'select') as read
  from pg_attribute as a
  join pg_type as t on t.oid = a.atttypid
  join pg_type as b on b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
 where a.attrelid = any($1::bigint[]::oid[]) and a.attnum > 0 and not a.attisdropped
 order by a.attrelid, a.attnum
"""

KEYS = """
select distinct on (i.indrelid) i.indrelid::bigint as oid, array(
         select a.attname::text
           from unnest(i.indkey::int2[]) with ordinality as k (number, place)
           join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.number
          where k.place <= i.indnkeyatts
          order by k.place) as key
  from pg_index as i
 where i.indrelid = any($1::bigint[]::oid[])
   and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null and i.indimmediate
   and not exists (select 1 from pg_attribute as a
                    where a.attrelid = i.indrelid and a.attnum = any(i.indkey) and not a.attnotnull)
 order by i.indrelid, i.indisprimary desc, i.indnkeyatts, i.indexrelid
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """Why a table is there. models: its model, or the two that a many2many table joins."""

    models: tuple[str, ...]
    by_default: bool


async def discover(session: SourceSession, scope: Scope, group: str | None = None) -> list[SourceTable]:
    """Tables in scope, by name. Raises SourceNotOdoo, SourceRightMissing, TableWithoutKey, SourceRefused."""
    schema, role = await _home(session)
    there = {row["name"]: row for row in await session.fetch(TABLES, schema)}
    claims = await _claims(session, schema, there)
    chosen = {
        name: claim
        for name, claim in claims.items()
        if scope.takes(name, claim.models, by_default=claim.by_default)
        and group in {None, scope.group(claim.models[0])}
    }
    await refuse_rewritten(session, schema, {*NEEDED, *chosen})
    oids = [there[name]["oid"] for name in chosen]
    columns = _by_table(await session.fetch(COLUMNS, oids))
    keys = {row["oid"]: tuple(row["key"]) for row in await session.fetch(KEYS, oids)}
    facts = await _facts(session, schema)
    tables = [
        _table(schema, there[name], claim, scope, columns.get(there[name]["oid"], ()), keys, facts, role)
        for name, claim in sorted(chosen.items())
    ]
    _refuse_names(tables)
    _refuse_twins(tables)
    return tables


async def _home(session: SourceSession) -> tuple[str, str]:
    """The schema that Odoo lives in, and the role that reads it."""
    found = await session.fetch(HOME, list(NEEDED))
    home = found[0]["schema"] if found else None
    here = {row["name"]: row for row in found if row["schema"] == home}
    for name in NEEDED:
        if name not in here:
            database = (await session.fetch("select current_database()::text as name"))[0]["name"]
            raise SourceNotOdoo(database=database, missing=f"table {name}")
    for name, row in here.items():
        if not row["enter"]:
            raise SourceRightMissing(role=row["role"], right="USAGE", object=f"schema {home}")
        if not row["read"]:
            raise SourceRightMissing(role=row["role"], right="SELECT", object=f"table {name}")
    return str(home), here[NEEDED[0]]["role"]


async def _claims(session: SourceSession, schema: str, there: Mapping[str, Any]) -> dict[str, Claim]:
    """Every ordinary table that a model or a many2many field answers for."""
    quoted = _quoted(schema)
    models = {row["model"]: row["transient"] for row in await session.fetch(MODELS.format(schema=quoted))}
    claims = {
        table: Claim((model,), by_default=not transient)
        for model, transient in models.items()
        if (table := model.replace(".", "_")) in there
    }
    lasting = {model for model, transient in models.items() if not transient}
    for row in await session.fetch(RELATIONS.format(schema=quoted)):
        if row["name"] in there and row["name"] not in claims:
            pair = (row["model"], row["relation"])
            claims[row["name"]] = Claim(pair, by_default=lasting.issuperset(pair))
    for row in await session.fetch(OTHER_RELATIONS.format(schema=quoted)):
        joined = [claims[name].models[0] for name in row["joined"] if name in claims]
        if row["name"] not in claims and len(joined) == 2:
            claims[row["name"]] = Claim(tuple(joined), by_default=lasting.issuperset(joined))
    return claims


async def _facts(session: SourceSession, schema: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(model, field) -> what silver needs to know about it."""
    rows = await session.fetch(FIELDS.format(schema=_quoted(schema)))
    return {
        (row["model"], row["name"]): {
            "ttype": row["ttype"],
            "translate": _truth(row["translate"]),
            "company_dependent": _truth(row["company_dependent"]),
        }
        for row in rows
    }


def _table(
    schema: str,
    row: Mapping[str, Any],
    claim: Claim,
    scope: Scope,
    columns: Iterable[Mapping[str, Any]],
    keys: Mapping[int, tuple[str, ...]],
    facts: Mapping[tuple[str, str], dict[str, Any]],
    role: str,
) -> SourceTable:
    name, key = row["name"], keys.get(row["oid"])
    if not key:
        raise TableWithoutKey(table=name)
    taken = [column for column in columns if scope.takes_column(name, column["name"]) or column["name"] in key]
    for column in taken:
        if not (row["read"] or column["read"]):
            raise SourceRightMissing(role=role, right="SELECT", object=f"table {name}")
    return SourceTable(
        schema=schema,
        name=name,
        model=claim.models[0],
        group=scope.group(claim.models[0]),
        partitioned=row["partitioned"],
        pages=row["pages"],
        bytes=row["bytes"],
        columns=tuple(_column(column, facts.get((claim.models[0], column["name"]), {})) for column in taken),
        key=key,
    )


def _column(row: Mapping[str, Any], facts: dict[str, Any]) -> SourceColumn:
    facts = {"pg_type": row["type"], **facts}
    return SourceColumn(row["name"], row["number"], row["type"], row["base"], row["category"], facts)


def _by_table(rows: Iterable[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    grouped: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["oid"], []).append(row)
    return grouped


def _refuse_names(tables: Iterable[SourceTable]) -> None:
    """Names that the lake cannot carry, or keeps for the log's own columns."""
    for table in tables:
        if not PLAIN_NAME.fullmatch(table.name.lower()):
            raise SourceRefused(
                source="odoo",
                reason=f"table {table.name!r} has a name other than letters, digits and underscores",
                hint="Name the table under `exclude` in the spec, or rename it in the source.",
            )
        for column in table.columns:
            if column.lake_name in LOG_COLUMNS:
                raise UnsupportedType(
                    f"Column {column.name} of source table {table.name} is named as a column that the lake adds itself",
                    hint="Name it under `exclude_columns` in the spec (its table under `exclude` if it is in the key).",
                )


def _refuse_twins(tables: Iterable[SourceTable]) -> None:
    """The lake knows lower case only: two names that differ by case alone cannot both be taken."""
    seen: dict[str, str] = {}
    for table in tables:
        names = [(f"table {table.name}", table.lake_name)]
        names += [
            (f"column {table.name}.{column.name}", f"{table.lake_name}.{column.lake_name}") for column in table.columns
        ]
        for what, lake_name in names:
            if lake_name in seen:
                reason = f"{what} and {seen[lake_name]} have one name in lower case"
                raise SourceRefused(
                    source="odoo", reason=reason, hint="Name one of them under `exclude` or `exclude_columns`."
                )
            seen[lake_name] = what


def _truth(value: str | None) -> bool:
    """`translate` is a boolean in some versions and the name of a rule in others; JSON text either way."""
    return value not in {None, "null", "false", '""', '"false"'}


def _quoted(schema: str) -> str:
    return '"' + schema.replace('"', '""') + '"'
