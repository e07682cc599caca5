"""Where a pipeline reads from. Part of `PipelineSpec`; the executor's sources follow it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field

from opscore.domain.spec_value import (
    ModelPattern,
    Name,
    Namespace,
    SecretReference,
    SourceColumnPattern,
    SourcePattern,
    SpecPart,
)


class TableGroups(SpecPart):
    """Which group an Odoo model belongs to: patterns on its model name, tried in the order finance, ops, masterdata."""

    finance: tuple[ModelPattern, ...] = Field(
        default=("account.*", "payment.*", "res.currency.rate"), description="Models of the group finance."
    )
    ops: tuple[ModelPattern, ...] = Field(
        default=("sale.*", "purchase.*", "stock.*", "procurement.*", "mrp.*", "project.*", "crm.*", "hr.expense*"),
        description="Models of the group ops, unless finance took them.",
    )
    masterdata: tuple[ModelPattern, ...] = Field(
        default=("*",), description="Models of the group masterdata, unless another group took them."
    )

    def group_of(self, model: str) -> str | None:
        """The first group with a pattern that matches the model's name, None when no pattern does."""
        for group, patterns in (("finance", self.finance), ("ops", self.ops), ("masterdata", self.masterdata)):
            if any(fnmatchcase(model, pattern) for pattern in patterns):
                return group
        return None


class OdooSource(SpecPart):
    """An Odoo database, read only. Its models say which tables there are."""

    kind: Literal["odoo"]
    name: Name = Field(description="How the other parts of the spec call this source.")
    connection: SecretReference = Field(description="Where the connection URL is found: env:NAME or file:/path.")
    include: tuple[SourcePattern, ...] = Field(
        default=(),
        description="Tables and models that are taken; empty means all in the default scope. A name without * or ? "
        "also brings in what that scope leaves out: a table, or a column as table.column.",
    )
    exclude: tuple[SourcePattern, ...] = Field(
        default=("ir_logging", "bus_*"), description="Tables and models that are left out."
    )
    exclude_columns: tuple[SourceColumnPattern, ...] = Field(
        default=(), description="Columns left out, besides those that hold secrets or file contents."
    )
    groups: TableGroups = Field(
        default_factory=TableGroups,  # pyright: ignore[reportArgumentType] - a model is its own factory
        description="Which models form the groups finance, ops and masterdata.",
    )


class LakeSource(SpecPart):
    """A namespace of the lake, read at its published state."""

    kind: Literal["lake"]
    name: Name = Field(description="How the other parts of the spec call this source.")
    namespace: Namespace = Field(description="The namespace that is read.")


Source = Annotated[OdooSource | LakeSource, Field(discriminator="kind")]
