"""What a run is given is held against what its pipeline declares."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from opscore.domain.arguments import resolve_params
from opscore.domain.cron import cron_fault
from opscore.domain.errors import InvalidParameter
from opscore.domain.source import TableGroups
from opscore.specs import parse

ORDERS = parse(Path(__file__).with_name("orders.yaml").read_text(encoding="utf-8"), "orders.yaml")
TODAY = date(2026, 3, 1)
DEFAULTS = {"mode": "full", "days": 7, "as_of": "2026-03-01", "dry": False, "chain": True}


def test_defaults_stand_for_what_is_not_given() -> None:
    assert resolve_params(ORDERS, {}, TODAY) == DEFAULTS


def test_a_parameter_without_default_is_null() -> None:
    spec = ORDERS.model_copy(update={"params": {"group": ORDERS.params["mode"].model_copy(update={"default": None})}})

    assert resolve_params(spec, {"group": None}, TODAY) == {"group": None, "chain": True}


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ({"mode": "fast"}, "fast"),
        ({"days": "30"}, 30),
        ({"days": 30}, 30),
        ({"as_of": "2025-12-31"}, "2025-12-31"),
        ({"as_of": "today"}, "2026-03-01"),
        ({"dry": "true"}, True),
        ({"dry": "False"}, False),
        ({"dry": True}, True),
        ({"chain": "false"}, False),
    ],
)
def test_text_of_the_command_line_becomes_a_value(given: dict[str, Any], becomes: object) -> None:
    (name,) = given

    assert resolve_params(ORDERS, given, TODAY) == {**DEFAULTS, name: becomes}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mode": "slow"}, "Parameter mode of pipeline orders is not usable: `slow` is not one of full, fast."),
        ({"mode": 1}, "`1` is not one of full, fast"),
        ({"days": "91"}, "`91` is not an integer from 1 to 90"),
        ({"days": "seven"}, "`seven` is not an integer"),
        ({"days": "1_0"}, "`1_0` is not an integer"),
        ({"days": "9" * 5000}, "is not an integer from 1 to 90"),
        ({"days": True}, "`True` is not an integer"),
        ({"days": 1.5}, "`1.5` is not an integer"),
        ({"as_of": "2026-02-30"}, "`2026-02-30` is not a date (YYYY-MM-DD) or today"),
        ({"as_of": "20260301"}, "is not a date"),
        ({"as_of": 5}, "is not a date"),
        ({"dry": "1"}, "`1` is not true or false"),
        ({"chain": "maybe"}, "Parameter chain of pipeline orders is not usable: `maybe` is not true or false."),
        ({"dyas": "1"}, "no such parameter; did you mean days? it has as_of, chain, days, dry, mode"),
        ({"": "1"}, "no such parameter"),
    ],
)
def test_a_wrong_parameter_says_what_is_allowed(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        resolve_params(ORDERS, given, TODAY)

    assert says in refused.value.message
    assert len(refused.value.message) < 300


def test_a_required_parameter_must_be_given() -> None:
    required = ORDERS.params["mode"].model_copy(update={"default": None, "required": True})
    spec = ORDERS.model_copy(update={"params": {"mode": required}})

    with pytest.raises(InvalidParameter, match="it is required; give one of full, fast"):
        resolve_params(spec, {}, TODAY)


def test_retries_become_the_policy_that_runs_follow() -> None:
    policy = ORDERS.retries.policy()

    assert (policy.max_attempts, policy.first, policy.factor) == (3, timedelta(seconds=2), 1.5)


@pytest.mark.parametrize(
    ("model", "group"),
    [
        ("account.move.line", "finance"),
        ("res.currency.rate", "finance"),
        ("sale.order", "ops"),
        ("hr.expense.sheet", "ops"),
        ("res.partner", "masterdata"),
        ("hr.employee", "masterdata"),
    ],
)
def test_the_first_group_that_matches_takes_the_model(model: str, group: str) -> None:
    assert TableGroups().group_of(model) == group


def test_a_model_that_no_pattern_matches_has_no_group() -> None:
    assert TableGroups(masterdata=("res.*",)).group_of("hr.employee") is None


@pytest.mark.parametrize(
    "cron",
    ["* * * * *", "*/15 * * * *", "0 6 * * 1-5", "0 0 1,15 * *", "5/20 8-18/2 * jan-mar,12 sun", "0 0 29 2 *", "0 0 31 2 7"],
)  # fmt: skip
def test_a_cron_expression_of_five_fields_is_accepted(cron: str) -> None:
    assert cron_fault(cron) is None


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "1- * * * *", "a * * * *"]
)  # fmt: skip
def test_a_cron_expression_that_says_nothing_possible_is_refused(cron: str) -> None:
    assert cron_fault(cron)
