"""What is done with contestants that run: let them know the shoppers, and load them in turn."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.latency_parts import peers, swaps, visitors
from benchmarks.latency_parts.arguments import PROBED_VISITORS
from benchmarks.latency_parts.contestants import ALONE, FULL, MODELLED, WORKERS, Contestant, point
from benchmarks.latency_parts.figures import MIDDLE, Shot, quiet, swapping
from benchmarks.latency_parts.fixed_rate import highest
from benchmarks.latency_parts.load import Loader
from benchmarks.latency_parts.peers import PEERS
from benchmarks.latency_parts.processes import ROOT, Server, pinned
from feature_store.layout import StoreLayout
from recommender.errors import DataError

WARM_UP_CONNECTIONS, WARM_UP_SECONDS = 8, 1
IN_TIME_MS: Final = 10.0
OPEN_STEPS: Final = 5
POLLED_SECONDS: Final = 2.0  # a service has looked at its pointer meanwhile


@dataclass(frozen=True, slots=True)
class Running:
    """A contestant that runs, and the script of its load."""

    contestant: Contestant
    server: Server
    script: Path

    @property
    def name(self) -> str:
        """How it is called in the figures."""
        return self.contestant.name


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how long each is loaded."""

    connections: Sequence[int]
    rounds: int
    seconds: int


def introduce(running: Sequence[Running], events: Sequence[visitors.Event], count: int) -> None:
    """Let those with a model know the shoppers, and what those were shown and ignored.

    All hear the same: what was shown are the lists of the full service, if that is among them.
    """
    told = [each for each in running if each.name in MODELLED]
    for each in told:
        visitors.send(each.server.url, each.contestant.key, events)
    if not told:
        return
    teller = next((each for each in told if each.name == FULL), told[-1])
    answers = visitors.ask(teller.server.url, teller.contestant.key, range(count))
    shown = {
        visitor: (answer["recommendation_id"], [item["item_id"] for item in answer["items"]])
        for visitor, answer in answers.items()
    }
    for each in told:
        visitors.send(each.server.url, each.contestant.key, visitors.exposures(shown, now()))


def levels(running: Sequence[Running]) -> dict[str, list[str]]:
    """How personal the answers of some visitors are. Raises `DataError` for an empty answer."""
    found = {}
    for each in running:
        if each.name in PEERS:
            peers.check_answer(each.name, each.server.url, visitors.ASKED_ITEMS)
        if each.name in PEERS or not each.contestant.key:
            continue
        answers = visitors.ask(each.server.url, each.contestant.key, range(PROBED_VISITORS))
        if empty := [visitor for visitor, answer in answers.items() if not answer["items"]]:
            raise DataError(f"{each.name} has nothing to show to {empty[0]}: not worth measuring")
        found[each.name] = sorted({answer["fallback_level"] for answer in answers.values()})
    return found


def measured(running: Sequence[Running], loader: Loader, plan: Plan) -> Iterator[Shot]:
    """Warm up, then load all of them at all numbers of connections, round by round.

    Every second round goes backwards, so that none always follows the same one.
    """
    for each in running:
        loader.run(each.server.url, each.script, WARM_UP_CONNECTIONS, WARM_UP_SECONDS)
        each.server.drain()
    for number in range(plan.rounds):
        for connections in plan.connections:
            for each in running if number % 2 == 0 else reversed(running):
                yield shot(each, loader, connections, plan.seconds, number)


def shot(each: Running, loader: Loader, connections: int, seconds: int, number: int) -> Shot:
    """Load one contestant once, and wait until it has nothing left to do."""
    found = loaded(each, loader, connections, seconds, number)
    each.server.drain()
    return found


def loaded(each: Running, loader: Loader, connections: int, seconds: int, number: int) -> Shot:
    """Load one contestant once."""
    before = each.server.cpu_seconds()
    answered = loader.run(each.server.url, each.script, connections, seconds)
    # Before any draining: what that works off has no answer that was counted.
    spent = each.server.cpu_seconds() - before
    return Shot(
        contestant=each.name,
        connections=connections,
        round=number,
        per_second=answered.per_second,
        p50_ms=answered.p50_ms,
        p99_ms=answered.p99_ms,
        cpu_us=1e6 * spent / answered.requests,
        errors=answered.errors,
    )


def under_swaps(
    running: Sequence[Running], loader: Loader, plan: Plan, versions: Sequence[str]
) -> tuple[dict[str, float], list[Shot]]:
    """Load with and without another model every second; swaps per second of each, and the shots."""
    shots, rates = [], {}
    for each in (each for each in running if each.name in {ALONE, WORKERS}):
        bundles, done = StoreLayout(each.contestant.root).bundles, 0
        for number in range(plan.rounds):
            found = shot(each, loader, MIDDLE, plan.seconds, number)
            shots.append(replace(found, contestant=quiet(each.name)))
            before = swaps.accepted(each.server.url, each.contestant.key)
            with swaps.swapping(bundles, versions[::-1]):
                found = loaded(each, loader, MIDDLE, plan.seconds, number)
            done += swaps.accepted(each.server.url, each.contestant.key) - before
            shots.append(replace(found, contestant=swapping(each.name)))
            each.server.drain()
            point(bundles, versions[0])
            time.sleep(POLLED_SECONDS)
            each.server.drain()
        rates[each.name] = round(done / (plan.rounds * plan.seconds), 2)
    return rates, shots


def open_rates(
    running: Sequence[Running],
    shots: Sequence[Shot],
    given: Namespace,
    scratch: Path,
    load_cpus: frozenset[int],
) -> dict[str, float]:
    """The highest rate of arrivals at which 99 % of the answers come in time, per contestant."""
    rates = {}
    for each in (each for each in running if each.name in given.open):
        asked = OpenLoad(each.contestant, each.server.url, given.visitors, load_cpus, given.seconds)
        most = max(shot.per_second for shot in shots if shot.contestant == each.name)
        plan = asked.written(scratch / f"{each.name}.json")

        def bears(rate: float, asked: OpenLoad = asked, plan: Path = plan) -> bool:
            found = asked.run(plan, rate)
            return not found["errors"] and found["p99_ms"] <= IN_TIME_MS

        rates[each.name] = round(highest(bears, most, OPEN_STEPS), 1)
        each.server.drain()
    return rates


@dataclass(frozen=True, slots=True)
class OpenLoad:
    """How one contestant is asked at a fixed rate."""

    contestant: Contestant
    url: str
    visitors: int
    cpus: frozenset[int]
    seconds: int

    def written(self, path: Path) -> Path:
        """What to ask, as a file for the process that asks."""
        each = self.contestant
        asked = {
            "url": self.url + each.path,
            "method": each.method,
            "headers": each.headers,
            "bodies": each.bodies(self.visitors),
        }
        path.write_text(json.dumps(asked), encoding="utf-8")
        return path

    def run(self, plan: Path, rate: float) -> dict[str, float]:
        """Ask at this rate. Raises `DataError`."""
        words = ("--plan", f"{plan}", "--rate", f"{rate}", "--seconds", f"{self.seconds}")
        command = [sys.executable, "-m", "benchmarks.latency_parts.fixed_rate", *words]
        with pinned(self.cpus):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DataError(f"the open loop ended with {done.returncode}: {done.stderr[-500:]}")
        return dict(json.loads(done.stdout))


def now() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
