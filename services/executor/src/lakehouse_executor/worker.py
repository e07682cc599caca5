"""The inside of a worker process: one call after the other, in a process group of its own.

Started by `workforce.py`. SIGTERM asks the call to stop: statements are canceled at their engines, and what the call
opened is closed on the way out. A call that does not listen is killed with everything it started.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Event, Thread
from typing import Any

from opscore.domain.errors import Unexpected

READY = b"ready"
CANCEL_EVERY = 0.05


class Stopped(BaseException):
    """The call was asked to stop."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended. value: its result, or what it raised. cpu_seconds: of this process and its children."""

    value: Any
    raised: bool
    cpu_seconds: float
    statements: int


@dataclass(slots=True)
class Tally:
    """What the present call has done so far."""

    statements: int = 0


TALLY = Tally()
_at_stop: list[Callable[[], None]] = []
_asked = Event()


@contextmanager
def stopping_with(cancel: Callable[[], None]) -> Generator[None]:
    """While the block runs, a stop also calls this, before anything else ends."""
    _at_stop.append(cancel)
    try:
        yield
    finally:
        _at_stop.remove(cancel)


def serve(calls: Connection) -> None:
    """Answer calls until the other end is gone."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _watch_for_stops()
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the life of the process
    calls.send_bytes(READY)
    with contextlib.suppress(EOFError, BrokenPipeError, Stopped):
        while not _asked.is_set():  # engines may swallow Stopped and raise something of their own
            function, args = calls.recv()
            calls.send_bytes(_pickled(_answer(function, args)))


def _answer(function: Callable[..., Any], args: tuple[Any, ...]) -> Answer:
    TALLY.statements = 0
    before = _cpu_seconds()
    signal.signal(signal.SIGTERM, _stop)
    try:
        value, raised = function(*args), False
    except Exception as error:  # noqa: BLE001 - it is raised again on the other side
        value, raised = error, True
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return Answer(value, raised, _cpu_seconds() - before, TALLY.statements)


def _stop(*_: object) -> None:
    _asked.set()
    _cancel_statements()
    raise Stopped


def _cancel_statements() -> None:
    for cancel in tuple(_at_stop):
        with contextlib.suppress(Exception):
            cancel()


def _watch_for_stops() -> None:
    """Tell engines of a stop from a thread: Python itself hears of a signal only once an engine's own code returns."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)

    def watch() -> None:
        os.read(ours, 1)
        while True:  # to the end of the process: an engine forgets a cancel that comes before its statement has begun
            _cancel_statements()
            time.sleep(CANCEL_EVERY)

    Thread(target=watch, daemon=True).start()


def _pickled(answer: Answer) -> bytes:
    try:
        return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - whatever a value's own pickling raises
        fault = Unexpected(f"A worker's {type(answer.value).__name__} could not be handed back: {error}")
        return pickle.dumps(Answer(fault, True, answer.cpu_seconds, answer.statements))  # noqa: FBT003


def _cpu_seconds() -> float:
    spent = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)
