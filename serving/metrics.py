"""Prometheus metrics. No label holds anything a client chose, so their number is bounded."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from serving.facts import Facts
from serving.pool import Loss
from serving.room import Room

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BYTES = tuple(float(4**n * 1024) for n in range(8))


class Metrics:
    """Of one service; a registry of its own, so that several can live in a process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter(
            "cough_requests",
            "Requests, by documented route, status and problem code.",
            ["route", "status", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "cough_request_seconds",
            "From the first header to the last byte of the answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._bytes = Histogram(
            "cough_body_bytes", "Request bodies.", ["route"], buckets=_BYTES, registry=registry
        )
        self._outcomes = Counter("cough_outcomes", "Recordings, by outcome.", ["outcome"], registry=registry)
        self._stages = Histogram(
            "cough_stage_seconds",
            "In the worker, by stage of the flow.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._losses = Counter("cough_workers_lost", "Workers replaced, by why.", ["why"], registry=registry)
        self._held = Gauge("cough_held_bytes", "Bodies in memory.", registry=registry)
        self._redis = Counter("cough_redis_failures", "Times that memory took over.", registry=registry)

    def watch(self, room: Room) -> None:
        """Read the queue's state whenever it is asked for."""
        for name, text, read in (
            ("cough_workers_warm", "Workers that can take recordings.", lambda: room.warm),
            ("cough_workers_busy", "Recordings in workers.", lambda: room.busy),
            ("cough_queue_waiting", "Recordings that wait for a worker.", lambda: room.waiting),
            ("cough_queue_wait_seconds", "Wait that the next would have.", lambda: room.expected_wait_s),
        ):
            Gauge(name, text, registry=self.registry).set_function(read)

    def held(self, n_bytes: int) -> None:
        """Bytes of bodies that are in memory."""
        self._held.set(n_bytes)

    def lost(self, loss: Loss) -> None:
        """A worker was replaced."""
        self._losses.labels(loss).inc()

    def redis_failed(self) -> None:
        """Memory took over from Redis."""
        self._redis.inc()

    def answered(self, facts: Facts, *, status: int, seconds: float) -> None:
        """Count a request that is over."""
        self._requests.labels(facts.route, str(status), facts.code or "").inc()
        self._seconds.labels(facts.route).observe(seconds)
        if facts.bytes_in:
            self._bytes.labels(facts.route).observe(facts.bytes_in)
        for outcome in facts.outcomes:
            self._outcomes.labels(outcome).inc()
        for timings in facts.timings_ms:
            for stage, milliseconds in timings.items():
                self._stages.labels(stage).observe(milliseconds / 1e3)

    def text(self) -> bytes:
        """In the exposition format."""
        return generate_latest(self.registry)
