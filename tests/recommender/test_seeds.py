from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.ids import IdMap
from recommender.query import Interaction
from recommender.seeds import NO_SEEDS, PART_CODES, Seeds, Weighing, seeds_of
from recommender.terms import EVENT_CODES, VIEW_ITEM


def way(*steps: tuple[int, float], part: str = "session") -> Seeds:
    """Seeds of these (item, age in seconds), oldest first."""
    items, ages = zip(*steps, strict=True) if steps else ((), ())
    n = len(steps)
    return Seeds(
        np.array(items, np.int32),
        np.full(n, EVENT_CODES[VIEW_ITEM], np.int32),
        np.ones(n, np.float32),
        np.array(ages, np.float32),
        np.full(n, PART_CODES[part], np.int32),
    )


ways = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=15).map(
    lambda steps: way(*sorted(((item, float(age)) for item, age in steps), key=lambda s: -s[1]))
)


@pytest.mark.parametrize(
    ("steps", "lags"),
    [
        ([], []),
        ([(7, 30)], [0]),
        ([(1, 30), (2, 20), (3, 10)], [2, 1, 0]),
        # A basket: one moment, one lag.
        ([(1, 30), (2, 20), (3, 20), (4, 10)], [2, 1, 1, 0]),
        # Looking again at the newest does not push the rest away.
        ([(1, 30), (2, 20), (2, 10)], [1, 0, 0]),
        # The older meeting with 1 is as far as the moments that brought something since.
        ([(1, 30), (2, 20), (1, 10)], [1, 1, 0]),
        ([(1, 40), (2, 30), (3, 20), (1, 10)], [2, 2, 1, 0]),
    ],
)
def test_a_lag_counts_the_later_moments_that_brought_something_new(
    steps: list[tuple[int, float]], lags: list[int]
) -> None:
    assert way(*steps).lags().tolist() == lags


def lags_by_hand(seeds: Seeds) -> list[int]:
    met: set[int] = set()
    moment: float | None = None
    lag, found = -1, []
    for item, age in zip(seeds.item_idx.tolist()[::-1], seeds.ages.tolist()[::-1], strict=True):
        if item not in met:
            met.add(item)
            lag += age != moment
            moment = age
        found.append(lag)
    return found[::-1]


@given(ways)
def test_lags_are_those_counted_one_by_one(seeds: Seeds) -> None:
    lags = seeds.lags()
    assert lags.dtype == np.int32
    assert lags.tolist() == lags_by_hand(seeds)
    assert (np.diff(lags) <= 0).all()
    assert not len(seeds) or lags[-1] == 0


def test_distinct_items_come_newest_first_with_the_lag_of_their_last_meeting() -> None:
    seeds = way((1, 40), (2, 30), (3, 20), (1, 10))
    items, lags = seeds.distinct(10)
    assert items.tolist() == [1, 3, 2]
    assert lags.tolist() == [0, 1, 2]
    assert seeds.distinct(2)[0].tolist() == [1, 3]
    assert not len(NO_SEEDS.distinct(5)[0])


@given(ways, st.integers(1, 6))
def test_distinct_is_the_way_backwards_without_repeats(seeds: Seeds, most: int) -> None:
    items, lags = seeds.distinct(most)
    backwards = list(dict.fromkeys(seeds.item_idx.tolist()[::-1]))
    assert items.tolist() == backwards[:most]
    assert (np.diff(lags) >= 0).all()
    assert items.dtype == lags.dtype == np.int32


@given(ways, st.lists(st.floats(2**-20, 8, width=32), min_size=15, max_size=15))
def test_weights_of_an_item_are_summed(seeds: Seeds, weights: list[float]) -> None:
    seeds = replace(seeds, weights=np.array(weights[: len(seeds)], np.float32))
    sums: dict[int, float] = {}
    for item, weight in zip(seeds.item_idx.tolist(), seeds.weights.tolist(), strict=True):
        sums[item] = sums.get(item, 0.0) + weight
    items, found = seeds.summed()
    assert items.tolist() == sorted(sums)
    assert found.tolist() == [np.float32(sums[item]) for item in sorted(sums)]
    assert items.dtype == np.int32


def test_parts_are_resolved_in_their_order_without_what_is_not_known() -> None:
    def did(item: str, ts: int, event_type: str = VIEW_ITEM) -> Interaction:
        return Interaction(item, event_type, ts)

    parts = {
        "history": [did("a", 0), did("stranger", 1), did("b", 2, "search")],
        "session": [did("b", 3_000_000), did("a", 4_000_000), did("c", 10_000_001)],
        "context": [did("a", 10_000_000), did("c", 10_000_000)],
    }
    ids = IdMap.from_ids(["a", "b", "c"])
    seeds, found = seeds_of(parts, ids, Weighing(10_000_000, {VIEW_ITEM: 2.0}, 5.0))
    # The page is that of "a", which the visit opened last.
    assert seeds.item_idx.tolist() == [0, 1, 0, 2]
    assert seeds.parts.tolist() == [0, 1, 1, 3]
    assert seeds.ages.tolist() == [10.0, 7.0, 6.0, 0.0]
    assert seeds.weights.tolist() == [
        np.float32(2 * 2 ** (-age / 5)) for age in seeds.ages.tolist()
    ]
    assert found == {"history", "session", "context"}
    assert seeds_of({}, ids, Weighing(0, {}, 1.0)) == (NO_SEEDS, frozenset())


def test_seeds_are_told_apart_by_the_part_of_the_query() -> None:
    parts = [way((1, 30), part="history"), way((2, 20)), way((3, 0), part="cart")]
    both = Seeds.joined(parts)
    of_cart, of_page = (both[both.parts == PART_CODES[name]] for name in ("cart", "context"))
    assert of_cart.item_idx.tolist() == [3]
    assert both[both.parts <= PART_CODES["session"]].item_idx.tolist() == [1, 2]
    assert not len(of_page)


@given(ways)
def test_what_was_worked_out_once_is_given_again(seeds: Seeds) -> None:
    for each in ("lags", "summed", "steps"):
        assert getattr(seeds, each)() is getattr(seeds, each)()


def test_the_cart_is_no_step_unless_it_is_all_there_is() -> None:
    cart = way((3, 0), part="cart")
    assert Seeds.joined([way((1, 30)), cart]).steps().item_idx.tolist() == [1]
    assert cart.steps().item_idx.tolist() == [3]
    assert not len(NO_SEEDS.steps())
