from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.bundle_schema import check_arrays
from recommender.errors import BundleError
from recommender.forest import Forest
from recommender.forest_arrays import MAX_LEAVES, heads_of
from tests.bundles import shop_arrays
from tests.conftest import ROOT
from tests.forests import named, random_forest, two_trees, walked

NAN, INF = np.nan, np.inf


def test_each_row_gets_the_leaves_it_reaches() -> None:
    forest = Forest.from_arrays(two_trees(), "next_step", 2)
    rows = [(0, -1), (0, NAN), (1, 1), (2, 0), (NAN, 0), (INF, INF), (-INF, -INF)]
    expected = [1.5, 1.5, 2.5, 4.5, 4.5, 4.5, 1.5]
    assert forest.score(np.array(rows, np.float32)).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(
    leaves=st.lists(st.integers(1, 140), min_size=0, max_size=6),
    n=st.sampled_from([0, 1, 15, 16, 17, 160, 255, 256, 257, 600]),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_agrees_with_a_walk_down_the_trees(leaves: list[int], n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = random_forest(rng, leaves)
    check_arrays(shop_arrays() | arrays)
    values = np.array([-INF, -3, -2, -1, -0.0, 0, 1, 2, 3, INF, NAN], np.float32)
    rows = values[rng.integers(len(values), size=(n, 5))]
    scores = Forest.from_arrays(arrays, "next_step", 5).score(rows)
    assert scores.dtype == np.float64
    assert scores.tolist() == [walked(arrays, row) for row in rows[:40]] + scores[40:].tolist()
    if n:
        assert scores[-1] == walked(arrays, rows[-1])


def test_the_largest_tree_may_be_a_chain() -> None:
    nodes = MAX_LEAVES - 1
    for chain, ends in (("left", "right"), ("right", "left")):
        parts: dict[str, Any] = {
            "feature": np.zeros(nodes),
            # Each step on the way down the chain asks for a little more.
            "threshold": np.arange(nodes)[::-1] if chain == "left" else np.arange(nodes),
            "nan_left": np.zeros(nodes),
            chain: [*range(1, nodes), ~nodes],
            ends: ~np.arange(nodes),
            "leaf": np.arange(MAX_LEAVES),
            "offsets": [0, nodes],
        }
        arrays = named("next_step", **parts)
        check_arrays(shop_arrays() | arrays)
        rows = np.linspace(-1, nodes, 300, dtype=np.float32)[:, None]
        scores = Forest.from_arrays(arrays, "next_step", 1).score(rows)
        assert scores.tolist() == [walked(arrays, row) for row in rows]


def test_rows_may_be_read_only_or_lie_the_other_way() -> None:
    forest = Forest.from_arrays(two_trees(), "next_step", 2)
    rows = np.array([(0, -1), (2, 0), (1, 1)], np.float32)
    expected = forest.score(rows).tolist()
    assert forest.score(np.asfortranarray(rows)).tolist() == expected
    rows.flags.writeable = False
    assert forest.score(rows).tolist() == expected


@pytest.mark.parametrize(
    "rows", [np.zeros((3, 2)), np.zeros((3, 3), np.float32), np.zeros(2, np.float32)]
)
def test_rows_of_another_kind_are_refused(rows: np.ndarray) -> None:
    forest = Forest.from_arrays(two_trees(), "next_step", 2)
    with pytest.raises(ValueError, match=r"accepted: float32 \(n, 2\)"):
        forest.score(rows)


def test_a_feature_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(BundleError, match="feature 1; there are 1"):
        Forest.from_arrays(two_trees(), "next_step", 1)


def test_heads_are_found_by_the_names_of_their_arrays() -> None:
    names = [*two_trees(), *two_trees("purchase"), "popularity", "forest_next_step_depth"]
    assert heads_of(names) == ["next_step", "purchase"]


def _set(part: str, place: int, value: float) -> Callable[[dict[str, np.ndarray]], None]:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[f"forest_next_step_{part}"][place] = value

    return change


def _put(part: str, value: np.ndarray | None) -> Callable[[dict[str, np.ndarray]], None]:
    def change(arrays: dict[str, np.ndarray]) -> None:
        if value is None:
            del arrays[f"forest_next_step_{part}"]
        else:
            arrays[f"forest_next_step_{part}"] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_put("leaf", None), "arrays missing: forest_next_step_leaf"),
        (_put("leaf", np.zeros(3)), "3 leaves"),
        (_put("leaf", np.zeros(4, np.float32)), "dtype"),
        (_put("left", np.array([1], np.int32)), "dimension"),
        (_put("offsets", np.zeros(0, np.int64)), "dimension"),
        (_put("depth", np.zeros(2, np.int32)), "not part of bundle format"),
        (_set("leaf", 0, NAN), "NaN"),
        (_set("threshold", 0, INF), "infinity"),
        (_set("feature", 0, -1), "below 0"),
        (_set("offsets", 0, 1), "span"),
        (_set("offsets", 1, 3), "span"),
        (_set("offsets", 2, 1), "span"),
        (_set("offsets", 1, 1), "outside its tree"),
        (_set("left", 0, 0), "not after its parent"),
        (_set("right", 1, 0), "not after its parent"),
        (_set("left", 0, 2), "outside its tree"),
        (_set("right", 0, ~3), "outside its tree"),
        (_set("right", 0, -(2**31)), "outside its tree"),
        (_set("left", 0, ~0), "exactly one parent"),
        (_set("right", 0, 1), "exactly one parent"),
        (_set("right", 0, ~1), "exactly one parent"),
    ],
)
def test_damaged_arrays_are_refused(
    change: Callable[[dict[str, np.ndarray]], None], message: str
) -> None:
    arrays = shop_arrays() | two_trees()
    check_arrays(arrays)
    change(arrays)
    with pytest.raises(BundleError, match=message):
        check_arrays(arrays)


def test_a_tree_that_would_fill_the_memory_is_refused() -> None:
    arrays = random_forest(np.random.default_rng(0), [3, MAX_LEAVES + 1])
    with pytest.raises(BundleError, match="a tree of 1025 leaves; accepted: up to 1024"):
        check_arrays(shop_arrays() | arrays)


SCORE = """
import json, sys
import numpy as np
from recommender.forest import Forest
from tests.forests import two_trees
scores = Forest.from_arrays(two_trees(), "next_step", 2).score(np.zeros((1, 2), np.float32))
print(json.dumps([scores.tolist(), "lightgbm" in sys.modules]))
"""


@pytest.mark.parametrize("writable", [True, False])
def test_machine_code_is_kept_where_a_folder_can_be_written(
    tmp_path: Path, *, writable: bool
) -> None:
    folder = tmp_path / "cache"
    if not writable:
        folder.write_text("a file, so that no folder can be made here")
    done = subprocess.run(
        [sys.executable, "-c", SCORE],
        cwd=ROOT,
        env={
            "PATH": "",
            "NUMBA_CACHE_DIR": str(folder),
            "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[1.5], False]
    assert any(folder.rglob("*.nbc")) == writable
