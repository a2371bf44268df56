"""What the shop's rules cost: CPU milliseconds of the pipeline without rules, and with ten of them.

Run ``python -m benchmarks.rules``; the table goes to standard error, one JSON object to standard
output. The variants are asked the same questions in turn, each twice: the second time the list that
anybody would get on this page is there already, where it may be kept. Other processes do not count;
the bundle is the known-answer shop of the tests, grown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from time import thread_time

import numpy as np

from recommender.bundle import ModelBundle, bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.catalogue import CatalogueItem, catalogue_arrays
from recommender.merchandising.active import NO_RULES, BoundRules, bind
from recommender.merchandising.rules_file import DEFAULT_FILE, parse_rules, read_rules
from recommender.pipeline import recommend
from recommender.placements import read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.terms import VIEW_ITEM
from tests.bundles import AT, AT_MICROS, shop_info

FACTORS = 64
PLACE = "home"
RULES: tuple[Mapping[str, object], ...] = (
    {"kind": "exclude", "where": 'category = "c0/c0"'},
    {"kind": "price_band", "around": "page", "low": 0.2, "high": 5},
    {"kind": "boost", "where": 'brand = "b1"', "factor": 2},
    {"kind": "boost", "where": "price < 1.5 * context.price", "factor": 1.3},
    {"kind": "bury", "where": 'category in ("c1", "c2")', "factor": 0.5},
    {"kind": "diversity", "level": "medium"},
    {"kind": "calibration", "strength": 0.3, "min_history": 5},
    {"kind": "pin", "items": {"item-7": 3}},
    {"kind": "promotion", "where": 'brand = "b2"', "share": 0.2, "from_position": 2},
    {"kind": "constraint", "per": "brand", "at_most": 3},
)
STAGES: Mapping[str, tuple[int, ...]] = {
    "what may be shown": (0, 1),
    "boosts": (2, 3, 4),
    "diversity": (5,),
    "calibration": (6,),
    "slots": (7, 8, 9),
    "all ten": tuple(range(10)),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=300)
    given = parser.parse_args()
    bundle = grown(given.items)
    variants = {"no rules": NO_RULES, "the file of the release": _shipped(bundle)} | {
        name: _bound(bundle, numbers) for name, numbers in STAGES.items()
    }
    times = measured(bundle, variants, given.questions)
    result = {
        name: {
            f"{which}_p{share}_ms": round(float(np.percentile(each, share)), 3)
            for which, each in zip(("first", "again"), zip(*taken, strict=True), strict=True)
            for share in (50, 10)
        }
        for name, taken in times.items()
    }
    for name, row in result.items():
        print(
            f"{name:26} first p50 {row['first_p50_ms']:7.3f} ms  p10 {row['first_p10_ms']:7.3f} ms"
            f"   again p50 {row['again_p50_ms']:7.3f} ms  p10 {row['again_p10_ms']:7.3f} ms",
            file=sys.stderr,
        )
    print(json.dumps({"items": given.items, "questions": given.questions, "variants": result}))


def grown(n: int) -> ModelBundle:
    """A bundle of n items with the factor model and popularity, 100 categories and 50 brands."""
    rng = np.random.default_rng(0)
    items = [
        CatalogueItem(
            f"item-{i}", f"Thing {i}", f"c{i % 10}/c{i // 10 % 10}", f"b{i % 50}", 1.0 + i % 90
        )
        for i in range(n)
    ]
    y = rng.normal(0, 0.1, (n, FACTORS)).astype(np.float32)
    inverse = np.linalg.inv(y.T @ y + 0.1 * np.eye(FACTORS)).astype(np.float32)
    arrays = catalogue_arrays(items, np.linspace(10, 1, n).astype(np.float32)) | {
        "item_factors": y,
        "factor_inverse": inverse,
    }
    info = shop_info(blend={"als": 1.0, "popularity": 0.05})
    kept = {name: info.sources[name] for name in ("als", "popularity", "popular_in_category")}
    return bundle_of(arrays, BundleManifest.describe(replace(info, sources=kept), {}))


def measured(
    bundle: ModelBundle, variants: Mapping[str, BoundRules], questions: int
) -> dict[str, list[tuple[float, float]]]:
    """CPU milliseconds of each question under each variant, the first time and the second."""
    rng, place, policy = np.random.default_rng(1), read_placements()[PLACE], TopPolicy()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}

    def asked(query: Query, rules: BoundRules) -> float:
        begin = thread_time()
        recommend(query, bundle, place, policy, rules)
        return (thread_time() - begin) * 1000

    for _ in range(questions):
        met = rng.integers(0, len(bundle.catalogue), 12).tolist()
        history = tuple(
            Interaction(f"item-{item}", VIEW_ITEM, AT_MICROS - (12 - step) * 10**9)
            for step, item in enumerate(met)
        )
        query = Query(AT, PLACE, 12, history, context_items=(f"item-{met[-1]}",))
        for name, rules in variants.items():
            times[name].append((asked(query, rules), asked(query, rules)))
    return times


def _shipped(bundle: ModelBundle) -> BoundRules:
    return bind(read_rules(DEFAULT_FILE, read_placements())[0], bundle.catalogue)


def _bound(bundle: ModelBundle, numbers: tuple[int, ...]) -> BoundRules:
    tables = [{"name": f"rule {number}", **RULES[number]} for number in numbers]
    rules = parse_rules({"version": "measured", "rules": tables}, read_placements())
    return bind(rules, bundle.catalogue)


if __name__ == "__main__":
    main()
