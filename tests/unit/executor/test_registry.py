"""Each phase has one handler; a missing one is told with what there is."""

from __future__ import annotations

import pytest

from lakehouse_executor.app import PHASES
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.registry import Registry
from opscore.domain.errors import NotFound
from opscore.domain.phase import Phase


async def nothing(_: PhaseContext) -> PhaseResult:
    return {}


def test_every_phase_there_is_has_a_handler() -> None:
    assert set(PHASES.handlers) == set(Phase)


def test_a_phase_without_a_handler_is_a_permanent_error_that_names_those_there_are() -> None:
    registry = Registry({Phase.QUERY: nothing})

    with pytest.raises(NotFound) as missing:
        registry.handler(Phase.INGEST)

    assert "no handler for phase ingest; it knows query" in missing.value.message


def test_a_run_is_light_only_when_all_its_phases_are() -> None:
    registry = Registry({Phase.QUERY: nothing, Phase.PUBLISH: nothing}, light=frozenset({Phase.QUERY}))

    assert registry.is_light([Phase.QUERY])
    assert not registry.is_light([Phase.QUERY, Phase.PUBLISH])
