"""Odoo's own description of its tables, made from the same catalog as the tables: models, fields, relations, modules.

Ingestion discovers everything from here, so every column of every model table is described exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakehouse.erp import batch as b
from lakehouse.erp.batch import Batch
from lakehouse.erp.catalog import IDENTITY, LOG_FIELDS, Field, Model, models, relations
from lakehouse.erp.chart import ACCOUNTS, PAYABLE, RECEIVABLE
from lakehouse.erp.masterdata import both, stamps
from lakehouse.erp.world import World

MODULES = (
    ("base", "Base"), ("uom", "Units of measure"), ("product", "Products & Pricelists"),
    ("analytic", "Analytic Accounting"), ("account", "Invoicing"), ("sales_team", "Sales Teams"), ("sale", "Sales"),
    ("purchase", "Purchase"), ("stock", "Inventory"), ("hr", "Employees"), ("project", "Project"),
    ("mrp", "Manufacturing"),
)  # fmt: skip
UNINSTALLED = "mrp"
MODULE = {name: number for number, (name, _) in enumerate(MODULES, 1)}
# Modules that extend a model of another one have their own external id for it, written later.
EXTENSIONS = (
    ("sale", "res.partner"),
    ("stock", "product.template"),
    ("sale", "account.move"),
    ("project", "sale.order"),
)
DISPLAY_NAME = Field("display_name", "char", store=False)


def metadata(world: World) -> Iterator[Batch]:
    """All rows of this module."""
    made = stamps(world.plan)
    fields = [(model, field) for model in models() for field in _fields(model)]
    number = {model.name: n for n, model in enumerate(models(), 1)}
    yield _modules(made)
    yield _models(made)
    yield b.listed("ir_model_fields", [_field_row(n, number, *pair) for n, pair in enumerate(fields, 1)])
    yield _relations(number, made)
    yield _external_ids(number, fields, made)
    yield _properties(world, fields, made)
    yield from _wizards(made)
    yield from _noise(made)


def _fields(model: Model) -> Iterator[Field]:
    yield IDENTITY
    yield DISPLAY_NAME
    yield from model.fields
    yield from LOG_FIELDS


def _modules(made: dict[str, Any]) -> Batch:
    rows = [
        {
            "id": n,
            "name": name,
            "shortdesc": both(title),
            "state": "uninstalled" if name == UNINSTALLED else "installed",
        }
        | {"latest_version": None if name == UNINSTALLED else "17.0.1.3"}
        for n, (name, title) in enumerate(MODULES, 1)
    ]
    return b.listed("ir_module_module", rows, license="LGPL-3", sequence=100, module_type="official", **made)


def _models(made: dict[str, Any]) -> Batch:
    rows = [
        {"id": n, "model": model.name, "name": both(model.title), "order": model.order, "transient": model.transient}
        for n, model in enumerate(models(), 1)
    ]
    return b.listed("ir_model", rows, state="base", is_mail_thread=False, is_mail_activity=False, **made)


def _field_row(number: int, model_number: dict[str, int], model: Model, field: Field) -> dict[str, Any]:
    return {
        "id": number,
        "model_id": model_number[model.name],
        "model": model.name,
        "name": field.name,
        "complete_name": f"{field.name} ({model.name})",
        "ttype": field.ttype,
        "relation": field.relation,
        "relation_field": field.inverse,
        "relation_table": field.relation_table,
        "column1": field.column1,
        "column2": field.column2,
        "on_delete": field.on_delete,
        "field_description": both(field.name.removesuffix("_id").replace("_", " ").capitalize()),
        "state": "manual" if field.name.startswith("x_") else "base",
        "required": field.required,
        "readonly": field.name == "id",
        "index": field.index,
        "translate": field.translate,
        "store": field.store and not (model.view and field in LOG_FIELDS),
        "copied": field.ttype != "one2many",
        "selectable": True,
    }


def _relations(number: dict[str, int], made: dict[str, Any]) -> Batch:
    rows = [
        {"id": n, "name": relation.table, "model": number[relation.model], "module": MODULE[relation.module]}
        for n, relation in enumerate(relations(), 1)
    ]
    return b.listed("ir_model_relation", rows, **made)


def _external_ids(number: dict[str, int], fields: list[tuple[Model, Field]], made: dict[str, Any]) -> Batch:
    by_name = {model.name: model for model in models()}
    owned = [(model.module, model) for model in models()]
    extended = [(module, by_name[name]) for module, name in EXTENSIONS]
    rows: list[dict[str, Any]] = [
        {"module": module, "name": f"model_{model.table}", "model": "ir.model", "res_id": number[model.name]}
        for module, model in (*owned, *extended)
    ]
    rows += [
        {"module": model.module, "name": f"field_{model.table}__{field.name}", "model": "ir.model.fields", "res_id": n}
        for n, (model, field) in enumerate(fields, 1)
    ]
    rows += [{"module": "base", "name": f"main_company_{n}", "model": "res.company", "res_id": n} for n in (1, 2, 3)]
    return b.listed("ir_model_data", [{"id": n} | row for n, row in enumerate(rows, 1)], noupdate=False, **made)


def _properties(world: World, fields: list[tuple[Model, Field]], made: dict[str, Any]) -> Batch:
    number = {(model.name, field.name): n for n, (model, field) in enumerate(fields, 1)}
    rows: list[dict[str, Any]] = []
    for company in (1, 2, 3):
        for name, kind in (("receivable", RECEIVABLE), ("payable", PAYABLE)):
            field = f"property_account_{name}_id"
            account = (company - 1) * len(ACCOUNTS) + kind + 1
            rows.append(
                {"name": field, "fields_id": number["res.partner", field], "company_id": company, "type": "many2one"}
                | {"value_reference": f"account.account,{account}"}
            )
        rows += [
            {"name": "standard_price", "fields_id": number["product.product", "standard_price"], "company_id": company}
            | {"type": "float", "res_id": f"product.product,{n}", "value_float": float(price) * 0.006}
            for n, price in enumerate(world.product_prices, 1)
        ]
    return b.listed("ir_property", [{"id": n} | row for n, row in enumerate(rows, 1)], **made)


def _wizards(made: dict[str, Any]) -> Iterator[Batch]:
    """Rows that wizards left behind: noise for anyone who ingests every table."""
    yield b.listed(
        "account_payment_register",
        [{"id": n, "communication": f"draft {n}", "payment_date": made["create_date"].date()} for n in (1, 2, 3)],
        payment_type="inbound",
        currency_id=1,
        company_id=1,
        **made,
    )
    yield b.listed(
        "account_move_reversal", [{"id": 1, "reason": "wrong\ncustomer"}], journal_id=1, company_id=1, **made
    )
    yield b.listed("sale_advance_payment_inv", [{"id": 1}], advance_payment_method="delivered", **made)


def _noise(made: dict[str, Any]) -> Iterator[Batch]:
    """Attachments, log lines and sequences."""
    yield b.listed(
        "ir_attachment",
        [
            {"id": n, "name": "image_1920", "res_model": "product.template", "res_field": "image_1920", "res_id": n}
            | {
                "store_fname": f"a{n}/a{n}00ff",
                "checksum": f"a{n}00ff",
                "file_size": 2_048 * n,
                "mimetype": "image/png",
            }
            for n in (1, 2, 3)
        ],
        type="binary",
        public=False,
        index_content="image",
        **made,
    )
    log = [{"id": 1, "name": "odoo.modules.loading", "message": "Modules loaded.\nNothing else."}]
    yield b.listed("ir_logging", log, level="INFO", path="loading", func="load", line="1", type="server", **made)
    codes = (("sale.order", "Sales Order", "S"), ("purchase.order", "Purchase Order", "P"))
    yield b.listed(
        "ir_sequence",
        [{"id": n, "code": code, "name": name, "prefix": prefix} for n, (code, name, prefix) in enumerate(codes, 1)],
        number_next=1,
        number_increment=1,
        padding=5,
        implementation="standard",
        active=True,
        use_date_range=False,
        **made,
    )
