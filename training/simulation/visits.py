"""The beginning and the end of a visit: what a shopper brings along, and what they take home."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from recommender.terms import BoolArray, Int32Array, Int64Array
from training.simulation.batch import Columns, Int8Array, SessionBatch
from training.simulation.behaviour import Behaviour, Draw, Pace, Page, Via
from training.simulation.catalogue import Catalogue
from training.simulation.chance import Keys, derive, pick, uniform
from training.simulation.demand import Wants
from training.simulation.shoppers import CART, NONE, SEEN, Shoppers
from training.simulation.stock import Shelf

_VISIT = 2_000_000
REMEMBERED_LOGIN = 0.4
"""Probability that a shopper with an account is logged in from the beginning."""
SILENCE_MICROS = 2_100_000_000
"""35 minutes: a shopper's next visit does not begin sooner after the last one."""


@dataclass
class SessionTruth(Columns):
    """What really happened in n visits; one row each. Never part of the events.

    Parameters
    ----------
    number
        int64 (n,), of the visit in the whole run.
    shopper, device, visit
        int32 (n,), see `SessionBatch`.
    day
        int32 (n,), day of the simulation on which it began.
    started
        int64 (n,), microseconds since the epoch.
    pace, entry, need_kind, reason
        int8 (n,), see `Pace`, `Page`, `Need`, `Exit`; a bot's are -1.
    need_leaf, need_item
        int32 (n,), what was wanted at first; -1 for a bot, and for any item of the leaf.
    willing
        bool (n,): made to buy, not only to look.
    pages, interactions
        int32 (n,).
    """

    number: Int64Array
    shopper: Int32Array
    device: Int32Array
    visit: Int32Array
    day: Int32Array
    started: Int64Array
    pace: Int8Array
    entry: Int8Array
    need_kind: Int8Array
    need_leaf: Int32Array
    need_item: Int32Array
    willing: BoolArray
    pages: Int32Array
    interactions: Int32Array
    reason: Int8Array

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, slots=True)
class Plan:
    """Visits that are about to begin.

    Parameters
    ----------
    shoppers
        int32 (n,), each at most once.
    keys
        uint64 (n,), see `visit_keys`.
    started
        int64 (n,), microseconds since the epoch.
    first_number
        Number of the first of these visits in the run.
    """

    shoppers: Int32Array
    keys: Keys
    started: Int64Array
    first_number: int


def visit_keys(shoppers: Shoppers, visitors: Int32Array) -> Keys:
    """Key of each visitor's next visit, uint64 (n,)."""
    visits = shoppers.visits[visitors].sum(axis=1)
    return derive(derive(shoppers.keys[visitors], _VISIT), visits)


def begin(
    plan: Plan,
    wants: Wants,
    shoppers: Shoppers,
    catalogue: Catalogue,
    shelf: Shelf,
    behaviour: Behaviour,
) -> SessionBatch:
    """Let the planned visits begin; the counts of visits go up in place."""
    who = plan.shoppers
    n = len(who)
    draws = uniform(plan.keys, Draw.ENTRY, 4)
    device = ((draws[:, 0] < 0.3) & shoppers.has_second_device[who]).astype(np.int32)
    shoppers.visits[who, device] += 1
    batch = SessionBatch(
        number=np.arange(plan.first_number, plan.first_number + n, dtype=np.int64),
        shopper=who,
        device=device,
        visit=shoppers.visits[who, device],
        key=plan.keys,
        ts=np.maximum(plan.started, shoppers.free_at[who]),
        pace=wants.pace,
        need_leaf=wants.leaf,
        need_item=wants.item,
        need_kind=wants.kind,
        taste=wants.taste,
        price_level=shoppers.price_level[who],
        price_sense=shoppers.price_sense[who],
        brands=shoppers.brands[who],
        interests=shoppers.interests[who],
        willing=_willing(plan.keys, wants, shoppers.orders[who] > 0, behaviour),
        patience=(shoppers.patience[who] * behaviour.patience[wants.pace]).astype(np.float32),
        seen=shoppers.seen[who],
        exposed=shoppers.exposed[who],
        cart=shoppers.cart[who],
        cart_via=np.where(shoppers.cart[who] >= 0, Via.BACK, NONE).astype(np.int8),
        logged_in=shoppers.has_account[who] & (draws[:, 1] < REMEMBERED_LOGIN),
        has_account=shoppers.has_account[who],
        satisfied=(shoppers.cart[who] >= 0).any(axis=1) & (wants.pace == Pace.RETURNING),
        **_unbegun(n),
    )
    _enter(batch, catalogue, shelf, behaviour)
    return batch


def _unbegun(n: int) -> dict[str, Any]:
    """What is the same for every visit that has not seen a page yet."""
    counts = ("sequence", "listing", "pages", "interactions")
    return {name: np.zeros(n, np.int32) for name in counts} | {
        "page": np.zeros(n, np.int8),
        "entry": np.zeros(n, np.int8),
        "leaf": np.full(n, NONE, np.int32),
        "item": np.full(n, NONE, np.int32),
        "via": np.full(n, Via.LANDING, np.int8),
        "via_placement": np.full(n, NONE, np.int8),
        "recommendation_id": np.full(n, None, object),
        "seen_via": np.full((n, SEEN), Via.BACK, np.int8),
        "repeated": np.zeros(n, np.float32),
        "alive": np.ones(n, np.bool_),
        "reason": np.zeros(n, np.int8),
    }


def _willing(keys: Keys, wants: Wants, customer: BoolArray, behaviour: Behaviour) -> BoolArray:
    """Whether each visit is made to buy, bool (n,)."""
    chance = behaviour.willing[wants.pace] * np.where(customer, behaviour.trust, 1.0)
    return np.asarray(uniform(keys, Draw.WILL) < chance)


def _enter(batch: SessionBatch, catalogue: Catalogue, shelf: Shelf, behaviour: Behaviour) -> None:
    """Choose the first page, in place: an outside link, a search, a list, or where one left off."""
    draws = uniform(batch.key, Draw.LANDING, 2)
    weights = behaviour.entries[batch.pace].copy()
    weights[:, Page.CART] *= (batch.cart >= 0).any(axis=1)
    batch.page[:] = pick(draws[:, 0], weights)
    batch.entry[:] = batch.page
    listing = (batch.page == Page.CATEGORY) | (batch.page == Page.SEARCH)
    batch.leaf[listing] = batch.need_leaf[listing]
    landing = np.flatnonzero(batch.page == Page.ITEM)
    item = shelf.landing(batch.need_leaf[landing], draws[landing, 1])
    remembered = (batch.pace[landing] == Pace.RETURNING) & (batch.seen[landing, 0] >= 0)
    item = np.where(remembered, batch.seen[landing, 0], item).astype(np.int32)
    batch.item[landing] = item
    batch.via[landing[remembered]] = Via.BACK
    batch.leaf[landing] = catalogue.leaf[item]


def close(batch: SessionBatch, shoppers: Shoppers, bought: BoolArray) -> None:
    """Write back what the shoppers of ended visits remember, in place.

    Parameters
    ----------
    bought
        bool (n,): something was bought in the visit, which meets the need.
    """
    who = batch.shopper
    shoppers.seen[who] = batch.seen[:, :SEEN]
    shoppers.exposed[who] = batch.exposed
    shoppers.cart[who] = batch.cart[:, :CART]
    shoppers.free_at[who] = batch.ts + SILENCE_MICROS
    met = bought | ((batch.pace == Pace.BROWSING) & (batch.cart < 0).all(axis=1))
    shoppers.need_leaf[who[met]] = NONE
    shoppers.need_item[who[met]] = NONE


def truth_of(batch: SessionBatch, at_start: SessionTruth) -> SessionTruth:
    """Complete the truth of ended visits from their last state; rows of both in the same order."""
    known = {one.name: getattr(at_start, one.name) for one in fields(at_start)}
    known |= {"pages": batch.pages, "interactions": batch.interactions, "reason": batch.reason}
    return SessionTruth(**known)


def truth_at_start(batch: SessionBatch, day: int) -> SessionTruth:
    """What is true of visits from their beginning on; a copy."""
    n = len(batch)
    return SessionTruth(
        number=batch.number.copy(),
        shopper=batch.shopper.copy(),
        device=batch.device.copy(),
        visit=batch.visit.copy(),
        day=np.full(n, day, np.int32),
        started=batch.ts.copy(),
        pace=batch.pace.copy(),
        entry=batch.entry.copy(),
        need_kind=batch.need_kind.copy(),
        need_leaf=batch.need_leaf.copy(),
        need_item=batch.need_item.copy(),
        willing=batch.willing.copy(),
        pages=np.zeros(n, np.int32),
        interactions=np.zeros(n, np.int32),
        reason=np.zeros(n, np.int8),
    )
