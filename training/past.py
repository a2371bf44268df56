"""What a shopper's past says about now, as the online store would say it."""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.online.cart import CartChange, joined_line, quantity
from feature_store.online.facts import cart_change
from recommender.query import Interaction
from recommender.terms import PURCHASE


def cart_of(past: Sequence[Interaction]) -> tuple[str, ...]:
    """Items in the cart, the most recently changed first, as `feature_store.online.known` has them.

    Quantities are not known here: an addition is one piece, and a removal takes the whole line.

    Parameters
    ----------
    past
        In any order.
    """
    changes: dict[str, list[CartChange]] = {}
    bought: dict[str, int] = {}
    for item_id, event_type, ts in past:
        if event_type == PURCHASE:
            bought[item_id] = max(ts, bought.get(item_id, -1))
        elif (change := cart_change(event_type, ts, None)) is not None:
            changes.setdefault(item_id, []).append(change)
    lines = {item: joined_line(each, bought.get(item, -1)) for item, each in changes.items()}
    filled = [(line[-1].ts, item) for item, line in lines.items() if quantity(line) > 0]
    return tuple(item for _, item in sorted(filled, reverse=True))
