"""Whether everybody gives a subject the same arm: a service, restarted, and the command line.

Run ``python -m benchmarks.assignment``. The service is asked through `POST /v1/assignments` with 1
and with 4 workers, each time as a new process over a new connection per batch, so that all workers
answer; the command line reads the service's own file of the experiment. Exit code 1 where two
digests differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import httpx

from feature_store.experiment_assign import AssignmentDigest
from feature_store.layout import StoreLayout
from tests.conftest import ROOT
from tests.serving.experiments import make
from tests.serving.service import publish_shop, running

KEY = "digest"
BATCH = 1000


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--workers", default="1,4")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        workers = [int(each) for each in given.workers.split(",")]
        rows = compared(Path(folder) / "shop", given.ids, workers)
    for row in rows:
        sys.stderr.write(f"{row['by']:<24} {row['seconds']:8.1f} s  {row['digest']}\n")
    if given.json:
        sys.stdout.write(json.dumps(rows) + "\n")
    sys.exit(len({row["digest"] for row in rows}) != 1)


def compared(root: Path, n: int, workers: list[int]) -> list[dict[str, object]]:
    """Digests of the arms of `n` ids: a service with each number of workers, the command line."""
    publish_shop(root)
    ids = [f"visitor-{number}-é用户" for number in range(n)]
    rows = []
    for place, count in enumerate(workers):
        with running(root, "--dev", "--workers", str(count)) as process:
            if place == 0:
                with process.client() as client:
                    weights = {"key": "a", "weight": 0.3}, {"key": "b", "weight": 0.7}
                    make(client, KEY, *weights, coverage=0.9)
            ask = partial(by_service, process.url, ids)
            rows.append(_timed(f"service, {count} workers", ask))
    path = root / "ids.txt"
    path.write_text("".join(f"{each}\n" for each in ids), encoding="utf-8")
    rows.append(_timed("command line", partial(by_command_line, root, path)))
    return rows


def by_service(url: str, ids: list[str]) -> str:
    """Digest of what the service answers."""
    digest = AssignmentDigest()
    for begin in range(0, len(ids), BATCH):
        batch = ids[begin : begin + BATCH]
        question = {"subjects": [{"visitor_id": each} for each in batch], "experiments": [KEY]}
        answer = httpx.post(f"{url}/v1/assignments", json=question, timeout=60)
        answer.raise_for_status()
        for each, (found,) in zip(batch, answer.json()["assignments"], strict=True):
            takes_part = found["in_experiment"]
            digest.add(each, found["variant"], found["reason"], takes_part=takes_part)
    return digest.hexdigest


def by_command_line(root: Path, ids: Path) -> str:
    """Digest of what the command line says."""
    file = StoreLayout(root).experiments / f"{KEY}.json"
    command = [sys.executable, "-m", "desirepath", "experiment", "assign", "--json"]
    done = subprocess.run(
        [*command, "--file", str(file), "--ids", str(ids)],
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    return str(json.loads(done.stdout)["digest"])


def _timed(by: str, work: Callable[[], str]) -> dict[str, object]:
    begun = perf_counter()
    digest = work()
    return {"by": by, "digest": digest, "seconds": perf_counter() - begun}


if __name__ == "__main__":
    main()
