"""Companies, people, partners, currencies and the frame of the books: the rows everything else points at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from lakehouse.erp import batch as b
from lakehouse.erp import chart, names
from lakehouse.erp.batch import Batch
from lakehouse.erp.plan import EPOCH, Plan
from lakehouse.erp.world import DAYS_A_RATE, FIXED_PARTNERS, World

USERS = 8
GROUPS = ("Internal User", "Sales / User", "Accounting / Billing", "Inventory / Administrator")
TAGS = (("Key account", "Grand compte"), ("Reseller", "Revendeur"), ("Public sector", "Secteur public"))
COUNTRY = {code: number for number, (code, *_) in enumerate(names.COUNTRIES, 1)}


def both(english: str, french: str | None = None) -> str:
    """Odoo's translated text: a JSON object by language."""
    return json.dumps({"en_US": english} | ({"fr_FR": french} if french else {}), ensure_ascii=False)


def day(plan: Plan, offset: int = -30) -> date:
    """A date relative to the first day of business."""
    return EPOCH + timedelta(days=plan.first_day + offset)


def stamps(plan: Plan, offset: int = -30) -> dict[str, Any]:
    """Log columns of rows that the installation made."""
    moment = datetime.combine(day(plan, offset), time(8, 30, 15, 123_456), tzinfo=UTC).replace(tzinfo=None)
    return {"create_uid": 1, "write_uid": 1, "create_date": moment, "write_date": moment}


def masterdata(world: World) -> Iterator[Batch]:
    """All rows of this module."""
    plan = world.plan
    made = stamps(plan)
    yield from _geography(world, made)
    yield from _companies(plan, made)
    yield from _people(made)
    yield from _partners(world, made)
    yield from _employees(plan, made)


def _geography(world: World, made: dict[str, Any]) -> Iterator[Batch]:
    languages = [("English (US)", "en_US", "/", "."), ("French / Français", "fr_FR", "/", ",")]
    yield b.listed(
        "res_lang",
        [
            {"id": n, "name": name, "code": code, "iso_code": code[:2], "url_code": code[:2], "decimal_point": point}
            for n, (name, code, _, point) in enumerate(languages, 1)
        ],
        direction="ltr",
        date_format="%d/%m/%Y",
        time_format="%H:%M:%S",
        week_start="1",
        grouping="[3,0]",
        thousands_sep=" ",
        active=True,
        **made,
    )
    currencies = [
        {
            "id": n,
            "name": code,
            "symbol": symbol,
            "decimal_places": places,
            "full_name": code,
            "rounding": Decimal(1).scaleb(-places),
            "active": True,
        }
        for n, (code, symbol, places) in enumerate(chart.CURRENCIES, 1)
    ]
    retired = {
        "id": 4,
        "name": "DEM",
        "symbol": "DM",
        "decimal_places": 2,
        "rounding": Decimal("0.01"),
        "active": False,
    }
    yield b.listed("res_currency", [*currencies, retired], position="before", **made)
    yield _rates(world, made)
    yield b.listed(
        "res_country",
        [
            {"id": n, "code": code, "name": both(english, french), "phone_code": phone, "currency_id": currency}
            for n, (code, english, french, phone, currency) in enumerate(names.COUNTRIES, 1)
        ],
        address_format="%(street)s\n%(zip)s %(city)s\n%(country_name)s",
        **made,
    )
    states = [
        {"id": n, "country_id": COUNTRY[country], "code": code, "name": name}
        for n, (country, code, name) in enumerate(names.STATES, 1)
    ]
    yield b.listed("res_country_state", states, **made)


def _rates(world: World, made: dict[str, Any]) -> Batch:
    currencies, months = world.micro_rates.shape
    currency, month = np.divmod(np.arange(currencies * months), months)
    start = world.plan.first_day + (month - 1) * DAYS_A_RATE
    return b.batch(
        "res_currency_rate",
        len(currency),
        id=np.arange(1, len(currency) + 1),
        currency_id=currency + 1,
        name=b.dates(start),
        rate=b.decimals(world.micro_rates.ravel(), 6),
        **made,
    )


def _companies(plan: Plan, made: dict[str, Any]) -> Iterator[Batch]:
    yield b.listed(
        "res_company",
        [
            {"id": n, "name": name, "partner_id": n, "currency_id": n, "email": f"info@{domain}", "sequence": 10 * n}
            | {"account_fiscal_country_id": COUNTRY[country], "parent_path": f"{n}/"}
            for n, (name, country, domain) in enumerate(chart.COMPANIES, 1)
        ],
        layout_background="Blank",
        fiscalyear_last_day=31,
        fiscalyear_last_month="12",
        account_opening_date=day(plan),
        po_lead=0.0,
        security_lead=0.0,
        active=True,
        tax_calculation_rounding_method="round_per_line",
        anglo_saxon_accounting=False,
        **made,
    )
    own = [
        {"id": n, "name": name, "complete_name": name, "country_id": COUNTRY[country], "website": f"https://{domain}"}
        for n, (name, country, domain) in enumerate(chart.COMPANIES, 1)
    ]
    yield b.listed("res_partner", own, is_company=True, active=True, type="contact", lang="en_US", **made)


def _people(made: dict[str, Any]) -> Iterator[Batch]:
    people = [f"{names.FIRST[n * 3]} {names.LAST[n * 2]}" for n in range(USERS)]
    ids = range(1, USERS + 1)
    login = ["__system__", "admin", *(f"user{n}@brightwater.example" for n in range(3, USERS + 1))]
    partners = [{"id": 3 + n, "name": people[n - 1], "complete_name": people[n - 1]} for n in ids]
    yield b.listed("res_partner", partners, is_company=False, active=True, type="contact", lang="en_US", **made)
    yield b.listed(
        "res_users",
        [
            {"id": n, "login": login[n - 1], "partner_id": 3 + n, "company_id": (n - 1) % 3 + 1, "active": n > 1}
            | {"password": "$pbkdf2-sha512$25000$not$a.real.hash", "signature": f"<p>--<br/>{people[n - 1]}</p>"}
            for n in ids
        ],
        share=False,
        notification_type="email",
        **made,
    )
    groups = [{"id": n, "name": both(name)} for n, name in enumerate(GROUPS, 1)]
    yield b.listed("res_groups", groups, share=False, **made)
    yield b.listed("res_groups_implied_rel", [{"gid": n, "hid": 1} for n in range(2, len(GROUPS) + 1)])
    yield b.listed("res_groups_users_rel", [{"gid": g, "uid": u} for u in ids for g in range(1, 2 + u % len(GROUPS))])
    yield b.listed("res_company_users_rel", [{"cid": c, "user_id": u} for u in ids for c in (1, 2, 3)])
    teams = [both("Americas", "Amériques"), both("Europe"), both("Asia", "Asie")]
    yield b.listed(
        "crm_team",
        [{"id": n, "name": name, "company_id": n, "user_id": n + 2} for n, name in enumerate(teams, 1)],
        alias_id=1,
        active=True,
        sequence=10,
        use_leads=False,
        use_opportunities=True,
        **made,
    )


def _partners(world: World, made: dict[str, Any]) -> Iterator[Batch]:
    plan, kinds = world.plan, world.partner_kinds
    count = len(kinds)
    position = np.arange(count)
    ids = position + FIXED_PARTNERS + 1
    contact = kinds == 2
    nameless = contact & (position % 40 == 7)  # an address of its firm: Odoo allows it to have no name
    parent = world.customers[position % len(world.customers)]
    city = position * 7 % len(names.CITY)
    country = np.array([COUNTRY[code] for code in names.CITY_COUNTRY])[city]
    street = b.joined(b.text(position * 13 % 400 + 1), " ", b.pick(names.STREET, position % len(names.STREET)))
    moment = b.moments(plan.first_day - 1 - position % 25, ids)
    name = b.where(nameless, None, world.partner_names)
    yield b.batch(
        "res_partner",
        count,
        id=ids,
        name=name,
        complete_name=b.where(nameless, "", world.partner_names),
        parent_id=b.optional(parent, contact),
        commercial_partner_id=np.where(contact, parent, ids),
        user_id=b.optional(position % 6 + 3, position % 3 == 0),
        country_id=b.optional(country, position % 19 != 4),
        color=0,
        lang=b.pick(("en_US", "fr_FR"), (position % 5 == 0).astype(np.int64)),
        vat=b.where(~contact & (position % 4 == 0), b.joined("XX", b.text(position * 7_919 % 99_999_999, 9)), None),
        type=b.where(nameless, "invoice", "contact"),
        street=street,
        street2=b.where(position % 31 == 5, "c/o Reception\nBuilding 4", None),
        zip=b.text(position * 97 % 90_000 + 10_000),
        city=b.pick(names.CITY, city),
        email=b.where(position % 9 == 2, None, b.joined("contact", b.text(ids), "@partner.example")),
        phone=b.where(position % 6 == 1, None, b.joined("+00 555 ", b.text(position * 31 % 999_999, 6))),
        comment=b.where(position % 37 == 3, "<p>Calls before nine.<br/>\nNever after five.</p>", None),
        active=position % 53 != 50,
        is_company=~contact,
        employee=False,
        partner_share=True,
        customer_rank=(kinds == 0).astype(np.int64),
        supplier_rank=(kinds == 1).astype(np.int64),
        credit_limit=None,
        signup_token=b.where(position % 60 == 9, b.joined("token-", b.text(ids)), None),
        **made | {"create_date": moment, "write_date": moment},
    )
    tags = [{"id": n, "name": both(*tag), "parent_path": f"{n}/"} for n, tag in enumerate(TAGS, 1)]
    yield b.listed("res_partner_category", tags, active=True, color=1, **made)
    tagged = ids[(position % 5 == 0) & ~contact]
    yield b.batch(
        "res_partner_res_partner_category_rel",
        len(tagged),
        category_id=tagged % len(TAGS) + 1,
        partner_id=tagged,
    )
    holders = np.r_[np.array([1, 2, 3]), world.vendors]
    account = b.text(holders * 104_729 % 99_999_999, 8)
    yield b.batch(
        "res_partner_bank",
        len(holders),
        id=np.arange(1, len(holders) + 1),
        partner_id=holders,
        sequence=10,
        acc_number=b.joined("XX00 5550 ", account),
        sanitized_acc_number=b.joined("XX005550", account),
        active=True,
        allow_out_payment=True,
        **made,
    )


def _employees(plan: Plan, made: dict[str, Any]) -> Iterator[Batch]:
    departments = [("Management", "Direction"), ("Sales", "Ventes"), ("Workshop", "Atelier")]
    rows = [
        {"id": n, "name": both(*name), "complete_name": name[0], "parent_id": 1 if n > 1 else None}
        | {"parent_path": "1/" if n == 1 else f"1/{n}/"}
        for n, name in enumerate(departments, 1)
    ]
    yield b.listed("hr_department", rows, active=True, company_id=1, **made)
    position = np.arange(plan.employees)
    name = b.joined(
        b.pick(names.FIRST, position * 5 % len(names.FIRST)), " ", b.pick(names.LAST, position * 7 % len(names.LAST))
    )
    yield b.batch(
        "hr_employee",
        plan.employees,
        id=position + 1,
        resource_id=position + 1,
        company_id=position % 3 + 1,
        department_id=position % 3 + 1,
        user_id=b.optional(position % USERS + 1, position < USERS),
        parent_id=b.optional(np.ones(len(position), np.int64), position > 0),
        name=name,
        job_title=b.pick(("Fitter", "Buyer", "Accountant", "Präzisionsmechaniker"), position % 4),
        work_email=b.joined("staff", b.text(position + 1), "@brightwater.example"),
        birthday=b.dates(plan.first_day - 9_000 - position * 37 % 9_000, position % 3 != 0),
        gender=b.pick(("female", "male", "other", None), position % 4),
        employee_type="employee",
        active=position % 23 != 20,
        **made,
    )
