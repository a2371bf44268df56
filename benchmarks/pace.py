"""What telling the pace of a visit costs in the answer path: ``python -m benchmarks.pace``.

Prints processor time over visits of some lengths, median and 99th percentile in microseconds: the
signs, the categories looked up in a bundle of 100,000 items, the quantiles and the network.
"""

from __future__ import annotations

import json
import time

import numpy as np

from recommender.bundle import bundle_of
from recommender.bundle_manifest import BundleInfo, BundleManifest
from recommender.catalogue import CatalogueItem, catalogue_arrays
from recommender.pace import COMPARED, KNOTS
from recommender.query import Interaction, Visit
from recommender.terms import SEARCH, VIEW_ITEM
from training.models.pace import arrays_of
from training.pace_file import read_pace_file

ITEMS, ROUNDS, LENGTHS = 100_000, 2_000, (3, 5, 10, 20, 50)


def main() -> None:
    items = [CatalogueItem(f"item-{i:06d}", category=f"c{i % 300}") for i in range(ITEMS)]
    levels = np.tile(np.linspace(0, 60, KNOTS, dtype=np.float32), (len(COMPARED), 1))
    arrays = catalogue_arrays(items, np.ones(ITEMS, np.float32))
    arrays |= arrays_of(levels, read_pace_file().network())
    info = BundleInfo("", "", "", {}, "", {}, {}, {}, {}, 1.0)
    bundle = bundle_of(arrays, BundleManifest.describe(info, {}))
    rng = np.random.default_rng(0)
    for length in LENGTHS:
        taken = []
        for _ in range(ROUNDS):
            visit = _visit(length, rng)
            begin = time.thread_time()
            bundle.pace(visit)
            taken.append((time.thread_time() - begin) * 1e6)
        median, tail = np.quantile(taken, [0.5, 0.99])
        print(json.dumps({"events": length, "p50_us": round(median, 1), "p99_us": round(tail, 1)}))


def _visit(length: int, rng: np.random.Generator) -> Visit:
    ts, events = 0, []
    for number in range(length):
        ts += int(rng.integers(2, 120)) * 1_000_000
        if number % 4 == 0:
            events.append(Interaction("", SEARCH, ts))
        else:
            events.append(Interaction(f"item-{rng.integers(ITEMS):06d}", VIEW_ITEM, ts))
    return Visit(tuple(events))


if __name__ == "__main__":
    main()
