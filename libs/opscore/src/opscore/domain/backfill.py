"""How a pipeline is told which range of time to work on. Part of `PipelineSpec`; `backfill create` fills it."""

from __future__ import annotations

from pydantic import Field

from opscore.domain.spec_value import Name, SpecPart


class BackfillRange(SpecPart):
    """The parameters that take a partition's borders: dates, or moments in UTC as text."""

    start: Name = Field(alias="from", description="The parameter that takes the start, which is part of the range.")
    end: Name | None = Field(
        default=None, alias="to", description="The parameter that takes the end, which is not; none when one is enough."
    )
