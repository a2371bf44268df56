from __future__ import annotations

import numpy as np
import pytest

from training.simulation.behaviour import Pace
from training.simulation.catalogue import Catalogue, CatalogueSpec, build_catalogue
from training.simulation.demand import (
    DAY_MICROS,
    DemandSpec,
    Need,
    note_purchases,
    settle_wants,
    start_times,
    stock_cupboards,
    visitors_of_day,
)
from training.simulation.shoppers import NONE, Shoppers, ShopperSpec, build_shoppers
from training.simulation.visits import visit_keys

SPEC = DemandSpec()


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return build_catalogue(CatalogueSpec(items=1800), 30, np.random.default_rng(1))


@pytest.fixture
def shoppers(catalogue: Catalogue) -> Shoppers:
    return build_shoppers(ShopperSpec(shoppers=3000), catalogue, 30, np.random.default_rng(3))


def wants_of(shoppers: Shoppers, catalogue: Catalogue, month: int = 6, day: int = 0):
    who = np.arange(len(shoppers), dtype=np.int32)
    return settle_wants(shoppers, who, visit_keys(shoppers, who), SPEC, catalogue, (day, month))


def test_seasonal_goods_are_wanted_in_their_season(shoppers, catalogue) -> None:
    barbecues = [leaf.path for leaf in catalogue.leaves].index("garden/outdoor/barbecues")
    june = (wants_of(shoppers, catalogue, month=6).leaf == barbecues).sum()
    shoppers.need_leaf[:] = NONE
    december = (wants_of(shoppers, catalogue, month=12).leaf == barbecues).sum()
    assert june > 20
    assert december < june / 4


def test_an_open_need_stays_unless_forgotten(shoppers, catalogue) -> None:
    first = wants_of(shoppers, catalogue)
    shoppers.visits[:, 0] += 1
    second = wants_of(shoppers, catalogue)
    stays = second.kind == Need.OPEN
    assert abs(stays.mean() - (1.0 - SPEC.forget)) < 0.03
    assert np.array_equal(first.leaf[stays], second.leaf[stays])
    assert np.allclose(first.taste[stays], second.taste[stays])


def test_who_remembers_items_comes_back_at_the_returning_pace(shoppers, catalogue) -> None:
    wants_of(shoppers, catalogue)
    shoppers.visits[:, 0] += 1
    shoppers.seen[:, 0] = 5
    second = wants_of(shoppers, catalogue)
    back = second.pace[second.kind == Need.OPEN] == Pace.RETURNING
    assert abs(back.mean() - SPEC.return_pace) < 0.03
    assert not (second.pace[second.kind == Need.NEW] == Pace.RETURNING).any()


def test_a_consumable_that_ran_out_is_wanted_again_and_once(shoppers, catalogue) -> None:
    item = int(np.flatnonzero(catalogue.interval_days[catalogue.leaf] > 0)[0])
    who = np.arange(100, dtype=np.int32)
    note_purchases(shoppers, who, np.full(100, item, np.int32), np.full(100, 4.0))
    before = wants_of(shoppers, catalogue, day=1)
    assert not (before.kind[:100] == Need.AGAIN).any()
    shoppers.need_leaf[:] = NONE
    due = wants_of(shoppers, catalogue, day=4)
    assert (due.kind[:100] == Need.AGAIN).all()
    assert (due.item[:100] == item).all()
    shoppers.need_leaf[:] = NONE
    assert not (wants_of(shoppers, catalogue, day=5).kind[:100] == Need.AGAIN).any()


def test_buying_the_same_consumable_again_takes_no_second_place(shoppers, catalogue) -> None:
    one, item = np.array([0, 0, 0], np.int32), np.array([3, 4, 3], np.int32)
    note_purchases(shoppers, one, item, np.array([5.0, 6.0, 19.0]))
    kept = shoppers.due_item[0] >= 0
    assert sorted(shoppers.due_item[0][kept].tolist()) == [3, 4]
    assert shoppers.due_day[0][shoppers.due_item[0] == 3].tolist() == [19.0]


def test_everybody_comes_on_their_first_day_and_nobody_earlier(shoppers) -> None:
    for day in (0, 7, 29):
        visitors = visitors_of_day(shoppers, SPEC, day, 0)
        assert (shoppers.arrival_day[visitors] <= day).all()
        assert not shoppers.is_bot[visitors].any()
        first = (shoppers.arrival_day == day) & ~shoppers.is_bot
        assert np.isin(np.flatnonzero(first), visitors).all()


def test_a_need_left_open_brings_people_back(shoppers) -> None:
    shoppers.arrival_day[:] = NONE
    usual = len(visitors_of_day(shoppers, SPEC, 3, 0))
    shoppers.need_leaf[:] = 0
    assert len(visitors_of_day(shoppers, SPEC, 3, 0)) > usual + 30


def test_cupboards_hold_consumables_only(shoppers, catalogue) -> None:
    stock_cupboards(shoppers, catalogue)
    held = shoppers.due_item[shoppers.due_item >= 0]
    assert len(held) > 50
    assert (catalogue.interval_days[catalogue.leaf[held]] > 0).all()
    assert (shoppers.due_item[shoppers.arrival_day >= 0] == NONE).all()


def test_visits_begin_within_the_day_and_mostly_in_the_evening(shoppers) -> None:
    hours = start_times(shoppers.keys, SPEC, 5 * DAY_MICROS) / DAY_MICROS * 24 - 120
    assert hours.min() >= 0
    assert hours.max() < 24
    assert ((hours >= 18) & (hours < 22)).mean() > 3 * (hours < 4).mean()
