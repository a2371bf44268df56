"""How made-up shoppers behave: every number of the model; docs/simulation.md explains them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np

from recommender.terms import Float64Array


class Pace(IntEnum):
    """How a visit is made. Never in the events; a row index of the tables below."""

    HURRIED = 0
    FOCUSED = 1
    BROWSING = 2
    RETURNING = 3


class Page(IntEnum):
    """Where in the shop a shopper is. The names are the placements and page types of the events."""

    HOME = 0
    CATEGORY = 1
    SEARCH = 2
    ITEM = 3
    CART = 4


class Move(IntEnum):
    """What a shopper does who stays without a click; columns of `Behaviour.moves`."""

    NEXT_LISTING = 0
    CATEGORY = 1
    SEARCH = 2
    BACK = 3
    HOME = 4
    RELOAD = 5
    CART = 6


class Via(IntEnum):
    """How a shopper came to an item page."""

    LANDING = 0
    LISTING = 1
    RECOMMENDATION = 2
    BACK = 3


class Exit(IntEnum):
    """Why a visit ended."""

    LEFT = 0
    OUT_OF_PATIENCE = 1
    TIRED = 2
    BOUGHT = 3
    BOUNCED = 4


class Draw(IntEnum):
    """Purposes of random draws, see `training.simulation.chance`. Append only."""

    TASTE = 0
    TRAITS = 1
    INTERESTS = 2
    BRANDS = 3
    DEVICES = 4
    VISIT = 5
    SECOND_VISIT = 6
    HOUR = 7
    PACE = 8
    NEED = 9
    NEED_TASTE = 10
    ENTRY = 11
    LANDING = 12
    CLICK = 13
    CART = 14
    EXTRAS = 15
    STAY = 16
    MOVE = 17
    RECALL = 18
    DWELL = 19
    CHECKOUT = 20
    QUANTITY = 21
    AFTERMATH = 22
    SEARCH = 23
    LOGIN = 24
    DISMISS = 25
    BOT = 26
    BOUNCE = 27
    WILL = 28
    WAY = 29


PLACEMENTS: Final = ("home", "category", "search", "item", "cart")
"""Placement and page type by `Page`."""


def _table(*rows: tuple[float, ...]) -> Float64Array:
    table = np.array(rows)
    table.setflags(write=False)
    return table


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Parameters of the behaviour of people. Tables have one row per `Pace` in its order.

    Parameters
    ----------
    closeness
        (4, 4): how much an item counts by its category: same leaf as the need, same section, same
        department, other.
    bias, taste_weight, brand_weight, quality_weight, habit_weight
        Terms of the utility, see `training.simulation.utility`.
    attention
        (4,): probability of examining the first position of a list.
    decay
        (4,): examination falls by this factor per position.
    listing_attention
        Examination of the shop's own listing relative to that of the recommendations above it.
    choosiness
        Clicks go with the match to this power: who sees a list of poor fits clicks on none.
    seen_factor
        Clicks on an item already seen are this much rarer: it is known, and one goes back by other
        ways.
    sold_out_factor
        Clicks on a sold-out item are this much rarer.
    satisfied_factor
        Clicks are this much rarer once what was wanted is in the cart.
    fatigue
        Clicks on a recommendation fall by exp(-fatigue · n) after n ignored showings of the item.
    repeat_exit
        Added to the probability of leaving when the recommendations were all ignored four times or
        more before.
    repeat_dismiss
        Probability of dismissing the most repeated recommendation, at the same level of repetition.
    willing
        (4,): probability that a visit is made to buy, not only to look.
    trust
        Factor on `willing` for shoppers who have bought here before.
    decide, idle_cart
        Probability of putting a perfect item into the cart when it is seen, by the willing and
        by those who only look.
    acceptance, steepness
        The match at which half of that is reached, and the slope there.
    leave
        (4,): probability of leaving after any page.
    bounce
        (5,): probability that those who only look leave the first page unread, by `Page`.
    patience
        (4,): mean number of pages after which leaving becomes likelier.
    persistence
        Factor on `leave` for the willing: they go on until they have found it or lose patience.
    impatience
        Added to the probability of leaving per page beyond the patience.
    moves
        (4, 7): weights by `Move`.
    entries
        (4, 5): weights of the first page by `Page`.
    go_to_cart, idle_go_to_cart
        Probability of going to the cart when all that is wanted is in it, of the willing and of
        the others.
    check_out, idle_check_out
        Probability of buying when in the cart, of the willing and of those who only look.
    remove
        Probability of removing an item when in the cart.
    complement
        Probability of wanting something that goes with what was put into the cart.
    dwell_seconds, dwell_sigma
        (4,) median and logarithmic spread of the time spent on an item page.
    glance
        Time on other pages relative to an item page.
    max_pages
        A visit ends here at the latest.
    """

    closeness: Float64Array = field(
        default_factory=lambda: _table(
            (1.0, 0.25, 0.06, 0.02),
            (1.0, 0.35, 0.10, 0.03),
            (1.0, 0.80, 0.55, 0.35),
            (1.0, 0.30, 0.08, 0.03),
        )
    )
    bias: float = 0.1
    taste_weight: float = 2.4
    brand_weight: float = 0.8
    quality_weight: float = 0.25
    habit_weight: float = 3.0
    attention: Float64Array = field(default_factory=lambda: _table((0.8, 0.9, 0.85, 0.85))[0])
    decay: Float64Array = field(default_factory=lambda: _table((0.8, 0.9, 0.93, 0.88))[0])
    listing_attention: float = 0.8
    choosiness: float = 2.0
    seen_factor: float = 0.3
    sold_out_factor: float = 0.3
    satisfied_factor: float = 0.03
    fatigue: float = 0.35
    repeat_exit: float = 0.06
    repeat_dismiss: float = 0.04
    willing: Float64Array = field(default_factory=lambda: _table((0.046, 0.042, 0.011, 0.065))[0])
    trust: float = 3.0
    decide: float = 0.95
    idle_cart: float = 0.06
    acceptance: float = 0.7
    steepness: float = 15.0
    leave: Float64Array = field(default_factory=lambda: _table((0.25, 0.20, 0.19, 0.22))[0])
    bounce: Float64Array = field(default_factory=lambda: _table((0.28, 0.23, 0.18, 0.43, 0.05))[0])
    patience: Float64Array = field(default_factory=lambda: _table((6.0, 14.0, 22.0, 10.0))[0])
    persistence: float = 0.25
    impatience: float = 0.04
    moves: Float64Array = field(
        default_factory=lambda: _table(
            (0.10, 0.15, 0.45, 0.15, 0.00, 0.25, 0.02),
            (0.25, 0.25, 0.15, 0.20, 0.02, 0.25, 0.02),
            (0.25, 0.30, 0.05, 0.20, 0.10, 0.25, 0.01),
            (0.10, 0.15, 0.10, 0.45, 0.02, 0.25, 0.05),
        )
    )
    entries: Float64Array = field(
        default_factory=lambda: _table(
            (0.10, 0.15, 0.30, 0.45, 0.00),
            (0.15, 0.25, 0.15, 0.45, 0.00),
            (0.30, 0.25, 0.05, 0.40, 0.00),
            (0.20, 0.05, 0.05, 0.50, 0.20),
        )
    )
    go_to_cart: float = 0.9
    idle_go_to_cart: float = 0.4
    check_out: float = 0.9
    idle_check_out: float = 0.03
    remove: float = 0.08
    complement: float = 0.2
    dwell_seconds: Float64Array = field(default_factory=lambda: _table((16.0, 36.0, 44.0, 30.0))[0])
    dwell_sigma: float = 1.0
    glance: float = 0.5
    max_pages: int = 80
