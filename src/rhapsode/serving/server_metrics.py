"""Figures of the server for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600)


class _Gauges(Collector):
    """Figures that are read when they are asked for.

    Arguments:
        read: values by name.
    """

    def __init__(self, read: Callable[[], dict[str, tuple[str, float]]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, (text, value) in self._read().items():
            yield GaugeMetricFamily(name, text, value=value)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())


class ServerMetrics:
    """Counters and histograms of one server.

    Arguments:
        read: gives gauges by name, each with its description.
    """

    def __init__(self, read: Callable[[], dict[str, tuple[str, float]]]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Gauges(read))
        options: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter(
            "rhapsode_requests_total", "Requests by outcome", ["model", "outcome"], **options
        )
        self._prompt = Counter("rhapsode_prompt_elements_total", "Prompt elements", **options)
        self._written = Counter("rhapsode_generated_elements_total", "Elements written", **options)
        self._cached = Counter(
            "rhapsode_cached_elements_total", "Prompt elements that were not read again", **options
        )
        self._first = self._histogram("time_to_first_element", "Time to the first element")
        self._whole = self._histogram("request", "Time of a request")
        self._between = self._histogram("inter_event", "Time between two events of a stream")
        self._queued = self._histogram("queue", "Time in the queue")

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"rhapsode_{name}_seconds", text, buckets=_SECONDS, registry=self.registry)

    def of_request(
        self,
        *,
        seconds: float,
        first: float | None,
        prompt: int,
        written: int,
        cached: int,
    ) -> None:
        """Count a request for continuations that is over.

        Arguments:
            seconds: it took.
            first: seconds until the first element; None without one.
            prompt: elements of its prompts.
            written: elements written.
            cached: elements of the prompts that were not read again.
        """
        self._whole.observe(seconds)
        if first is not None:
            self._first.observe(first)
        self._prompt.inc(prompt)
        self._written.inc(written)
        self._cached.inc(cached)

    def of_event(self, seconds: float) -> None:
        """Count an event by the time since the last one."""
        self._between.observe(seconds)

    def of_queue(self, seconds: float) -> None:
        """Count a work by its time in the queue."""
        self._queued.observe(seconds)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
