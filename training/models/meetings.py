"""Which items are bought together, and which are only compared: for `recommender.kinds`.

Notation: items i and j meet in v_ij visits that look at both, and in b_ij visits that buy both; B
and V are the sums over all pairs, t = B / (B + V), and an index stands for a pair of categories.
Everything is shrunk, the pair towards its categories, the categories c, d towards all pairs within
a category, or across two:

    t_cd = (B_cd + κ t_same|other) / (B_cd + V_cd + κ),
    lift_ij = (b_ij + κ t_cd) / (b_ij + v_ij + κ) / t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.terms import PURCHASE, VIEW_ITEM, Float32Array, Float64Array, Int32Array
from training.known_events import KnownEvents
from training.models.covisitation import without_diagonal
from training.models.neighbours import strongest
from training.sections import PairsSpec


@dataclass(frozen=True, slots=True)
class PairLifts:
    """The pairs that meet most; arrays as in `recommender.substitutes.Pairs`."""

    idx: Int32Array
    lift: Float32Array
    category: Int32Array
    category_lift: Float32Array

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The arrays under the names that a bundle gives them."""
        return {
            "pair_idx": self.idx,
            "pair_lift": self.lift,
            "pair_category": self.category,
            "pair_category_lift": self.category_lift,
        }


@dataclass(frozen=True, slots=True)
class _Meetings:
    """How often pairs met: float64 (n, n), symmetric, no diagonal but for categories."""

    bought: sparse.csr_array
    viewed: sparse.csr_array

    def grouped(self, groups: sparse.csr_array) -> _Meetings:
        return _Meetings(
            *(sparse.csr_array(groups.T @ each @ groups) for each in (self.bought, self.viewed))
        )

    def share(
        self, row: Int32Array, column: Int32Array, towards: Float64Array, prior: float
    ) -> Float64Array:
        """Shrunk share of the meetings of each pair that were purchases."""
        bought, viewed = (
            np.asarray(each[row, column], np.float64).ravel() for each in (self.bought, self.viewed)
        )
        found: Float64Array = (bought + prior * towards) / (bought + viewed + prior)
        return found


def pair_lifts(
    events: KnownEvents, item_category: Int32Array, categories: int, settings: PairsSpec
) -> PairLifts | None:
    """Estimate from the visits of a log; None where it has too few pairs of either sort.

    Parameters
    ----------
    item_category
        int32 (items,), -1 where unknown.
    """
    meet = _Meetings(
        _together(events, PURCHASE, settings.max_items),
        _together(events, VIEW_ITEM, settings.max_items),
    )
    bought, viewed = meet.bought.sum() / 2, meet.viewed.sum() / 2
    if min(bought, viewed) < settings.min_pairs:
        return None
    overall = bought / (bought + viewed)
    known = np.flatnonzero(item_category >= 0)
    groups = sparse.csr_array(
        (np.ones(len(known)), (known, item_category[known])), shape=(events.items, categories)
    )
    by_category = meet.grouped(groups)
    within, across = _within_and_across(by_category, overall, settings.prior)

    def of_categories(one: Int32Array, other: Int32Array) -> Float64Array:
        towards = np.where(one == other, within, across)
        return by_category.share(one, other, towards, settings.prior)

    category = _listed_categories(by_category, settings.categories)
    row = np.repeat(np.arange(categories, dtype=np.int32), category.shape[1])
    column = category.ravel()
    of_pair = of_categories(row, np.maximum(column, 0)) / overall
    category_lift = np.where(column >= 0, of_pair, 0.0).reshape(category.shape)
    idx = strongest(sparse.csr_array(meet.bought + meet.viewed), settings.neighbours).idx
    lift = np.zeros(idx.shape, np.float32)
    item, place = np.nonzero(idx >= 0)
    other = idx[item, place]
    one_category, other_category = item_category[item], item_category[other]
    has_both = (one_category >= 0) & (other_category >= 0)
    towards = np.full(len(item), across)
    towards[has_both] = of_categories(one_category[has_both], other_category[has_both])
    share = meet.share(item.astype(np.int32), other, towards, settings.prior)
    lift[item, place] = share / overall
    return PairLifts(idx, lift, category, category_lift.astype(np.float32))


def _together(events: KnownEvents, event_type: str, max_items: int) -> sparse.csr_array:
    """In how many visits both items of a pair had an event of a type; of each the first few."""
    done = events.of_types((event_type,))
    _, visit = np.unique(done.session, return_inverse=True)
    pairs, first = np.unique(visit * np.int64(events.items) + done.item_idx, return_index=True)
    order = np.argsort(first, kind="stable")
    visit, item = pairs[order] // events.items, pairs[order] % events.items
    starts = np.flatnonzero(np.diff(visit, prepend=-1))
    place = np.arange(len(visit)) - np.repeat(starts, np.diff(np.append(starts, len(visit))))
    kept = place < max_items
    shape = (int(visit.max(initial=-1)) + 1, events.items)
    met = sparse.csr_array((np.ones(int(kept.sum())), (visit[kept], item[kept])), shape=shape)
    return without_diagonal(sparse.csr_array(met.T @ met))


def _within_and_across(by_category: _Meetings, overall: float, prior: float) -> tuple[float, float]:
    bought, viewed = by_category.bought, by_category.viewed
    inside = [float(each.diagonal().sum()) for each in (bought, viewed)]
    outside = [float(each.sum()) - own for each, own in zip((bought, viewed), inside, strict=True)]
    within, across = (
        (b + prior * overall) / (b + v + prior) for b, v in (tuple(inside), tuple(outside))
    )
    return within, across


def _listed_categories(by_category: _Meetings, width: int) -> Int32Array:
    """Each category itself, then those that it meets most, int32 (categories, ≤ width)."""
    met = sparse.csr_array(by_category.bought + by_category.viewed)
    own = np.arange(met.shape[0], dtype=np.int32)[:, None]
    return np.hstack([own, strongest(without_diagonal(met), max(1, width - 1)).idx])
