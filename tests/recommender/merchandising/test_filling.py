"""Lists that are filled for variety, beside the formula written out in numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.catalogue import NO_CATEGORY, UNKNOWN_PRICE
from recommender.merchandising.filling import Aim, Traits, filled
from recommender.terms import Float64Array, Int32Array

ITEMS, SEEDS, CLOSE = 30, 12, 1e-5
levels = st.sampled_from([0.0, 0.2, 0.7, 1.0])


def made_up(seed: int, *, has_factors: bool) -> tuple[Int32Array, Traits, Aim]:
    """A ranking of most items, what they are like, and what was met."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(ITEMS, 5)).astype(np.float32)
    factors[rng.random(ITEMS) < 0.2] = 0
    traits = Traits(
        factors if has_factors else factors[:0, :0],
        rng.integers(NO_CATEGORY, 4, ITEMS, np.int32),
        rng.integers(NO_CATEGORY, 3, ITEMS, np.int32),
        rng.choice([UNKNOWN_PRICE, 1, 2, 3, 9], ITEMS).astype(np.float32),
    )
    met = rng.integers(0, ITEMS, SEEDS, np.int32)
    weights = rng.random(SEEDS).astype(np.float32) + np.float32(0.1)
    aim = Aim(0.0, 3, traits.category, met, rng.integers(0, 4, SEEDS, np.int32), weights)
    items = rng.permutation(ITEMS)[: rng.integers(1, ITEMS)].astype(np.int32)
    return items, traits, aim


def alike(one: int, other: int, traits: Traits) -> float:
    """Likeness of two items by its definition."""
    a, b = (
        traits.factors[[one, other]].astype(np.float64) if len(traits.factors) else np.zeros((2, 1))
    )
    if a.any() and b.any():
        return max(float(a @ b / np.sqrt((a @ a) * (b @ b))), 0)
    category, brand = (codes[one] == codes[other] >= 0 for codes in (traits.category, traits.brand))
    p, q = traits.price[[one, other]].astype(np.float64)
    near = max(1 - abs(np.log(p / q)) / np.log(4), 0) if p and q else 0
    return 0.5 * bool(category) + 0.3 * bool(brand) + 0.2 * near


def worth(
    chosen: list[int], items: Int32Array, level: float, traits: Traits, aim: Aim
) -> tuple[Float64Array, bool]:
    """What each row is worth as the next one, and whether there is a mix to follow."""
    counted = [g for g in range(4) if aim.strength]
    own = (aim.parts < 2) & (aim.groups[aim.met] >= 0)
    weights = np.array([aim.weights[own & (aim.groups[aim.met] == g)].sum() for g in counted])
    has_mix = bool(aim.strength and own.sum() >= max(aim.min_history, 1))
    strength, shares = aim.strength * has_mix, weights / max(weights.sum(), 1e-9)
    values = []
    for row, item in enumerate(items):
        nearest = max((alike(items[other], item, traits) for other in chosen), default=0)
        listed = traits.category[items[[*chosen, row]]]
        q = np.array([np.mean(listed == g) for g in counted])
        ratio = [p * np.log(p / (0.99 * r + 0.01 * p)) for p, r in zip(shares, q, strict=True) if p]
        relevance = (1 - level) * (1 - row / len(items)) - level * nearest
        values.append((1 - strength) * relevance - strength * sum(ratio))
    return np.array(values), has_mix


@given(
    seed=st.integers(0, 2**20),
    length=st.integers(1, 12),
    level=levels,
    strength=levels,
    has_factors=st.booleans(),
)
def test_each_place_has_the_row_that_is_worth_most(
    seed: int, length: int, level: float, strength: float, *, has_factors: bool
) -> None:
    items, traits, aim = made_up(seed, has_factors=has_factors)
    aim = aim._replace(strength=strength)
    order, by_mix = filled(items, length, level, traits, aim)
    rows = order.tolist()
    count = min(length, len(items))
    assert sorted(rows) == list(range(len(items)))
    assert rows[count:] == sorted(rows[count:])
    for place in range(count):
        values, has_mix = worth(rows[:place], items, level, traits, aim)
        assert by_mix is has_mix
        left = rows[place:]
        assert values[rows[place]] >= values[left].max() - CLOSE


def test_of_rows_that_are_worth_the_same_the_first_comes() -> None:
    items, traits, aim = made_up(1, has_factors=True)
    traits = traits._replace(factors=np.ones_like(traits.factors))
    assert filled(items, 5, 1.0, traits, aim)[0].tolist() == list(range(len(items)))
