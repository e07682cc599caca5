"""`--check` tries everything, says what failed, and ends with a code."""

from __future__ import annotations

import anyio
import pytest

from opscore.domain.errors import ControlPlaneUnavailable, InvalidSetting
from opscore.runtime import check
from opscore.runtime.check import Probe, run_probes


async def fine() -> None:
    await anyio.lowlevel.checkpoint()


async def away() -> None:
    async with anyio.create_task_group():
        raise ControlPlaneUnavailable(reason="connection refused")


async def wrong() -> None:
    raise InvalidSetting(name="LAKEHOUSE_WAREHOUSE", fault="no", example="file:///x")


async def test_all_probes_passing_ends_with_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run_probes([Probe("doorbell", fine)]) == 0
    assert capsys.readouterr().err == "ok      doorbell\n"


async def test_a_failed_probe_does_not_hide_the_next_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    code = await run_probes([Probe("control plane", away), Probe("doorbell", fine)])

    lines = capsys.readouterr().err.splitlines()
    assert code == 1
    assert lines[0].startswith(
        "failed  control plane: The control plane's Postgres does not answer: connection refused."
    )
    assert "LAKEHOUSE_DATABASE_URL" in lines[0]
    assert lines[1] == "ok      doorbell"


async def test_a_bad_setting_ends_with_two() -> None:
    assert await run_probes([Probe("control plane", away), Probe("lake", wrong)]) == 2


async def test_a_probe_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "PROBE_TIMEOUT", 0.01)

    code = await run_probes([Probe("lake", anyio.sleep_forever)])

    assert code == 1
    assert "did not end within" in capsys.readouterr().err
