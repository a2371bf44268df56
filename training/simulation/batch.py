"""The visits that are under way at the same time, one row each, for array operations.

Notation: n visits; f style dimensions. Every field has the visit as its first axis.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from recommender.terms import BoolArray, Float32Array, Int32Array, Int64Array
from training.simulation.chance import Keys

Int8Array: TypeAlias = npt.NDArray[np.int8]
Rows = TypeVar("Rows", bound="Columns")


class Columns:
    """A dataclass of arrays with a common first axis."""

    def take(self: Rows, rows: npt.NDArray[Any]) -> Rows:
        """Give the chosen rows (mask or indices) of every array, copied."""
        columns = {one.name: getattr(self, one.name)[rows] for one in fields(cast("Any", self))}
        return type(self)(**columns)


@dataclass
class SessionBatch(Columns):
    """Visits under way.

    Parameters
    ----------
    number
        int64 (n,), row of the visit in the truth table.
    shopper, device
        int32 (n,): who, and on their first (0) or second (1) device.
    visit
        int32 (n,), 1-based number of the visit on that device.
    key
        uint64 (n,), root of the visit's random draws.
    ts
        int64 (n,), microseconds since the epoch.
    sequence
        int32 (n,), events emitted so far.
    pace, page, entry
        int8 (n,), see `training.simulation.behaviour`.
    leaf, item
        int32 (n,): leaf and item of the page, -1 none.
    listing
        int32 (n,): number of the listing page, 0-based.
    via
        int8 (n,): how the item of the page was first reached in this visit.
    via_placement
        int8 (n,): where the link to it stood.
    recommendation_id
        object (n,): id of the answer the link came from, or None.
    need_leaf, need_item
        int32 (n,): what is wanted.
    need_kind
        int8 (n,), see `training.simulation.demand.Need`.
    taste
        float32 (n, f), taste in this need.
    price_level, price_sense
        float32 (n,), see `Shoppers`.
    brands, interests
        int32 (n, 2), (n, 4), see `Shoppers`.
    willing
        bool (n,): made to buy, not only to look.
    patience
        float32 (n,), pages.
    pages, interactions
        int32 (n,), counts so far.
    seen, exposed, cart
        int32 (n, k), see `Shoppers`.
    seen_via
        int8 (n, SEEN): how each seen item was first reached in this visit; `Via.BACK` when in an
        earlier one.
    cart_via
        int8 (n, CART): how the item page of the cart's item was first reached.
    logged_in, has_account
        bool (n,).
    repeated
        float32 (n,): mean ignored showings of the items recommended on this page, 0..4, over 4.
    satisfied
        bool (n,): what was wanted is in the cart.
    alive
        bool (n,): the visit goes on.
    reason
        int8 (n,), see `training.simulation.behaviour.Exit`.
    """

    number: Int64Array
    shopper: Int32Array
    device: Int32Array
    visit: Int32Array
    key: Keys
    ts: Int64Array
    sequence: Int32Array
    pace: Int8Array
    page: Int8Array
    entry: Int8Array
    leaf: Int32Array
    item: Int32Array
    listing: Int32Array
    via: Int8Array
    via_placement: Int8Array
    recommendation_id: npt.NDArray[np.object_]
    need_leaf: Int32Array
    need_item: Int32Array
    need_kind: Int8Array
    taste: Float32Array
    price_level: Float32Array
    price_sense: Float32Array
    brands: Int32Array
    interests: Int32Array
    willing: BoolArray
    patience: Float32Array
    pages: Int32Array
    interactions: Int32Array
    seen: Int32Array
    seen_via: Int8Array
    exposed: Int32Array
    cart: Int32Array
    cart_via: Int8Array
    logged_in: BoolArray
    has_account: BoolArray
    repeated: Float32Array
    satisfied: BoolArray
    alive: BoolArray
    reason: Int8Array

    def __len__(self) -> int:
        return len(self.key)


def push(memory: Int32Array | Int8Array, rows: Int64Array, items: Int32Array | Int8Array) -> None:
    """Put an item at the front of the given rows of a memory (n, k), in place."""
    memory[rows, 1:] = memory[rows, :-1]
    memory[rows, 0] = items


def rows_where(mask: npt.NDArray[Any]) -> Int64Array:
    """Indices of the true places of a mask (n,), int64."""
    return np.flatnonzero(mask).astype(np.int64)


def some(mask: npt.NDArray[Any]) -> BoolArray:
    """Whether any place of a row of a mask (n, k) is true, bool (n,)."""
    return np.asarray(np.any(mask, axis=1), np.bool_)
