"""What the demo says in the end, and where."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest

from lakehouse.cli import demo
from lakehouse.demo.story import Story
from lakehouse.output.formats import Output

RUN: dict[str, Any] = {
    "pipeline": "silver_to_gold",
    "state": "succeeded",
    "started_at": "2026-06-30T10:00:00+00:00",
    "finished_at": "2026-06-30T10:00:02+00:00",
    "tables": [{"name": "gold.trial_balance", "snapshot_id": "1", "rows_added": 7}],
    "checks": [],
    "score": 100,
}
TABLE = {"name": "gold.trial_balance", "layer": "gold", "rows": 7, "snapshot_id": "1", "bytes": 9}


def shown(capsys: pytest.CaptureFixture[str], wanted: str | None, *, stays: bool = True) -> tuple[str, str]:
    """stdout and stderr, off a terminal."""
    with click.Context(click.Command("demo"), obj=Output(wanted)):
        demo._show(Story([RUN], [TABLE]), "http://127.0.0.1:8377", stays=stays)
    return capsys.readouterr()


@pytest.mark.parametrize("wanted", ["json", None])
def test_off_a_terminal_the_demo_prints_its_whole_document(
    wanted: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = shown(capsys, wanted)

    assert json.loads(out) == {
        "runs": [RUN],
        "tables": [{"name": "gold.trial_balance", "rows": 7, "snapshot_id": "1"}],
        "url": "http://127.0.0.1:8377",
    }


def test_whoever_did_not_ask_for_json_reads_the_summary_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = shown(capsys, None)

    assert "gold.trial_balance" in said
    assert "http://127.0.0.1:8377" in said


def test_where_the_stack_ends_with_the_demo_no_dead_address_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = shown(capsys, None, stays=False)

    assert "http://" not in said
    assert "`lakehouse up`" in said


def test_whoever_asked_for_json_is_told_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = shown(capsys, "json")

    assert said == ""
