"""Groups that journeys and visits are reported by: how they began, who came, how long it took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from recommender.journey import VisitLengths
from recommender.terms import (
    ADD_PAYMENT_INFO,
    ADD_SHIPPING_INFO,
    ADD_TO_CART,
    ADD_TO_WISHLIST,
    BEGIN_CHECKOUT,
    REMOVE_FROM_CART,
    SELECT_ITEM,
    SELECT_PROMOTION,
    VIEW_CART,
    VIEW_ITEM,
    VIEW_ITEM_LIST,
    VIEW_PROMOTION,
    BoolArray,
    Int64Array,
)

Labels: TypeAlias = dict[str, str]
"""Name of the slice by group."""

_ENTRIES: Final = {
    **dict.fromkeys((SELECT_ITEM, VIEW_ITEM, ADD_TO_WISHLIST, ADD_TO_CART), "item"),
    **dict.fromkeys((VIEW_PROMOTION, SELECT_PROMOTION), "promotion"),
    **dict.fromkeys(
        (VIEW_CART, REMOVE_FROM_CART, BEGIN_CHECKOUT, ADD_SHIPPING_INFO, ADD_PAYMENT_INFO), "cart"
    ),
}
_BANDS: Final = ((0, "0"), (2, "1-2"), (5, "3-5"), (10, "6-10"), (20, "11-20"))
_LONGEST: Final = "21 or more"


def entry_name(event_type: str, placement: str | None) -> str:
    """Where a visit began, from its first event: item, cart, search, …; a list by its placement."""
    if event_type == VIEW_ITEM_LIST:
        return placement or "list"
    return _ENTRIES.get(event_type, event_type)


def stage_name(*, is_known: bool) -> str:
    """Whether the log knew the shopper when the visit began: the stage as far as a log tells."""
    return "returning" if is_known else "new"


def length_name(steps: int) -> str:
    """Band of a visit's steps, to its first purchase or its end."""
    return next((f"{name} steps" for most, name in _BANDS if steps <= most), f"{_LONGEST} steps")


def length_names() -> list[str]:
    """Every band, shortest first."""
    return [f"{name} steps" for name in (*(name for _, name in _BANDS), _LONGEST)]


@dataclass(frozen=True, slots=True)
class Stage:
    """A point within a visit, from which the remaining steps are counted.

    Parameters
    ----------
    reached_after
        Steps after which each visit is there, int64 (v,); more than its steps: never.
    """

    name: str
    reached_after: Int64Array

    def reached(self, lengths: VisitLengths) -> BoolArray:
        """Visits that come so far, bool (v,)."""
        return self.reached_after <= lengths.steps


def stages_of(lengths: VisitLengths) -> list[Stage]:
    """Beginning, after some steps, and with something in the cart."""
    visits = len(lengths.steps)
    counted = [Stage(_after_name(steps), np.full(visits, steps)) for steps in (0, 1, 2, 5, 10)]
    return [*counted, Stage("something in the cart", lengths.carted_after)]


def _after_name(steps: int) -> str:
    if not steps:
        return "the visit begins"
    return f"after {steps} step{'s' if steps > 1 else ''}"


def ordered_names(group: str, names: Iterable[str]) -> list[str]:
    """Names of a group in the order of the report: bands by length, all else by name."""
    bands = length_names()
    if group == "length":
        return sorted(set(names), key=bands.index)
    return sorted(set(names))
