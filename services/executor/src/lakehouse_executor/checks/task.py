"""The checks of one dataset as they travel to a worker process."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse_executor.checks.scope import Drift
from opscore.domain.validation import AnyValidation


@dataclass(frozen=True, slots=True)
class CheckTask:
    """dataset: the table that is judged. rules: by position in the spec. reads: every table the rules look at.

    base: published metadata location of the dataset, None for a new one.
    """

    dataset: str
    rules: tuple[tuple[int, AnyValidation], ...]
    reads: frozenset[str]
    base: str | None
    source_rows: int | None
    drift: tuple[Drift, ...]

    @property
    def compares_schemas(self) -> bool:
        """Whether a rule needs the published version too."""
        return any(rule.check == "drift" for _, rule in self.rules)
