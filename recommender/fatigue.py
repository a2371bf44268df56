"""What was shown and ignored is rested, capped and rotated; docs/fatigue.md tells it in words.

Notation, for a ranking of items at ranks r = 1..n, with c the placement's `rank_constant`::

    strength          s(r) = 1 / (r + c)
    discount          d    = table[ignored, age of the last showing]; 1 for what was not ignored
    discounted rank   r'   = (r + c) / d - c, so that s(r') = d s(r)
    gain of a list    G    = Σ d s(r) over the list / Σ s(r) over r = 1..min(limit, n)

Scores come from different sources, rankers and rungs and may be negative, so they cannot be
multiplied; the reciprocal rank can (Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion
outperforms Condorcet and individual rank learning methods", SIGIR). An item is placed at r' and
takes the score that stands there, so that scores keep their scale and their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from recommender.bundle import ModelBundle
from recommender.exposures import Exposure
from recommender.fatigue_note import UNTIRED, Fatigue, FatigueChange
from recommender.fatigue_settings import EMPTY, IGNORE, FatigueSettings, most_of
from recommender.filters.conditions import filter_expression
from recommender.filters.expression import attributes_of
from recommender.impression_discount import ARRAY, DEFAULT_DISCOUNT, discounts
from recommender.placements import Placement
from recommender.query import Query
from recommender.ranking import NO_RANKING, Ranking
from recommender.terms import (
    MICROS_PER_SECOND,
    OFF,
    BoolArray,
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
)

CAPS: Final = (
    "brand_per_session",
    "category_per_session",
    "item_per_week",
    "item_per_session",
    "brand_share",
    "category_share",
)
"""What takes items away; the place in this tuple, counted from 1, is the cap's number below."""
_SHARES_LOOK_AT = 5
"""Lists' lengths of the ladder that are looked at for items of other brands and categories."""


@dataclass(frozen=True, slots=True)
class Rested:
    """A ranking to show from, and what fatigue did to it."""

    ranking: Ranking
    fatigue: Fatigue = UNTIRED


@dataclass(frozen=True, slots=True)
class Weariness:
    """What one shopper is tired of, at one placement, at one moment.

    Parameters
    ----------
    exposures
        Ignored items that the catalogue has.
    item_idx
        Their indices, rising, int32 (e,); `exposures` in the same order.
    full
        Number of a cap, label of each item of the catalogue, and which labels rest: bool
        (labels + 1,), the last place for -1. Caps that rest nothing are left out.
    spent
        The budget that is spent; None while none is.
    caps
        Number of the cap that rests each ignored item by itself, 0 for none, int64 (e,).
    """

    query: Query
    bundle: ModelBundle
    settings: FatigueSettings
    exposures: tuple[Exposure, ...] = ()
    item_idx: Int32Array = field(default_factory=lambda: np.empty(0, np.int32))
    full: tuple[tuple[int, Int32Array, BoolArray], ...] = ()
    spent: str | None = None
    caps: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def is_idle(self) -> bool:
        """Nothing can change."""
        return not (self.exposures or self.spent or self.settings.has_shares)

    @property
    def reach(self) -> int:
        """How long a ranking must be, so that a list is left when items went down or away."""
        limit = self.query.limit
        if self.is_idle:
            return limit
        lists = _SHARES_LOOK_AT if self.settings.has_shares else 1
        return lists * limit + len(self.exposures)

    def open_to(self, mask: BoolArray) -> BoolArray:
        """Eligible items without the brands and categories that rest, for the ladder to fill from.

        Items that rest by themselves stay: they are few, and the explanation is to name them.

        Parameters
        ----------
        mask
            bool (items,); not changed.
        """
        for _, labels, is_full in self.full:
            mask = mask & ~is_full[labels]
        return mask

    def showable(self, mask: BoolArray) -> BoolArray:
        """Eligible items without those that rest by themselves.

        Parameters
        ----------
        mask
            bool (items,), as `open_to` gives it; not changed.
        """
        resting = self.item_idx[self.caps > 0]
        if not len(resting):
            return mask
        mask = mask.copy()
        mask[resting] = False
        return mask

    @property
    def most_of_each(self) -> dict[str, int]:
        """How many items of one brand, of one category a list may hold, where that is limited."""
        # The filter is read last: most placements limit nothing, and this runs for every answer.
        return {
            name: most_of(share, self.query.limit)
            for name in ("brand", "category")
            if (share := getattr(self.settings, f"{name}_share")) < 1
            and not self._is_asked_for(name)
        }

    def settle(self, ranking: Ranking, filled: Callable[[Ranking], Ranking]) -> Rested:
        """The ranking to show from.

        Parameters
        ----------
        ranking
            Personal; empty where a budget is spent.
        filled
            Appends the ladder.
        """
        if self.is_idle:
            return Rested(filled(ranking))
        if self.spent and self.settings.when_spent == EMPTY:
            return Rested(NO_RANKING, Fatigue(acted=self.spent, is_suppressed=True))
        rested = self._rested(filled(ranking))
        if self.spent or self.settings.when_spent == IGNORE or not self._falls_short(rested):
            return rested
        if self.settings.when_spent == EMPTY:
            note = Fatigue(acted="min_gain", is_suppressed=True, gain=rested.fatigue.gain)
            return Rested(NO_RANKING, note)
        return self._rested(filled(NO_RANKING), "min_gain")

    def _falls_short(self, rested: Rested) -> bool:
        return rested.fatigue.gain < self.settings.min_gain

    def _rested(self, ranking: Ranking, acted: str | None = None) -> Rested:
        if not len(ranking):
            return Rested(ranking, Fatigue(acted=acted or self.spent))
        # Kernels come in only where there is a model, see `recommender.compiled`.
        from recommender.resting import Ignored, lowered, scores_at

        c = self.settings.rank_constant
        ignored = Ignored(self.item_idx, self._discounts(), self.caps)
        found = lowered(ranking.item_idx, self._resting(ranking), ignored, c)
        order = self._mixed(found.order, ranking, found.cap)
        scores = scores_at(found.rank, order, ranking.scores)
        note = Fatigue(
            acted or self.spent,
            gain=_gain(order, found.discount, c, self.query.limit),
            changes=self._changes(ranking, found.row, found.discount, found.cap, order),
        )
        return Rested(replace(ranking.take(order), scores=scores), note)

    def _changes(
        self,
        ranking: Ranking,
        row: Int64Array,
        discount: Float64Array,
        cap: Int64Array,
        order: Int64Array,
    ) -> tuple[FatigueChange, ...]:
        limit, ids = self.query.limit, self.bundle.catalogue.ids
        after = np.zeros(len(ranking), np.int64)  # 0: away
        after[order] = np.arange(1, len(order) + 1)
        first = np.array(sorted({*range(min(limit, len(ranking))), *order[:limit].tolist()}))
        looked = (ranking.item_idx, row, discount, cap, after)
        found = []
        for place, item, at, share, number, rank in zip(
            first.tolist(), *(each[first].tolist() for each in looked), strict=True
        ):
            if not number and share == 1:
                continue
            ignored = self.exposures[at].ignored if at >= 0 else 0
            name = CAPS[number - 1] if number else None
            found.append(FatigueChange(ids.id(item), ignored, share, place + 1, rank or None, name))
        return tuple(found)

    def _discounts(self) -> Float64Array:
        """Of what was ignored, float64 (e,)."""
        if not (self.exposures and self.settings.discount):
            return np.ones(len(self.exposures))
        table: Float32Array = self.bundle.arrays.get(ARRAY, DEFAULT_DISCOUNT)  # type: ignore[assignment]
        shown = np.array([(each.ignored, each.last) for each in self.exposures], np.int64)
        at = round(self.query.at.timestamp() * MICROS_PER_SECOND)
        return discounts(table, shown[:, 0], np.maximum(at - shown[:, 1], 0))

    def _resting(self, ranking: Ranking) -> Int64Array:
        """Cap that rests each ranked item for its brand or category, 0 for none, int64 (n,)."""
        cap = np.zeros(len(ranking), np.int64)
        for number, labels, is_full in self.full:
            cap[is_full[labels[ranking.item_idx]]] = number
        return cap

    def _mixed(self, order: Int64Array, ranking: Ranking, cap: Int64Array) -> Int64Array:
        """The order without what is too much of one brand or category; noted in `cap`.

        Of each brand and category only so many are left in the whole ranking, so that no policy can
        put together a list that holds more.
        """
        limits = self.most_of_each
        for name, labels, _ in _labels(self.bundle):
            if (most := limits.get(name)) is not None:
                fits = _within(labels[ranking.item_idx[order]], most)
                cap[order[~fits]] = CAPS.index(f"{name}_share") + 1
                order = order[fits]
        return order

    def _is_asked_for(self, name: str) -> bool:
        """Whether page or filter are about one category or brand: then it may fill a list."""
        if name == "category" and self.query.category is not None:
            return True
        wanted = filter_expression(self.query.filter)
        return wanted is not None and name in attributes_of(wanted)


def weariness_of(query: Query, bundle: ModelBundle, placement: Placement) -> Weariness:
    """What is known of the shopper's fatigue; nothing for an impersonal question."""
    settings = placement.fatigue
    if query.personalize == OFF:
        return Weariness(query, bundle, settings)
    spent, index = _spent(query, settings), bundle.catalogue.ids.index
    if not query.exposures:
        return Weariness(query, bundle, settings, spent=spent)
    known = sorted(
        (idx, each) for each in query.exposures if (idx := index(each.item_id)) is not None
    )
    exposures = tuple(each for _, each in known)
    item_idx = np.array([idx for idx, _ in known], np.int32)
    full = tuple(_full(bundle, settings, exposures, item_idx))
    caps = _item_caps(exposures, settings)
    return Weariness(query, bundle, settings, exposures, item_idx, full, spent, caps)


def _item_caps(exposures: Sequence[Exposure], settings: FatigueSettings) -> Int64Array:
    """See `Weariness.caps`."""
    cap = np.zeros(len(exposures), np.int64)
    for name, part in (("item_per_week", "in_week"), ("item_per_session", "in_session")):
        if most := getattr(settings, name):
            counts = np.array([getattr(each, part) for each in exposures], np.int64)
            cap[counts >= most] = CAPS.index(name) + 1
    return cap


def _spent(query: Query, settings: FatigueSettings) -> str | None:
    lists = query.ignored_lists
    if settings.when_spent == IGNORE:
        return None
    if settings.session_budget and lists.in_session >= settings.session_budget:
        return "session_budget"
    if settings.day_budget and lists.in_day >= settings.day_budget:
        return "day_budget"
    return None


def _labels(bundle: ModelBundle) -> tuple[tuple[str, Int32Array, int], ...]:
    """Brand and category: label of each item of the catalogue, and how many labels there are."""
    catalogue = bundle.catalogue
    return (
        ("brand", catalogue.item_brand, len(catalogue.brands)),
        ("category", catalogue.item_category, len(catalogue.categories)),
    )


def _full(
    bundle: ModelBundle,
    settings: FatigueSettings,
    exposures: Sequence[Exposure],
    item_idx: Int32Array,
) -> Iterator[tuple[int, Int32Array, BoolArray]]:
    """See `Weariness.full`."""
    counts = np.array([each.in_session for each in exposures], np.int64)
    for name, labels, count in _labels(bundle):
        if not (most := getattr(settings, f"{name}_per_session")):
            continue
        own = labels[item_idx]
        is_full = np.bincount(own[own >= 0], counts[own >= 0]) >= most
        if is_full.any():
            padded = np.zeros(count + 1, np.bool_)
            padded[: len(is_full)] = is_full
            yield CAPS.index(f"{name}_per_session") + 1, labels, padded


def _within(labels: Int32Array, most: int) -> BoolArray:
    """Whether each is among the first `most` of its label, bool (n,); -1 is no label."""
    order = np.argsort(labels, kind="stable")
    own = labels[order]
    starts = np.flatnonzero(np.diff(own, prepend=-2))
    nth = np.arange(len(own)) - np.repeat(starts, np.diff(starts, append=len(own)))
    fits = np.empty(len(own), np.bool_)
    fits[order] = (nth < most) | (own < 0)
    return fits


def _gain(order: Int64Array, discount: Float64Array, c: float, limit: int) -> float:
    strength = 1.0 / (np.arange(1.0, len(discount) + 1) + c)
    shown = order[:limit]
    whole = float(strength[:limit].sum())
    return float((strength[shown] * discount[shown]).sum()) / whole
