"""What is on the shelf: units that sell out and are refilled, and the shop's own lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.terms import BoolArray, Float64Array, Int32Array, Int64Array
from training.simulation.catalogue import Catalogue

LISTING_PAGE = 12
"""Items on one page of a category or a search."""
SLATE = 6
"""Items recommended on one page."""
LISTING_POOL = 48
"""Best sellers of a leaf that its listing and searches draw on; links reach the rest."""


@dataclass(frozen=True, slots=True)
class StockSpec:
    """How stock is kept.

    Parameters
    ----------
    cover_days
        Units after a refill, in days of expected demand.
    thin_share, thin_cover_days
        Share of items that are bought in scantily, and their units.
    refill_days
        Days between selling out and the next delivery.
    """

    cover_days: float = 30.0
    thin_share: float = 0.25
    thin_cover_days: float = 4.0
    refill_days: int = 5


class Stock:
    """Units of each item.

    Parameters
    ----------
    expected_orders
        Order lines that the whole shop is expected to sell per day.

    Attributes
    ----------
    units
        int64 (M + 1,); the last place belongs to no item and stays 0, so that index -1 is harmless.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        spec: StockSpec,
        expected_orders: float,
        rng: np.random.Generator,
    ) -> None:
        thin = rng.random(len(catalogue)) < spec.thin_share
        cover = np.where(thin, spec.thin_cover_days, spec.cover_days)
        demand = catalogue.appeal * expected_orders
        self._full = np.maximum(np.ceil(cover * demand), 2).astype(np.int64)
        self._arrival = catalogue.arrival_day
        self._refill_days = spec.refill_days
        self._refill_at = np.maximum(catalogue.arrival_day, 0).astype(np.int64)
        self.units = np.zeros(len(catalogue) + 1, np.int64)

    def open_day(self, day: int) -> None:
        """Put deliveries that are due on the shelf, and order what has sold out."""
        due = self._refill_at == day
        self.units[:-1][due] = self._full[due]
        empty = (self.units[:-1] == 0) & (self._refill_at < day)
        self._refill_at[empty] = day + self._refill_days

    @property
    def on_sale(self) -> BoolArray:
        """In stock, bool (M + 1,); the last place is False."""
        return self.units > 0

    def has_arrived(self, day: int) -> BoolArray:
        """Whether the shop knows the item yet, bool (M,)."""
        return np.asarray(self._arrival <= day)

    def sell(self, items: Int32Array, quantity: Int32Array) -> Int32Array:
        """Hand over units, first come first served in row order, in place.

        Parameters
        ----------
        items, quantity
            int32 (n,); items may repeat, -1 sells nothing.

        Returns
        -------
        int32 (n,), units sold of each: the whole quantity or 0.
        """
        if not len(items):
            return np.empty(0, np.int32)
        order = np.argsort(items, kind="stable")
        running = np.cumsum(quantity[order])
        starts = np.flatnonzero(np.r_[True, items[order][1:] != items[order][:-1]])
        before = np.repeat(
            running[starts] - quantity[order][starts], np.diff(np.r_[starts, len(items)])
        )
        sold = np.zeros(len(items), np.int32)
        sold[order] = np.where(running - before <= self.units[items[order]], quantity[order], 0)
        np.subtract.at(self.units, items, sold)
        return sold


@dataclass(frozen=True, slots=True)
class Shelf:
    """The shop's own lists for one day, in stock first, best sellers first, padded with -1.

    Parameters
    ----------
    by_leaf
        int32 (L, LISTING_POOL): best sellers of each leaf.
    leaf_size
        int32 (L,), how many of these there are.
    top, by_department_top
        int32 (SLATE,), (L, SLATE): the static default recommendations, overall and by the
        department of each leaf.
    known
        bool (M,): items that the shop knows today.
    whole
        int32 (m,): all known items, leaf after leaf, best sellers first.
    reach, bounds
        float64 (m + 1,) and int64 (L + 1,): running sum of the weights with which links from
        outside lead to the items of `whole`, beginning with 0, and where each leaf begins in it.
    """

    by_leaf: Int32Array
    leaf_size: Int32Array
    top: Int32Array
    by_department_top: Int32Array
    known: BoolArray
    whole: Int32Array
    reach: Float64Array
    bounds: Int64Array

    def landing(self, leaf: Int32Array, draws: Float64Array) -> Int32Array:
        """Give an item of each leaf as outside links lead to it; a best seller where it is empty.

        Parameters
        ----------
        leaf, draws
            int32 (n,), and float64 (n,) uniform in [0, 1).
        """
        low, high = self.reach[self.bounds[leaf]], self.reach[self.bounds[leaf + 1]]
        place = np.searchsorted(self.reach, low + draws * (high - low), side="right") - 1
        found = self.whole[np.minimum(place, len(self.whole) - 1)]
        return np.where(high > low, found, self.top[0]).astype(np.int32)


def arrange(catalogue: Catalogue, stock: Stock, sold: Float64Array, day: int) -> Shelf:
    """Arrange the lists of a day.

    Parameters
    ----------
    sold
        float64 (M,), decayed number of units sold lately; best sellers move up.
    """
    known = stock.has_arrived(day)
    score = catalogue.appeal * (1.0 + np.log1p(sold))
    score = np.where(stock.on_sale[:-1], score, score * 1e-6)
    best = np.argsort(-score, kind="stable")
    order: Int32Array = best[known[best]].astype(np.int32)
    leaves = len(catalogue.leaves)
    by_leaf = _widen(_grouped(order, catalogue.leaf, leaves), LISTING_POOL)[:, :LISTING_POOL]
    departments = _grouped(order, catalogue.department[catalogue.leaf], leaves)
    whole = order[np.argsort(catalogue.leaf[order], kind="stable")]
    sizes = np.bincount(catalogue.leaf[whole], minlength=leaves)
    return Shelf(
        by_leaf=by_leaf,
        leaf_size=np.asarray((by_leaf >= 0).sum(axis=1), np.int32),
        top=_widen(order[None, :SLATE], SLATE)[0],
        by_department_top=_widen(departments, SLATE)[catalogue.department, :SLATE],
        known=known,
        whole=whole,
        # The root lets links from outside reach deep into the tail.
        reach=np.r_[0.0, np.cumsum(np.sqrt(catalogue.appeal[whole]))],
        bounds=np.r_[0, np.cumsum(sizes)].astype(np.int64),
    )


def _grouped(order: Int32Array, group: Int32Array, groups: int) -> Int32Array:
    """The ordered items of each group, int32 (groups, longest), padded with -1."""
    by_group = np.argsort(group[order], kind="stable")
    of = group[order][by_group]
    sizes = np.bincount(of, minlength=groups)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    lists = np.full((groups, max(int(sizes.max(initial=0)), 1)), -1, np.int32)
    lists[of, place] = order[by_group]
    return lists


def _widen(lists: Int32Array, width: int) -> Int32Array:
    missing = max(width - lists.shape[1], 0)
    return np.pad(lists, ((0, 0), (0, missing)), constant_values=-1)


def listing_slice(lists: Int32Array, page: Int64Array | Int32Array) -> Int32Array:
    """Give page `page` (n,) of each row's list (n, k), int32 (n, LISTING_PAGE), padded with -1."""
    places = page[:, None] * LISTING_PAGE + np.arange(LISTING_PAGE)[None, :]
    shown = np.take_along_axis(lists, np.minimum(places, lists.shape[1] - 1), axis=1)
    return np.where(places < lists.shape[1], shown, np.int32(-1))
