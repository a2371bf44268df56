"""What an answer costs as a shop grows: the same load at several numbers of items and shoppers.

Sizes are measured one after the other, not in turn as contestants are: two large models do not fit
beside each other. So it is processor time per answer that is compared, and not waiting.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.latency_parts import known, visitors
from benchmarks.latency_parts.contestants import FULL, Stage, contestant
from benchmarks.latency_parts.load import Loader, find_wrk, lua_script
from benchmarks.latency_parts.processes import Server, cores, start
from benchmarks.latency_parts.shop import model_of
from feature_store.console import Console
from recommender.bundle import load_bundle
from recommender.bundle_folder import publish

SEED: Final = 0
CONNECTIONS: Final = 4
PICTURE: Final = "latency_scale.png"
Found = dict[str, Any]


def run(given: argparse.Namespace, scratch: Path, console: Console) -> Found:
    """Measure all sizes; ``scale_cost`` is that of the largest through that of the smallest."""
    found = []
    for size in sorted(given.scale):
        folder = scratch / f"{size}"
        found.append(measured(given, size, folder, console))
        console.say(f"{size:,} items and shoppers: {found[-1]['cpu_us']:,.0f} µs an answer")
        shutil.rmtree(folder)
    console.table("Cost of an answer by size", found)
    if given.out:
        draw(found, given.out)
    cost = round(found[-1]["cpu_us"] / found[0]["cpu_us"], 3)
    errors = sum(each["errors"] for each in found)
    load = os.getloadavg()[0]
    return {"scale_cost": cost, "errors": errors, "sizes": found, "load_average": load}


def measured(given: argparse.Namespace, size: int, scratch: Path, console: Console) -> Found:
    """The full service at one size."""
    scratch.mkdir()
    sized = argparse.Namespace(**vars(given) | {"items": size, "known": size})
    model = model_of(sized, scratch, console)
    bundles = scratch / "bundles"
    version = publish(model.bundle, bundles)
    catalogue = load_bundle(model.bundle).catalogue
    each = contestant(FULL, Stage(scratch / "roots", bundles, version, catalogue, model.factors))
    known.fill(each.root, catalogue, size, SEED)
    server_cpus, load_cpus = cores()
    server = start(each.startable, server_cpus, scratch / "log")
    try:
        now = time.time_ns() // 1000
        events = visitors.steps(catalogue, given.visitors, SEED, now)
        visitors.send(server.url, each.key, events)
        script = scratch / "load.lua"
        bodies = each.bodies(given.visitors)
        script.write_text(lua_script(each.method, each.path, each.headers, bodies), "utf-8")
        return _loaded(server, Loader(find_wrk(), load_cpus), script, given) | {
            "items": size,
            "shoppers": size,
            "startup_seconds": round(server.started_seconds, 2),
            "pss_mib": round(server.pss_mib(), 1),
        }
    finally:
        server.stop()


def _loaded(server: Server, loader: Loader, script: Path, given: argparse.Namespace) -> Found:
    loader.run(server.url, script, CONNECTIONS, 1)  # warms up
    costs, waits, errors = [], [], 0
    for _ in range(given.rounds):
        server.drain()
        before = server.cpu_seconds()
        answered = loader.run(server.url, script, CONNECTIONS, given.seconds)
        costs.append(1e6 * (server.cpu_seconds() - before) / answered.requests)
        waits.append(answered.p50_ms)
        errors += answered.errors
    cost, wait = statistics.median(costs), statistics.median(waits)
    return {"cpu_us": round(cost, 1), "p50_ms": round(wait, 3), "errors": errors}


def draw(found: Sequence[Found], folder: Path) -> None:
    """Write the picture: processor time over size, both logarithmic."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.loglog([each["items"] for each in found], [each["cpu_us"] for each in found], "o-")
    axes.set_xlabel("items, and as many known shoppers")
    axes.set_ylabel("processor time per answer, µs")
    axes.set_ylim(bottom=100)
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(folder / PICTURE, dpi=120)
