"""A small Odoo-shaped source, a real lake, and ingests between them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import pyarrow as pa

from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.phases.ingest import ingest
from lakehouse_executor.sources.current import CurrentRows
from opscore.domain.lease import Lease
from opscore.domain.phase import Phase
from opscore.domain.run import WorkOrder
from opscore.domain.table import StagedTable
from opscore.lake.catalog import LakeCatalog

SOURCE = """
create table ir_model (id serial primary key, model varchar, transient boolean);
create table ir_model_fields (id serial primary key, model varchar, name varchar, ttype varchar, store boolean,
  relation varchar, relation_table varchar, column1 varchar, column2 varchar, translate boolean);
create table ir_model_relation (id serial primary key, name varchar, model integer, module integer);
create table ir_logging (id serial primary key, message text);
create table res_partner (id serial primary key, name varchar, comment text, credit_limit numeric, active boolean,
  rate double precision, lang jsonb, signup_token varchar, birthday date, photo bytea, tags varchar[], note xml,
  quota numeric(16,2), big bigint, create_date timestamp, write_date timestamp, seen timestamptz);
create table res_users (id serial primary key, login varchar, password varchar, totp_secret varchar, write_date timestamp);
create table sale_order (id serial primary key, partner_id integer, amount_total numeric, write_date timestamp);
create table sale_order_wizard (id serial primary key, note text);
create table res_partner_category_rel (partner_id integer, category_id integer, primary key (partner_id, category_id));
create table wizard_rel (wizard_id integer, partner_id integer, primary key (wizard_id, partner_id));
create table res_category (id serial primary key, name varchar);
create view sale_report as select id from sale_order;
insert into ir_model (model, transient) values ('res.partner', false), ('res.users', false), ('sale.order', false),
  ('sale.order.wizard', true), ('sale.report', false), ('ir.logging', false), ('res.category', null), ('mail.thread', false);
insert into ir_model_fields (model, name, ttype, store, relation, relation_table, column1, column2, translate) values
  ('res.partner', 'category_ids', 'many2many', true, 'res.category', 'res_partner_category_rel', 'partner_id', 'category_id', false),
  ('sale.order.wizard', 'partner_ids', 'many2many', true, 'res.partner', 'wizard_rel', 'wizard_id', 'partner_id', false),
  ('res.partner', 'lang', 'char', true, null, null, null, null, true);
insert into res_partner (name, comment, credit_limit, active, rate, lang, signup_token, birthday, photo, tags, quota, big,
  create_date, write_date, seen)
values ('Azure', E'two\\nlines, "quoted"', 1234567890123456.7890, true, 0.1, '{"en_US": "a"}', 'secret', '2020-02-29',
        '\\x00ff10', '{a,"b c"}', 12.50, 9007199254740993, '2026-01-01', '2026-01-01 10:11:12.131415', '2026-01-01 12:00+02'),
       ('', null, null, null, 'NaN', null, null, null, '\\x', null, null, null, '2026-01-01', '2026-01-01', null),
       ('Gemini', '', 0.0000000000, false, null, '{}', null, '0001-01-01', null, '{}', -0.01, -1, null, null, null);
insert into res_users (login, password, totp_secret) values ('admin', 'hash', 'seed');
insert into sale_order (partner_id, amount_total, write_date) select n % 3 + 1, n * 1.1, '2026-01-01' from generate_series(1, 50) as n;
insert into res_category (name) values ('a'), ('b');
insert into res_partner_category_rel values (1, 1), (1, 2), (3, 1);
"""
IN_SCOPE = {
    "bronze.res_category",
    "bronze.res_partner",
    "bronze.res_partner_category_rel",
    "bronze.res_users",
    "bronze.sale_order",
}
SWAP = """
    insert into iceberg.iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
    values ('lakehouse', $1, $2, $3, 'TABLE')
    on conflict (catalog_name, table_namespace, table_name) do update set metadata_location = excluded.metadata_location
"""


class States:
    """The part of the control plane that an ingest calls."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {}

    async def table_states(self, _: Lease) -> dict[str, dict[str, Any]]:
        return self.states


class Bench:
    """Runs ingests of one source into one lake."""

    def __init__(
        self, source_dsn: str, catalog: asyncpg.Connection, source: asyncpg.Connection, lake: LakeCatalog
    ) -> None:
        self.dsn = source_dsn
        self.source = source
        self.lake = lake
        self.control = States()
        self.spec: dict[str, Any] = {"name": "odoo", "kind": "odoo", "connection": "env:ODOO_DATABASE_URL"}
        self.told: list[dict[str, Any]] = []
        self.workers = 2
        self._catalog = catalog

    def context(self, params: Mapping[str, Any]) -> PhaseContext:
        lease = Lease(uuid4(), 1, uuid4(), 30_000)
        order = WorkOrder(lease, uuid4(), "odoo_ingest_bronze", "bundle", dict(params), (Phase.INGEST,))
        return PhaseContext(
            order=order,
            spec={"sources": [self.spec]},
            files={},
            results={},
            control=self.control,  # type: ignore[arg-type]
            lake=self.lake,
            artifacts=None,  # type: ignore[arg-type]
            lake_options=self.lake.options,
            workers=anyio.CapacityLimiter(self.workers),
            clock=None,  # type: ignore[arg-type]
            progress=self.told.append,
            secret=lambda _: self.dsn,
        )

    async def stage(self, **params: Any) -> PhaseResult:
        """An ingest up to its checkpoint, as the control plane stores it."""
        return json.loads(json.dumps(await ingest(self.context(params))))

    async def run(self, **params: Any) -> PhaseResult:
        """An ingest, published when it has something to publish."""
        result = await self.stage(**params)
        if result["tables"]:
            for table in result["tables"]:
                staged = StagedTable.from_json(table)
                await self._catalog.execute(SWAP, *staged.name.split("."), staged.metadata_location)
            self.control.states.update(result["states"])
        return result

    def log(self, name: str) -> list[dict[str, Any]]:
        """All entries of a log, in their order."""
        return self.lake.dataset(self.lake.version(name)).to_table().sort_by("_seq").to_pylist()

    def current(self, name: str, key: str = "id") -> pa.Table:
        """The rows in force."""
        rows = CurrentRows(self.lake.dataset(self.lake.version(name)), key.split(","))
        return rows.of(rows.keys()) if rows.keys().num_rows else rows.keys()

    async def differences(self, result: PhaseResult) -> dict[str, tuple[int, int]]:
        """Tables whose current rows are not as many as the source's."""
        counts = {name: count["source_rows"] for name, count in result["counts"].items()}
        found = {name: self.current(name, ",".join(result["keys"][name])).num_rows for name in counts}
        return {name: (found[name], rows) for name, rows in counts.items() if found[name] != rows}


def added(result: PhaseResult) -> dict[str, int]:
    """Table -> entries that a run added."""
    return {table["name"]: table["rows_added"] for table in result["tables"]}
