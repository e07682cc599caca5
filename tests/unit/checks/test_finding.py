from __future__ import annotations

from decimal import Decimal

import pytest

from lakehouse_executor.checks.finding import Finding, counted, not_evaluated, outcome, share
from lakehouse_executor.checks.scope import key_text
from opscore.domain.check import CheckAction, CheckResult
from opscore.domain.validation import NullShare


def rule(action: str) -> NullShare:
    return NullShare(check="null_share", dataset="silver.*", column="name", action=CheckAction(action))


@pytest.mark.parametrize(
    ("action", "passed", "noteworthy", "result"),
    [
        ("fail", True, False, CheckResult.PASS),
        ("fail", True, True, CheckResult.WARN),
        ("fail", False, False, CheckResult.FAIL),
        ("warn", False, False, CheckResult.WARN),
        ("warn", True, False, CheckResult.PASS),
    ],
)
def test_a_rule_that_only_warns_never_fails(
    action: str, result: CheckResult, *, passed: bool, noteworthy: bool
) -> None:
    finding = Finding(passed, Decimal("0.50"), Decimal(0), "m", noteworthy=noteworthy)

    made = outcome(rule(action), "silver.p", finding)

    assert (made.result, made.value, made.threshold, made.column) == (result, "0.5", "0", "name")


def test_a_rule_that_cannot_be_asked_is_an_error_with_the_reason() -> None:
    made = not_evaluated(rule("fail"), "silver.p", "no such table.")

    assert (made.result, made.message) == (CheckResult.ERROR, "the check could not be evaluated: no such table")


def test_shares_and_counts_read_well() -> None:
    assert share(1, 3) == Decimal("0.333333333333333333")
    assert share(0, 0) == 0
    assert counted(1, "row") == "1 row"
    assert counted(14210, "entry", "entries") == "14,210 entries"


def test_keys_are_json_with_exact_decimals() -> None:
    assert key_text(("a", "b"), (Decimal("1.10"), None)) == '{"a":"1.10","b":null}'
