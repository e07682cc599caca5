"""Our own counters and histograms read as Prometheus's do."""

from __future__ import annotations

from uuid import UUID

from prometheus_client.parser import text_string_to_metric_families

from opscore.observe.metrics import Metrics
from opscore.observe.observation import PhaseEnded, RunStarted

RUN = UUID(int=7)


def samples(metrics: Metrics, name: str, label: str = "") -> dict[str, float]:
    """The label's value -> value, of one sample name."""
    families = text_string_to_metric_families(metrics.text().decode())
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {sample.labels.get(label, ""): sample.value for sample in found}


def test_a_counter_adds_up_per_label() -> None:
    metrics = Metrics("test")

    for pipeline in ("gold", "gold", "silver"):
        metrics.take_in(RunStarted(RUN, pipeline, attempt=1))

    assert samples(metrics, "lakehouse_runs_started_total", "pipeline") == {"gold": 2, "silver": 1}


def test_a_counter_without_labels_is_there_before_anything_is_counted() -> None:
    assert samples(Metrics("test"), "lakehouse_cancels_heard_total") == {"": 0}


def test_a_histograms_buckets_hold_all_that_is_not_above_their_end() -> None:
    metrics = Metrics("test")

    for seconds in (0.05, 0.1, 0.2, 5000):
        metrics.take_in(PhaseEnded(RUN, "gold", "query", seconds))

    buckets = samples(metrics, "lakehouse_phase_seconds_bucket", "le")
    assert [buckets[end] for end in ("0.05", "0.1", "0.5", "3600.0", "+Inf")] == [1, 2, 3, 3, 4]
    assert samples(metrics, "lakehouse_phase_seconds_count") == {"": 4}
    assert samples(metrics, "lakehouse_phase_seconds_sum") == {"": 5000.35}
