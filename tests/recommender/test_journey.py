from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.journey import (
    LOOKBACK_MICROS,
    NEVER,
    journeys_of,
    mean_over_paths,
    remaining_steps,
    steps_saved,
    survival,
    visit_lengths,
)
from recommender.terms import (
    ADD_TO_CART,
    DISMISS,
    EVENT_CODES,
    PURCHASE,
    REFUND,
    SELECT_ITEM,
    VIEW_ITEM,
)
from recommender.trail import STEP_TYPES, Trail

MINUTE = 60_000_000
DAY = 1440 * MINUTE
GAP = 30 * MINUTE
CLICK, VIEW, BUY = (EVENT_CODES[name] for name in (SELECT_ITEM, VIEW_ITEM, PURCHASE))


@dataclass(frozen=True)
class Row:
    shopper: int
    minute: int
    item: int
    event_type: str = VIEW_ITEM


def trail_of(rows: list[Row]) -> Trail:
    """Rows of shoppers in their order of time; sessions end after half an hour of silence."""
    ordered = sorted(rows, key=lambda row: (row.shopper, row.minute))
    session, sessions = -1, []
    for position, row in enumerate(ordered):
        before = ordered[position - 1] if position else None
        is_new = before is None or before.shopper != row.shopper
        session += is_new or (row.minute - ordered[position - 1].minute) * MINUTE > GAP
        sessions.append(session)
    return Trail(
        np.array([row.shopper for row in ordered], np.int32),
        np.array(sessions, np.int64),
        np.array([row.item for row in ordered], np.int32),
        np.array([EVENT_CODES[row.event_type] for row in ordered], np.int32),
        np.array([row.minute * MINUTE for row in ordered], np.int64),
    )


def walk(*done: tuple[int, str], shopper: int = 0, begin: int = 0) -> list[Row]:
    """One thing a minute."""
    return [Row(shopper, begin + n, item, event_type) for n, (item, event_type) in enumerate(done)]


def test_a_journey_counts_the_steps_and_where_the_bought_item_was_first_met() -> None:
    found = journeys_of(
        trail_of(
            walk(
                (1, VIEW_ITEM),
                (2, VIEW_ITEM),
                (3, VIEW_ITEM),
                (1, VIEW_ITEM),
                (3, ADD_TO_CART),
                (3, PURCHASE),
            )
        )
    )
    assert found.steps.tolist() == [5]
    assert found.first_sight.tolist() == [2]
    assert found.rows_of_steps(0).tolist() == [0, 1, 2, 3, 4]
    assert (found.purchase_row.tolist(), found.first_row.tolist()) == ([5], [0])


def test_the_journey_begins_after_the_purchase_before_it() -> None:
    rows = walk((1, VIEW_ITEM), (1, PURCHASE), (2, VIEW_ITEM), (1, VIEW_ITEM), (2, PURCHASE))
    found = journeys_of(trail_of(rows))
    assert found.steps.tolist() == [1, 2]
    assert found.first_row.tolist() == [0, 2]
    assert found.first_step.tolist() == [0, 1]
    assert found.first_sight.tolist() == [0, 0]


def test_what_is_more_than_seven_days_back_is_not_of_the_journey() -> None:
    week = LOOKBACK_MICROS // MINUTE
    rows = [Row(0, 0, 1), Row(0, 1, 2), Row(0, 2, 3), Row(0, week + 1, 1, PURCHASE)]
    found = journeys_of(trail_of(rows))
    assert found.steps.tolist() == [2]  # the view of item 1, a week and a minute before, is not
    assert found.first_sight.tolist() == [2]  # so the purchase is the first sight
    assert journeys_of(trail_of(rows), 3 * LOOKBACK_MICROS).first_sight.tolist() == [0]


def test_a_click_and_the_page_that_it_opens_are_one_step() -> None:
    rows = walk((1, SELECT_ITEM), (1, VIEW_ITEM), (2, SELECT_ITEM), (3, VIEW_ITEM), (3, PURCHASE))
    found = journeys_of(trail_of(rows))
    assert found.steps.tolist() == [3]
    assert found.rows_of_steps(0).tolist() == [0, 2, 3]
    assert found.first_sight.tolist() == [2]


def test_a_basket_is_one_journey_with_a_path_for_each_item() -> None:
    rows = walk((1, VIEW_ITEM), (2, VIEW_ITEM), (2, ADD_TO_CART))
    rows += [Row(0, 3, item, PURCHASE) for item in (1, 2, 9, 1)]
    found = journeys_of(trail_of(rows))
    assert found.steps.tolist() == [3]
    assert found.path_item.tolist() == [1, 2, 9]
    assert found.first_sight.tolist() == [0, 1, 3]
    assert mean_over_paths(found.first_sight, found.path_journey).tolist() == [4 / 3]


def test_lines_of_an_order_logged_one_by_one_are_one_purchase() -> None:
    rows = walk((1, VIEW_ITEM), (1, PURCHASE), (2, PURCHASE), (5, REFUND), (3, PURCHASE))
    found = journeys_of(trail_of(rows))
    assert len(found) == 1
    assert found.path_item.tolist() == [1, 2, 3]
    later = [*rows, Row(0, 60, 4, PURCHASE)]  # another visit is another purchase
    assert journeys_of(trail_of(later)).steps.tolist() == [1, 0]


def test_several_items_put_into_the_cart_at_one_moment_are_one_step() -> None:
    rows = [Row(0, 0, item, ADD_TO_CART) for item in (1, 2, 3)] + [Row(0, 1, 3, PURCHASE)]
    found = journeys_of(trail_of(rows))
    assert (found.steps.tolist(), found.first_sight.tolist()) == ([1], [0])


def test_a_refund_is_no_step_and_a_dismissal_is_one() -> None:
    assert PURCHASE not in STEP_TYPES
    assert REFUND not in STEP_TYPES
    rows = walk((1, REFUND), (2, DISMISS), (1, VIEW_ITEM), (1, PURCHASE))
    found = journeys_of(trail_of(rows))
    assert (found.steps.tolist(), found.first_sight.tolist()) == ([2], [1])


def test_shoppers_do_not_mix() -> None:
    rows = walk((1, VIEW_ITEM), (2, PURCHASE)) + walk((2, VIEW_ITEM), (1, PURCHASE), shopper=1)
    found = journeys_of(trail_of(rows))
    assert found.steps.tolist() == [1, 1]
    assert found.first_sight.tolist() == [1, 1]


@pytest.mark.parametrize("rows", [[], [Row(0, 0, 1)]])
def test_without_a_purchase_there_is_no_journey(rows: list[Row]) -> None:
    found = journeys_of(trail_of(rows))
    assert len(found) == len(found.path_item) == 0


def test_saved_steps_as_numbers() -> None:
    first_sight = np.array([4, 4, 4, 0, 7])
    first_shown = np.array([1, 4, NEVER, NEVER, 0])
    assert steps_saved(first_sight, first_shown).tolist() == [3, 0, 0, 0, 7]
    with pytest.raises(ValueError, match="accepted: 0 or more"):
        steps_saved(np.array([1]), np.array([-1]))


ROWS = st.lists(
    st.builds(
        Row,
        shopper=st.integers(0, 2),
        minute=st.integers(0, 15 * 1440),
        item=st.integers(0, 4),
        event_type=st.sampled_from([VIEW_ITEM, VIEW_ITEM, SELECT_ITEM, ADD_TO_CART, PURCHASE]),
    ),
    max_size=40,
)


@given(rows=ROWS)
def test_the_arrays_agree_with_the_definitions_read_aloud(rows: list[Row]) -> None:
    trail = trail_of(rows)
    found = journeys_of(trail)
    expected = _by_hand(trail)
    assert found.steps.tolist() == [steps for steps, _ in expected]
    sights = [sight for _, by_item in expected for _, sight in sorted(by_item.items())]
    assert found.first_sight.tolist() == sights


def _by_hand(trail: Trail) -> list[tuple[int, dict[int, int]]]:
    """Steps, and first sight by item, of each purchase: one loop per shopper."""
    columns = (trail.shopper_idx, trail.session, trail.item_idx, trail.event_code, trail.ts)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    return [
        purchase
        for shopper in sorted({row[0] for row in rows})
        for purchase in _of_one([row for row in rows if row[0] == shopper])
    ]


def _of_one(rows: list[tuple[int, ...]]) -> list[tuple[int, dict[int, int]]]:
    purchases: list[tuple[int, dict[int, int]]] = []
    acts: list[tuple[int, set[int]]] = []  # since the last purchase: moment, items
    way: list[set[int]] = []
    open_in = -1  # visit of the purchase that may still get a line
    before = (-1, -1, -1, -1, -1)
    for row in rows:
        _, session, item, code, ts = row
        opened = before[1:4] == (session, item, CLICK) and code == VIEW
        if code == BUY:
            if open_in != session:
                way = [items for moment, items in acts if moment >= ts - LOOKBACK_MICROS]
                purchases.append((len(way), {}))
                acts, open_in = [], session
            seen = [number for number, items in enumerate(way) if item in items]
            purchases[-1][1][item] = (seen or [len(way)])[0]
        elif acts and (opened or before[3:] == (code, ts)):
            acts[-1][1].add(item)
        else:
            acts.append((ts, {item}))
            open_in = -1
        before = row
    return purchases


@given(rows=ROWS, later=ROWS, cut=st.integers(1, 15 * 1440))
def test_what_comes_after_a_purchase_changes_nothing_before(
    rows: list[Row], later: list[Row], cut: int
) -> None:
    past = [row for row in rows if row.minute < cut]
    # In another visit: within this one a further line of the order may still come.
    future = [replace(row, minute=row.minute + cut + 31) for row in later]
    alone, together = trail_of(past), trail_of(past + future)
    before, after = journeys_of(alone), journeys_of(together)
    known = _described(together, after, until=cut * MINUTE)
    assert _described(alone, before, until=cut * MINUTE) == known


def _described(trail: Trail, found, until: int) -> list[tuple[int, ...]]:
    return [
        (
            int(trail.shopper_idx[found.purchase_row[journey]]),
            int(trail.ts[found.purchase_row[journey]]),
            int(trail.ts[found.first_row[journey]]),
            int(found.steps[journey]),
            int(item),
            int(sight),
        )
        for journey, item, sight in zip(
            found.path_journey, found.path_item, found.first_sight, strict=True
        )
        if trail.ts[found.purchase_row[journey]] < until
    ]


PATHS = st.lists(
    st.tuples(st.integers(0, 50), st.one_of(st.integers(0, 60), st.just(NEVER))), max_size=20
)


@given(paths=PATHS)
def test_saved_steps_are_never_negative_nor_above_the_first_sight(
    paths: list[tuple[int, int]],
) -> None:
    first_sight = np.array([sight for sight, _ in paths], np.int64)
    saved = steps_saved(first_sight, np.array([shown for _, shown in paths], np.int64))
    assert (saved >= 0).all()
    assert (saved <= first_sight).all()


def test_visits_end_at_their_first_purchase() -> None:
    rows = walk((1, VIEW_ITEM), (1, ADD_TO_CART), (1, PURCHASE), (2, VIEW_ITEM))
    rows += walk((3, VIEW_ITEM), (3, ADD_TO_CART), begin=100) + walk((1, VIEW_ITEM), shopper=1)
    trail = trail_of(rows)
    start, end = np.array([0, 100, 0, 500]) * MINUTE, np.array([3, 101, 0, 600]) * MINUTE
    found = visit_lengths(trail, np.array([0, 0, 1, 1]), start, end)
    assert found.steps.tolist() == [2, 2, 1, 0]
    assert found.is_bought.tolist() == [True, False, False, False]
    assert found.carted_after.tolist() == [2, 2, NEVER, NEVER]


def test_visits_of_a_log_without_interactions_have_no_step() -> None:
    nothing = np.zeros(0, np.int64)
    trail = Trail(nothing, nothing, nothing, nothing, nothing)
    found = visit_lengths(trail, np.array([0, 1]), np.array([5, 5]), np.array([9, 9]))
    assert found.steps.tolist() == [0, 0]
    assert found.is_bought.tolist() == [False, False]
    assert found.carted_after.tolist() == [NEVER, NEVER]


def test_the_survival_curve_as_fractions() -> None:
    """Six visits: bought after 1, 3, 3 steps; left after 1, 2, 4."""
    bought, left = np.array([0, 1, 0, 2, 0.0]), np.array([0, 1, 1, 0, 1.0])
    at_risk = [6, 6, 4, 3, 1]
    expected = np.cumprod([1 - d / n for d, n in zip(bought, at_risk, strict=True)])
    assert survival(bought, left) == pytest.approx(expected)
    assert expected.tolist() == pytest.approx([1, 5 / 6, 5 / 6, 5 / 18, 5 / 18])
    assert remaining_steps(bought, left, 3) == pytest.approx(1 + 5 / 6 + 5 / 6)
    # Beyond the last visit the curve stays: the visit that left after 4 steps may have gone on.
    assert remaining_steps(bought, left, 7) == pytest.approx(1 + 5 / 3 + 4 * 5 / 18)


def test_abandoned_visits_make_the_way_longer_and_not_shorter() -> None:
    bought = np.array([0, 2, 2.0])
    none = remaining_steps(bought, np.zeros(3), 10)
    early = remaining_steps(bought, np.array([0, 6, 0.0]), 10)
    assert none == pytest.approx(1.5)
    assert early > none


def test_nobody_at_risk_means_the_horizon() -> None:
    assert remaining_steps(np.zeros(3), np.zeros(3), 8) == 8
    assert remaining_steps(np.zeros((2, 0)), np.zeros((2, 0)), 8).tolist() == [8, 8]
    with pytest.raises(ValueError, match="accepted: 1 step or more"):
        remaining_steps(np.zeros(3), np.zeros(3), 0)


@given(ways=st.lists(st.integers(0, 30), min_size=1, max_size=50))
def test_without_censoring_the_estimate_is_the_mean(ways: list[int]) -> None:
    bought = np.bincount(ways).astype(float)
    estimate = remaining_steps(bought, np.zeros(len(bought)), 31)
    assert estimate == pytest.approx(np.mean(ways))
    restricted = remaining_steps(bought, np.zeros(len(bought)), 5)
    assert restricted == pytest.approx(np.minimum(ways, 5).mean())
