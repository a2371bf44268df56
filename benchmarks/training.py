"""Seconds and peak memory of a training run, stage by stage, beside the least a model can take.

Run ``python -m benchmarks.training``; tables go to standard error, one JSON object to standard
output. For each size a shop is simulated and brought into tables; then, each in a process of its
own, one after the other:

- *bare*: one polars scan of the tables into weights of pairs, and one fit of `implicit` with the
  settings of the specification: what somebody pays who wants a factor model and nothing else;
- *train*: the whole run of `desirepath train` up to the bundle on disk, without MLflow and gate:
  fits to learn from, blend, ranker, fit to judge, report, and the last fit, all sources in each.

``whole_vs_bare`` is the run beside the bare scan and fit, ``last_fit_vs_bare`` the window and the
last fit with all its sources beside the same; ``_cpu`` behind it: in processor seconds, which is
what to compare on a machine that others use. Events are those of the simulator; a list of items is
one of them and several rows of the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.training_parts.steps import BARE, SIMULATE, TRAIN

USUALLY: Final = [1_000_000, 10_000_000, 30_000_000]
QUICKLY: Final = [100_000, 300_000]
# Stages before the last fit; what is not among them belongs to it.
EARLIER: Final = ("fit_to_learn", "blend", "ask_", "teach", "fit_to_judge", "evaluate")
SECONDS, CPU = "seconds", "cpu seconds"
Said = dict[str, Any]


def measure(events: int, folder: Path, given: argparse.Namespace) -> dict[str, Said]:
    """The steps of one size, each in a process of its own; those that did not end are missing.

    Tables that an earlier run left in the folder are taken as they are.
    """
    found: dict[str, Said] = {}
    kept = folder / f"{SIMULATE}.json"
    if kept.exists():
        found[SIMULATE] = json.loads(kept.read_text())
    for step in (SIMULATE, BARE, TRAIN):
        if step in found:
            continue
        said = _run(step, folder, events, given)
        if said is None:
            return found
        found[step] = said
        if step == SIMULATE:
            kept.write_text(json.dumps(said))
    return found


def _run(step: str, folder: Path, events: int, given: argparse.Namespace) -> Said | None:
    words = [sys.executable, "-m", "benchmarks.training_parts.steps", step]
    words += [str(folder), str(events), given.config or ""]
    try:
        done = subprocess.run(
            words, stdout=subprocess.PIPE, check=False, timeout=given.timeout, text=True
        )
    except subprocess.TimeoutExpired:
        print(f"{step} of {events:,} events: not done in {given.timeout} s", file=sys.stderr)
        return None
    if done.returncode:
        print(f"{step} of {events:,} events: exit code {done.returncode}", file=sys.stderr)
        return None
    said: Said = json.loads(done.stdout.splitlines()[-1])
    return said


def figures(found: Mapping[str, Said]) -> dict[str, float]:
    """Seconds, peaks and ratios of one size, as far as its steps ended."""
    flat: dict[str, float] = {}
    for step, said in found.items():
        for unit in (SECONDS, CPU):
            flat[f"{step} {unit}"] = round(_sum(said["stages"], unit), 2)
        flat[f"{step} peak MB"] = max(stage["peak MB"] for stage in said["stages"])
    if BARE in found and TRAIN in found:
        whole = found[TRAIN]["stages"]
        last = [each for each in whole if not each["stage"].startswith(EARLIER)]
        for name, stages in (("whole", whole), ("last_fit", last)):
            for suffix, unit in (("", SECONDS), ("_cpu", CPU)):
                ratio = _sum(stages, unit) / _sum(found[BARE]["stages"], unit)
                flat[f"{name}_vs_bare{suffix}"] = round(ratio, 2)
    return flat


def _sum(stages: Sequence[dict[str, Any]], unit: str) -> float:
    return float(sum(stage[unit] for stage in stages))


def show(events: int, found: Mapping[str, Said]) -> None:
    """Tables of one size, on standard error."""
    print(f"\n{events:,} events", file=sys.stderr)
    for step, said in found.items():
        print(f"  {step}: {said['said']}", file=sys.stderr)
        for stage in said["stages"]:
            seconds = f"{stage[SECONDS]:10.2f} s{stage[CPU]:10.2f} s cpu"
            print(f"    {stage['stage']:24}{seconds}{stage['peak MB']:10.0f} MB", file=sys.stderr)
    for name, value in figures(found).items():
        print(f"  {name:24}{value:12,.2f}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 2 where a step of some size did not end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--events", type=_numbers, default=USUALLY, help="sizes, by commas")
    add("--quick", action="store_true", help=f"sizes {QUICKLY}")
    add("--config", help="training file; the defaults without")
    add("--folder", type=Path, help="where logs and tables are kept for another run")
    add("--timeout", type=float, default=3600.0, help="seconds that a step may take")
    given = parser.parse_args(arguments)
    sizes = QUICKLY if given.quick else given.events
    rows: dict[str, dict[str, Said]] = {}
    with tempfile.TemporaryDirectory(prefix="training-") as scratch:
        for events in sizes:
            folder = (given.folder or Path(scratch)) / str(events)
            folder.mkdir(parents=True, exist_ok=True)
            rows[str(events)] = measure(events, folder, given)
            show(events, rows[str(events)])
    result = {
        "sizes": {events: figures(found) for events, found in rows.items()},
        "stages": rows,
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(result))
    return 0 if all(TRAIN in found for found in rows.values()) else 2


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
