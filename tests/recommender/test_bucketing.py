"""Hash, ranges and namespaces; the shared vectors are in tests/conformance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recommender.bucketing import (
    BIASED,
    NO_RANGE,
    bucket_of,
    check_ranges,
    chosen_range,
    fnv1a32,
    ranges_of,
)
from recommender.errors import InvalidInputError
from recommender.many_buckets import buckets_of, chosen_ranges

IDS = [f"visitor-{number}" for number in range(20_000)]
SEEDS = [f"seed-{number}" for number in range(50)]
any_text = st.text(st.characters(), max_size=12)  # lone surrogates as well: ids are opaque
weights = st.lists(st.floats(0.01, 1), min_size=2, max_size=6).map(
    lambda parts: [part / sum(parts) for part in parts]
)


def pairwise_chi2(arms: np.ndarray) -> np.ndarray:
    """Chi-square of independence of each two rows of -1 and 1, one degree of freedom."""
    centred = arms - arms.mean(axis=1, keepdims=True)
    phi = np.corrcoef(centred)
    return arms.shape[1] * phi[np.triu_indices(len(arms), 1)] ** 2


def test_the_hash_is_that_of_the_published_algorithm() -> None:
    # http://www.isthe.com/chongo/src/fnv/test_fnv.c
    assert fnv1a32("") == 0x811C9DC5
    assert fnv1a32("a") == 0xE40C292C
    assert fnv1a32("foobar") == 0xBF9CF968


@given(seed=any_text, values=st.lists(any_text, max_size=8))
@example(seed="s", values=["\ud83d", "\ude00", "😀", "", "用户1"])
def test_many_are_as_one_by_one(seed: str, values: list[str]) -> None:
    expected = [bucket_of(seed, value) for value in values]
    assert buckets_of(seed, values).tolist() == expected


@given(value=any_text, seed=any_text)
def test_a_bucket_is_a_step_below_one(value: str, seed: str) -> None:
    bucket = bucket_of(seed, value)
    assert bucket is not None
    assert 0 <= bucket < 1
    assert bucket * 10_000 == pytest.approx(round(bucket * 10_000))


def test_ids_are_opaque() -> None:
    assert len({bucket_of("s", value) for value in ("a", "A", " a", "a ", "a\x00", "á", "á")}) > 5


@given(weights=weights, coverage=st.floats(0, 1), other=st.floats(0, 1), bucket=st.floats(0, 0.999))
def test_coverage_moves_nobody_to_another_arm(
    weights: list[float], coverage: float, other: float, bucket: float
) -> None:
    chosen = chosen_range(bucket, ranges_of(len(weights), coverage, weights))
    later = chosen_range(bucket, ranges_of(len(weights), other, weights))
    assert NO_RANGE in (chosen, later) or chosen == later
    if other >= coverage:
        assert chosen in (NO_RANGE, later)


def test_many_ranges_are_as_one_by_one() -> None:
    ranges = ranges_of(3, 0.7, [0.2, 0.3, 0.5])
    buckets = buckets_of("s", IDS[:500])
    expected = [chosen_range(bucket, ranges) for bucket in buckets.tolist()]
    assert chosen_ranges(buckets, ranges).tolist() == expected


def test_shares_are_those_of_the_weights() -> None:
    weights = [0.2, 0.3, 0.5]
    chosen = chosen_ranges(buckets_of("shares", IDS), ranges_of(3, 1.0, weights))
    counts, expected = np.bincount(chosen, minlength=3), np.array(weights) * len(IDS)
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # p = 0.001, two degrees of freedom


def test_fifty_seeds_are_independent_of_each_other() -> None:
    arms = np.array([np.where(buckets_of(seed, IDS) < 0.5, 1.0, -1.0) for seed in SEEDS])
    chi2 = pairwise_chi2(arms)
    assert len(chi2) == 1225
    assert chi2.max() < 23.9  # p = 1e-6 for each of the pairs
    assert 0.85 < chi2.mean() < 1.15  # 1 is expected, with a standard error of 0.04


def test_the_first_version_of_the_hash_would_not_be() -> None:
    arms = [
        [1.0 if (bucket_of(seed, value, BIASED) or 0.0) < 0.5 else -1.0 for value in IDS]
        for seed in SEEDS[:4]
    ]
    assert pairwise_chi2(np.array(arms)).max() > 23.9


@pytest.mark.parametrize("bad", [(-0.1, 0.5), (0.5, 0.4), (0.0, 1.1), (float("nan"), 1.0)])
def test_ranges_lie_between_nought_and_one(bad: tuple[float, float]) -> None:
    with pytest.raises(InvalidInputError, match="accepted"):
        check_ranges([bad])
