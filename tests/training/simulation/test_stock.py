from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.simulation.catalogue import Catalogue, CatalogueSpec, build_catalogue
from training.simulation.stock import (
    LISTING_PAGE,
    LISTING_POOL,
    Stock,
    StockSpec,
    arrange,
    listing_slice,
)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return build_catalogue(CatalogueSpec(items=200), 30, np.random.default_rng(1))


def stock_of(catalogue: Catalogue, spec: StockSpec | None = None) -> Stock:
    return Stock(catalogue, spec or StockSpec(), 10.0, np.random.default_rng(2))


CATALOGUE = build_catalogue(CatalogueSpec(items=20), 1, np.random.default_rng(1))


@given(
    lines=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=12),
    units=st.lists(st.integers(0, 5), min_size=4, max_size=4),
)
def test_no_more_is_sold_than_there_is(lines: list[tuple[int, int]], units: list[int]) -> None:
    stock = stock_of(CATALOGUE)
    stock.units[:4] = units
    items = np.array([item for item, _ in lines], np.int32)
    quantity = np.array([wanted for _, wanted in lines], np.int32)
    sold = stock.sell(items, quantity)
    assert all(one in {0, wanted} for one, wanted in zip(sold, quantity, strict=True))
    given_away = Counter(np.repeat(items, sold).tolist())
    assert all(given_away[item] == units[item] - stock.units[item] for item in range(4))
    assert stock.units.min() >= 0
    first = {item: row for row, (item, _) in reversed(list(enumerate(lines)))}
    for item, row in first.items():
        assert (sold[row] > 0) == (lines[row][1] <= units[item])


def test_no_item_is_never_sold(catalogue: Catalogue) -> None:
    stock = stock_of(catalogue)
    stock.open_day(0)
    assert stock.sell(np.array([-1, -1], np.int32), np.array([0, 0], np.int32)).tolist() == [0, 0]
    assert not stock.on_sale[-1]


def test_what_sold_out_comes_back_after_the_days_of_refilling(catalogue: Catalogue) -> None:
    stock = stock_of(catalogue, StockSpec(refill_days=3))
    stock.open_day(0)
    item = int(np.flatnonzero(stock.on_sale)[0])
    stock.units[item] = 0
    back = []
    for day in range(1, 8):
        stock.open_day(day)
        back.append(bool(stock.on_sale[item]))
    assert back == [False, False, False, True, True, True, True]


def test_new_items_are_neither_on_sale_nor_listed_before_their_day(catalogue: Catalogue) -> None:
    late = int(np.argmax(catalogue.arrival_day))
    day = int(catalogue.arrival_day[late])
    stock = stock_of(catalogue)
    for before in range(day):
        stock.open_day(before)
    shelf = arrange(catalogue, stock, np.zeros(200), day - 1)
    assert not stock.on_sale[late]
    assert late not in shelf.by_leaf
    assert late not in shelf.whole
    stock.open_day(day)
    assert stock.on_sale[late]
    assert late in arrange(catalogue, stock, np.zeros(200), day).whole


def test_lists_hold_their_leaf_only_best_sellers_first_sold_out_last(catalogue: Catalogue) -> None:
    stock = stock_of(catalogue)
    stock.open_day(0)
    gone = np.flatnonzero(stock.on_sale)[:40]
    stock.units[gone] = 0
    shelf = arrange(catalogue, stock, np.zeros(200), 0)
    for leaf in range(len(catalogue.leaves)):
        listed = shelf.by_leaf[leaf][shelf.by_leaf[leaf] >= 0]
        assert len(listed) == shelf.leaf_size[leaf]
        assert (catalogue.leaf[listed] == leaf).all()
        on_sale = stock.on_sale[listed]
        assert (np.diff(on_sale.astype(int)) <= 0).all()
        assert (np.diff(catalogue.appeal[listed[on_sale]]) <= 0).all()


def test_selling_well_moves_an_item_up(catalogue: Catalogue) -> None:
    stock = stock_of(catalogue)
    stock.open_day(0)
    before = arrange(catalogue, stock, np.zeros(200), 0)
    last = int(before.by_leaf[0][before.leaf_size[0] - 1])
    sold = np.zeros(200)
    sold[last] = 1e9
    assert arrange(catalogue, stock, sold, 0).by_leaf[0][0] == last


def test_links_from_outside_lead_into_the_leaf_and_into_its_tail(catalogue: Catalogue) -> None:
    stock = stock_of(catalogue)
    stock.open_day(0)
    shelf = arrange(catalogue, stock, np.zeros(200), 0)
    leaf = np.repeat(np.arange(len(catalogue.leaves), dtype=np.int32), 500)
    draws = np.tile((np.arange(500) + 0.5) / 500, len(catalogue.leaves))
    found = shelf.landing(leaf, draws)
    assert (catalogue.leaf[found] == leaf).all()
    assert set(found.tolist()) == set(shelf.whole.tolist())


def test_pages_of_a_list_follow_each_other_and_end_empty() -> None:
    lists = np.arange(LISTING_POOL, dtype=np.int32)[None, :].repeat(3, axis=0)
    pages = listing_slice(lists, np.array([0, 1, LISTING_POOL // LISTING_PAGE]))
    assert pages[0].tolist() == list(range(LISTING_PAGE))
    assert pages[1].tolist() == list(range(LISTING_PAGE, 2 * LISTING_PAGE))
    assert set(pages[2].tolist()) == {-1}
