"""The till: carts become orders, as far as the stock goes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from recommender import terms
from recommender.terms import BoolArray, Int32Array, Int64Array
from training.simulation.batch import Int8Array, SessionBatch
from training.simulation.behaviour import Behaviour, Draw
from training.simulation.catalogue import Catalogue
from training.simulation.chance import Keys, uniform
from training.simulation.recorder import Details, Recorder
from training.simulation.shoppers import CART, NONE
from training.simulation.stock import Stock

_STEP_MICROS = 25_000_000
"""Time between the pages of the checkout."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders of one moment, one row each.

    Parameters
    ----------
    number, shopper, device, visit, order
        Of the visit, see `SessionBatch`, and of the order within the visit.
    ts
        int64 (n,), microseconds since the epoch.
    items, quantity
        int32 (n, CART), -1 and 0 in empty places.
    via
        int8 (n, CART): how the page of the item was reached when it was put into the cart.
    pages, interactions
        int32 (n,): pages seen and interactions made in the visit before the order.
    """

    number: Int64Array
    shopper: Int32Array
    device: Int32Array
    visit: Int32Array
    order: Int32Array
    ts: Int64Array
    items: Int32Array
    quantity: Int32Array
    via: Int8Array
    pages: Int32Array
    interactions: Int32Array

    def __len__(self) -> int:
        return len(self.number)


@dataclass(slots=True)
class Till:
    """Takes carts.

    Attributes
    ----------
    orders
        What was sold since the last `drain`.
    """

    catalogue: Catalogue
    behaviour: Behaviour
    stock: Stock
    recorder: Recorder
    orders: list[Orders] = field(default_factory=list)

    def drain(self) -> list[Orders]:
        """Give the orders so far and begin anew."""
        orders, self.orders = self.orders, []
        return orders

    def check_out(self, batch: SessionBatch, keys: Keys, at_cart: BoolArray) -> BoolArray:
        """Let visits at their cart remove something or buy. Gives those that bought, bool (n,)."""
        draws = uniform(keys, Draw.CHECKOUT, 3)
        filled = at_cart & (batch.cart >= 0).any(axis=1)
        self._remove(batch, np.flatnonzero(filled & (draws[:, 0] < self.behaviour.remove)))
        filled &= (batch.cart >= 0).any(axis=1)
        behaviour = self.behaviour
        chance = np.where(batch.willing, behaviour.check_out, behaviour.idle_check_out)
        rows = np.flatnonzero(filled & (draws[:, 1] < chance))
        self._log_in(batch, rows)
        self._record_steps(batch, rows)
        return self._buy(batch, keys, rows)

    def _remove(self, batch: SessionBatch, rows: Int64Array) -> None:
        """The newest item goes; what it was wanted for is open again."""
        gone = batch.cart[rows, 0]
        self.recorder.record(terms.REMOVE_FROM_CART, batch, rows, gone[:, None])
        for memory in (batch.cart, batch.cart_via):
            memory[rows, :-1] = memory[rows, 1:]
            memory[rows, -1] = NONE
        batch.need_leaf[rows] = self.catalogue.leaf[gone]
        batch.satisfied[rows] = False

    def _log_in(self, batch: SessionBatch, rows: Int64Array) -> None:
        rows = rows[batch.has_account[rows] & ~batch.logged_in[rows]]
        batch.logged_in[rows] = True
        self.recorder.record(terms.IDENTIFY, batch, rows, np.empty((len(rows), 0), np.int32))

    def _record_steps(self, batch: SessionBatch, rows: Int64Array) -> None:
        for event_type in (terms.BEGIN_CHECKOUT, terms.ADD_PAYMENT_INFO):
            self.recorder.record(event_type, batch, rows, batch.cart[rows])
            batch.ts[rows] += _STEP_MICROS

    def _buy(self, batch: SessionBatch, keys: Keys, rows: Int64Array) -> BoolArray:
        """Sell what is in stock; a cart of sold-out items only is no purchase."""
        cart = batch.cart[rows]
        quantity = self._quantity(keys[rows], cart)
        sold = self.stock.sell(cart.ravel(), quantity.ravel()).reshape(cart.shape)
        some = sold.any(axis=1)
        rows, cart, sold = rows[some], np.where(sold > 0, cart, NONE)[some], sold[some]
        order = batch.pages[rows]
        via = batch.cart_via[rows].copy()
        details = Details(quantity=sold, order=order)
        ts = batch.ts[rows]
        self.recorder.record(terms.PURCHASE, batch, rows, cart, details)
        self.orders.append(
            Orders(
                number=batch.number[rows],
                shopper=batch.shopper[rows],
                device=batch.device[rows],
                visit=batch.visit[rows],
                order=order,
                ts=ts,
                items=cart,
                quantity=sold,
                via=via,
                pages=batch.pages[rows],
                interactions=batch.interactions[rows],
            )
        )
        batch.cart[rows] = NONE
        batch.cart_via[rows] = NONE
        bought = np.zeros(len(batch), np.bool_)
        bought[rows] = True
        return bought

    def _quantity(self, keys: Keys, cart: Int32Array) -> Int32Array:
        """One of a durable, one to three of a consumable; 0 in empty places, int32 (n, CART)."""
        draws = uniform(keys, Draw.QUANTITY, CART)
        several = 1 + (draws > 0.7).astype(np.int32) + (draws > 0.92)
        consumable = self.catalogue.interval_days[self.catalogue.leaf[cart]] > 0
        return np.where(cart >= 0, np.where(consumable, several, 1), 0).astype(np.int32)
