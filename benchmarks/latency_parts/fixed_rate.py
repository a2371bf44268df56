"""One contestant under arrivals at a fixed rate, and the highest rate that it bears.

The load runs as a process of its own, on cores of its own:
``python -m benchmarks.latency_parts.fixed_rate``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import uvloop

from benchmarks.open_loop import Loader, Question, request_bytes

CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Load:
    """The figures of a run at a rate; times in milliseconds, infinite without any answer.

    Parameters
    ----------
    errors
        Questions without an answer, or with one that is no success.
    late
        As `Loader` counts them.
    """

    rate: float
    answered: int
    p50_ms: float
    p99_ms: float
    errors: int
    late: int


async def loaded(url: str, requests: Sequence[bytes], rate: float, seconds: float) -> Load:
    """Ask at this rate for so long, evenly."""
    questions = cycle([Question("", request) for request in requests])
    # A caller would have seen a connection break: it is an error, whatever a second try brings.
    loader = Loader(url, questions, CONNECTIONS, tries=1)
    await loader.open()
    await loader.run(rate, seconds)
    await loader.close()
    return load_of(loader, rate)


def load_of(loader: Loader, rate: float) -> Load:
    """Figures of what was met."""
    answered = [each.ms for each in loader.outcomes if each.is_good]
    times = np.array(answered or [np.inf])
    return Load(
        rate=round(rate, 1),
        answered=len(answered),
        p50_ms=round(float(np.percentile(times, 50, method="nearest")), 3),
        p99_ms=round(float(np.percentile(times, 99, method="nearest")), 3),
        errors=len(loader.outcomes) - len(answered),
        late=loader.late,
    )


def highest(bears: Callable[[float], bool], most: float, steps: int) -> float:
    """The highest rate that is borne, by halving between 0 and `most` (which is tried first)."""
    if bears(most):
        return most
    low, high = 0.0, most
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if bears(middle) else (low, middle)
    return low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--plan", type=Path, required=True, help="JSON: url, method, headers, bodies"
    )
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    plan = json.loads(given.plan.read_text(encoding="utf-8"))
    url = urlsplit(plan["url"])
    requests = [
        request_bytes(plan["method"], url.path or "/", plan["headers"], body.encode(), url.netloc)
        for body in plan["bodies"] or [""]
    ]
    load = uvloop.run(loaded(plan["url"], requests, given.rate, given.seconds))
    json.dump(asdict(load), sys.stdout)


if __name__ == "__main__":
    main()
