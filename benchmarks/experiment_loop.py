"""A closed loop: champion against challenger on the simulated shop, over HTTP, up to MLflow.

Run ``python -m benchmarks.experiment_loop`` (``--quick``: a small shop and 100,000 ids); tables go
to standard error, one JSON object to standard output, exit code 1 where something is not as it
must be. Everything is done by real processes: `desirepath train`, `serve` with several workers and
keys, `experiment assign`, `ingest`, `experiment read`, `preference`, `evaluate --off-policy`,
`promote`, `experiment guard` and `deliver`.

A shop runs for some days on its static lists, and two models are learnt from that log: one of
everything, and one that puts popular items first. The latter is made the champion. Five tests run
side by side (see `benchmarks.experiment_parts.trials`), the shop's shoppers come, and what the log
says of the tests decides which model serves.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.experiment_parts.decisions import Court, agree, checks_of
from benchmarks.experiment_parts.models import LoopShop, learn_both, open_shop, write_log
from benchmarks.experiment_parts.service import (
    make_keys,
    served,
    subjects,
    timed_digest,
    timed_digest_of_file,
    workers_that_answered,
)
from benchmarks.experiment_parts.traffic import last_word, run_days
from benchmarks.experiment_parts.trials import SHIP, trials
from benchmarks.experiment_parts.verbs import verb
from feature_store.console import Console
from recommender.errors import DesirepathError
from training.simulation.catalogue import CatalogueSpec
from training.simulation.run import live_start
from training.simulation.shop import ShopSpec
from training.simulation.shoppers import ShopperSpec

DAY_SECONDS: Final = 86_400
Findings = dict[str, Any]


def shop_of(given: argparse.Namespace) -> LoopShop:
    """The shop before its first day; its warm-up ends with the day before this one."""
    spec = ShopSpec(
        start=live_start(datetime.now(UTC), given.warm_up),
        days=given.warm_up + given.days,
        catalogue=CatalogueSpec(items=given.items),
        shoppers=ShopperSpec(shoppers=given.shoppers),
    )
    return open_shop(spec, given.warm_up, given.seed)


def run(given: argparse.Namespace, root: Path, console: Console) -> Findings:
    """The whole loop in a folder; gives what was found."""
    shop = shop_of(given)
    events = write_log(shop, root / "warm-up")
    verb(["ingest", "--log", root / "warm-up", "--format", "desirepath-parquet", "--store", root])
    models = learn_both(root, given.window / DAY_SECONDS, given.shoppers // 10)
    console.say(f"learnt {models.good.bundle_version}, {models.weak.bundle_version}: {events}")
    found: Findings = {"seed": given.seed, "shoppers": given.shoppers, "learnt_from": events}
    specs = trials(models.good.bundle_version, models.weak.bundle_version)
    found |= open_days(given, root, shop, specs, console)
    verb(["ingest", "--store", root])
    found |= Court(root, models, console).decided()
    found["checks"] = checks_of(found)
    return found


def open_days(
    given: argparse.Namespace, root: Path, shop: LoopShop, specs: Findings, console: Console
) -> Findings:
    """Serve, let the shoppers come, and compare the arms that everybody gives the same ids."""
    keys, ids, digests = make_keys(root), subjects(given.ids), []
    name = f"{given.workers} workers"
    with served(root, keys, given.workers) as service:
        for key, each in specs.items():
            service.put(key, each)
        time.sleep(given.follow)
        digests.append(timed_digest(f"service, {name}", service, SHIP, ids))
        tally = run_days(shop, given.days, service.url, keys["admin"])
        console.say(f"{tally.answers} lists for {tally.visits} visits in {tally.seconds:.0f} s")
    closes = time.monotonic() + given.window + 1
    with served(root, keys, given.workers) as service:
        digests.append(timed_digest(f"service again, {name}", service, SHIP, ids))
        time.sleep(max(closes - time.monotonic(), 0.0))
        last_word(service.url, keys["admin"])
    digests.append(timed_digest_of_file(root, SHIP, ids))
    console.table(f"Arms of {given.ids} ids", digests)
    traffic = asdict(tally) | {"workers_that_answered": workers_that_answered(root)}
    return {"ids": given.ids, "assignments": digests, "traffic": traffic}


def arguments_of(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says; None: this process's own. What is not named goes by --quick."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--quick", action="store_true", help="a small shop and 100,000 ids")
    add("--shoppers", type=int, help="people and bots")
    add("--items", type=int)
    add("--warm-up", type=int, help="days before the tests")
    add("--days", type=int, help="days of the tests")
    add("--ids", type=int, help="ids whose arms are compared")
    add("--window", type=float, help="seconds after the first answer in which outcomes count")
    add("--workers", type=int, default=4)
    add(
        "--follow", type=float, default=5.0, help="seconds that all workers have to follow a change"
    )
    add("--seed", type=int, default=0)
    add("--folder", type=Path, help="where to write and what to keep; a temporary folder if unset")
    found = parser.parse_args(given)
    for name, value in (QUICK if found.quick else FULL).items():
        if getattr(found, name) is None:
            setattr(found, name, value)
    return found


FULL: Final = {
    "shoppers": 10_000,
    "items": 600,
    "warm_up": 10,
    "days": 6,
    "ids": 1_000_000,
    "window": 240.0,
}
QUICK: Final = {
    "shoppers": 6000,
    "items": 300,
    "warm_up": 8,
    "days": 6,
    "ids": 100_000,
    "window": 150.0,
}


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="experiment-loop-") as scratch:
        yield Path(scratch) / "shop"


def main() -> None:
    """Run, print, judge."""
    given, console = arguments_of(), Console(as_json=True)
    try:
        with _folder(given.folder) as root:
            found = run(given, root, console)
    except DesirepathError as error:
        console.say(f"refused: {error}")
        sys.exit(2)
    console.say(", ".join(f"{way}: {model}" for way, model in found["winner_by"].items()))
    console.say(f"agree: {'yes' if agree(found['winner_by']) else 'no'}")
    console.table("Checks", [{"check": k, "met": v} for k, v in found["checks"].items()])
    sys.stdout.write(json.dumps(found) + "\n")
    sys.exit(not all(found["checks"].values()))


if __name__ == "__main__":
    main()
