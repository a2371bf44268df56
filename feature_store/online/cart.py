"""A cart that comes out the same in whatever order its changes arrive.

A line is the changes of one item since its quantity was last known for sure, by time. Quantities
are worked out when asked, so a change that arrives late simply takes its place, and two devices'
carts are joined by joining their changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

MAX_LINE_CHANGES = 8


class CartChange(NamedTuple):
    """One change of one line.

    Parameters
    ----------
    ts
        Microseconds since the epoch, UTC.
    is_set
        True: the quantity became `quantity`. False: it changed by `quantity`.
    quantity
        Pieces; negative for a partial removal.
    """

    ts: int
    is_set: bool
    quantity: float


Line: TypeAlias = tuple[CartChange, ...]
Cart: TypeAlias = dict[str, Line]


def quantity(line: Iterable[CartChange]) -> float:
    """Pieces after all changes, never below 0."""
    pieces = 0.0
    for change in line:
        pieces = max(0.0, change.quantity + (0.0 if change.is_set else pieces))
    return pieces


def joined_line(changes: Iterable[CartChange], since: int) -> Line:
    """Normal form: by time, later than `since`, from the last known quantity on.

    Lines of more than `MAX_LINE_CHANGES` have their oldest changes summed up.
    """
    line = sorted(change for change in changes if change.ts > since)
    start = max((place for place, change in enumerate(line) if change.is_set), default=0)
    line = line[start:]
    if (excess := len(line) - MAX_LINE_CHANGES) > 0:
        summed = quantity(line[: excess + 1])
        line[: excess + 1] = [CartChange(line[excess].ts, is_set=True, quantity=summed)]
    return tuple(line)


def joined_cart(one: Cart, other: Cart, emptied: Mapping[str, int]) -> Cart:
    """Cart with the changes of both that happened after the item was bought, at `emptied[item]`."""
    cart: Cart = {}
    for item_id in one.keys() | other.keys():
        changes = (*one.get(item_id, ()), *other.get(item_id, ()))
        if line := joined_line(changes, emptied.get(item_id, -1)):
            cart[item_id] = line
    return cart


def bounded_cart(cart: Cart, forget_empty_before: int, max_lines: int) -> Cart:
    """The most recently changed lines; empty ones are remembered for a while, for late arrivals."""
    kept = [
        (line[-1].ts, item_id)
        for item_id, line in cart.items()
        if line[-1].ts >= forget_empty_before or quantity(line) > 0
    ]
    return {item_id: cart[item_id] for _, item_id in sorted(kept)[-max_lines:]}
