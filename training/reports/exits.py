"""Where visits end: by stop, by stage, by touchpoint."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from recommender.terms import (
    ADD_PAYMENT_INFO,
    ADD_SHIPPING_INFO,
    ADD_TO_CART,
    BEGIN_CHECKOUT,
    SELECT_ITEM,
    VIEW_CART,
    VIEW_ITEM,
    BoolArray,
)
from training.evaluation.bootstrap import Interval
from training.reports.resampling import Resampling
from training.reports.walks import Walks

STOPS: Final = 7

_STAGES: Final = {
    "saw an item": (VIEW_ITEM, SELECT_ITEM),
    "put something into the cart": (ADD_TO_CART,),
    "looked at the cart": (VIEW_CART,),
    "began the checkout": (BEGIN_CHECKOUT, ADD_SHIPPING_INFO, ADD_PAYMENT_INFO),
}


class StageReach(msgspec.Struct, frozen=True):
    """How many visits came to a stage.

    Parameters
    ----------
    share
        Of all visits.
    conversion
        Share of the visits that came so far and bought; None where none did.
    """

    stage: str
    visits: int
    share: float
    conversion: Interval | None


class StopLoss(msgspec.Struct, frozen=True):
    """What became of the visits that made a stop.

    Parameters
    ----------
    stop
        From 1.
    visits
        Visits with so many stops.
    left, bought
        Those for which it was the last, by outcome.
    leaving
        Share that left.
    worst
        The touchpoint at which most of those that left were.
    """

    stop: int
    visits: int
    left: int
    bought: int
    leaving: Interval | None
    worst: str | None


class TouchpointExit(msgspec.Struct, frozen=True):
    """How often visits end at a touchpoint without a purchase.

    Parameters
    ----------
    stops, visits
        Stops there, and visits with any.
    left
        Stops after which the visit was left.
    rate, against_mean
        left / stops, and that rate divided by the rate of all stops together.
    conversion
        Share of the visits that were there and bought.
    """

    touchpoint: str
    stops: int
    visits: int
    left: int
    rate: Interval | None
    against_mean: Interval | None
    conversion: Interval | None


def stages_of(walks: Walks, resampling: Resampling) -> tuple[StageReach, ...]:
    """The funnel: how many visits reach each stage; stages that the log has no event of are out."""
    reached = {"visited": np.ones(len(walks), np.bool_)}
    for name, types in _STAGES.items():
        touches = [n for n, each in enumerate(walks.touchpoints) if each.event_type in types]
        if touches:
            reached[name] = np.logical_or.reduce([walks.has(touch) for touch in touches])
    reached["bought"] = walks.is_bought
    return tuple(_reach(walks, resampling, name, there) for name, there in reached.items())


def _reach(walks: Walks, resampling: Resampling, name: str, there: BoolArray) -> StageReach:
    conversion = resampling.mean(walks.shopper[there], walks.is_bought[there])
    return StageReach(name, int(there.sum()), float(there.mean()), conversion)


def losses_by_stop(walks: Walks, resampling: Resampling) -> tuple[StopLoss, ...]:
    """What became of visits after each of the first `STOPS` stops."""
    begin, is_exit = walks.stop_begin[:-1], walks.stop_is_exit
    found = []
    for number in range(min(STOPS, int(walks.stops.max(initial=0)))):
        there = walks.stops > number
        place = begin[there] + number
        left, last = is_exit[place], walks.stops[there] == number + 1
        names = np.bincount(walks.stop_touch[place][left], minlength=len(walks.touchpoints))
        worst = walks.touchpoints[int(names.argmax())].label if left.any() else None
        share = resampling.mean(walks.shopper[there], left)
        bought = int((last & ~left).sum())
        found.append(StopLoss(number + 1, int(there.sum()), int(left.sum()), bought, share, worst))
    return tuple(found)


def exits_of(walks: Walks, resampling: Resampling) -> tuple[TouchpointExit, ...]:
    """Every touchpoint, the one with the most exits first."""
    found = (_exit(walks, resampling, touch) for touch in range(len(walks.touchpoints)))
    return tuple(sorted(found, key=lambda each: (-each.left, each.touchpoint)))


def _exit(walks: Walks, resampling: Resampling, touch: int) -> TouchpointExit:
    here, is_exit = walks.stop_touch == touch, walks.stop_is_exit
    shopper = walks.shopper[walks.stop_visit]
    present = walks.has(touch)
    return TouchpointExit(
        walks.touchpoints[touch].label,
        int(here.sum()),
        int(present.sum()),
        int(is_exit[here].sum()),
        resampling.mean(shopper[here], is_exit[here]),
        resampling.against_mean(shopper, is_exit, here),
        resampling.mean(walks.shopper[present], walks.is_bought[present]),
    )
