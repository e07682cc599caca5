"""What starts a pipeline beside the clock and `after`. Part of `PipelineSpec`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from opscore.domain.event import EventType
from opscore.domain.spec_value import Name, SpecPart


class Trigger(SpecPart):
    """What all triggers share."""

    name: Name = Field(description="What the trigger is called, unique in its pipeline.")
    params: dict[Name, Any] = Field(default_factory=dict[str, Any], description="Parameters of the runs it starts.")


class FanIn(Trigger):
    """Starts when all of several pipelines have published new data since it last did."""

    kind: Literal["fan_in"]
    pipelines: tuple[Name, ...] = Field(min_length=2, description="The pipelines that are all waited for.")


class OnEvent(Trigger):
    """Starts at every event of one type on a run of another pipeline."""

    kind: Literal["event"]
    event: EventType = Field(description="The type of event, for example RUN_FAILED.")
    pipeline: Name = Field(description="The pipeline whose runs are meant.")


class Webhook(Trigger):
    """Starts when somebody presents its secret token to the control room."""

    kind: Literal["webhook"]


AnyTrigger = Annotated[FanIn | OnEvent | Webhook, Field(discriminator="kind")]


def upstreams(trigger: AnyTrigger) -> tuple[str, ...]:
    """The pipelines that a trigger looks at."""
    match trigger:
        case FanIn():
            return trigger.pipelines
        case OnEvent():
            return (trigger.pipeline,)
        case Webhook():
            return ()
