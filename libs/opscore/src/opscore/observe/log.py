"""Observations as log lines: one line each, JSON or console, on stderr.

Called by `observer.py`; set up once per process by the runtime. structlog is imported here and nowhere else.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import fields
from typing import Any, NamedTuple

import orjson
import structlog

from opscore.observe import observation as seen
from opscore.observe.observation import Observation


class Line(NamedTuple):
    """How a kind of observation reads. level: of the standard library's logging."""

    level: int
    text: str


DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

LINES: dict[type[Observation], Line] = {
    seen.ServiceStarted: Line(INFO, "service started"),
    seen.ServiceDraining: Line(INFO, "service drains: no new work"),
    seen.ServiceHurried: Line(WARNING, "service hurries: running work is given back"),
    seen.ServiceStopped: Line(INFO, "service stopped"),
    seen.ServiceCrashed: Line(ERROR, "service crashed"),
    seen.DatabaseUnavailable: Line(WARNING, "database does not answer, trying again"),
    seen.DatabaseBack: Line(INFO, "database answers again"),
    seen.ListenerUnproven: Line(WARNING, "doorbell is not proven, scanning fast"),
    seen.ListenerProven: Line(INFO, "doorbell is proven"),
    seen.LeadershipTaken: Line(INFO, "leadership taken"),
    seen.LeadershipLost: Line(WARNING, "leadership lost, standing by"),
    seen.RunsLeased: Line(DEBUG, "runs leased"),
    seen.RunsReleased: Line(INFO, "held runs released"),
    seen.RunRescued: Line(WARNING, "run rescued: its lease ran out"),
    seen.PartitionsMade: Line(INFO, "event partitions made"),
    seen.PartitionsDropped: Line(INFO, "event partitions dropped: past retention"),
    seen.RowsPruned: Line(INFO, "old rows pruned"),
    seen.EventsSealed: Line(DEBUG, "events sealed"),
    seen.ArtifactsRemoved: Line(INFO, "artifacts removed: past retention"),
    seen.ScheduleTicked: Line(INFO, "schedule ticked"),
    seen.ScheduleBlocked: Line(ERROR, "schedule blocked: its moments cannot be computed"),
    seen.EventTriggersFired: Line(INFO, "events started runs"),
    seen.BackfillsAdvanced: Line(INFO, "backfills advanced"),
    seen.ExecutorRegistered: Line(INFO, "executor registered"),
    seen.WorkTaken: Line(DEBUG, "work taken"),
    seen.RunStarted: Line(INFO, "run started"),
    seen.PhaseEnded: Line(INFO, "phase ended"),
    seen.RunEnded: Line(INFO, "run ended"),
    seen.LeaseDropped: Line(WARNING, "lease lost, work thrown away"),
    seen.WriteRefused: Line(WARNING, "write refused: the lease is not current"),
    seen.CancelHeard: Line(INFO, "cancel heard"),
    seen.RunInterrupted: Line(INFO, "run given back"),
    seen.WorkerLost: Line(WARNING, "worker process died"),
    seen.HandlerFaulted: Line(ERROR, "phase ended by an unforeseen error"),
    seen.BeatAnswered: Line(DEBUG, "beat answered"),
    seen.EventsFollowed: Line(DEBUG, "events followed"),
    seen.ScoreRecorded: Line(INFO, "run scored"),
    seen.AlertOpened: Line(WARNING, "alert opened"),
    seen.AlertResolved: Line(INFO, "alert resolved"),
    seen.NotificationSent: Line(INFO, "notification delivered"),
    seen.NotificationFailed: Line(WARNING, "notification not delivered"),
}


class Log:
    """Writes observations as lines; facts bound once stand on every line."""

    def __init__(self, level: int, **facts: Any) -> None:
        self._level = level
        self._facts = facts
        self._logger: Any = structlog.get_logger().bind(**facts)

    def bind(self, **facts: Any) -> Log:
        """The same log with more facts on every line."""
        return Log(self._level, **self._facts, **facts)

    def write(self, observation: Observation) -> None:
        """Write the line, unless its level is below the log's."""
        line = LINES[type(observation)]
        if line.level < self._level:
            return
        facts = {field.name: getattr(observation, field.name) for field in fields(observation)}
        error = facts.pop("error", None)
        if error is not None:
            facts["exc_info"] = error
        self._logger.log(line.level, line.text, **facts)


def set_up_log(*, log_format: str = "json", level: str = "info") -> Log:
    """Configure this process's logging, libraries' included, and return its log. May be called again."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        # without locals: they hold passwords
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        shared.append(structlog.processors.ExceptionRenderer(tracebacks))
        renderer: Any = structlog.processors.JSONRenderer(serializer=_as_json)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _bring_libraries_in(shared, renderer)
    return Log(number)


def _bring_libraries_in(shared: list[Any], renderer: Any) -> None:
    handler = logging.StreamHandler(sys.stderr)
    finish = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[finish, renderer]))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


def _as_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
