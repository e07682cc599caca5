"""Counters and histograms that cost a fraction of a microsecond to feed. Called by `metrics.py`.

prometheus_client's own take a lock per number and several calls per value: a fifth of what a short run costs.
These are fed by the event loop's thread alone, and turned into Prometheus's form when somebody asks for them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Count:
    """A number that grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Add to it."""
        self.value += amount


class Durations:
    """How many values fell into which bucket, and their sum."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """bounds: upper ends of the buckets, inclusive, ascending; one without an end follows."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count the value into its bucket."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Upper ends and how many values lie below each, as Prometheus adds them up."""
        names = (floatToGoString(bound) for bound in (*self._bounds, float("inf")))
        return list(zip(names, accumulate(self._counts), strict=True))


class Counts(Collector):
    """A counter: one count per set of label values."""

    def __init__(self, name: str, about: str, labels: tuple[str, ...]) -> None:
        """name, about, labels: as Prometheus shows them."""
        self._name, self._about, self._labels = name, about, labels
        self._known: defaultdict[tuple[str, ...], Count] = defaultdict(Count)

    def labels(self, *values: str) -> Count:
        """The count under these label values, one for each label."""
        return self._known[values]

    def collect(self) -> Iterator[CounterMetricFamily]:
        """See Collector: called when the numbers are asked for."""
        family = CounterMetricFamily(self._name, self._about, labels=self._labels)
        for values, count in self._known.items():
            family.add_metric(values, count.value)
        yield family


class DurationsByLabels(Collector):
    """A histogram: the values per set of label values."""

    def __init__(self, name: str, about: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> None:
        """name, about, labels: as Prometheus shows them. bounds: see Durations."""
        self._name, self._about, self._labels = name, about, labels
        self._known = defaultdict[tuple[str, ...], Durations](lambda: Durations(bounds))

    def labels(self, *values: str) -> Durations:
        """The values seen under these label values, one for each label."""
        return self._known[values]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """See Collector: called when the numbers are asked for."""
        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        for values, durations in self._known.items():
            family.add_metric(values, durations.buckets(), durations.sum)
        yield family
