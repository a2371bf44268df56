"""Simple recommenders of next baskets, each told only what was bought before the cut.

Notation: n_ui baskets of shopper u with item i, n_u all baskets of u. Every ranking is filled up by
recent popularity; ties are broken by popularity, then by item index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import sparse

from benchmarks.retail.baskets import Purchases
from recommender.terms import Float64Array, Int32Array
from training.split import MICROS_PER_DAY

Scores = npt.NDArray[np.float64]
Rows = list[Int32Array]


@dataclass(frozen=True, slots=True)
class Known:
    """What a baseline may look at.

    Parameters
    ----------
    purchases
        Of all shoppers, all of them before `cut`.
    cut
        Moment of asking, microseconds.
    popularity
        Baskets with the item in the `recent_days` before the cut, float64 (items,).
    """

    purchases: Purchases
    cut: int
    popularity: Float64Array

    @classmethod
    def at(cls, purchases: Purchases, cut: int, recent_days: float) -> Known:
        """Forget everything from the cut on."""
        past = purchases.before(cut)
        recent = past.between(cut - round(recent_days * MICROS_PER_DAY), cut)
        return cls(past, cut, np.bincount(recent.item, minlength=past.items).astype(np.float64))

    @property
    def shape(self) -> tuple[int, int]:
        """Shoppers and items of the whole log."""
        return self.purchases.shoppers, self.purchases.items

    def summed(self, weights: Float64Array) -> sparse.csr_array:
        """Weights of the lines summed for each (shopper, item)."""
        place = (self.purchases.shopper, self.purchases.item)
        return sparse.csr_array((weights, place), shape=self.shape)

    def baskets_back(self) -> tuple[Int32Array, Int32Array]:
        """Of each line how many baskets later its shopper bought last (0: in that one), and n_u."""
        shopper, basket = self.purchases.shopper, self.purchases.basket
        number = np.cumsum(np.diff(basket, prepend=-1) != 0)
        last = np.zeros(self.shape[0], number.dtype)
        np.maximum.at(last, shopper, number)
        back = last[shopper] - number
        count = np.zeros(self.shape[0], np.int32)
        np.maximum.at(count, shopper, back.astype(np.int32) + 1)
        return back.astype(np.int32), count


def rank(known: Known, scores: Scores, k: int) -> Rows:
    """The k best of each row, popularity below all that has a score; only items sold before."""
    sold = np.bincount(known.purchases.item, minlength=known.shape[1]) > 0
    popular = np.lexsort((-known.popularity,))
    place = np.empty(len(popular), np.int64)
    place[popular] = np.arange(len(popular))
    rows = []
    for row in scores:
        best = np.lexsort((place, -row))
        rows.append(best[sold[best]][:k].astype(np.int32))
    return rows


def popular(known: Known, asked: Int32Array) -> Scores:
    """Nothing of one's own: recent popularity alone."""
    return np.zeros((len(asked), known.shape[1]))


def personal_frequency(known: Known, asked: Int32Array) -> Scores:
    """Buy what you bought: n_ui, the one bought last first among equals."""
    counts = known.summed(np.ones(len(known.purchases.item)))[asked].toarray()
    latest = np.zeros(known.shape)
    age_rank = known.purchases.ts / known.cut  # below 1: breaks ties of whole numbers alone
    np.maximum.at(latest, (known.purchases.shopper, known.purchases.item), age_rank)
    return counts + np.where(counts > 0, latest[asked] * 0.999, 0)


def decayed_frequency(known: Known, asked: Int32Array, half_life_days: float) -> Scores:
    """Σ over own baskets with the item of 2^(-age / half-life)."""
    ages = (known.cut - known.purchases.ts) / MICROS_PER_DAY
    return known.summed(np.exp2(-ages / half_life_days))[asked].toarray()


@dataclass(frozen=True, slots=True)
class TifuKnn:
    """TIFU-KNN (Hu, He, Gao, Zhang 2020, equations 1 to 4).

    A shopper's baskets fall into groups of `group_size` from the latest on; a basket b places from
    the end of its group weighs ``within ** b``, a group g places from the end ``across ** g``, both
    divided by their number. Score: ``own_share * v_u + (1 - own_share) * mean of v`` over the
    `neighbours` shoppers at the smallest Euclidean distance.
    """

    group_size: int
    within: float
    across: float
    neighbours: int
    own_share: float

    def __call__(self, known: Known, asked: Int32Array) -> Scores:
        """Scores of the asked shoppers."""
        vectors = self._vectors(known)
        mine = vectors[asked]
        squares = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
        distance = squares[None, :] - 2 * (mine @ vectors.T).toarray()
        active = np.diff(vectors.indptr) > 0
        distance[:, ~active] = np.inf
        distance[np.arange(len(asked)), asked] = np.inf
        count = min(self.neighbours, max(1, int(active.sum()) - 1))
        near = np.argpartition(distance, count - 1, axis=1)[:, :count]
        rows = np.repeat(np.arange(len(asked)), count)
        average = sparse.csr_array(
            (np.full(near.size, 1 / count), (rows, near.ravel())), shape=distance.shape
        )
        others = (average @ vectors).toarray()
        others[np.diff(mine.indptr) == 0] = 0  # a stranger is near to everybody and to nobody
        return self.own_share * mine.toarray() + (1 - self.own_share) * others

    def _vectors(self, known: Known) -> sparse.csr_array:
        back, baskets = known.baskets_back()
        group, place = back // self.group_size, back % self.group_size
        total = baskets[known.purchases.shopper]
        groups = -(-total // self.group_size)
        size = np.minimum(self.group_size, total - group * self.group_size)
        return known.summed(self.within**place / size * self.across**group / groups)


@dataclass(frozen=True, slots=True)
class UpCf:
    """UP-CF@r (Faggioli, Polato, Aiolli 2020, section 3.3).

    ``Σ_v w_uv π_v`` with π_v the share of v's last `recent` baskets that have the item, and w_uv
    the asymmetric cosine of all shares, ``(x_u·x_v / (|x_u|^2a |x_v|^2(1-a))) ** locality``.
    """

    recent: int
    asymmetry: float
    locality: float

    def __call__(self, known: Known, asked: Int32Array) -> Scores:
        """Scores of the asked shoppers."""
        back, baskets = known.baskets_back()
        ones = np.ones(len(back))
        whole = known.summed(ones / baskets[known.purchases.shopper])
        size = np.minimum(baskets, self.recent)[known.purchases.shopper]
        lately = known.summed(np.where(back < self.recent, ones / size, 0.0))
        squares = np.maximum(np.asarray(whole.multiply(whole).sum(axis=1)).ravel(), 1e-12)
        dots = (whole[asked] @ whole.T).toarray()
        dots /= squares[asked][:, None] ** self.asymmetry * squares ** (1 - self.asymmetry)
        return np.asarray((sparse.csr_array(dots**self.locality) @ lately).toarray())


Scorer = Callable[[Known, Int32Array], Scores]


def choices() -> dict[str, list[tuple[str, Scorer]]]:
    """Settings to choose from before the first cut, by baseline."""
    half_lives = (30.0, 60.0, 90.0, 180.0, 365.0)
    tifu = [
        TifuKnn(group, 0.9, across, neighbours, own)
        for group, across, neighbours, own in product((3, 7), (0.6, 0.8), (100, 300), (0.4, 0.7))
    ]
    up_cf = [
        UpCf(recent, asymmetry, locality)
        for recent, asymmetry, locality in product((3, 5, 25), (0.0, 0.25, 0.5), (2, 5, 10))
    ]
    return {
        "decayed_frequency": [(f"half-life {each:g} days", _decayed(each)) for each in half_lives],
        "tifu_knn": [(str(each), each) for each in tifu],
        "up_cf": [(str(each), each) for each in up_cf],
    }


def _decayed(half_life_days: float) -> Scorer:
    return partial(decayed_frequency, half_life_days=half_life_days)
