from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.simulation.shops import spec_of
from training.simulation.batch import SessionBatch
from training.simulation.behaviour import Behaviour, Pace
from training.simulation.shop import Shop
from training.simulation.utility import (
    attraction,
    cart_probability,
    cascade,
    examination,
    ignored,
    known,
    match,
    utility,
)

BEHAVIOUR = Behaviour()
SHOP = Shop(spec_of(shoppers=200, days=1), np.random.default_rng(1), lambda context: [])
CATALOGUE = SHOP.catalogue


@pytest.fixture(scope="module")
def batch() -> SessionBatch:
    """The visits of the first day at their first page."""
    first: list[SessionBatch] = []
    SHOP.display.before_asking = lambda running: first.append(running.take(np.arange(len(running))))
    next(SHOP.days())
    return first[0]


def all_items(batch: SessionBatch) -> np.ndarray:
    return np.tile(np.arange(len(CATALOGUE), dtype=np.int32), (len(batch), 1))


def test_a_match_is_a_share_and_nothing_matches_no_item(batch: SessionBatch) -> None:
    fit = match(batch, all_items(batch), CATALOGUE, BEHAVIOUR)
    assert fit.min() > 0.0
    assert fit.max() < 1.0
    nothing = np.full((len(batch), 2), -1, np.int32)
    assert (match(batch, nothing, CATALOGUE, BEHAVIOUR) == 0.0).all()


def test_a_match_is_the_stated_formula(batch: SessionBatch) -> None:
    row, item = 0, int(np.flatnonzero(CATALOGUE.leaf == batch.need_leaf[0])[0])
    expected = (
        BEHAVIOUR.bias
        + BEHAVIOUR.taste_weight * float(batch.taste[row] @ CATALOGUE.style[item])
        + BEHAVIOUR.brand_weight * (CATALOGUE.brand[item] in batch.brands[row])
        - batch.price_sense[row] * abs(CATALOGUE.price_position[item] - batch.price_level[row])
        + BEHAVIOUR.quality_weight * CATALOGUE.quality[item]
        + BEHAVIOUR.habit_weight * (batch.need_item[row] == item)
    )
    one = np.full((len(batch), 1), item, np.int32)
    assert utility(batch, one, CATALOGUE, BEHAVIOUR)[row, 0] == pytest.approx(expected, abs=1e-5)
    fit = match(batch, one, CATALOGUE, BEHAVIOUR)[row, 0]
    assert fit == pytest.approx(1.0 / (1.0 + np.exp(-expected)), abs=1e-5)


def test_items_of_the_needed_leaf_match_best(batch: SessionBatch) -> None:
    fit = match(batch, all_items(batch), CATALOGUE, BEHAVIOUR)
    same = CATALOGUE.leaf[None, :] == batch.need_leaf[:, None]
    assert fit[same].mean() > 2 * fit[~same].mean()


def test_the_item_wanted_again_matches_better(batch: SessionBatch) -> None:
    again = batch.take(np.arange(len(batch)))
    items = all_items(batch)[:, :1]
    before = match(again, items, CATALOGUE, BEHAVIOUR)
    again.need_item[:] = items[:, 0]
    assert (match(again, items, CATALOGUE, BEHAVIOUR) > before).all()


def test_interests_count_for_those_who_browse(batch: SessionBatch) -> None:
    browsing = batch.take(np.arange(len(batch)))
    browsing.pace[:] = Pace.BROWSING
    hurried = batch.take(np.arange(len(batch)))
    hurried.pace[:] = Pace.HURRIED
    items = all_items(batch)
    other = (CATALOGUE.leaf[items] == batch.interests[:, 1:2]) & (
        CATALOGUE.leaf[items] != batch.need_leaf[:, None]
    )
    calm = match(browsing, items, CATALOGUE, BEHAVIOUR)[other].mean()
    assert calm > 1.5 * match(hurried, items, CATALOGUE, BEHAVIOUR)[other].mean()


def test_examination_falls_with_the_position_and_is_less_in_a_listing(batch: SessionBatch) -> None:
    position = np.array([1, 2, 3, 1, 2, 3], np.int32)
    listing = np.array([False] * 3 + [True] * 3)
    seen = examination(batch, position, listing, BEHAVIOUR)
    assert (np.diff(seen[:, :3], axis=1) < 0).all()
    assert np.allclose(seen[:, 3:], BEHAVIOUR.listing_attention * seen[:, :3])
    hurried = batch.pace == Pace.HURRIED
    assert seen[hurried, 2].mean() < seen[~hurried, 2].mean()


def test_ignored_showings_are_counted_by_item(batch: SessionBatch) -> None:
    shown = batch.take(np.arange(1))
    shown.exposed[:] = -1
    shown.exposed[0, :4] = [7, 7, 9, 7]
    assert ignored(shown, np.array([[7, 9, 8, -1]], np.int32)).tolist() == [[3, 1, 0, 0]]


def test_what_was_seen_sold_out_or_is_here_attracts_less(batch: SessionBatch) -> None:
    one = batch.take(np.arange(1))
    one.seen[:] = -1
    one.item[:] = -1
    item = np.array([[int(np.flatnonzero(CATALOGUE.leaf == one.need_leaf[0])[0])]], np.int32)
    yes, no = np.array([[True]]), np.array([[False]])
    fit = match(one, item, CATALOGUE, BEHAVIOUR)
    fresh = attraction(one, item, fit, yes, BEHAVIOUR)
    assert attraction(one, item, fit, no, BEHAVIOUR) == pytest.approx(
        fresh * BEHAVIOUR.sold_out_factor
    )
    one.seen[0, 3] = item[0, 0]
    assert known(one, item).all()
    assert attraction(one, item, fit, yes, BEHAVIOUR) == pytest.approx(
        fresh * BEHAVIOUR.seen_factor
    )
    one.item[:] = item[0]
    assert attraction(one, item, fit, yes, BEHAVIOUR) == 0.0


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=10))
def test_at_most_one_place_is_clicked(chances: list[float]) -> None:
    clicked = cascade(np.array([chances]))[0]
    expected = [c * np.prod([1.0 - one for one in chances[:k]]) for k, c in enumerate(chances)]
    assert clicked == pytest.approx(expected)
    assert clicked.sum() <= 1.0 + 1e-9


def test_a_better_match_goes_into_the_cart_more_often(batch: SessionBatch) -> None:
    fits = np.tile(np.linspace(0.1, 0.95, 8, dtype=np.float32), (len(batch), 1))
    chance = cart_probability(batch, fits, BEHAVIOUR)
    assert (np.diff(chance, axis=1) > 0).all()
    assert chance[batch.willing, -1].min() > 5 * chance[~batch.willing, -1].max()
