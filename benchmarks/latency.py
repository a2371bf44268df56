"""What the service costs over HTTP, beside an empty FastAPI route in the same run.

Run ``python -m benchmarks.latency`` (docs/performance.md says what is measured and how); the table
goes to standard error; with ``--json`` the last line of standard output is one object of ratios and
rows, null where a side was not measured. Without ``--root`` or ``--bundle`` a shop is simulated
and a model learnt from it first; one of more than 2,000 items is grown from that.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.latency_parts import known, scale, twins, visitors
from benchmarks.latency_parts.arguments import arguments_of, check
from benchmarks.latency_parts.contestants import (
    ALONE,
    EXACT,
    MODELLED,
    ON_ALL_CORES,
    REDIS,
    WORKER_COUNT,
    WORKERS,
    Contestant,
    Stage,
    contestant,
)
from benchmarks.latency_parts.figures import Shot, ratios, rows, spreads
from benchmarks.latency_parts.load import Loader, find_wrk, lua_script
from benchmarks.latency_parts.phases import (
    Plan,
    Running,
    introduce,
    levels,
    measured,
    now,
    open_rates,
    under_swaps,
)
from benchmarks.latency_parts.processes import Server, cores, pinned, start
from benchmarks.latency_parts.shop import Model, model_of
from feature_store.console import Console
from recommender.bundle import load_bundle
from recommender.bundle_folder import publish
from recommender.errors import DataError, DesirepathError
from tests import redis_server

SEED = 0


def main() -> None:
    given = arguments_of(description=__doc__)
    console = Console(as_json=given.json)
    # Whoever ends this process ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        check(given)
        for folder in filter(None, (given.folder, given.cache)):
            folder.mkdir(parents=True, exist_ok=True)
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
    if given.scale:
        return scale.run(given, scratch, console)
    server_cpus, load_cpus = cores()
    if server_cpus == load_cpus:
        console.say("One core only: server and load share it, and no figure here means much.")
    loader = Loader(find_wrk(), load_cpus)
    stage, versions = staged(model_of(given, scratch, console), given, scratch)
    with ExitStack() as stack:
        if REDIS in given.contestants:
            with pinned(load_cpus):
                redis = redis_server.started(scratch / "redis")
            stack.callback(redis.stop)
            stage = replace(stage, redis_url=redis.url)
        running = [
            started(stack, name, stage, given, console, server_cpus) for name in given.contestants
        ]
        count = given.visitors
        introduce(running, visitors.steps(stage.catalogue, count, SEED, now()), count)
        before = levels(running)
        plan = Plan(given.connections, given.rounds, given.seconds)
        shots = list(measured(running, loader, plan))
        if (after := levels(running)) != before:
            raise DataError(
                f"answers changed from {before} to {after}: the visits ended before the measuring "
                "did; ask for fewer rounds or seconds"
            )
        states = {each.name: state_of(each.server, after.get(each.name)) for each in running}
        more: dict[str, object] = {
            "open_loop": open_rates(running, shots, given, scratch, load_cpus)
        }
        if given.swaps:
            more["swaps"], swapped = under_swaps(running, loader, plan, versions)
            shots += swapped
    return told(shots, states, len(stage.catalogue), console) | more


def staged(model: Model, given: argparse.Namespace, scratch: Path) -> tuple[Stage, list[str]]:
    """Deliver the model, and a twin of it where models are to be swapped; their versions."""
    bundles = scratch / "bundles"
    versions = [publish(model.bundle, bundles)]
    kept, exact = given.cache or scratch, ""
    if given.swaps:
        twin = twins.twin_of(model.bundle, kept / f"{versions[0]}-twin")
        versions.append(publish(twin, bundles))
    if EXACT in given.contestants:
        twin = twins.exact_twin_of(model.bundle, kept / f"{versions[0]}-exact")
        exact = publish(twin, bundles)
    catalogue, roots = load_bundle(model.bundle).catalogue, scratch / "roots"
    return Stage(roots, bundles, versions[0], catalogue, model.factors, exact), versions


def started(
    stack: ExitStack,
    name: str,
    stage: Stage,
    given: argparse.Namespace,
    console: Console,
    server_cpus: frozenset[int],
) -> Running:
    """Start one contestant; it ends with the stack."""
    stage.folder.mkdir(exist_ok=True)
    each = contestant(name, stage)
    if name in MODELLED and given.known:
        redis_url = stage.redis_url if name == REDIS else ""
        known.fill(each.root, stage.catalogue, given.known, SEED, redis_url)
    cpus = frozenset(os.sched_getaffinity(0)) if name in ON_ALL_CORES else server_cpus
    server = start(each.startable, cpus, stage.folder / f"{name}.log")
    stack.callback(server.stop)
    script = stage.folder / f"{name}.lua"
    script.write_text(script_of(each, given.visitors), encoding="utf-8")
    console.say(f"{name}: ready after {server.started_seconds:.1f} s")
    return Running(each, server, script)


def script_of(contestant: Contestant, count: int) -> str:
    """The load: the questions of all visitors in turn."""
    bodies = contestant.bodies(count)
    return lua_script(contestant.method, contestant.path, contestant.headers, bodies)


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
    found, spread = ratios(shots) | {"worker_memory_ratio": memory_ratio(states)}, spreads(shots)
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


def memory_ratio(states: Mapping[str, Mapping[str, object]]) -> float | None:
    """What each further worker takes, through what one process alone takes."""
    if not {ALONE, WORKERS} <= states.keys():
        return None
    one, more = (float(str(states[name]["pss_mib"])) for name in (ALONE, WORKERS))
    return round((more - one) / (WORKER_COUNT - 1) / one, 4)


if __name__ == "__main__":
    main()
