"""What is told late is what would have been told at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from serving.tally import RequestTallies

BOUNDS = (0.001, 0.01, 0.1)
requests = st.tuples(
    st.sampled_from(["/a", "/b"]),
    st.sampled_from([200, 404]),
    st.sampled_from([0.0, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 3.0]),
)


def metrics() -> tuple[CollectorRegistry, Counter, Histogram]:
    registry = CollectorRegistry()
    counter = Counter("requests", "x", ["route", "status"], registry=registry)
    return registry, counter, Histogram("s", "x", ["route"], registry=registry, buckets=BOUNDS)


def told(registry: CollectorRegistry) -> dict[str, float]:
    lines = generate_latest(registry).decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in values.items() if "_created" not in name}


@given(st.lists(st.none() | requests, max_size=30), st.booleans())
def test_sums_are_those_of_each_one(
    made: list[tuple[str, int, float] | None], is_shared: bool
) -> None:
    registry, counter, histogram = metrics()
    own, own_counter, own_histogram = metrics()
    tallies = RequestTallies(own_counter, own_histogram, BOUNDS, is_shared)
    for each in made:
        if each is None:  # somebody looks
            tallies.tell()
            continue
        route, status, seconds = each
        counter.labels(route, str(status)).inc()
        histogram.labels(route).observe(seconds)
        tallies.add(route, status, seconds)
        if is_shared:
            assert told(own) == pytest.approx(told(registry))
    tallies.tell()
    assert told(own) == pytest.approx(told(registry))
