"""Time to score one query's candidates: the bundle's trees against LightGBM's own predict.

Run ``python -m benchmarks.forest``; the table goes to standard error, one JSON object to standard
output. A ranker is learnt on generated queries, exported as a bundle would hold it, and both score
the same candidates in turns. One thread each, and its processor time is what counts: on an idle
machine that is the time that passes, on a busy one the longer call would be interrupted more often.

- *lightgbm*: ``Booster.predict(rows, raw_score=True, num_threads=1)``, as a user calls it;
- *lightgbm fast*: the same C function called without the wrapper, buffers made before;
- *walk*: the plain way, one row and one tree after the other down the nodes, compiled as well;
- *forest*: `recommender.forest`, the array made by the caller, everything else inside the time.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from recommender.compiled import kernel
from recommender.forest import Forest
from recommender.forest_arrays import array_name
from recommender.terms import Float32Array, Float64Array
from training.models.forest_export import export_forest

HEAD = "next_step"
_FLOAT32, _RAW_SCORE = 0, 1
Score = Callable[[Float32Array], Float64Array]


@dataclass(frozen=True)
class Measured:
    """One row of the table; microseconds for all candidates of one query."""

    leaves: int
    trees: int
    candidates: int
    features: int
    way: str
    median_us: float
    p10_us: float
    p90_us: float
    ratio: float
    max_difference: float


def queries(count: int, candidates: int, features: int, seed: int) -> tuple[Float32Array, ...]:
    """Rows (count x candidates, features) of smooth, whole and gappy features, and their labels."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count * candidates, features)).astype(np.float32)
    known = rows.copy()
    rows[:, 1::5] = np.round(rng.exponential(2, rows[:, 1::5].shape))
    rows[:, ::5][rng.random(rows[:, ::5].shape) < 0.2] = np.nan
    worth = known @ rng.normal(size=features) * 0.3 + 3 * np.sin(known[:, 0] * known[:, 2])
    worth += known[:, 3] * known[:, 4] + rng.normal(size=len(rows))
    order = np.argsort(-worth.reshape(count, candidates), axis=1)
    labels = np.zeros((count, candidates), np.float32)
    np.put_along_axis(labels, order[:, :5], 1, axis=1)
    return rows, labels.ravel()


def learn(leaves: int, trees: int, candidates: int, features: int) -> lgb.Booster:
    """LambdaMART with trees of exactly so many leaves, as far as the data has them."""
    rows, labels = queries(200, candidates, features, seed=0)
    parameters = {
        "objective": "lambdarank",
        "num_leaves": leaves,
        "learning_rate": 0.05,
        "min_data_in_leaf": 20,
        "num_threads": 1,
        "deterministic": True,
        "seed": 1,
        "verbose": -1,
    }
    groups = np.full(200, candidates)
    return lgb.train(parameters, lgb.Dataset(rows, labels, group=groups), trees)


def fast_lightgbm(booster: lgb.Booster) -> Score:
    """The C function behind ``predict``, without what Python does around it."""
    predict = lgb.basic._LIB.LGBM_BoosterPredictForMat

    def score(rows: Float32Array) -> Float64Array:
        found = np.empty(len(rows), np.float64)
        written = ctypes.c_int64(0)
        predict(
            booster._handle,
            ctypes.c_void_p(rows.ctypes.data),
            ctypes.c_int(_FLOAT32),
            ctypes.c_int32(rows.shape[0]),
            ctypes.c_int32(rows.shape[1]),
            ctypes.c_int(1),
            ctypes.c_int(_RAW_SCORE),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(written),
            found.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        )
        return found

    return score


@kernel
def _walk(rows: Float32Array, parts: Any) -> Float64Array:
    feature, threshold, nan_left, left, right, leaf, offsets = parts
    total = np.zeros(len(rows), np.float64)
    for row in range(len(rows)):
        for tree in range(len(offsets) - 1):
            place = offsets[tree] if offsets[tree + 1] > offsets[tree] else ~(offsets[tree] + tree)
            while place >= 0:
                value = rows[row, feature[place]]
                goes_left = nan_left[place] if np.isnan(value) else value <= threshold[place]
                place = np.int64(left[place]) if goes_left else np.int64(right[place])
            total[row] += leaf[~place]
    return total


def walk(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Score:
    """The plain way over the same arrays."""
    names = ("feature", "threshold", "nan_left", "left", "right", "leaf", "offsets")
    parts = tuple(arrays[array_name(HEAD, name)] for name in names)
    return lambda rows: _walk(rows, parts)


def ways(booster: lgb.Booster, features: int) -> dict[str, Score]:
    """What is compared; the first one is what the ratios refer to."""
    arrays = export_forest(booster, HEAD)
    return {
        "lightgbm": lambda rows: np.asarray(
            booster.predict(rows, raw_score=True, num_threads=1), np.float64
        ),
        "lightgbm fast": fast_lightgbm(booster),
        "walk": walk(arrays),
        "forest": Forest.from_arrays(arrays, HEAD, features).score,
    }


def measure(leaves: int, arguments: argparse.Namespace) -> list[Measured]:
    """All ways, in turns, on other candidates each time."""
    trees, candidates, features = arguments.trees, arguments.candidates, arguments.features
    compared = ways(learn(leaves, trees, candidates, features), features)
    rows, _ = queries(20, candidates, features, seed=1)
    expected = compared["lightgbm"](rows)
    differences = {
        way: float(np.abs(score(rows) - expected).max()) for way, score in compared.items()
    }
    taken: dict[str, list[float]] = {way: [] for way in compared}
    for repeat in range(arguments.repeats):
        query = np.ascontiguousarray(rows.reshape(20, candidates, features)[repeat % 20])
        for way, score in compared.items():
            began = time.thread_time()
            score(query)
            taken[way].append(1e6 * (time.thread_time() - began))
    reference = statistics.median(taken["lightgbm"])
    return [
        Measured(
            leaves=leaves,
            trees=trees,
            candidates=candidates,
            features=features,
            way=way,
            median_us=round(statistics.median(times), 1),
            p10_us=round(float(np.quantile(times, 0.1)), 1),
            p90_us=round(float(np.quantile(times, 0.9)), 1),
            ratio=round(statistics.median(times) / reference, 4),
            max_difference=differences[way],
        )
        for way, times in taken.items()
    ]


def show(rows: list[Measured]) -> None:
    """The table, on standard error."""
    names = list(asdict(rows[0]))
    table = [names, *([str(value) for value in asdict(row).values()] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(names))]
    for line in table:
        cells = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells), file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--leaves", type=int, nargs="+", default=[31, 63, 127])
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--candidates", type=int, default=150)
    parser.add_argument("--features", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=200)
    arguments = parser.parse_args()
    rows = [row for leaves in arguments.leaves for row in measure(leaves, arguments)]
    show(rows)
    forest = [row for row in rows if row.way == "forest"]
    result = {
        "forest_vs_lightgbm": {str(row.leaves): row.ratio for row in forest},
        "max_difference": max(row.max_difference for row in forest),
        "rows": [asdict(row) for row in rows],
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
