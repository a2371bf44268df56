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
from dataclasses import dataclass, field
from math import inf
from typing import Final

import numpy as np

from recommender.bundle import ModelBundle
from recommender.exposures import Exposure
from recommender.fatigue_note import CAPS, UNTIRED, Fatigue, Lowered
from recommender.fatigue_settings import EMPTY, IGNORE, FatigueSettings, most_of
from recommender.filters.conditions import filter_expression
from recommender.filters.expression import attributes_of
from recommender.ids import IdMap
from recommender.impression_discount import ARRAY, DEFAULT_DISCOUNT, discounts
from recommender.placements import Placement
from recommender.query import Query
from recommender.ranking import NO_RANKING, Ranking
from recommender.reordered import Reordered
from recommender.terms import (
    MICROS_PER_SECOND,
    OFF,
    BoolArray,
    Float32Array,
    Int32Array,
    Int64Array,
)

_PER_WEEK: Final = CAPS.index("item_per_week") + 1
_PER_SESSION: Final = CAPS.index("item_per_session") + 1
_NOTHING: Final = Reordered.of(NO_RANKING)
_NO_ITEMS = np.empty(0, np.int32)
_NO_LABELS, _NO_MOST = np.empty((0, 0), np.int32), np.empty((0, 2), np.int64)
_SHARES_LOOK_AT = 5
"""Lists' lengths of the ladder that are looked at for items of other brands and categories."""


@dataclass(frozen=True, slots=True)
class Rested:
    """A ranking to show from, and what fatigue did to it."""

    ranking: Reordered
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
        Number of the cap that rests each ignored item by itself, 0 for none.
    """

    query: Query
    bundle: ModelBundle
    settings: FatigueSettings
    exposures: tuple[Exposure, ...] = ()
    item_idx: Int32Array = field(default_factory=lambda: _NO_ITEMS)
    full: tuple[tuple[int, Int32Array, BoolArray], ...] = ()
    spent: str | None = None
    caps: Sequence[int] = ()

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
        if not any(self.caps):
            return mask
        resting = [place for place, cap in enumerate(self.caps) if cap]
        mask = mask.copy()
        mask[self.item_idx[resting]] = False
        return mask

    @property
    def most_of_each(self) -> dict[str, int]:
        """How many items of one brand, of one category a list may hold, where that is limited."""
        if not self.settings.has_shares:
            return {}
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
            return Rested(Reordered.of(filled(ranking)))
        if self.spent and self.settings.when_spent == EMPTY:
            return Rested(_NOTHING, Fatigue(acted=self.spent, is_suppressed=True))
        rested = self._rested(filled(ranking))
        if self.spent or self.settings.when_spent == IGNORE or not self._falls_short(rested):
            return rested
        if self.settings.when_spent == EMPTY:
            note = Fatigue(acted="min_gain", is_suppressed=True, gain=rested.fatigue.gain)
            return Rested(_NOTHING, note)
        return self._rested(filled(NO_RANKING), "min_gain")

    def _falls_short(self, rested: Rested) -> bool:
        return rested.fatigue.gain < self.settings.min_gain

    def _rested(self, ranking: Ranking, acted: str | None = None) -> Rested:
        if not len(ranking):
            return Rested(_NOTHING, Fatigue(acted=acted or self.spent))
        # Kernels come in only where there is a model, see `recommender.compiled`.
        from recommender.resting import settled

        shares = self._discounts()
        found = settled(
            (ranking.item_idx, ranking.scores, self._resting(ranking)),
            (self.item_idx, np.array([shares, self.caps], np.float64)),
            self._mix(ranking),
            self.settings.rank_constant,
            self.query.limit,
        )
        lowered = self._lowered(ranking, found.changes, shares)
        note = Fatigue(acted or self.spent, gain=found.gain, lowered=lowered)
        items = ranking.item_idx[found.order]
        return Rested(Reordered(ranking, found.order, items, found.scores), note)

    def _lowered(
        self, ranking: Ranking, changes: Int64Array, shares: Sequence[float]
    ) -> Lowered | None:
        """See `recommender.resting.Settled.changes`."""
        if not len(changes):
            return None
        items = ranking.item_idx[changes[:, 0]].tolist()
        return Lowered(self.bundle.catalogue.ids, items, changes.tolist(), self.exposures, shares)

    def _discounts(self) -> list[float]:
        """Of what was ignored."""
        if not (self.exposures and self.settings.discount):
            return [1.0] * len(self.exposures)
        table: Float32Array = self.bundle.arrays.get(ARRAY, DEFAULT_DISCOUNT)  # type: ignore[assignment]
        at = round(self.query.at.timestamp() * MICROS_PER_SECOND)
        _, ignored, _, _, last = zip(*self.exposures, strict=True)
        return discounts(table, ignored, [at - ts for ts in last])

    def _resting(self, ranking: Ranking) -> Int64Array:
        """Cap that rests each ranked item for its brand or category, 0 for none, int64 (n,)."""
        cap = np.zeros(len(ranking), np.int64)
        for number, labels, is_full in self.full:
            cap[is_full[labels[ranking.item_idx]]] = number
        return cap

    def _mix(self, ranking: Ranking) -> tuple[Int32Array, Int64Array]:
        """What the whole ranking may hold of one brand and category, see `recommender.resting`.

        The whole of it, so that no policy can put together a list that holds more.
        """
        limits = self.most_of_each
        if not limits:
            return _NO_LABELS, _NO_MOST
        mixed = [(name, labels) for name, labels, _ in _labels(self.bundle) if name in limits]
        most = [(limits[name], CAPS.index(f"{name}_share") + 1) for name, _ in mixed]
        return np.array([labels[ranking.item_idx] for _, labels in mixed]), np.array(most, np.int64)

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
    spent = _spent(query, settings)
    if not query.exposures:
        return Weariness(query, bundle, settings, spent=spent)
    indices = bundle.catalogue.ids.index_of_each([each.item_id for each in query.exposures])
    known = [each for each in zip(indices, query.exposures, strict=True) if each[0] is not None]
    known.sort()
    item_idx = np.array([index for index, _ in known], np.int32)
    exposures = tuple([each for _, each in known])
    full = tuple(_full(bundle, settings, exposures, item_idx))
    caps = _item_caps(exposures, settings)
    return Weariness(query, bundle, settings, exposures, item_idx, full, spent, caps)


def _item_caps(exposures: Sequence[Exposure], settings: FatigueSettings) -> list[int]:
    """See `Weariness.caps`."""
    per_week, per_session = settings.item_per_week or inf, settings.item_per_session or inf
    return [
        _PER_SESSION if in_session >= per_session else _PER_WEEK if in_week >= per_week else 0
        for _, _, in_session, in_week, _ in exposures
    ]


def _spent(query: Query, settings: FatigueSettings) -> str | None:
    lists = query.ignored_lists
    if settings.when_spent == IGNORE:
        return None
    if settings.session_budget and lists.in_session >= settings.session_budget:
        return "session_budget"
    if settings.day_budget and lists.in_day >= settings.day_budget:
        return "day_budget"
    return None


def _labels(bundle: ModelBundle) -> tuple[tuple[str, Int32Array, IdMap], ...]:
    """Brand and category: label of each item of the catalogue, and the labels there are."""
    catalogue = bundle.catalogue
    return (
        ("brand", catalogue.item_brand, catalogue.brands),
        ("category", catalogue.item_category, catalogue.categories),
    )


def _full(
    bundle: ModelBundle,
    settings: FatigueSettings,
    exposures: Sequence[Exposure],
    item_idx: Int32Array,
) -> Iterator[tuple[int, Int32Array, BoolArray]]:
    """See `Weariness.full`."""
    ignored = [each.in_session for each in exposures]
    total = sum(ignored)
    for name, labels, known in _labels(bundle):
        most = getattr(settings, f"{name}_per_session")
        if not most or total < most:
            continue
        counts: dict[int, int] = {}
        for label, times in zip(labels[item_idx].tolist(), ignored, strict=True):
            counts[label] = counts.get(label, 0) + times
        counts.pop(-1, None)
        if full := [label for label, times in counts.items() if times >= most]:
            is_full = np.zeros(len(known) + 1, np.bool_)
            is_full[full] = True
            yield CAPS.index(f"{name}_per_session") + 1, labels, is_full
