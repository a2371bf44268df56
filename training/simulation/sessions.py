"""How visits go: page after page, many visits together, until each shopper has had enough.

One step is one page: events of arriving, what the page shows, a decision about the item, a click, a
purchase, leaving, or moving on. docs/simulation.md tells it in words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender import terms
from recommender.terms import BoolArray, Int64Array
from training.simulation.batch import SessionBatch, push, rows_where, some
from training.simulation.behaviour import Behaviour, Draw, Exit, Move, Page, Via
from training.simulation.catalogue import Catalogue
from training.simulation.chance import Keys, derive, normal, pick, uniform
from training.simulation.display import IN_LISTING, POSITION, Display, Shown
from training.simulation.purchase import Till
from training.simulation.recorder import Details, Recorder
from training.simulation.shoppers import EXPOSED, NONE
from training.simulation.stock import LISTING_PAGE, SLATE, Shelf, Stock
from training.simulation.utility import (
    FULL_REPETITION,
    attraction,
    cart_probability,
    examination,
    ignored,
    match,
)
from training.simulation.ways import ShownWays

_SECOND = 1_000_000
LONGEST_DWELL_SECONDS = 1500.0
"""Below the half hour of silence that ends a session."""


@dataclass(slots=True)
class Visits:
    """Runs the visits of one wave.

    Parameters
    ----------
    shelf
        The shop's lists of the day; replaced every day.
    """

    catalogue: Catalogue
    behaviour: Behaviour
    display: Display
    recorder: Recorder
    stock: Stock
    till: Till
    shelf: Shelf

    def step(self, batch: SessionBatch) -> None:
        """Let every visit see its page and react to it, in place."""
        keys = derive(batch.key, batch.pages)
        batch.pages += 1
        self._arrive(batch)
        shown = self.display.show(batch, self.shelf)
        self._record_lists(batch, shown)
        self._dwell(batch, keys)
        reads = ~self._bounces(batch, keys)
        to_cart = self._consider(batch, keys, reads)
        clicked = self._click(batch, keys, shown, reads & ~to_cart)
        at_cart = (batch.page == Page.CART) & reads & ~clicked
        bought = self.till.check_out(batch, keys, at_cart)
        busy = to_cart | clicked
        staying = busy | (self._stays(batch, keys, bought) & reads)
        batch.reason[~reads] = Exit.BOUNCED
        batch.alive[:] = staying
        go_to(batch, rows_where(to_cart), Page.CART)
        self._move(batch, keys, rows_where(staying & ~busy))

    def _arrive(self, batch: SessionBatch) -> None:
        """Events of the page itself; the item seen goes into the memory."""
        searching = rows_where((batch.page == Page.SEARCH) & (batch.listing == 0))
        nothing = np.empty((len(searching), 0), np.int32)
        searched = Details(search=batch.leaf[searching])
        self.recorder.record(terms.SEARCH, batch, searching, nothing, searched)
        viewing = rows_where(batch.page == Page.ITEM)
        linked = Details(
            placement=batch.via_placement[viewing],
            recommendation_id=batch.recommendation_id[viewing],
        )
        items = batch.item[viewing]
        self.recorder.record(terms.VIEW_ITEM, batch, viewing, items[:, None], linked)
        batch.interactions[viewing] += 1
        new = (batch.seen[viewing] != items[:, None]).all(axis=1)
        push(batch.seen, viewing[new], items[new])
        push(batch.seen_via, viewing[new], batch.via[viewing[new]])
        in_cart = rows_where((batch.page == Page.CART) & some(batch.cart >= 0))
        self.recorder.record(terms.VIEW_CART, batch, in_cart, batch.cart[in_cart])

    def _record_lists(self, batch: SessionBatch, shown: Shown) -> None:
        """What was shown is an event too: the listing, and the recommendations by placement."""
        rows = rows_where(some(shown.listing >= 0))
        listing = np.full(len(rows), -1, np.int8)
        self.recorder.record(
            terms.VIEW_ITEM_LIST, batch, rows, shown.listing[rows], Details(placement=listing)
        )
        rows = rows_where(some(shown.slate >= 0))
        details = Details(
            placement=batch.page[rows], recommendation_id=shown.recommendation_id[rows]
        )
        self.recorder.record(terms.VIEW_ITEM_LIST, batch, rows, shown.slate[rows], details)

    def _dwell(self, batch: SessionBatch, keys: Keys) -> None:
        """Time passes: log-normal by pace, less on pages other than an item's."""
        median = self.behaviour.dwell_seconds[batch.pace]
        median = np.where(batch.page == Page.ITEM, median, median * self.behaviour.glance)
        seconds = median * np.exp(self.behaviour.dwell_sigma * normal(keys, Draw.DWELL))
        seconds = np.clip(seconds, 1.0, LONGEST_DWELL_SECONDS)
        batch.ts += (seconds * _SECOND).astype(np.int64)

    def _bounces(self, batch: SessionBatch, keys: Keys) -> BoolArray:
        """Whether a visit ends on its first page, unread, bool (n,)."""
        bounce = self.behaviour.bounce[batch.entry]
        looking = (batch.pages == 1) & ~batch.willing
        return np.asarray(looking & (uniform(keys, Draw.BOUNCE) < bounce))

    def _consider(self, batch: SessionBatch, keys: Keys, reads: BoolArray) -> BoolArray:
        """Decide about the item of the page. Gives who goes to the cart now, bool (n,)."""
        draws = uniform(keys, Draw.CART, 5)
        fit = match(batch, batch.item[:, None], self.catalogue, self.behaviour)
        wanted = cart_probability(batch, fit, self.behaviour)[:, 0]
        viewing = (batch.page == Page.ITEM) & reads
        holds = some(batch.cart == batch.item[:, None])
        free = viewing & ~holds & self.stock.on_sale[batch.item]
        rows = rows_where(free & (draws[:, 0] < wanted) & (batch.cart[:, -1] == NONE))
        self._extras(batch, rows_where(viewing & (fit[:, 0] > 0.5)), keys)
        self.recorder.record(
            terms.ADD_TO_CART, batch, rows, batch.item[rows, None], _linked(batch, rows)
        )
        batch.interactions[rows] += 1
        push(batch.cart, rows, batch.item[rows])
        push(batch.cart_via, rows, batch.via[rows])
        self._want_more(batch, rows, draws)
        going = np.zeros(len(batch), np.bool_)
        going[rows] = draws[rows, 1] < np.where(
            batch.willing[rows], self.behaviour.go_to_cart, self.behaviour.idle_go_to_cart
        )
        return going & batch.satisfied

    def _want_more(self, batch: SessionBatch, rows: Int64Array, draws: np.ndarray) -> None:
        """What was wanted is in the cart; some now want what goes with it."""
        batch.satisfied[rows] = True
        pairs = self.catalogue.goes_with[self.catalogue.leaf[batch.item[rows]]]
        more = (draws[rows, 2] < self.behaviour.complement) & pairs.any(axis=1)
        rows = rows[more]
        batch.need_leaf[rows] = pick(draws[rows, 3], pairs[more].astype(np.float64))
        batch.need_item[rows] = NONE
        batch.satisfied[rows] = False

    def _extras(self, batch: SessionBatch, rows: Int64Array, keys: Keys) -> None:
        """Wish lists and, rarely, a share, for items that fit."""
        draws = uniform(keys[rows], Draw.EXTRAS, 2)
        for event_type, column, share in (
            (terms.ADD_TO_WISHLIST, 0, 0.04),
            (terms.SHARE, 1, 0.003),
        ):
            chosen = rows[draws[:, column] < share]
            self.recorder.record(event_type, batch, chosen, batch.item[chosen, None])

    def _click(self, batch: SessionBatch, keys: Keys, shown: Shown, free: BoolArray) -> BoolArray:
        """Read the lists from the top; what attracts first is clicked or followed. Bool (n,)."""
        items = shown.items
        showings = ignored(batch, shown.slate)
        fit = match(batch, items, self.catalogue, self.behaviour)
        wanted = attraction(batch, items, fit, self.stock.on_sale[items], self.behaviour)
        wanted[:, :SLATE] *= np.exp(-self.behaviour.fatigue * showings)
        ways = shown.ways
        position = POSITION if ways is None else ways.positions(POSITION, ~IN_LISTING)
        chance = examination(batch, position, IN_LISTING, self.behaviour) * wanted
        hits = (uniform(keys, Draw.CLICK, items.shape[1]) < chance) & free[:, None]
        followed = np.zeros(len(batch), np.bool_)
        if ways is not None:
            followed = ways.followed(batch, keys, hits, self.behaviour) & free
            hits &= ~followed[:, None]
        clicked = some(hits)
        place = np.argmax(hits, axis=1)
        self._ignore(batch, keys, shown, np.where(clicked, place, SLATE))
        rows = rows_where(clicked)
        item = items[rows, place[rows]]
        from_slate = place[rows] < SLATE
        placement = np.where(from_slate, batch.page[rows], -1).astype(np.int8)
        ids = shown.recommendation_id[rows]
        ids[~from_slate] = None
        details = Details(placement=placement, recommendation_id=ids)
        self.recorder.record(terms.SELECT_ITEM, batch, rows, item[:, None], details)
        go_to(batch, rows, Page.ITEM)
        batch.item[rows] = item
        batch.leaf[rows] = self.catalogue.leaf[item]
        batch.via[rows] = np.where(from_slate, Via.RECOMMENDATION, Via.LISTING)
        batch.via_placement[rows] = placement
        batch.recommendation_id[rows] = ids
        if ways is not None:
            self._follow(batch, rows_where(followed), shown, ways)
        return clicked | followed

    def _follow(self, batch: SessionBatch, rows: Int64Array, shown: Shown, ways: ShownWays) -> None:
        """Go where the recommendations suggest."""
        details = Details(
            placement=batch.page[rows], recommendation_id=shown.recommendation_id[rows]
        )
        nothing = np.empty((len(rows), 0), np.int32)
        self.recorder.record(terms.SELECT_PROMOTION, batch, rows, nothing, details)
        pages = ways.pages(rows)
        for page in (Page.CATEGORY, Page.SEARCH, Page.CART):
            chosen = rows[pages == page]
            go_to(batch, chosen, page)
            batch.leaf[chosen] = ways.leaf[chosen]

    def _ignore(self, batch: SessionBatch, keys: Keys, shown: Shown, clicked: Int64Array) -> None:
        """Recommendations that were not clicked tire; the most repeated one may be dismissed."""
        slate = shown.slate
        count = np.minimum(ignored(batch, slate), FULL_REPETITION) / FULL_REPETITION
        batch.repeated[:] = count.sum(axis=1) / np.maximum((slate >= 0).sum(axis=1), 1)
        annoyed = uniform(keys, Draw.DISMISS) < self.behaviour.repeat_dismiss * batch.repeated
        rows = rows_where(annoyed & (clicked >= SLATE))
        worst = slate[rows, np.argmax(count[rows], axis=1)]
        details = Details(
            placement=batch.page[rows], recommendation_id=shown.recommendation_id[rows]
        )
        self.recorder.record(terms.DISMISS, batch, rows, worst[:, None], details)
        passed = np.where(np.arange(SLATE)[None, :] == clicked[:, None], NONE, slate)
        batch.exposed[:] = np.hstack([passed, batch.exposed])[:, :EXPOSED]

    def _stays(self, batch: SessionBatch, keys: Keys, bought: BoolArray) -> BoolArray:
        """Whether a visit without a click goes on, bool (n,); notes the reason where not."""
        behaviour = self.behaviour
        base = behaviour.leave[batch.pace]
        base = np.where(batch.willing, behaviour.persistence, 1.0) * base
        worn = behaviour.impatience * np.maximum(batch.pages - batch.patience, 0.0)
        tired = behaviour.repeat_exit * batch.repeated
        draw = uniform(keys, Draw.STAY)
        reason = np.full(len(batch), Exit.TIRED, np.int8)
        reason[draw < base + worn] = Exit.OUT_OF_PATIENCE
        reason[draw < base] = Exit.LEFT
        reason[bought] = Exit.BOUGHT
        leaves = (draw < base + worn + tired) | bought | (batch.pages >= behaviour.max_pages)
        batch.reason[:] = reason
        return np.asarray(~leaves)

    def _move(self, batch: SessionBatch, keys: Keys, rows: Int64Array) -> None:
        """Somewhere else in the shop, by the habits of the pace."""
        weights = self.behaviour.moves[batch.pace[rows]].copy()
        on_listing = (batch.page[rows] == Page.CATEGORY) | (batch.page[rows] == Page.SEARCH)
        size = self.shelf.leaf_size[batch.leaf[rows]]
        more = on_listing & (size > LISTING_PAGE * (batch.listing[rows] + 1))
        others = (batch.seen[rows] >= 0) & (batch.seen[rows] != batch.item[rows, None])
        weights[:, Move.NEXT_LISTING] *= more
        weights[:, Move.BACK] *= others.any(axis=1)
        weights[:, Move.RELOAD] *= batch.page[rows] == Page.ITEM
        filled = some(batch.cart[rows] >= 0)
        weights[:, Move.CART] = np.where(filled, weights[:, Move.CART] * 10.0, 0.0)
        weights[:, Move.CATEGORY] += 1e-6
        move = pick(uniform(keys[rows], Draw.MOVE), weights)
        batch.listing[rows[move == Move.NEXT_LISTING]] += 1
        go_to(batch, rows[move == Move.HOME], Page.HOME)
        go_to(batch, rows[move == Move.CART], Page.CART)
        for kind, page in ((Move.CATEGORY, Page.CATEGORY), (Move.SEARCH, Page.SEARCH)):
            chosen = rows[move == kind]
            go_to(batch, chosen, page)
            batch.leaf[chosen] = self._leaf_of_interest(batch, keys, chosen)
        self._go_back(batch, keys, rows[move == Move.BACK])

    def _leaf_of_interest(self, batch: SessionBatch, keys: Keys, rows: Int64Array) -> np.ndarray:
        """The leaf of the need; a browser looks into their other interests as often as not."""
        draws = uniform(keys[rows], Draw.MOVE + 64, 2)
        column = pick(draws[:, 1], np.ones(batch.interests.shape[1]))
        wanders = (batch.pace[rows] == 2) & (draws[:, 0] < 0.5)
        return np.where(wanders, batch.interests[rows, column], batch.need_leaf[rows])

    def _go_back(self, batch: SessionBatch, keys: Keys, rows: Int64Array) -> None:
        """To an item seen before: the better it fits and the later it was seen, the likelier."""
        seen = batch.seen[rows]
        fit = match(batch.take(rows), seen, self.catalogue, self.behaviour)
        weights = (0.05 + fit) * 0.8 ** np.arange(seen.shape[1])[None, :]
        weights *= (seen >= 0) & (seen != batch.item[rows, None])
        place = pick(uniform(keys[rows], Draw.RECALL), weights)
        item = seen[np.arange(len(rows)), place]
        go_to(batch, rows, Page.ITEM)
        batch.item[rows] = item
        batch.leaf[rows] = self.catalogue.leaf[item]
        batch.via[rows] = batch.seen_via[rows, place]


def go_to(batch: SessionBatch, rows: Int64Array, page: Page) -> None:
    """Open a page anew, in place; nothing of the last one stays."""
    batch.page[rows] = page
    batch.item[rows] = NONE
    batch.leaf[rows] = NONE
    batch.listing[rows] = 0
    batch.via_placement[rows] = -1
    batch.recommendation_id[rows] = None


def _linked(batch: SessionBatch, rows: Int64Array) -> Details:
    return Details(
        placement=batch.via_placement[rows], recommendation_id=batch.recommendation_id[rows]
    )
