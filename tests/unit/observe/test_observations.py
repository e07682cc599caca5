"""Every observation has a log line and a number."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import get_args
from uuid import UUID

import pytest

from opscore.observe.log import LINES, set_up_log
from opscore.observe.metrics import Metrics
from opscore.observe.observation import (
    HandlerFaulted,
    Observation,
    RunEnded,
    RunsLeased,
    WorkTaken,
)
from opscore.observe.observer import ServiceObserver

KINDS = get_args(Observation)
RUN = UUID(int=7)
SAMPLES = {
    "str": "text",
    "int": 3,
    "float": 0.5,
    "bool": True,
    "UUID": RUN,
    "BaseException": ValueError("boom"),
    "float | None": None,
    "str | None": None,
}


def sample(kind: type) -> Observation:
    return kind(**{field.name: SAMPLES[str(field.type)] for field in fields(kind)})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_observation_has_a_log_line_and_a_number(kind: type, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics("test")
    observer = ServiceObserver(set_up_log(level="debug").bind(service="test"), metrics)

    observer.notice(sample(kind))

    line = json.loads(capsys.readouterr().err)
    assert line["event"] == LINES[kind].text
    assert line["service"] == "test"
    assert metrics.knows(kind)


def test_no_line_is_left_for_something_nobody_can_notice() -> None:
    assert set(LINES) == set(KINDS)


def test_two_kinds_never_read_the_same() -> None:
    assert len({line.text for line in LINES.values()}) == len(LINES)


def test_a_line_below_the_level_is_not_written_but_counted(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics("test")
    observer = ServiceObserver(set_up_log(level="warning"), metrics)

    observer.notice(RunsLeased(count=5))

    assert capsys.readouterr().err == ""
    assert b"lakehouse_runs_leased_total 5.0" in metrics.text()


def test_run_ids_stand_in_lines_and_never_in_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics("test")
    observer = ServiceObserver(set_up_log(), metrics)

    observer.notice(RunEnded(RUN, "silver_to_gold", "succeeded", "succeeded", 1.5))

    assert str(RUN) in capsys.readouterr().err
    assert str(RUN).encode() not in metrics.text()


def test_an_unforeseen_error_is_logged_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    observer = ServiceObserver(set_up_log(), Metrics("test"))
    password = "never-in-a-log"

    try:
        int(f"not a number, {len(password)}")
    except ValueError as error:
        observer.notice(HandlerFaulted(RUN, "ingest", error))

    text = capsys.readouterr().err
    assert json.loads(text)["exception"][0]["exc_type"] == "ValueError"
    assert password not in text


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    observer = ServiceObserver(set_up_log(log_format="console", level="debug"), Metrics("test"))

    observer.notice(WorkTaken(count=2))

    assert "work taken" in capsys.readouterr().err
