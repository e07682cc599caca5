"""Parameters a pipeline declares. Part of `PipelineSpec`; `arguments` holds given values against them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from opscore.domain.spec_value import Allowed, Flag, SpecPart, Text, Whole

BIGGEST = 2**63 - 1
Integer = Annotated[Whole, Field(ge=-BIGGEST, le=BIGGEST)]
DateText = Annotated[
    Text,
    StringConstraints(pattern=r"^(today|[0-9]{4}-[0-9]{2}-[0-9]{2})$"),
    Allowed("a date as YYYY-MM-DD, or today"),
]
ShortText = Annotated[Text, Field(max_length=1000)]


class Param(SpecPart):
    """What all parameters share."""

    description: ShortText = Field(default="", description="What the parameter is for.")
    required: Flag = Field(default=False, description="Whether a run must be given a value.")


class StringParam(Param):
    """Text, free or one of a list."""

    type: Literal["string"]
    enum: Annotated[tuple[ShortText, ...], Field(min_length=1)] | None = Field(
        default=None, description="The values allowed."
    )
    default: ShortText | None = Field(default=None, description="The value when none is given.")


class IntegerParam(Param):
    """A whole number of 64 bits."""

    type: Literal["integer"]
    minimum: Integer | None = Field(default=None, description="The smallest value allowed.")
    maximum: Integer | None = Field(default=None, description="The largest value allowed.")
    default: Integer | None = Field(default=None, description="The value when none is given.")

    @property
    def low(self) -> int:
        """The smallest value allowed."""
        return -BIGGEST if self.minimum is None else self.minimum

    @property
    def high(self) -> int:
        """The largest value allowed."""
        return BIGGEST if self.maximum is None else self.maximum


class BooleanParam(Param):
    """true or false."""

    type: Literal["boolean"]
    default: Flag | None = Field(default=None, description="The value when none is given.")


class DateParam(Param):
    """A calendar day."""

    type: Literal["date"]
    default: DateText | None = Field(
        default=None, description="The value when none is given; `today` is the day in UTC."
    )


AnyParam = Annotated[StringParam | IntegerParam | BooleanParam | DateParam, Field(discriminator="type")]
