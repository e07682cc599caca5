"""Carries one work order from lease to outcome.

Called by `work.py`, once per order. Nothing here knows which database, lake or engine is behind the ports; nothing
here retries: the control plane decides what happens next. Cancellation and a lost lease arrive as exceptions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from lakehouse_executor.bundles import Bundles
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.metering import METER, Meter, Prices, usage_of
from lakehouse_executor.outcomes import end_of, phase_success, plain, success
from lakehouse_executor.registry import Registry
from opscore.domain.bundle import Bundle
from opscore.domain.errors import ControlPlaneUnavailable, LeaseLost, OpsError, WorkerDied
from opscore.domain.phase import Phase
from opscore.domain.run import Outcome, WorkOrder
from opscore.observe.observation import HandlerFaulted, PhaseEnded, WorkerLost, WriteRefused
from opscore.ports.artifacts import Artifacts
from opscore.ports.control_plane import ControlPlane
from opscore.ports.lake import Lake
from opscore.runtime.held import HeldLease, Interrupted
from opscore.runtime.retry import persist
from opscore.runtime.service import Service


@dataclass(frozen=True, slots=True)
class Tools:
    """What all runs of an executor share. lake_options, workers, secret: see PhaseContext. prices: of what runs use."""

    registry: Registry
    bundles: Bundles
    control: ControlPlane
    lake: Lake
    artifacts: Artifacts
    lake_options: Any
    workers: anyio.CapacityLimiter
    secret: Callable[[str], str]
    prices: Prices = field(default_factory=Prices)


@dataclass(slots=True)
class Attempt:
    """One order under way."""

    order: WorkOrder
    held: HeldLease
    tools: Tools
    service: Service
    bundle: Bundle | None = None
    phase: Phase | None = None
    meter: Meter = field(default_factory=Meter)
    results: dict[str, PhaseResult] = field(default_factory=dict[str, PhaseResult])

    async def carry(self) -> Outcome | None:
        """Go through the remaining phases; None when the lease was lost and nothing may be said any more."""
        try:
            if self.held.light:  # ends by itself in less time than anybody could ask for it: nothing to cut short
                return self._told(await self._all_phases())
            METER.set(self.meter)
            with self.held.working():
                outcome = await self._all_phases()
        except LeaseLost as error:
            return self._lost(error)
        except Exception as error:  # noqa: BLE001 - every other end of an attempt is an outcome
            outcome = self._ended_by(self.held.fault or error)
        return self._told(outcome)

    def _told(self, outcome: Outcome | None) -> Outcome | None:
        """The outcome behind whatever no beat has brought yet, and with what the attempt used."""
        if outcome is None or self.held.light:
            return outcome
        events_from = self.held.events_from
        events = (*self.held.take_events(), *outcome.events)
        usage = usage_of(self.meter, self.results, self.tools.prices)
        return outcome._replace(events=events, events_from=events_from, usage=usage)

    async def _all_phases(self) -> Outcome:
        self.bundle = await self._bundle()
        context = self._context(self.bundle)
        self.held.limit(self.bundle.spec.get("time_limit_seconds"))
        remaining = self.order.remaining_phases
        for phase, upcoming in zip(remaining, (*remaining[1:], None), strict=True):
            result = await self._perform(phase, context)
            context.results[phase.value] = self.results[phase.value] = result
            if upcoming is not None:
                await self.held.checkpoint(phase, result, upcoming=upcoming, data=plain(result))
        # the last phase ends together with its run, in the same trip
        last = (phase_success(remaining[-1], context.results[remaining[-1]]),) if remaining else ()
        return success(self.order, context.results, last)

    async def _bundle(self) -> Bundle:
        """Nothing has been done yet that a restart of Postgres could spoil: it costs a wait, not an attempt."""
        clock, held, bundles = self.service.clock, self.held, self.tools.bundles
        try:
            return await bundles.get(self.order.bundle)
        except ControlPlaneUnavailable:
            return await persist(
                lambda: bundles.get(self.order.bundle),
                "fetch bundle",
                self.service,
                until=lambda: held.fault is not None or clock.monotonic() >= held.trusted_until,
            )

    async def _perform(self, phase: Phase, context: PhaseContext) -> PhaseResult:
        self.phase = self.held.phase = phase
        self.held.check()
        clock = self.service.clock
        started = clock.monotonic()
        code: str | None = "UNEXPECTED"
        try:
            result = await self.tools.registry.handler(phase)(context)
            code = None
        except OpsError as error:
            code = error.code
            raise
        except anyio.get_cancelled_exc_class():
            code = getattr(self.held.fault, "code", "INTERRUPTED")
            raise
        finally:
            took = clock.monotonic() - started
            order = self.order
            self.service.observer.notice(PhaseEnded(order.lease.run_id, order.pipeline, phase.value, took, code))
        return result

    def _context(self, bundle: Bundle) -> PhaseContext:
        tools = self.tools
        return PhaseContext(
            order=self.order,
            spec=bundle.spec,
            files=bundle.files,
            results=dict(self.order.checkpoint),
            control=tools.control,
            lake=tools.lake,
            artifacts=tools.artifacts,
            lake_options=tools.lake_options,
            workers=tools.workers,
            clock=self.service.clock,
            progress=self.held.report,
            secret=tools.secret,
        )

    def _lost(self, error: LeaseLost) -> None:
        if error is not self.held.fault:
            write = str(error.facts.get("write", "unknown"))
            self.service.observer.notice(WriteRefused(self.order.lease.run_id, write))

    def _ended_by(self, error: Exception) -> Outcome | None:
        if isinstance(error, LeaseLost):
            return None
        run_id = self.order.lease.run_id
        if isinstance(error, WorkerDied):
            self.service.observer.notice(WorkerLost(run_id, error.message))
        elif not isinstance(error, (OpsError, Interrupted)):
            self.service.observer.notice(HandlerFaulted(run_id, str(self.phase), error))
        spec = None if self.bundle is None else self.bundle.spec
        jitter = random.random()  # noqa: S311 - jitter
        return end_of(self.order, self.phase, error, spec, jitter)
