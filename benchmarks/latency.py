"""What the service costs over HTTP, beside an empty FastAPI route in the same run.

Run ``python -m benchmarks.latency`` (docs/performance.md says what is measured and how); the table
goes to standard error; with ``--json`` the last line of standard output is one object of ratios and
rows. Without ``--root`` or ``--bundle`` a small shop is simulated and a model learnt from it first.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.latency_parts import visitors
from benchmarks.latency_parts.contestants import (
    ALL,
    EMPTY,
    FULL,
    MODELLED,
    QUICK,
    Contestant,
    contestant,
)
from benchmarks.latency_parts.figures import CONNECTIONS, Shot, ratios, rows, spreads
from benchmarks.latency_parts.load import Loader, find_wrk, lua_script
from benchmarks.latency_parts.processes import Server, cores, start
from benchmarks.latency_parts.shop import bundle_folder
from feature_store.console import Console
from recommender.bundle import load_bundle
from recommender.errors import DataError, DesirepathError, InvalidInputError

SEED = 0
PROBED_VISITORS = 20
WARM_UP_CONNECTIONS, WARM_UP_SECONDS = 8, 1
# What counts where the command line says nothing.
USUALLY: Mapping[str, object] = {
    "contestants": ALL,
    "rounds": 5,
    "seconds": 4,
    "items": 2_000,
    "shoppers": 2_000,
    "days": 21,
}
QUICKLY: Mapping[str, object] = {
    "contestants": QUICK,
    "rounds": 3,
    "seconds": 1,
    "items": 1_000,
    "shoppers": 1_000,
    "days": 14,
}


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


def main() -> None:
    given = arguments_of()
    console = Console(as_json=given.json)
    # Whoever ends this process ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        check(given)
        with tempfile.TemporaryDirectory(prefix="bench-latency-", dir=given.folder) as scratch:
            result = run(given, Path(scratch), console)
    except DesirepathError as error:
        console.say(f"refused: {error}")
        sys.exit(2)
    if given.json:
        print(json.dumps(result))
    sys.exit(1 if result["errors"] else 0)


def run(given: argparse.Namespace, scratch: Path, console: Console) -> dict[str, object]:
    """Start all, load them in turn, and put the figures together."""
    server_cpus, load_cpus = cores()
    if server_cpus == load_cpus:
        console.say("One core only: server and load share it, and no figure here means much.")
    loader = Loader(find_wrk(), load_cpus)
    bundle = bundle_folder(given, scratch, console)
    catalogue = load_bundle(bundle).catalogue
    with ExitStack() as stack:
        running: list[Running] = []
        for name in given.contestants:
            each = contestant(name, scratch / "roots", bundle, catalogue)
            server = start(each.startable, server_cpus, scratch / f"{name}.log")
            stack.callback(server.stop)
            script = scratch / f"{name}.lua"
            script.write_text(script_of(each, given.visitors), encoding="utf-8")
            running.append(Running(each, server, script))
            console.say(f"{name}: ready after {server.started_seconds:.1f} s")
        introduce(running, visitors.steps(catalogue, given.visitors, SEED, _now()), given.visitors)
        before = levels(running)
        plan = Plan(given.connections, given.rounds, given.seconds)
        shots = list(measured(running, loader, plan))
        if (after := levels(running)) != before:
            raise DataError(
                f"answers changed from {before} to {after}: the visits ended before the measuring "
                "did; ask for fewer rounds or seconds"
            )
        states = {each.name: state_of(each.server, after.get(each.name)) for each in running}
    return told(shots, states, len(catalogue), console)


def script_of(contestant: Contestant, count: int) -> str:
    """The load: the questions of all visitors in turn; a plain GET for the empty route."""
    if not contestant.key:
        return lua_script("GET", "/", {})
    headers = {"Content-Type": "application/json", "X-API-Key": contestant.key}
    bodies = [json.dumps(visitors.question(number)) for number in range(count)]
    return lua_script("POST", "/v1/recommendations", headers, bodies)


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
        visitors.send(each.server.url, each.contestant.key, visitors.exposures(shown, _now()))


def levels(running: Sequence[Running]) -> dict[str, list[str]]:
    """How personal the answers of some visitors are. Raises `DataError` for an empty answer."""
    found = {}
    for each in running:
        if each.name == EMPTY:
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
    before = each.server.cpu_seconds()
    answered = loader.run(each.server.url, each.script, connections, seconds)
    # Before the draining: what that works off has no answer that was counted.
    spent = each.server.cpu_seconds() - before
    each.server.drain()
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


def state_of(server: Server, levels: Sequence[str] | None) -> dict[str, object]:
    """What does not depend on the load."""
    return {
        "startup_seconds": round(server.started_seconds, 2),
        "pss_mib": round(server.pss_mib(), 1),
        "fallback_levels": levels or [],
    }


def told(
    shots: Sequence[Shot], states: Mapping[str, Mapping[str, object]], items: int, console: Console
) -> dict[str, object]:
    """Show the tables; the result for machines."""
    table = [asdict(row) for row in rows(shots)]
    console.table("Load, medians over the rounds", table)
    console.table("Processes", [{"contestant": name, **state} for name, state in states.items()])
    found, spread = ratios(shots), spreads(shots)
    console.table(
        "Ratios, of the same round",
        [
            {"ratio": name, "median": value, "low and high": spread.get(name, "-")}
            for name, value in found.items()
        ],
    )
    return found | {
        "spreads": spread,
        "rows": table,
        "processes": states,
        "items": items,
        "load_average": os.getloadavg()[0],
    }


def check(given: argparse.Namespace) -> None:
    """Raise `InvalidInputError` before anything is made."""
    find_wrk()
    if unknown := sorted(set(given.contestants) - set(ALL)):
        raise InvalidInputError(f"contestants {unknown}; accepted: {', '.join(ALL)}")
    if given.bundle and given.root:
        raise InvalidInputError("--bundle and --root name two models; give one of them")
    for name in ("items", "shoppers", "days", "visitors", "rounds", "seconds"):
        if getattr(given, name) < 1:
            raise InvalidInputError(f"{name}={getattr(given, name)}; accepted: 1 or more")
    if given.visitors < PROBED_VISITORS:
        raise InvalidInputError(f"visitors={given.visitors}; accepted: {PROBED_VISITORS} or more")


def arguments_of(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says; None: this process's own."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--root", type=Path, help="data folder with a delivered bundle, such as that of the demo")
    add("--bundle", type=Path, help="folder of the bundle to ask")
    add("--items", type=int, help="of the simulated shop")
    add("--shoppers", type=int, help="of the simulated shop")
    add("--days", type=int, help="of the simulated shop")
    add("--visitors", type=int, default=500, help="who are asked for, in turn")
    add("--contestants", type=lambda text: text.split(","), help="joined by commas")
    add("--connections", type=_numbers, default=list(CONNECTIONS), help="joined by commas")
    add("--rounds", type=int, help="how often each is loaded at each number of connections")
    add("--seconds", type=int, help="how long each time")
    add("--quick", action="store_true", help="a smaller shop, less load: minutes less")
    add("--folder", type=Path, help="where to write; a temporary folder if unset")
    add("--json", action="store_true", help="one JSON object as the last line of standard output")
    given = parser.parse_args(words)
    for name, value in (QUICKLY if given.quick else USUALLY).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def _numbers(text: str) -> list[int]:
    if not all(each.isdecimal() and int(each) for each in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: numbers from 1 joined by commas")
    return list(dict.fromkeys(int(each) for each in text.split(",")))


def _now() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    main()
