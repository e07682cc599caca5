"""Products, units, warehouses and locations, projects and their tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.erp import batch as b
from lakehouse.erp import chart
from lakehouse.erp.batch import Batch
from lakehouse.erp.chart import LOCATIONS_A_WAREHOUSE, VIRTUAL_LOCATIONS, WAREHOUSES
from lakehouse.erp.masterdata import both, stamps
from lakehouse.erp.world import HOURS, UNITS, World

USAGES = ("view", "supplier", "customer", "view", "inventory", "inventory")
PICKINGS = (("Receipts", "Réceptions", "IN", "incoming"), ("Delivery Orders", "Livraisons", "OUT", "outgoing"))
INTERNAL = ("Internal Transfers", "Transferts internes", "INT", "internal")
STAGES = (("To do", "À faire"), ("In progress", "En cours"), ("Done", "Terminé"))
PROJECTS = (("Plant extension", "Extension de l'usine"), ("Online shop", None), ("品質改善", None))


def goods(world: World) -> Iterator[Batch]:
    """All rows of this module."""
    made = stamps(world.plan)
    yield from _units(made)
    yield from _products(world, made)
    yield from _warehouses(made)
    yield from _projects(world, made)


def _units(made: dict[str, Any]) -> Iterator[Batch]:
    categories = [{"id": 1, "name": both("Unit", "Unité")}, {"id": 2, "name": both("Working Time", "Temps de travail")}]
    yield b.listed("uom_category", categories, **made)
    units = [
        {"id": UNITS, "name": both("Units", "Unité(s)"), "category_id": 1},
        {"id": HOURS, "name": both("Hours", "Heures"), "category_id": 2},
    ]
    hundredth = b.decimals(np.array([10_000, 10_000]), 6)
    factor = b.decimals(np.array([1_000_000, 1_000_000]), 6)
    yield b.listed("uom_uom", units, uom_type="reference", factor=factor, rounding=hundredth, active=True, **made)


def _products(world: World, made: dict[str, Any]) -> Iterator[Batch]:
    categories = [("All", None, "1/"), ("Goods", 1, "1/2/"), ("Services", 1, "1/3/")]
    yield b.listed(
        "product_category",
        [
            {"id": n, "name": name, "parent_id": parent, "parent_path": path}
            | {"complete_name": name if parent is None else f"All / {name}"}
            for n, (name, parent, path) in enumerate(categories, 1)
        ],
        **made,
    )
    position = np.arange(world.plan.products)
    ids = position + 1
    code = b.joined("PRD-", b.text(ids, 5))
    kind = np.where(world.service, 2, np.where(world.storable, 0, 1))
    unit = np.where(world.service, HOURS, UNITS)
    untranslated = position % 7 == 6
    names = [both(en, None if bare else fr) for (en, fr), bare in zip(world.product_names, untranslated, strict=True)]
    yield b.batch(
        "product_template",
        len(ids),
        id=ids,
        sequence=1,
        categ_id=np.where(world.service, 3, 2),
        uom_id=unit,
        uom_po_id=unit,
        detailed_type=b.pick(("product", "consu", "service"), kind),
        type=b.pick(("product", "consu", "service"), kind),
        default_code=code,
        name=pa.array(names),
        description_sale=b.where(
            position % 6 == 0, both("Handle with care.\nMade to order.", "Fragile.\nSur commande."), None
        ),
        list_price=b.money(world.product_prices),
        volume=b.decimals(position * 17 % 400, 3),
        weight=b.decimals(position * 29 % 9_000, 3),
        sale_ok=True,
        purchase_ok=True,
        active=position % 41 != 40,
        tracking="none",
        purchase_line_warn="no-message",
        sale_line_warn="no-message",
        invoice_policy="order",
        purchase_method="receive",
        service_type="manual",
        **made,
    )
    yield b.batch(
        "product_product",
        len(ids),
        id=ids,
        product_tmpl_id=ids,
        default_code=code,
        barcode=b.where(position % 3 == 0, b.joined("555", b.text(ids * 7_919 % 9_999_999, 10)), None),
        combination_indices="",
        active=position % 41 != 40,
        **made,
    )
    tags = [{"id": 1, "name": both("New", "Nouveau")}, {"id": 2, "name": both("Bulky", "Encombrant")}]
    yield b.listed("product_tag", tags, color="#3C3C3C", **made)
    tagged = ids[position % 4 == 0]
    columns = {"product_template_id": tagged, "product_tag_id": tagged % 2 + 1}
    yield b.batch("product_tag_product_template_rel", len(tagged), **columns)
    company = np.tile(np.arange(3), len(ids))
    each, none = np.repeat(ids, 3), np.zeros(3 * len(ids), np.int64)
    sold, bought = chart.tax(company, none, none), chart.tax(company, none + 1, none)
    yield b.batch("product_taxes_rel", len(each), prod_id=each, tax_id=sold)
    yield b.batch("product_supplier_taxes_rel", len(each), prod_id=each, tax_id=bought)


def _warehouses(made: dict[str, Any]) -> Iterator[Batch]:
    yield b.listed("stock_location", [*_virtual(), *_internal()], active=True, **made)
    types = [
        {"id": 3 * number + k + 1, "name": both(english, french), "sequence_code": code, "code": kind}
        | {"warehouse_id": number + 1, "company_id": company + 1, "sequence": k + 1}
        for number, (_, company, _) in enumerate(WAREHOUSES)
        for k, (english, french, code, kind) in enumerate((*PICKINGS, INTERNAL))
    ]
    yield b.listed(
        "stock_picking_type", types, reservation_method="at_confirm", create_backorder="ask", active=True, **made
    )
    yield b.listed(
        "stock_warehouse",
        [
            {"id": n, "name": name, "code": code, "company_id": company + 1, "partner_id": company + 1}
            | {"view_location_id": _place(n - 1, 0), "lot_stock_id": _place(n - 1, 1)}
            | {"in_type_id": 3 * n - 2, "out_type_id": 3 * n - 1, "int_type_id": 3 * n}
            for n, (name, company, code) in enumerate(WAREHOUSES, 1)
        ],
        reception_steps="one_step",
        delivery_steps="ship_only",
        active=True,
        sequence=10,
        **made,
    )


def _place(warehouse: int, kind: int) -> int:
    return len(VIRTUAL_LOCATIONS) + warehouse * LOCATIONS_A_WAREHOUSE + kind + 1


def _virtual() -> Iterator[dict[str, Any]]:
    for number, (name, usage) in enumerate(zip(VIRTUAL_LOCATIONS, USAGES, strict=True), 1):
        parent = None if usage == "view" else (1 if number < 4 else 4)
        root = None if parent is None else VIRTUAL_LOCATIONS[parent - 1]
        yield {
            "id": number,
            "name": name,
            "complete_name": name if root is None else f"{root}/{name}",
            "usage": usage,
            "location_id": parent,
            "parent_path": f"{number}/" if parent is None else f"{parent}/{number}/",
            "scrap_location": name == "Scrap",
        }


def _internal() -> Iterator[dict[str, Any]]:
    for number, (_, company, code) in enumerate(WAREHOUSES):
        view, stock = _place(number, 0), _place(number, 1)
        paths = (("", None), ("Stock", view), ("Stock/Shelf A", stock), ("Stock/Régal Ü", stock), ("Output", view))
        for kind, (path, parent) in enumerate(paths):
            yield {
                "id": _place(number, kind),
                "name": path.rpartition("/")[2] or code,
                "complete_name": f"{code}/{path}".rstrip("/"),
                "usage": "internal" if path else "view",
                "location_id": parent,
                "parent_path": f"{view}/" if parent is None else f"{view}/{_place(number, kind)}/",
                "company_id": company + 1,
                "warehouse_id": number + 1,
                "scrap_location": False,
            }


def _projects(world: World, made: dict[str, Any]) -> Iterator[Batch]:
    stages = [{"id": n, "name": both(*name), "sequence": n, "fold": n == 3} for n, name in enumerate(STAGES, 1)]
    yield b.listed("project_task_type", stages, active=True, **made)
    projects = [{"id": n, "name": both(*name), "company_id": n} for n, name in enumerate(PROJECTS, 1)]
    yield b.listed(
        "project_project",
        projects,
        alias_id=1,
        privacy_visibility="employees",
        rating_status="stage",
        rating_status_period="monthly",
        last_update_status="on_track",
        active=True,
        user_id=2,
        **made,
    )
    yield b.listed("project_task_type_rel", [{"type_id": s, "project_id": p} for s in (1, 2, 3) for p in (1, 2, 3)])
    position = np.arange(world.plan.tasks)
    ids, start = position + 1, world.plan.first_day + position * 13 % 900
    yield b.batch(
        "project_task",
        len(ids),
        id=ids,
        sequence=10,
        stage_id=position % 3 + 1,
        project_id=b.optional(position % 3 + 1, position % 10 != 9),
        parent_id=b.optional(position, (position % 6 == 5) & (position > 0)),
        company_id=position % 3 + 1,
        name=b.joined(b.pick(("Prüfen", "Draw up", "Vérifier", "Order"), position % 4), " #", b.text(ids)),
        priority=b.pick(("0", "1"), (position % 8 == 0).astype(np.int64)),
        state=b.pick(("01_in_progress", "1_done", "1_canceled"), position % 3),
        description=b.where(position % 5 == 0, "<p>See the drawing.</p>\n<ul><li>A</li><li>B</li></ul>", None),
        active=True,
        allocated_hours=position % 16 / 2.0,
        date_deadline=b.moments(start + 30, ids, position % 4 != 0),
        **made | {"create_date": b.moments(start, ids), "write_date": b.moments(start + position % 20, ids)},
    )
    user = position % 6 + 3
    yield b.batch("project_task_user_rel", len(ids), id=ids, task_id=ids, user_id=user, stage_id=None, **made)
    later = ids[position % 9 == 8]
    yield b.batch("task_dependencies_rel", len(later), task_id=later, depends_on_id=later - 1)
