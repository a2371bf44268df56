from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.bundle_schema import check_arrays
from recommender.errors import ConfigError
from recommender.forest import Forest
from recommender.forest_arrays import heads_of
from tests.bundles import shop_arrays
from training.models.forest_export import exact_thresholds, export_forest, joined

NAN, INF = np.nan, np.inf
QUIET = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 1, "min_data_in_bin": 1, "seed": 1}


def learnt(
    rows: np.ndarray, leaves: int = 31, rounds: int = 10, **settings: object
) -> tuple[lgb.Booster, np.ndarray]:
    """Booster on noise around the row number, and the largest float32 rows."""
    rng = np.random.default_rng(len(rows))
    target = rng.normal(size=len(rows)) + np.arange(len(rows)) / len(rows)
    parameters = QUIET | {"objective": "regression", "num_leaves": leaves} | settings
    return lgb.train(parameters, lgb.Dataset(rows, target), rounds), target


def noise(seed: int, n: int, features: int) -> np.ndarray:
    """Features of each kind: smooth, whole, with gaps, nearly constant, huge, tiny."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, features)).astype(np.float32)
    for feature, kind in enumerate(rng.integers(6, size=features)):
        column = rows[:, feature]
        if kind == 1:
            column[:] = np.round(column * 2)
        elif kind == 2:
            column[rng.random(n) < 0.3] = NAN
        elif kind == 3:
            column[:] = np.where(rng.random(n) < 0.1, column, 0)
        elif kind == 4:
            column[:] = np.sign(column) * np.exp(np.minimum(40 * np.abs(column), 88))
        elif kind == 5:
            column *= np.float32(1e-42)
    return rows


def hard_rows(booster: lgb.Booster, rng: np.random.Generator, n: int) -> np.ndarray:
    """Rows of thresholds, their float32 neighbours, extremes and gaps."""
    tree = booster.trees_to_dataframe()
    found = tree["threshold"].dropna().to_numpy(np.float64)
    near = np.unique(exact_thresholds(found)) if len(found) else np.zeros(1, np.float32)
    with np.errstate(over="ignore"):
        around = [near, np.nextafter(near, np.float32(INF)), np.nextafter(near, np.float32(-INF))]
    largest = np.finfo(np.float32).max
    values = np.concatenate(
        [
            *around,
            np.array([0, -0.0, 1e-45, -1e-45, 1e-36, largest, -largest, INF, -INF], np.float32),
            np.full(max(3, len(near) // 4), NAN, np.float32),
        ]
    )
    return values[rng.integers(len(values), size=(n, booster.num_feature()))]


def assert_equal_scores(booster: lgb.Booster, rows: np.ndarray) -> None:
    arrays = export_forest(booster, "next_step")
    check_arrays(shop_arrays() | arrays)
    scores = Forest.from_arrays(arrays, "next_step", booster.num_feature()).score(rows)
    np.testing.assert_allclose(scores, booster.predict(rows, raw_score=True), rtol=0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(2, 400),
    features=st.integers(1, 12),
    leaves=st.sampled_from([2, 3, 31, 32, 33, 64, 100, 255]),
    use_missing=st.booleans(),
)
def test_scores_equal_those_of_lightgbm(
    seed: int, n: int, features: int, leaves: int, *, use_missing: bool
) -> None:
    rows = noise(seed, n, features)
    booster, _ = learnt(rows, leaves, use_missing=use_missing)
    assert_equal_scores(booster, rows)
    assert_equal_scores(booster, hard_rows(booster, np.random.default_rng(seed), 300))


@pytest.mark.parametrize("objective", ["lambdarank", "binary", "regression"])
def test_a_ranker_of_some_hundred_trees_gives_the_same_scores(objective: str) -> None:
    rows = noise(3, 3_000, 20)
    label = (np.random.default_rng(0).random(len(rows)) + np.nan_to_num(rows[:, 0]) > 1).astype(int)
    data = lgb.Dataset(rows, label, group=np.full(30, 100))
    booster = lgb.train(QUIET | {"objective": objective, "num_leaves": 63}, data, 200)
    assert_equal_scores(booster, rows)
    assert_equal_scores(booster, hard_rows(booster, np.random.default_rng(1), 500))


def test_a_feature_that_only_matters_by_being_missing() -> None:
    rows = np.ones((100, 2), np.float32)
    rows[:50, 0] = NAN
    booster, _ = learnt(rows)
    values = [NAN, -INF, -1, 0, 1, INF]
    grid = np.array([(a, b) for a in values for b in values], np.float32)
    assert_equal_scores(booster, grid)


def test_nothing_to_learn_gives_trees_of_one_leaf() -> None:
    booster, target = learnt(np.zeros((50, 3), np.float32), rounds=3)
    arrays = export_forest(booster, "next_step")
    assert arrays["forest_next_step_offsets"].tolist() == [0] * (booster.num_trees() + 1)
    assert_equal_scores(booster, np.zeros((2, 3), np.float32))
    scores = Forest.from_arrays(arrays, "next_step", 3).score(np.zeros((1, 3), np.float32))
    assert scores == pytest.approx(target.mean(), abs=1e-6)


def test_only_the_trees_up_to_the_best_round_are_exported() -> None:
    rows = noise(5, 300, 4)
    booster, _ = learnt(rows, rounds=20)
    booster.best_iteration = 7
    assert len(export_forest(booster, "next_step")["forest_next_step_offsets"]) == 8
    assert_equal_scores(booster, rows)


def test_a_saved_model_gives_the_same_arrays() -> None:
    booster, _ = learnt(noise(6, 300, 4))
    again = lgb.Booster(model_str=booster.model_to_string())
    for name, array in export_forest(booster, "purchase").items():
        np.testing.assert_array_equal(export_forest(again, "purchase")[name], array)


EDGE = float(np.float32(1e-35))
SMALL = st.sampled_from([EDGE, -EDGE, EDGE / 2, -EDGE / 2, EDGE * 2, -EDGE * 2, 1e-45, 0.0])


@given(
    threshold=st.floats(allow_nan=False) | SMALL,
    value=st.floats(width=32, allow_nan=False) | SMALL.map(lambda x: float(np.float32(x))),
)
def test_a_float32_threshold_decides_as_the_float64_one(threshold: float, value: float) -> None:
    exact = exact_thresholds(np.array([threshold]))[0]
    with np.errstate(over="ignore"):
        above = np.nextafter(exact, np.float32(INF))
    for x in (exact, above, np.float32(value)):
        read = 0.0 if abs(float(x)) <= EDGE else float(x)
        assert (read <= threshold) == (x <= exact)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"zero_as_missing": True}, "zero_as_missing"),
        ({"linear_tree": True}, "linear_tree"),
        ({"objective": "multiclass", "num_class": 3}, "3 trees per iteration"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averages"),
    ],
)
def test_what_the_arrays_cannot_say_is_refused(settings_: dict[str, object], message: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4_000, 2)).astype(np.float32)
    rows[:, 1] = rng.integers(4, size=len(rows))
    target = (rows[:, 1] * 7 % 3 + (rows[:, 0] > 0)) // 2
    booster = lgb.train(
        QUIET | {"objective": "regression"} | settings_, lgb.Dataset(rows, target), 2
    )
    with pytest.raises(ConfigError, match=message):
        export_forest(booster, "next_step")


def test_categories_and_giant_trees_are_refused() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(4, size=(4_000, 2)).astype(np.float32)
    data = lgb.Dataset(rows, rows[:, 1] % 2, categorical_feature=[1])
    booster = lgb.train(QUIET | {"objective": "regression"}, data, 2)
    with pytest.raises(ConfigError, match=r"feature 1 is categorical \(split '=='\)"):
        export_forest(booster, "next_step")
    booster, _ = learnt(rng.normal(size=(4_000, 2)), 1_100)
    with pytest.raises(ConfigError, match="a tree of 1100 leaves; accepted: 1024"):
        export_forest(booster, "next_step")


@pytest.mark.parametrize("value", [INF, -INF])
def test_features_that_were_infinite_in_training_are_refused(value: float) -> None:
    rows = np.linspace(0, 1, 60, dtype=np.float32)[:, None].repeat(2, axis=1)
    rows[:20, 1] = value
    booster, _ = learnt(rows)
    with pytest.raises(ConfigError, match=r"feature Column_1 .* accepted: float32, finite or NaN"):
        export_forest(booster, "next_step")


@pytest.mark.parametrize("rounds", [(3, 4), (1, 1)])
def test_trees_of_one_head_behind_those_of_another_give_the_sum(rounds: tuple[int, int]) -> None:
    rows = noise(5, 200, 6)
    first, _ = learnt(rows, rounds=rounds[0])
    second, _ = learnt(rows, leaves=40, rounds=rounds[1], seed=9)
    arrays = joined(export_forest(first, "next_step"), export_forest(second, "purchase"))
    assert heads_of(arrays) == ["purchase"]
    check_arrays(shop_arrays() | arrays)
    scores = Forest.from_arrays(arrays, "purchase", 6).score(rows)
    sums = first.predict(rows, raw_score=True) + second.predict(rows, raw_score=True)
    np.testing.assert_allclose(scores, sums, rtol=0, atol=1e-6)
