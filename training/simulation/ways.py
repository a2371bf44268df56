"""Suggestions where to go, as visits of the made-up shop see and follow them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from recommender.terms import (
    NAVIGATION_KINDS,
    TO_CATEGORY,
    TO_CHECKOUT,
    TO_SEARCH,
    BoolArray,
    Int32Array,
    Int64Array,
)
from training.simulation.batch import Int8Array, SessionBatch, some
from training.simulation.behaviour import Behaviour, Draw, Page
from training.simulation.catalogue import Catalogue
from training.simulation.chance import Keys, uniform
from training.simulation.shoppers import NONE
from training.simulation.utility import examination

PAGE_OF_KIND: Final = {TO_CATEGORY: Page.CATEGORY, TO_SEARCH: Page.SEARCH, TO_CHECKOUT: Page.CART}
_CHECKOUT: Final = NAVIGATION_KINDS.index(TO_CHECKOUT)
_CATEGORY: Final = NAVIGATION_KINDS.index(TO_CATEGORY)


class SuggestedWay(NamedTuple):
    """One suggestion where to go.

    Parameters
    ----------
    target
        Category path or search term; None for the checkout.
    position
        Place in the list of recommendations, from 1.
    """

    kind: str
    target: str | None
    position: int


@dataclass(frozen=True, slots=True)
class ShownWays:
    """The way that each of n visits is shown among its recommendations.

    Parameters
    ----------
    kind
        Index into `NAVIGATION_KINDS`, -1 for none, int8 (n,).
    leaf
        Leaf that a category or search leads to, -1 for none, int32 (n,).
    position
        From 1, int32 (n,).
    """

    kind: Int8Array
    leaf: Int32Array
    position: Int32Array

    @classmethod
    def of(cls, ways: list[SuggestedWay | None], catalogue: Catalogue) -> ShownWays | None:
        """The ways of all visits, or None where nobody is shown one that the shop knows."""
        by_path = {leaf.path: idx for idx, leaf in enumerate(catalogue.leaves)}
        by_noun = {leaf.noun.lower(): idx for idx, leaf in enumerate(catalogue.leaves)}
        shown = cls(
            np.full(len(ways), -1, np.int8),
            np.full(len(ways), NONE, np.int32),
            np.ones(len(ways), np.int32),
        )
        for row, way in enumerate(ways):
            if way is None:
                continue
            leaf = (by_path if way.kind == TO_CATEGORY else by_noun).get(way.target or "", NONE)
            if leaf == NONE and way.kind != TO_CHECKOUT:
                continue
            shown.kind[row] = NAVIGATION_KINDS.index(way.kind)
            shown.leaf[row] = leaf
            shown.position[row] = way.position
        return shown if (shown.kind >= 0).any() else None

    def positions(self, position: Int32Array, in_slate: BoolArray) -> Int32Array:
        """Positions of the items of each page: those below the way stand one lower, (n, k).

        Parameters
        ----------
        position, in_slate
            Position of each place without a way, and whether it is a recommendation, (k,).
        """
        below = in_slate[None, :] & (position[None, :] >= self.position[:, None])
        below &= (self.kind >= 0)[:, None]
        return np.asarray(position[None, :] + below, np.int32)

    def followed(
        self, batch: SessionBatch, keys: Keys, hits: BoolArray, behaviour: Behaviour
    ) -> BoolArray:
        """Who follows their way, bool (n,).

        A way that leads to what is needed next is followed where it is examined: to the category,
        or to a search for it, while the wanted thing is not in the cart; to the cart, once it is.
        Lists are read from the top, so an item above it that attracts comes first.

        Parameters
        ----------
        hits
            Items of the page that would be clicked, recommendations first, bool (n, k).
        """
        wants_leaf = (self.leaf == batch.need_leaf) & ~batch.satisfied & (self.kind != _CHECKOUT)
        there = np.where(self.kind == _CATEGORY, Page.CATEGORY, Page.SEARCH)
        wants_leaf &= ~((batch.page == there) & (batch.leaf == self.leaf))
        pays = (self.kind == _CHECKOUT) & batch.satisfied & some(batch.cart >= 0)
        wanted = (self.kind >= 0) & (wants_leaf | (pays & (batch.page != Page.CART)))
        nowhere = np.zeros(1, np.bool_)
        examined = examination(batch, self.position[:, None], nowhere, behaviour)[:, 0]
        above = np.arange(hits.shape[1])[None, :] < self.position[:, None] - 1
        reached = ~some(hits & above)
        return np.asarray(wanted & reached & (uniform(keys, Draw.WAY) < examined))

    def pages(self, rows: Int64Array) -> Int8Array:
        """Page that each of some ways leads to, int8."""
        table = np.array([PAGE_OF_KIND[kind] for kind in NAVIGATION_KINDS], np.int8)
        return table[self.kind[rows]]
