"""Where to go next: a category, a search or the checkout, and what that is worth beside items.

Notation: a *moment* is the beginning of a visit or what follows a step; its *state* is the category
of the last step and whether something is in the cart. The *worth* of a target a in a state s is

    J(s, a) = Σ d^(c_a + r) [next is a] / n(s),

over the n(s) moments of s in the log: r steps are left from there to the visit's purchase (no
purchase counts 0), each discounts by d, c_a = 1 for a page between (a category, a search) and 0 for
an item or the checkout. So a target is worth much when many who go there buy, and soon. Items are
targets too: ``way_item_worth`` holds their worths from the best on, and a way stands above the
first item that is worth less. Estimated, and shrunk, in `training.models.navigation`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recommender.catalogue import NO_CATEGORY, Catalogue
from recommender.errors import BundleError
from recommender.ids import StringArray
from recommender.journey import LOOKBACK_MICROS
from recommender.query import Interaction, Query
from recommender.terms import (
    MICROS_PER_SECOND,
    SEARCH,
    TO_CATEGORY,
    TO_CHECKOUT,
    TO_SEARCH,
    VIEW_ITEM_LIST,
    BoolArray,
    Float32Array,
    Int32Array,
)
from recommender.trail import STEP_TYPES

_STEPS: Final = frozenset(STEP_TYPES)


class Way(NamedTuple):
    """One target.

    Parameters
    ----------
    target
        Category path or search term; None for the checkout.
    rank
        Place that its worth gives it among the items, from 1.
    """

    kind: str
    target: str | None
    worth: float
    rank: int


@dataclass(frozen=True, slots=True)
class Ways:
    """Targets by state; row ``2 c + filled`` is category c, with something in the cart or not.

    The last two rows stand for no category. Rows fall; padding is -1 and 0.

    Parameters
    ----------
    item_worth
        float32 (states, ranks).
    category, category_worth
        int32, float32 (states, categories kept).
    term, term_worth
        int32, float32 (states, terms kept); index into `terms`.
    checkout_worth
        float32 (states,).
    """

    catalogue: Catalogue
    terms: StringArray
    item_worth: Float32Array
    category: Int32Array
    category_worth: Float32Array
    term: Int32Array
    term_worth: Float32Array
    checkout_worth: Float32Array

    def best(
        self,
        query: Query,
        kinds: Collection[str],
        eligible: BoolArray,
        most: int,
        gone: Sequence[Interaction] = (),
    ) -> tuple[Way, ...]:
        """At most so many ways of these kinds that are worth more than an item that is listed.

        Parameters
        ----------
        eligible
            Items that may be shown, bool (items,): a category without any leads nowhere.
        gone
            What the visit did lately. Who was there knows the way: neither a category whose list it
            went to is pointed at, nor a search where it has searched.
        """
        if most < 1 or query.filter:
            return ()  # a list that is filtered is a page of its own: no way leads out of it
        state = self._state(query)
        found = [
            Way(kind, target, worth, self._rank(state, worth))
            for kind, targets in self._targets(state, query, eligible, gone).items()
            if kind in kinds
            for target, worth in islice(targets, most)
        ]
        better = [way for way in found if way.rank <= self.item_worth.shape[1]]
        best = sorted(better, key=lambda way: (-way.worth, way.kind, way.target or ""))[:most]
        return tuple(way._replace(rank=way.rank + ahead) for ahead, way in enumerate(best))

    def _rank(self, state: int, worth: float) -> int:
        return 1 + int(np.count_nonzero(self.item_worth[state] >= np.float32(worth)))

    def _targets(
        self, state: int, query: Query, eligible: BoolArray, gone: Sequence[Interaction]
    ) -> Mapping[str, Iterable[tuple[str | None, float]]]:
        return {
            TO_CATEGORY: self._categories(state, query, eligible, gone),
            TO_SEARCH: () if _has_searched(gone) else self._terms(state),
            TO_CHECKOUT: self._checkout(state, query),
        }

    def _categories(
        self, state: int, query: Query, eligible: BoolArray, gone: Sequence[Interaction]
    ) -> Iterator[tuple[str, float]]:
        listed = self._listed(gone)
        for index, worth in _filled(self.category[state], self.category_worth[state]):
            path = self.catalogue.categories.id(index)
            items = self.catalogue.in_category(path)
            is_here = path == query.category or np.isin(listed, items).any()
            if not is_here and eligible[items].any():
                yield path, worth

    def _listed(self, gone: Sequence[Interaction]) -> Int32Array:
        """First items of the shop's own lists that were gone to, int32 (lists,)."""
        went = [item_id for item_id, event_type, _ in gone if event_type == VIEW_ITEM_LIST]
        found = self.catalogue.ids.index_of_each(went)
        return np.array([index for index in found if index is not None], np.int32)

    def _terms(self, state: int) -> Iterator[tuple[str, float]]:
        for index, worth in _filled(self.term[state], self.term_worth[state]):
            yield self.terms[index], worth

    def _checkout(self, state: int, query: Query) -> Iterator[tuple[None, float]]:
        worth = float(self.checkout_worth[state])
        if query.cart_items and worth > 0:
            yield None, worth

    def _state(self, query: Query) -> int:
        filled = bool(query.cart_items)
        category = self._category(query)
        row = len(self.catalogue.categories) if category == NO_CATEGORY else category
        return 2 * row + filled

    def _category(self, query: Query) -> int:
        """Category of the page's item, of the page, or of the last step in a week."""
        for item_id in query.context_items:
            if (found := self._category_of(item_id)) != NO_CATEGORY:
                return found
        if query.category is not None:
            index = self.catalogue.categories.index(query.category)
            return NO_CATEGORY if index is None else index
        at_micros = round(query.at.timestamp() * MICROS_PER_SECOND)
        for item_id, event_type, ts in (*reversed(query.session), *reversed(query.history)):
            if ts < at_micros - LOOKBACK_MICROS:
                break
            if ts <= at_micros and event_type in _STEPS:
                return self._category_of(item_id)
        return NO_CATEGORY

    def _category_of(self, item_id: str) -> int:
        index = self.catalogue.ids.index(item_id)
        return NO_CATEGORY if index is None else int(self.catalogue.item_category[index])


def _has_searched(gone: Sequence[Interaction]) -> bool:
    return any(event_type == SEARCH for _, event_type, _ in gone)


def _filled(index: Int32Array, worth: Float32Array) -> Iterator[tuple[int, float]]:
    return ((i, w) for i, w in zip(index.tolist(), worth.tolist(), strict=True) if i >= 0 and w > 0)


def ways_of(arrays: Mapping[str, npt.NDArray[np.generic]], catalogue: Catalogue) -> Ways | None:
    """The ways of a bundle, or None where it has none.

    Raises
    ------
    BundleError
        A worth is negative, a row of items does not fall, or the terms are no text.
    """
    if "way_item_worth" not in arrays:
        return None
    got: dict[str, Any] = dict(arrays)
    terms = StringArray(got["term_data"], got["term_offsets"])
    terms.check("term")
    names = ("item_worth", "category_worth", "term_worth", "checkout_worth")
    if any(array.size and array.min() < 0 for array in (got[f"way_{name}"] for name in names)):
        raise BundleError("way arrays: a worth is negative")
    if (np.diff(got["way_item_worth"], axis=1) > 0).any():
        raise BundleError("way_item_worth: a row does not fall")
    parts = (*names, "category", "term")
    return Ways(catalogue, terms, **{name: got[f"way_{name}"] for name in parts})
