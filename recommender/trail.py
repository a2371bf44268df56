"""Trails: what shoppers did, as columns, and where each of their steps begins.

A *trail* holds one row per event and item, in the order (shopper, ts). A *step* is an act of
interest on one or several items: all rows of one shopper, moment and type together, where the type
is one of `STEP_TYPES`. These are the interaction types without ``purchase``, which is the end of
the way, and ``refund``, which is the shop's act. The view of the page that a click on a list has
opened is one step with that click: shops that log both must not have longer ways than shops that
log one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from recommender.terms import (
    EVENT_CODES,
    INTERACTION_TYPES,
    PURCHASE,
    REFUND,
    SELECT_ITEM,
    VIEW_ITEM,
    BoolArray,
    Int64Array,
)

STEP_TYPES: Final = tuple(name for name in INTERACTION_TYPES if name not in {PURCHASE, REFUND})
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]

_STEP_CODES: Final = [EVENT_CODES[name] for name in STEP_TYPES]


@dataclass(frozen=True, slots=True)
class Trail:
    """What shoppers did; rows in the order (shopper, ts), a shopper's rows together.

    Parameters
    ----------
    shopper_idx, session, item_idx, event_code
        Integers (n,); sessions are different for different shoppers.
    ts
        Microseconds since the epoch, int64 (n,).
    """

    shopper_idx: IntArray
    session: IntArray
    item_idx: IntArray
    event_code: IntArray
    ts: Int64Array

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def is_purchase(self) -> BoolArray:
        """Rows of purchases, bool (n,)."""
        return np.asarray(self.event_code == EVENT_CODES[PURCHASE])

    @property
    def is_step(self) -> BoolArray:
        """Rows that belong to a step, bool (n,)."""
        return np.isin(self.event_code, _STEP_CODES)

    @property
    def begins_step(self) -> BoolArray:
        """Rows at which a step begins, bool (n,)."""
        begins = self.is_step
        if len(self) > 1:
            begins[1:] &= ~(self._same_act() | self._opened())
        return begins

    def first_at_or_after(self, shopper_idx: IntArray, ts: Int64Array) -> Int64Array:
        """For each of m questions the number of rows before (shopper, ts), int64 (m,)."""
        return rows_before(self.shopper_idx, self.ts, shopper_idx, ts)

    def _same_act(self) -> BoolArray:
        """Rows 1.. of the same shopper, moment and type as the row before, bool (n - 1,)."""
        columns = (self.shopper_idx, self.ts, self.event_code)
        return np.asarray(np.logical_and.reduce([each[1:] == each[:-1] for each in columns]))

    def _opened(self) -> BoolArray:
        """Rows 1.. that view the item clicked in the row before, bool (n - 1,)."""
        click, view = EVENT_CODES[SELECT_ITEM], EVENT_CODES[VIEW_ITEM]
        alike = (self.session[1:] == self.session[:-1]) & (self.item_idx[1:] == self.item_idx[:-1])
        return np.asarray(alike & (self.event_code[:-1] == click) & (self.event_code[1:] == view))


def rows_before(
    shopper_idx: IntArray, ts: Int64Array, asked_idx: IntArray, asked_ts: Int64Array
) -> Int64Array:
    """How many of n rows lie before each of m questions, by (shopper, ts), int64 (m,).

    Parameters
    ----------
    shopper_idx, ts
        The rows, (n,), in this order.
    asked_idx, asked_ts
        The questions, (m,), in any order.
    """
    m = len(asked_ts)
    is_row = np.r_[np.zeros(m, np.int8), np.ones(len(ts), np.int8)]  # a question before its equals
    order = np.lexsort((is_row, np.r_[asked_ts, ts], np.r_[asked_idx, shopper_idx]))
    before = np.cumsum(is_row[order], dtype=np.int64)
    found = np.empty(m, np.int64)
    asked = order < m
    found[order[asked]] = before[asked]
    return found
