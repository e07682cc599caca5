"""Observations as Prometheus numbers, in a registry of the process's own.

Called by `observer.py`; served by the runtime at `/metrics`. Labels are few and bounded: never a run's id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from opscore.observe import observation as seen
from opscore.observe.observation import Observation
from opscore.observe.tallies import Count, Counts, Durations, DurationsByLabels

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SLOW = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The numbers of one process and what each observation does to them."""

    def __init__(self, service: str, version: str = "") -> None:
        self.registry = CollectorRegistry()
        self._take_in: dict[type[Observation], Callable[[Any], None]] = {}
        self._count_service(service, version)
        self._count_dispatching()
        self._count_housekeeping()
        self._count_time()
        self._count_executing()
        self._count_following()

    def take_in(self, observation: Observation) -> None:
        """Change the numbers that this observation is about."""
        self._take_in[type(observation)](observation)

    def knows(self, kind: type[Observation]) -> bool:
        """Whether a number stands for this kind."""
        return kind in self._take_in

    def text(self) -> bytes:
        """The registry in Prometheus's text format."""
        return generate_latest(self.registry)

    def _count_service(self, service: str, version: str) -> None:
        up = self._gauge("service_state", "0 stopped, 1 running, 2 draining, 3 hurrying", "service", "version")
        state = up.labels(service, version)
        crashes = self._counter("crashes", "Ends by an error that nothing expects")
        outages = self._counters("database_unavailable", "Infrastructure calls to be made again", "doing").labels
        outage = self._histogram("database_outage_seconds", "From the first failed call to the next good one", SLOW)
        proven = self._gauge("listener_proven", "1 while the doorbell's round trip comes back in time")
        leads = self._gauge("leader", "1 while this process acts in the role", "role").labels
        self._take_in |= {
            seen.ServiceStarted: lambda _: state.set(1),
            seen.ServiceDraining: lambda _: state.set(2),
            seen.ServiceHurried: lambda _: state.set(3),
            seen.ServiceStopped: lambda _: state.set(0),
            seen.ServiceCrashed: lambda _: crashes.inc(),
            seen.DatabaseUnavailable: lambda o: outages(o.doing).inc(),
            seen.DatabaseBack: lambda o: outage.observe(o.after),
            seen.ListenerUnproven: lambda _: proven.set(0),
            seen.ListenerProven: lambda _: proven.set(1),
            seen.LeadershipTaken: lambda o: leads(o.role).set(1),
            seen.LeadershipLost: lambda o: leads(o.role).set(0),
        }

    def _count_dispatching(self) -> None:
        leased = self._counter("runs_leased", "Runs matched to executors")
        released = self._counter("runs_released", "Held runs returned to the queue")
        rescued = self._counters("runs_rescued", "Runs whose lease ran out, by state after it", "state").labels
        partitions = self._counter("event_partitions_made", "Event partitions made ahead of need")
        self._take_in |= {
            seen.RunsLeased: lambda o: leased.inc(o.count),
            seen.RunsReleased: lambda o: released.inc(o.count),
            seen.RunRescued: lambda o: rescued(o.state).inc(),
            seen.PartitionsMade: lambda o: partitions.inc(o.count),
        }

    def _count_time(self) -> None:
        ticked = self._counters("scheduled_runs", "Runs started by schedules", "pipeline").labels
        blocked = self._counter("schedules_blocked", "Schedules paused because their moments cannot be computed")
        triggered = self._counter("event_triggered_runs", "Runs started by triggers on events")
        partitions = self._counter("backfill_partitions_moved", "Partitions of backfills started or settled")
        self._take_in |= {
            seen.ScheduleTicked: lambda o: ticked(o.pipeline).inc(o.count),
            seen.ScheduleBlocked: lambda _: blocked.inc(),
            seen.EventTriggersFired: lambda o: triggered.inc(o.count),
            seen.BackfillsAdvanced: lambda o: partitions.inc(o.count),
        }

    def _count_housekeeping(self) -> None:
        dropped = self._counter("event_partitions_dropped", "Event partitions dropped by retention")
        pruned = self._counter("rows_pruned", "Alerts and ledger rows deleted by retention")
        removed = self._counter("artifacts_removed", "Artifacts deleted by retention")
        sealed = self._counter("events_sealed", "Events sealed into the hash chain")
        head = self._gauge("event_seal", "Number of the newest seal this process made")

        def seal(o: seen.EventsSealed) -> None:
            sealed.inc(o.count)
            head.set(o.batch)

        self._take_in |= {
            seen.PartitionsDropped: lambda o: dropped.inc(o.count),
            seen.RowsPruned: lambda o: pruned.inc(o.count),
            seen.ArtifactsRemoved: lambda o: removed.inc(o.count),
            seen.EventsSealed: seal,
        }

    def _count_executing(self) -> None:
        slots = self._gauge("slots", "Runs this executor carries at once")
        taken = self._counters("work_taken", "Runs handed over; claimed: this executor helped itself", "claimed").labels
        waited = self._histogram("run_wait_seconds", "From a run's creation to its start", SLOW)
        started = self._counters("runs_started", "Runs begun or gone on with", "pipeline").labels
        phases = self._histograms("phase_seconds", "Duration of phases", SLOW, "phase", "code").labels
        ended = self._counters("runs_ended", "Attempts ended, by outcome and state after it", "outcome", "state").labels
        duration = self._histogram("attempt_seconds", "Duration of attempts", SLOW)
        dropped = self._counters("leases_dropped", "Attempts thrown away", "cause").labels
        refused = self._counters("writes_refused", "Writes refused for a stale lease", "write").labels
        canceled = self._counter("cancels_heard", "Runs stopped on demand")
        interrupted = self._counter("runs_interrupted", "Runs given back at a stop")
        workers = self._counter("workers_lost", "Worker processes that died at work")
        faults = self._counters("handler_faults", "Unforeseen errors in phases", "phase").labels
        beats = self._histogram("beat_seconds", "Round trip of a beat", FAST)
        renewed = self._counter("leases_renewed", "Runs carried by beats")

        def start(o: seen.RunStarted) -> None:
            started(o.pipeline).inc()
            if o.waited is not None:
                waited.observe(o.waited)

        def end(o: seen.RunEnded) -> None:
            ended(o.outcome, o.state).inc()
            duration.observe(o.seconds)

        def beat(o: seen.BeatAnswered) -> None:
            beats.observe(o.seconds)
            renewed.inc(o.runs)

        self._take_in |= {
            seen.ExecutorRegistered: lambda o: slots.set(o.slots),
            seen.WorkTaken: lambda o: taken(str(o.claimed).lower()).inc(o.count),
            seen.RunStarted: start,
            seen.PhaseEnded: lambda o: phases(o.phase, o.code or "").observe(o.seconds),
            seen.RunEnded: end,
            seen.LeaseDropped: lambda o: dropped(o.cause).inc(),
            seen.WriteRefused: lambda o: refused(o.write).inc(),
            seen.CancelHeard: lambda _: canceled.inc(),
            seen.RunInterrupted: lambda _: interrupted.inc(),
            seen.WorkerLost: lambda _: workers.inc(),
            seen.HandlerFaulted: lambda o: faults(o.phase).inc(),
            seen.BeatAnswered: beat,
        }

    def _count_following(self) -> None:
        followed = self._counters("events_followed", "Events recorded by followers of the log", "consumer").labels
        lag = self._gauge("event_lag_seconds", "Age of the newest event of the last batch", "consumer").labels
        scores = self._histogram("run_scores", "Scores of runs", (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100))
        opened = self._counters("alerts_opened", "Alerts opened or counted again", "rule", "severity").labels
        resolved = self._counters("alerts_resolved", "Alerts whose cause is gone", "rule").labels
        sent = self._counters("notifications_sent", "Notifications delivered", "channel").labels
        failed = self._counters("notifications_failed", "Sends that failed", "channel", "final").labels

        def follow(o: seen.EventsFollowed) -> None:
            followed(o.consumer).inc(o.count)
            lag(o.consumer).set(o.lag)

        self._take_in |= {
            seen.EventsFollowed: follow,
            seen.ScoreRecorded: lambda o: None if o.score is None else scores.observe(o.score),
            seen.AlertOpened: lambda o: opened(o.rule, o.severity).inc(),
            seen.AlertResolved: lambda o: resolved(o.rule).inc(),
            seen.NotificationSent: lambda o: sent(o.channel).inc(),
            seen.NotificationFailed: lambda o: failed(o.channel, str(o.final).lower()).inc(),
        }

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"lakehouse_{name}", about, labels, registry=self.registry)

    def _counter(self, name: str, about: str) -> Count:
        return self._counters(name, about).labels()

    def _counters(self, name: str, about: str, *labels: str) -> Counts:
        made = Counts(f"lakehouse_{name}", about, labels)
        self.registry.register(made)
        return made

    def _histogram(self, name: str, about: str, bounds: tuple[float, ...]) -> Durations:
        return self._histograms(name, about, bounds).labels()

    def _histograms(self, name: str, about: str, bounds: tuple[float, ...], *labels: str) -> DurationsByLabels:
        made = DurationsByLabels(f"lakehouse_{name}", about, labels, bounds)
        self.registry.register(made)
        return made
