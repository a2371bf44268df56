"""What an operator can see: Prometheus metrics and JSON lines on stderr, never an id or a key."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from feature_store.intake_counters import IntakeCounters
from feature_store.online.stream_replay import FollowerCounts
from serving.shared_metrics import as_one, shared_folder
from serving.tally import RequestTallies, Tally

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_PREDICTED = "desirepath_acceptance_predicted_total"
_DELIVERED = "desirepath_acceptance_delivered_total"
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}

# Rejections by code are counted where they are answered.
_INTAKE_NUMBERS = tuple(each.name for each in fields(IntakeCounters) if each.name != "rejected")
_FOLLOWER_NUMBERS = tuple(each.name for each in fields(FollowerCounts))


@dataclass(slots=True)
class Metrics:
    """All metrics of one process."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    latency: Histogram = field(init=False)
    requests: Counter = field(init=False)
    problems: Counter = field(init=False)
    in_flight: Gauge = field(init=False)
    recommendations: Counter = field(init=False)
    acceptance_shown: Counter = field(init=False)
    acceptance_predicted: Counter = field(init=False)
    acceptance_delivered: Counter = field(init=False)
    decisions: Counter = field(init=False)
    decisions_lost: Counter = field(init=False)
    events: Counter = field(init=False)
    events_rejected: Counter = field(init=False)
    storage_full: Counter = field(init=False)
    intake: Gauge = field(init=False)
    bundle: Gauge = field(init=False)
    bundle_items: Gauge = field(init=False)
    bundle_refused: Gauge = field(init=False)
    bundle_swaps: Counter = field(init=False)
    rules: Gauge = field(init=False)
    rules_refused: Gauge = field(init=False)
    rules_reloads: Counter = field(init=False)
    under_way: int = 0
    _is_shared: bool = field(init=False)
    decided: Tally = field(init=False)
    _answers: RequestTallies = field(init=False)
    _levels: dict[tuple[str, str], Tally] = field(default_factory=dict)
    experiments_running: Gauge = field(init=False)
    experiments_refused: Gauge = field(init=False)
    exposures: Counter = field(init=False)
    breakers_open: Gauge = field(init=False)
    breaker_turns: Counter = field(init=False)
    online_reads: Counter = field(init=False)
    online_log: Gauge = field(init=False)

    def __post_init__(self) -> None:
        self._is_shared = shared_folder() is not None
        self._make_http()
        self._make_flow()
        self._make_expectation()
        self._make_bundle()
        self._make_rules()
        self._make_experiments()
        self._make_online()

    def render(self) -> bytes:
        """All values as text, of every worker where there are several."""
        self.tell()
        folder = shared_folder()
        if folder is None:
            return generate_latest(self.registry)
        merged = CollectorRegistry()
        workers = multiprocess.MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
        merged.register(_Gaps(workers))
        with as_one(folder):
            return generate_latest(merged)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count and time one request."""
        self._answers.add(route, status, seconds)

    def recommended(self, placement: str, level: str) -> None:
        """Count one answer of the pipeline."""
        found = self._levels.get((placement, level))
        if found is None:
            found = self._tally(self.recommendations.labels(placement, level))
            self._levels[placement, level] = found
        found.add()

    def tell(self) -> None:
        """Bring the metrics up to date with what was only counted so far."""
        self.in_flight.set(self.under_way)
        self.decided.tell()
        for tally in self._levels.values():
            tally.tell()
        self._answers.tell()

    def mirror(self, counters: IntakeCounters, followed: FollowerCounts | None = None) -> None:
        """Show what was counted, by the intake and by what keeps a remote online store in step."""
        self.tell()
        for name in _INTAKE_NUMBERS:
            self.intake.labels(name).set(getattr(counters, name))
        for name in _FOLLOWER_NUMBERS if followed else ():
            self.online_log.labels(name).set(getattr(followed, name))

    def turned(self, dependency: str, *, is_open: bool) -> None:
        """A breaker of this process opened or closed."""
        self.breakers_open.labels(dependency).set(int(is_open))
        self.breaker_turns.labels(dependency, "open" if is_open else "closed").inc()

    def _make_http(self) -> None:
        self.latency = Histogram(
            "desirepath_request_seconds",
            "Time from the first byte of a request to its answer.",
            ["route"],
            registry=self.registry,
            buckets=LATENCY_BUCKETS,
        )
        self.requests = self._counter("requests", "Requests answered.", "route", "status")
        self._answers = RequestTallies(
            self.requests, self.latency, LATENCY_BUCKETS, self._is_shared
        )
        self.problems = self._counter("problems", "Requests refused, by machine code.", "code")
        self.in_flight = self._gauge("requests_in_flight", "Requests being answered.", "livesum")

    def _make_flow(self) -> None:
        self.recommendations = self._counter(
            "recommendations", "Answers, by rung of the fallback ladder.", "placement", "level"
        )
        self.decisions = self._counter("decisions", "Decision records handed to the system.")
        self.decided = self._tally(self.decisions)
        self.decisions_lost = self._counter("decisions_lost", "Answers without decision record.")
        self.events = self._counter("events", "Events received, by verdict.", "verdict")
        self.events_rejected = self._counter("events_rejected", "Events rejected.", "code")
        self.intake = self._gauge(
            "intake", "Counters of the log since the worker began.", "livesum", "counter"
        )
        self.storage_full = self._counter("storage_full", "Requests refused: no space left.")

    def _make_expectation(self) -> None:
        self.acceptance_shown = self._counter(
            "acceptance_shown", "Items of our answers that were shown.", "placement"
        )
        self.acceptance_predicted = self._counter(
            "acceptance_predicted", "Of these, how many should be taken up.", "placement"
        )
        self.acceptance_delivered = self._counter(
            "acceptance_delivered", "Of these, how many were taken up.", "placement"
        )
        self.registry.register(_Gaps(self.acceptance_predicted, self.acceptance_delivered))

    def _make_bundle(self) -> None:
        self.bundle = self._gauge("bundle_info", "1 for the version in use.", "livemax", "version")
        self.bundle_items = self._gauge("bundle_items", "Items of the bundle in use.", "livemax")
        self.bundle_refused = self._gauge(
            "bundle_refused", "1 while the delivered bundle is refused.", "livemax"
        )
        self.bundle_swaps = self._counter("bundle_swaps", "Bundles tried, by outcome.", "outcome")

    def _make_rules(self) -> None:
        self.rules = self._gauge(
            "rules_info", "1 for the version of the rules in use.", "livemax", "version"
        )
        self.rules_refused = self._gauge(
            "rules_refused", "1 while the changed rules file is refused.", "livemax"
        )
        self.rules_reloads = self._counter(
            "rules_reloads", "Changed rules files tried, by outcome.", "outcome"
        )

    def _make_experiments(self) -> None:
        self.experiments_running = self._gauge(
            "experiments_running", "Experiments that give out arms.", "livemax"
        )
        self.experiments_refused = self._gauge(
            "experiments_refused", "Files of experiments that cannot be used.", "livemax"
        )
        self.exposures = self._counter(
            "exposures", "Confirmed views taken in, by what became of them.", "status"
        )

    def _make_online(self) -> None:
        self.breakers_open = self._gauge(
            "breaker_open", "Workers that do not ask a dependency now.", "livesum", "dependency"
        )
        self.breaker_turns = self._counter(
            "breaker_turns", "Breakers that opened or closed.", "dependency", "to"
        )
        self.online_reads = self._counter(
            "online_reads", "Shoppers looked up in a remote online store, by outcome.", "outcome"
        )
        self.online_log = self._gauge(
            "online_log",
            "How a remote online store keeps step with the log; `behind`: workers that wait.",
            "livesum",
            "counter",
        )

    def _tally(self, counter: Counter) -> Tally:
        return Tally(counter, self._is_shared)

    def _counter(self, name: str, describe: str, *labels: str) -> Counter:
        return Counter(f"desirepath_{name}", describe, labels, registry=self.registry)

    def _gauge(self, name: str, describe: str, mode: str, *labels: str) -> Gauge:
        return Gauge(
            f"desirepath_{name}",
            describe,
            labels,
            registry=self.registry,
            multiprocess_mode=mode,  # type: ignore[arg-type]
        )


class _Gaps(Collector):
    """Delivered over predicted acceptance less 1, by placement, of all workers together.

    It is made of the sums when somebody looks: ratios of single workers could not be put together.
    """

    def __init__(self, *sums: Collector) -> None:
        self._sums = sums

    def collect(self) -> Iterable[Metric]:
        """The gauge; placements that promised nothing have none."""
        found = {
            (sample.name, sample.labels["placement"]): sample.value
            for collector in self._sums
            for family in collector.collect()
            for sample in family.samples
            if sample.name in {_PREDICTED, _DELIVERED}
        }
        gauge = GaugeMetricFamily(
            "desirepath_expectation_gap",
            "Taken up over predicted, less 1, since the service began.",
            labels=["placement"],
        )
        for (name, placement), predicted in sorted(found.items()):
            if name == _PREDICTED and predicted > 0:
                gap = found.get((_DELIVERED, placement), 0.0) / predicted - 1
                gauge.add_metric([placement], gap)
        yield gauge


class JsonFormatter(logging.Formatter):
    """One JSON object per log record."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC, epoch seconds), level, logger, message, and what was given as `extra`."""
        extra = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        line = {
            "ts": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extra,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str) -> None:
    """Send all log records to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
