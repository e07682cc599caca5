"""Ceilings on what runs may use: their kinds, scopes and behaviours, and those that a pipeline's spec names for itself.

The rules stand in SQL (`ops.lease_due`, `ops.enqueue_runs`); here are the words for them.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from opscore.domain.spec_value import Allowed, Amount, SpecPart, Whole

YEAR = 31_622_400
MOST = 10**18

BelowMost = Annotated[Amount, Field(lt=MOST), Allowed("a number from 0 to below 10^18")]
WholeBelowMost = Annotated[Whole, Field(ge=0, lt=MOST), Allowed("an integer from 0 to below 10^18")]


class CapKind(StrEnum):
    """What is counted."""

    CONCURRENCY = "concurrency"  # runs under lease at one moment
    RUNS = "runs"  # runs started within the window
    ROWS = "rows"  # rows published within the window
    BYTES = "bytes"
    QUERIES = "queries"
    COMPUTE_SECONDS = "compute_seconds"
    COST = "cost"  # money, in whatever currency the estimates are in


class CapScope(StrEnum):
    """Whose use is counted."""

    ORGANIZATION = "organization"
    PROJECT = "project"
    ENVIRONMENT = "environment"
    PIPELINE = "pipeline"
    TABLE = "table"  # the pipelines that publish it
    EXECUTOR = "executor"
    LABEL = "label"


class CapBehaviour(StrEnum):
    """What becomes of a run that meets a full cap."""

    HOLD = "hold"  # it waits, and says for what
    REJECT = "reject"  # it is refused when it is asked for
    CANCEL_OLDEST = "cancel_oldest"  # the oldest run makes room
    CANCEL_NEWEST = "cancel_newest"  # it is canceled itself


NAMED_SCOPES = frozenset({CapScope.PIPELINE, CapScope.TABLE, CapScope.EXECUTOR, CapScope.LABEL})


class SpecCap(SpecPart):
    """What all ceilings in a spec share."""

    later: ClassVar[frozenset[str]] = frozenset({"behaviour", "max_waiting"})

    behaviour: CapBehaviour = Field(
        default=CapBehaviour.HOLD, description="What becomes of a run that meets the full cap."
    )
    max_waiting: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="How many runs may wait under it; more are refused when they are asked for."
    )


class ConcurrencyCap(SpecCap):
    """At most so many runs of this pipeline at one moment."""

    kind: Literal["concurrency"]
    limit: Annotated[Whole, Field(ge=1, le=10_000)] = Field(description="How many runs.")


class RunsCap(SpecCap):
    """At most so many starts of this pipeline within a window."""

    kind: Literal["runs"]
    limit: Annotated[Whole, Field(ge=1, le=1_000_000)] = Field(description="How many starts.")
    window_seconds: Annotated[Whole, Field(ge=1, le=YEAR)] = Field(description="Length of the sliding window.")


class MeteredCap(SpecCap):
    """At most so much of an amount used by this pipeline within a window: what runs reserve, then what they used."""

    kind: Literal["rows", "bytes", "queries", "compute_seconds", "cost"]
    limit: BelowMost = Field(description="How much.")
    window_seconds: Annotated[Whole, Field(ge=1, le=YEAR)] = Field(description="Length of the sliding window.")


Cap = Annotated[ConcurrencyCap | RunsCap | MeteredCap, Field(discriminator="kind")]


class Estimate(SpecPart):
    """What one run is expected to use; it is reserved under metered caps while the run is leased."""

    later: ClassVar[frozenset[str]] = frozenset({"rows", "bytes", "queries", "compute_seconds", "cost"})

    rows: WholeBelowMost | None = Field(default=None, description="Rows it publishes.")
    bytes: WholeBelowMost | None = Field(default=None, description="Bytes it writes.")
    queries: WholeBelowMost | None = Field(default=None, description="Statements it runs.")
    compute_seconds: BelowMost | None = Field(default=None, description="Seconds an executor works on it.")
    cost: BelowMost | None = Field(default=None, description="Money, in the currency that the caps on cost count in.")


def amounts(texts: dict[str, str]) -> dict[str, str] | None:
    """`rows=1000` and the like as an estimate's exact decimal texts; None when something is no amount.

    texts: by kind, as somebody wrote them.
    """
    if not texts.keys() <= Estimate.model_fields.keys():
        return None
    try:
        numbers = {kind: Decimal(text) for kind, text in texts.items()}
    except ArithmeticError:
        return None
    if all(number.is_finite() and 0 <= number < MOST for number in numbers.values()):
        return {kind: format(number, "f") for kind, number in numbers.items()}
    return None
