"""What a check found, and how that becomes an outcome with a sentence in it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

from opscore.domain.check import CheckAction, CheckOutcome, CheckResult
from opscore.domain.spec_value import plain
from opscore.domain.validation import AnyValidation


@dataclass(frozen=True, slots=True)
class Finding:
    """value against threshold, as numbers that people compare. passed: the rule's own judgement, made exactly.

    noteworthy: it passed, yet somebody should look.
    """

    passed: bool
    value: Decimal
    threshold: Decimal
    message: str
    sample_keys: tuple[str, ...] = ()
    noteworthy: bool = False


def outcome(rule: AnyValidation, dataset: str, finding: Finding) -> CheckOutcome:
    """The finding as runs carry it: a rule that only warns never fails."""
    return CheckOutcome(
        name=rule.name,
        dataset=dataset,
        column=getattr(rule, "column", None),
        action=rule.action,
        result=_result(rule.action, finding),
        value=plain(finding.value),
        threshold=plain(finding.threshold),
        sample_keys=finding.sample_keys,
        message=finding.message,
    )


def _result(action: CheckAction, finding: Finding) -> CheckResult:
    if finding.passed:
        return CheckResult.WARN if finding.noteworthy else CheckResult.PASS
    return CheckResult.WARN if action is CheckAction.WARN else CheckResult.FAIL


def not_evaluated(rule: AnyValidation, dataset: str, reason: str) -> CheckOutcome:
    """The check could not be asked: nobody knows, which is not a pass."""
    return CheckOutcome(
        name=rule.name,
        dataset=dataset,
        column=getattr(rule, "column", None),
        action=rule.action,
        result=CheckResult.ERROR,
        value=None,
        threshold=None,
        message=f"the check could not be evaluated: {reason.rstrip('.')}",
    )


def share(part: int, whole: int) -> Decimal:
    """A part of a whole, 18 digits exact; nothing of nothing is 0."""
    return Context(prec=18).divide(Decimal(part), Decimal(whole)) if whole else Decimal(0)


def within(count: int, limit: Decimal) -> bool:
    """Whether a count stays under a limit."""
    return Decimal(count) <= limit


def of_rows(part: int, whole: int) -> str:
    """`2 of 14,210 rows`."""
    return f"{part:,} of {counted(whole, 'row')}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 row`, `14,210 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def first_of(samples: tuple[str, ...]) -> str:
    """` (first: {"id":7})`, or nothing."""
    return f" (first: {samples[0]})" if samples else ""
