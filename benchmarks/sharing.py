"""What decides how workers share a model: where arrays lie, and what a load in a thread costs.

Run ``python -m benchmarks.sharing --bundle FOLDER``. A matrix-vector product is timed in private
memory and in a memfd in turn; then a bundle is loaded in a thread beside an event loop that wants
to turn every millisecond, with Python's switch interval and with a tenth of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from feature_store.console import Console
from recommender.bundle import load_bundle
from recommender.placements import read_placements
from serving.bundle_source import load_checked

ROWS, FACTORS, ROUNDS = 100_000, 128, 40
PYTHON_SWITCH_SECONDS = 0.005
SHORT_SWITCH_SECONDS = 0.0005
TURN_SECONDS, IDLE_SECONDS = 0.001, 3.0


def placements_ms() -> dict[str, float]:
    """Least time of a product over 51 MB, milliseconds, in either kind of memory."""
    private = np.random.default_rng(0).standard_normal((ROWS, FACTORS)).astype(np.float32)
    descriptor = os.memfd_create("factors")
    os.ftruncate(descriptor, private.nbytes)
    with mmap.mmap(descriptor, private.nbytes) as page:
        page[:] = private.tobytes()
    page = mmap.mmap(descriptor, private.nbytes, prot=mmap.PROT_READ)
    shared = np.frombuffer(page, np.float32).reshape(ROWS, FACTORS)
    vector = private[0].copy()
    least = {"private": np.inf, "memfd": np.inf}
    for _ in range(ROUNDS):
        for name, array in (("private", private), ("memfd", shared)):
            began = time.thread_time()
            array @ vector
            least[name] = min(least[name], 1e3 * (time.thread_time() - began))
    return {name: round(each, 2) for name, each in least.items()}


async def lag_ms(work: Callable[[], object]) -> dict[str, float]:
    """How late a loop turns while a thread works, milliseconds."""
    thread = threading.Thread(target=work)
    thread.start()
    late = []
    while thread.is_alive():
        began = time.perf_counter()
        await asyncio.sleep(TURN_SECONDS)
        late.append(1e3 * (time.perf_counter() - began - TURN_SECONDS))
    return {"p99_ms": round(float(np.percentile(late, 99)), 2), "max_ms": round(max(late), 1)}


def lags(bundle: Path) -> dict[str, dict[str, float]]:
    """The lag beside a load with each interval, and beside none."""
    version, places = load_bundle(bundle).version, list(read_placements().values())
    if bundle.name != version:
        raise SystemExit(f"{bundle}: the folder must be named {version}, as delivered ones are")

    def load() -> None:
        load_checked(bundle.parent, version, places)

    found = {}
    for name, seconds in (("python", PYTHON_SWITCH_SECONDS), ("short", SHORT_SWITCH_SECONDS)):
        sys.setswitchinterval(seconds)
        found[name] = asyncio.run(lag_ms(load))
    found["idle"] = asyncio.run(lag_ms(lambda: time.sleep(IDLE_SECONDS)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of a delivered bundle")
    given = parser.parse_args()
    console = Console(as_json=True)
    placed, lag = placements_ms(), lags(given.bundle)
    console.table("Product over 51 MB, ms", [placed])
    console.table("Event loop beside a load", [{"interval": n, **each} for n, each in lag.items()])
    print(json.dumps({"product_ms": placed, "lag": lag}))


if __name__ == "__main__":
    main()
