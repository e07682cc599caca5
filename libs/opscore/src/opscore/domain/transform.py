"""How a pipeline turns tables into tables. Part of `PipelineSpec`; the executor's transform phase follows it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from opscore.domain.spec_value import ColumnName, Language, Namespace, SpecPart, SqlFile, TableName


class CurrentState(SpecPart):
    """Makes the current, typed state of every table of a namespace from its change log."""

    kind: Literal["current_state"]
    source: Namespace = Field(alias="from", description="The namespace that holds change logs.")
    into: Namespace = Field(description="The namespace that receives current state, one table for each.")
    language: Language = Field(default="en_US", description="The language that translated text is unpacked to.")


class SqlTransform(SpecPart):
    """Makes one table from one query."""

    kind: Literal["sql"]
    table: TableName = Field(description="The table that receives the rows.")
    file: SqlFile = Field(description="The query, beside the spec; it travels in the bundle.")
    key: tuple[ColumnName, ...] = Field(
        min_length=1, description="Columns that tell rows apart; rows are ordered by them."
    )
    inputs: tuple[TableName, ...] = Field(
        default=(), description="Tables that the query reads; empty means: found in the query."
    )


Transform = Annotated[CurrentState | SqlTransform, Field(discriminator="kind")]
