"""A pipeline as its author specified it. Read by `opscore.specs`, stored in bundles, followed by executors.

The models here hold the shape; `pipeline_rules` holds what one part of a spec demands of another.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from opscore.domain.backfill import BackfillRange
from opscore.domain.cap import Cap, Estimate
from opscore.domain.param import AnyParam
from opscore.domain.phase import Phase
from opscore.domain.retry import RetryPolicy
from opscore.domain.schedule import ExpectedBy, Schedule
from opscore.domain.source import OdooSource, Source
from opscore.domain.spec_value import Allowed, Amount, Capability, Label, Name, Namespace, SpecPart, Text, Whole
from opscore.domain.transform import SqlTransform, Transform
from opscore.domain.trigger import AnyTrigger
from opscore.domain.validation import AnyValidation


class Destination(SpecPart):
    """A namespace that the pipeline publishes to."""

    namespace: Namespace = Field(description="The namespace of the lake.")


class Publish(SpecPart):
    """How results become visible."""

    mode: Literal["together"] = Field(default="together", description="All tables of a run at one moment.")


class PhaseRetries(SpecPart):
    """What one phase does differently; keys that are left out are as for the others."""

    max_attempts: Annotated[Whole, Field(ge=1, le=100)] | None = Field(
        default=None, description="A failure of this phase is tried again while the run's attempts are fewer."
    )
    first_seconds: Annotated[Whole, Field(ge=0, le=86_400)] | None = Field(
        default=None, description="Wait before the second attempt."
    )
    factor: Annotated[Amount, Field(ge=1, le=100), Allowed("a number from 1 to 100")] | None = Field(
        default=None, description="By how much each wait is longer than the one before."
    )
    longest_seconds: Annotated[Whole, Field(ge=0, le=86_400)] | None = Field(
        default=None, description="No wait is longer."
    )


class Retries(SpecPart):
    """When a failed run is tried again, and how many lost executors it may outlive."""

    later: ClassVar[frozenset[str]] = frozenset({"phases"})

    max_attempts: Annotated[Whole, Field(ge=1, le=100)] = Field(
        default=3, description="Attempts, the first one included."
    )
    first_seconds: Annotated[Whole, Field(ge=0, le=86_400)] = Field(
        default=2, description="Wait before the second attempt."
    )
    factor: Annotated[Amount, Field(ge=1, le=100), Allowed("a number from 1 to 100")] = Field(
        default=Decimal(2), description="By how much each wait is longer than the one before."
    )
    longest_seconds: Annotated[Whole, Field(ge=0, le=86_400)] = Field(default=300, description="No wait is longer.")
    max_losses: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        default=10, description="Executors lost in one phase before the run is quarantined."
    )
    phases: dict[Phase, PhaseRetries] = Field(
        default_factory=dict[Phase, PhaseRetries], description="Phases that are tried again by rules of their own."
    )

    def policy(self, phase: Phase | None = None) -> RetryPolicy:
        """The rule that `retry_delay` follows when this phase failed."""
        own = (self.phases.get(phase) if phase else None) or PhaseRetries()
        return RetryPolicy(
            max_attempts=min(own.max_attempts or self.max_attempts, self.max_attempts),
            first=timedelta(seconds=self.first_seconds if own.first_seconds is None else own.first_seconds),
            factor=float(own.factor or self.factor),
            longest=timedelta(seconds=self.longest_seconds if own.longest_seconds is None else own.longest_seconds),
        )


class PipelineSpec(SpecPart):
    """One pipeline of the Lakehouse Control Room."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"schedules", "expected_by", "triggers", "backfill", "labels", "prefers", "estimate", "time_limit_seconds"}
    )

    version: Annotated[Whole, Field(ge=1, le=1), Allowed("1, the only version there is")] = Field(
        description="Version of the spec's format."
    )
    name: Name = Field(description="The pipeline's name, unique in its environment.")
    description: Annotated[Text, Field(max_length=2000)] = Field(default="", description="What the pipeline is for.")
    owner: Annotated[Text, Field(min_length=1, max_length=200)] = Field(description="Who answers for it.")
    layer: Namespace = Field(description="The layer it builds.")
    schedule: Schedule | None = Field(default=None, description="When it starts by itself.")
    schedules: dict[Name, Schedule] = Field(
        default_factory=dict[str, Schedule], description="Further schedules by name, for example with other parameters."
    )
    expected_by: ExpectedBy | None = Field(default=None, description="By when a run must have succeeded.")
    after: tuple[Name, ...] = Field(default=(), description="Pipelines whose publish of new data starts this one.")
    triggers: tuple[AnyTrigger, ...] = Field(default=(), description="What else starts it.")
    params: dict[Name, AnyParam] = Field(
        default_factory=dict[str, AnyParam], description="Parameters a run may be given."
    )
    backfill: BackfillRange | None = Field(default=None, description="The parameters that a backfill fills in.")
    sources: tuple[Source, ...] = Field(default=(), description="Where it reads from.")
    destinations: tuple[Destination, ...] = Field(min_length=1, description="Where it publishes to.")
    transforms: tuple[Transform, ...] = Field(default=(), description="How it turns tables into tables.")
    validations: tuple[AnyValidation, ...] = Field(default=(), description="What is checked before it publishes.")
    publish: Publish = Field(default=Publish(), description="How results become visible.")
    caps: tuple[Cap, ...] = Field(default=(), description="Ceilings for this pipeline's runs.")
    retries: Retries = Field(default=Retries(), description="When a failed run is tried again.")
    estimate: Estimate | None = Field(default=None, description="What one run is expected to use.")
    labels: tuple[Label, ...] = Field(default=(), max_length=16, description="Names that caps of scope label go by.")
    time_limit_seconds: Annotated[Whole, Field(ge=1, le=31_622_400)] | None = Field(
        default=None, description="How long one attempt of a run may work; then it fails and is not tried again."
    )
    requires: tuple[Capability, ...] = Field(default=(), description="What an executor must offer.")
    prefers: Literal["edge", "container"] | None = Field(
        default=None, description="The kind of executor that gets its runs first when several are free."
    )

    def as_json(self) -> dict[str, Any]:
        """The canonical shape: defaults filled in, decimals as exact text. `model_validate` reads it back."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def odoo(self) -> OdooSource | None:
        """The Odoo source, if it has one; a spec has at most one."""
        return next((source for source in self.sources if isinstance(source, OdooSource)), None)


def phases(spec: PipelineSpec) -> tuple[Phase, ...]:
    """The phases its runs go through, in order. Publish is always there."""
    wanted = {
        Phase.INGEST: spec.odoo is not None,
        Phase.TRANSFORM: bool(spec.transforms),
        Phase.VALIDATE: bool(spec.validations),
        Phase.PUBLISH: True,
    }
    return tuple(phase for phase, has_work in wanted.items() if has_work)


def writes(spec: PipelineSpec) -> tuple[str, ...]:
    """The tables its runs may publish, `bronze.*` for all of a namespace: what caps of scope table go by."""
    made = {t.table if isinstance(t, SqlTransform) else f"{t.into}.*" for t in spec.transforms}
    return tuple(sorted(made | ({"bronze.*"} if spec.odoo else set())))
