"""When a pipeline starts by the clock, and by when it must have succeeded. Part of `PipelineSpec`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from opscore.domain.spec_value import Allowed, Name, SpecPart, Text, Whole
from opscore.domain.ticks import CatchUp, Rhythm

MAIN, DEADLINE = "main", "expected_by"
MONTH, YEAR = 2_678_400, 31_622_400


class ByTheClock(SpecPart):
    """What all moments by the clock share: cron fields in a time zone, or an interval."""

    later: ClassVar[frozenset[str]] = frozenset({"every_seconds"})

    cron: (
        Annotated[Text, Field(min_length=9, max_length=100), Allowed('five cron fields, for example "*/15 * * * *"')]
        | None
    ) = Field(default=None, description="Minute, hour, day of month, month, day of week.")
    every_seconds: Annotated[Whole, Field(ge=10, le=YEAR)] | None = Field(
        default=None, description="Instead of cron: an interval, counted from 1970-01-01 00:00 UTC."
    )
    timezone: Annotated[Text, Field(min_length=1, max_length=64), Allowed("an IANA time zone, for example UTC")] = (
        Field(default="UTC", description="The IANA time zone that the cron fields mean.")
    )

    @property
    def rhythm(self) -> Rhythm:
        """The moments it names."""
        return Rhythm(self.cron, self.every_seconds, self.timezone)


class Schedule(ByTheClock):
    """When the pipeline starts by itself."""

    later: ClassVar[frozenset[str]] = ByTheClock.later | {"params", "catch_up", "catch_up_runs", "catch_up_seconds"}

    params: dict[Name, Any] = Field(default_factory=dict[str, Any], description="Parameters of the runs it starts.")
    catch_up: CatchUp = Field(
        default=CatchUp.LATEST,
        description="What becomes of ticks missed while nothing ran: none, only the latest, or all of them.",
    )
    catch_up_runs: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=24, description="With catch_up all: how many missed ticks start a run, the latest ones."
    )
    catch_up_seconds: Annotated[Whole, Field(ge=60, le=MONTH)] = Field(
        default=86_400, description="Missed ticks older than this are let go."
    )


class ExpectedBy(ByTheClock):
    """Moments at which a run must have succeeded; a miss raises the event DEADLINE_MISSED."""

    within_seconds: Annotated[Whole, Field(ge=60, le=YEAR)] = Field(
        description="How long before the moment the success may lie."
    )
