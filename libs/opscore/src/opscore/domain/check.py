"""Quality rules and what they found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from opscore.domain.errors import GateBlocked


class CheckResult(StrEnum):
    """How a check came out. `error` means that it could not be evaluated, which blocks as a failure does."""

    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"


class CheckAction(StrEnum):
    """What a failing check does."""

    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """One check on one dataset. value and threshold are exact decimal text; sample_keys names at most five bad rows."""

    name: str
    dataset: str
    column: str | None
    action: CheckAction
    result: CheckResult
    value: str | None
    threshold: str | None
    sample_keys: tuple[str, ...] = ()
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        """The shape that runs and the API carry."""
        return asdict(self) | {"sample_keys": list(self.sample_keys)}


def blocking(outcomes: Iterable[CheckOutcome]) -> list[CheckOutcome]:
    """Outcomes that keep a run from publishing."""
    bad = {CheckResult.FAIL, CheckResult.ERROR}
    return [outcome for outcome in outcomes if outcome.action is CheckAction.FAIL and outcome.result in bad]


def gate(outcomes: Iterable[CheckOutcome]) -> None:
    """Pass silently, or raise GateBlocked naming the first finding and how many more there are."""
    blocked = blocking(outcomes)
    if not blocked:
        return
    first = blocked[0]
    more = f" ({len(blocked) - 1} more)" if len(blocked) > 1 else ""
    raise GateBlocked(check=first.name, dataset=first.dataset, finding=first.message + more)
