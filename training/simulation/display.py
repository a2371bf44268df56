"""What a page shows: the shop's own listing and a list of recommendations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recommender.terms import BoolArray, Int32Array
from training.simulation.batch import SessionBatch, rows_where
from training.simulation.behaviour import PLACEMENTS, Behaviour, Draw, Page
from training.simulation.catalogue import Catalogue
from training.simulation.chance import derive, normal
from training.simulation.identity import Identity
from training.simulation.recommenders import (
    ManyRecommender,
    PageContext,
    Recommender,
    Suggestion,
)
from training.simulation.shoppers import NONE
from training.simulation.stock import LISTING_PAGE, SLATE, Shelf, listing_slice
from training.simulation.utility import match
from training.simulation.ways import ShownWays, SuggestedWay

# Places of a page in the order of reading: recommendations first, then the shop's own listing.
POSITION = np.r_[1 : SLATE + 1, 1 : LISTING_PAGE + 1].astype(np.int32)
IN_LISTING = np.r_[np.zeros(SLATE, np.bool_), np.ones(LISTING_PAGE, np.bool_)]
SEARCH_NOISE = 0.25
"""Spread of the shop's search relevance around the true match."""
LISTING_NOISE = 1.2
"""Spread of the logarithmic rank in a category list, by filters and sort orders."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What n visits see on their present page.

    Parameters
    ----------
    items
        int32 (n, SLATE + LISTING_PAGE): recommendations, then the listing, padded with -1.
    recommendation_id
        object (n,) of str or None.
    ways
        Where the recommendations suggest to go; None where none does.
    """

    items: Int32Array
    recommendation_id: npt.NDArray[np.object_]
    ways: ShownWays | None = None

    @property
    def slate(self) -> Int32Array:
        """The recommendations, int32 (n, SLATE)."""
        return self.items[:, :SLATE]

    @property
    def listing(self) -> Int32Array:
        """The shop's own list, int32 (n, LISTING_PAGE)."""
        return self.items[:, SLATE:]


@dataclass(slots=True)
class Display:
    """Fills pages.

    Parameters
    ----------
    recommender
        None: the shop's static default lists.
    before_asking
        Called before recommendations are asked for, so that events of the visits can be delivered
        first.

    Attributes
    ----------
    unknown_items
        Item ids that the recommender gave and the shop does not know; they are not shown.
    """

    catalogue: Catalogue
    behaviour: Behaviour
    identity: Identity
    recommender: Recommender | None
    before_asking: Callable[[SessionBatch], None]
    unknown_items: int = 0
    _number: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._number.update({one: idx for idx, one in enumerate(self.catalogue.item_ids)})

    def show(self, batch: SessionBatch, shelf: Shelf) -> Shown:
        """Fill the present page of every visit."""
        slate, ids, ways = self._slate(batch, shelf)
        return Shown(np.hstack([slate, self._listing(batch, shelf)]), ids, ways)

    def _listing(self, batch: SessionBatch, shelf: Shelf) -> Int32Array:
        listing = np.full((len(batch), LISTING_PAGE), NONE, np.int32)
        rows = rows_where((batch.page == Page.CATEGORY) | (batch.page == Page.SEARCH))
        if len(rows):
            chosen = batch.take(rows)
            listing[rows] = listing_slice(self._ordered(chosen, shelf), chosen.listing)
        return listing

    def _ordered(self, batch: SessionBatch, shelf: Shelf) -> Int32Array:
        """The leaf's items as this visit sees them on all pages, int32 (n, LISTING_POOL).

        A category begins with its best sellers, disturbed by the filters and sort orders that
        people choose. A search orders by a noisy match, because its words say something of the
        need.
        """
        pool = shelf.by_leaf[batch.leaf]
        noise = normal(derive(batch.key, batch.leaf), Draw.SEARCH, pool.shape[1])
        category = -np.log1p(np.arange(pool.shape[1])) + LISTING_NOISE * noise
        found = match(batch, pool, self.catalogue, self.behaviour) + SEARCH_NOISE * noise
        score = np.where((batch.page == Page.SEARCH)[:, None], found, category)
        order = np.argsort(-np.where(pool >= 0, score, -np.inf), axis=1, kind="stable")
        return np.take_along_axis(pool, order, axis=1)

    def _slate(
        self, batch: SessionBatch, shelf: Shelf
    ) -> tuple[Int32Array, npt.NDArray[np.object_], ShownWays | None]:
        if self.recommender is None:
            return default_slate(batch, shelf), np.full(len(batch), None, object), None
        self.before_asking(batch)
        slate = np.full((len(batch), SLATE), NONE, np.int32)
        ids = np.full(len(batch), None, object)
        ways: list[SuggestedWay | None] = [None] * len(batch)
        contexts = self._contexts(batch)
        given = _answers(self.recommender, contexts)
        for row, (context, filled) in enumerate(zip(contexts, given, strict=True)):
            name = f"{context.session_id}.r{batch.pages[row]}"
            answer = filled if isinstance(filled, Suggestion) else Suggestion(filled, name)
            chosen = self._resolve(answer.item_ids, shelf.known)
            slate[row, : len(chosen)] = chosen
            ids[row], ways[row] = answer.recommendation_id, answer.way
        return slate, ids, ShownWays.of(ways, self.catalogue) if any(ways) else None

    def _resolve(self, item_ids: object, known: BoolArray) -> list[int]:
        """Indices of the first SLATE different items that the shop knows."""
        chosen: dict[int, None] = {}
        for item_id in item_ids:  # type: ignore[attr-defined]
            idx = self._number.get(item_id)
            if idx is None or not known[idx]:
                self.unknown_items += 1
            elif len(chosen) < SLATE:
                chosen[idx] = None
        return list(chosen)

    def _contexts(self, batch: SessionBatch) -> list[PageContext]:
        return [self._context(batch, row) for row in range(len(batch))]

    def _context(self, batch: SessionBatch, row: int) -> PageContext:
        shopper, device = int(batch.shopper[row]), int(batch.device[row])
        page, item, leaf = int(batch.page[row]), int(batch.item[row]), int(batch.leaf[row])
        named = self.catalogue.leaves[leaf] if leaf >= 0 else None
        return PageContext(
            at=int(batch.ts[row]),
            visitor_id=self.identity.visitors[device][shopper],
            user_id=self.identity.users[shopper] if batch.logged_in[row] else None,
            session_id=self.identity.session_id(shopper, device, int(batch.visit[row])),
            device=self.identity.devices[device][shopper],
            placement=PLACEMENTS[page],
            item_id=self.catalogue.item_ids[item] if item >= 0 else None,
            category=named.path if named and page in {Page.CATEGORY, Page.ITEM} else None,
            search_term=named.noun.lower() if named and page == Page.SEARCH else None,
            cart_items=tuple(self.catalogue.item_ids[one] for one in batch.cart[row] if one >= 0),
            limit=SLATE,
        )


def _answers(
    recommender: Recommender, contexts: Sequence[PageContext]
) -> Iterable[Sequence[str] | Suggestion]:
    if isinstance(recommender, ManyRecommender):
        return recommender.many(contexts)
    return map(recommender, contexts)


def default_slate(batch: SessionBatch, shelf: Shelf) -> Int32Array:
    """Give the static lists, int32 (n, SLATE): best sellers overall or of the department."""
    slate = np.broadcast_to(shelf.top, (len(batch), SLATE)).copy()
    with_leaf = batch.leaf >= 0
    slate[with_leaf] = shelf.by_department_top[batch.leaf[with_leaf]]
    return np.where(slate == batch.item[:, None], np.int32(NONE), slate)
