"""Common ways through the shop, and how many visits are where after each stop."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from recommender.terms import BoolArray, Int64Array
from training.evaluation.bootstrap import Interval
from training.reports.resampling import Resampling
from training.reports.walks import Walks

LENGTH: Final = 5
PATHS: Final = 10
FLOW_STOPS: Final = 6
FLOW_TOUCHPOINTS: Final = 7

LEFT: Final = "left"
BOUGHT: Final = "bought"
ELSEWHERE: Final = "elsewhere"


class Opening(msgspec.Struct, frozen=True):
    """The first `LENGTH` stops of visits.

    Parameters
    ----------
    stops
        Labels; empty for a purchase without any stop before.
    goes_on
        The visits have further stops.
    visits, share
        Visits of this outcome that opened so, and their share of the outcome's.
    steps
        Mean steps of these visits.
    began, began_bought
        Visits of either outcome that began with these stops, whatever came next, and those of them
        that bought.
    conversion
        The share of the latter; None of too few.
    """

    stops: tuple[str, ...]
    goes_on: bool
    visits: int
    share: float
    steps: float
    began: int
    began_bought: int
    conversion: Interval | None


class Flow(msgspec.Struct, frozen=True):
    """Where visits are after each stop.

    Parameters
    ----------
    states
        `BOUGHT`, touchpoints, `ELSEWHERE`, `LEFT`.
    at
        Visits in each state, by stop: one row per stop.
    moves
        For each pair of neighbouring stops a table: visits from state to state.
    """

    states: tuple[str, ...]
    at: tuple[tuple[int, ...], ...]
    moves: tuple[tuple[tuple[int, ...], ...], ...]


def openings_of(walks: Walks, resampling: Resampling, *, bought: bool) -> tuple[Opening, ...]:
    """The most common openings of visits that bought, or of those that left."""
    keys = _keys(walks)
    chosen = walks.is_bought == bought
    found, first, counts = np.unique(keys[chosen], return_index=True, return_counts=True)
    order = np.lexsort((found, -counts))[:PATHS]
    examples = np.flatnonzero(chosen)[first[order]]
    return tuple(
        _opening(walks, resampling, keys == found[place], chosen, int(example))
        for place, example in zip(order, examples, strict=True)
    )


def _opening(
    walks: Walks, resampling: Resampling, took: BoolArray, chosen: BoolArray, example: int
) -> Opening:
    here = took & chosen
    begin = walks.stop_begin
    stops = walks.stop_touch[begin[example] : begin[example + 1]]
    began = _begin_with(walks, stops[:LENGTH])
    return Opening(
        tuple(walks.touchpoints[touch].label for touch in stops[:LENGTH]),
        len(stops) > LENGTH,
        int(here.sum()),
        float(here.sum() / chosen.sum()),
        float(walks.steps[here].mean()),
        int(began.sum()),
        int((began & walks.is_bought).sum()),
        resampling.mean(walks.shopper[began], walks.is_bought[began]),
    )


def _begin_with(walks: Walks, stops: Int64Array) -> BoolArray:
    """Visits whose first stops are these, bool (v,)."""
    begin = walks.stop_begin[:-1]
    # A purchase without a stop before begins like its own kind only.
    found: BoolArray = walks.stops >= len(stops) if len(stops) else walks.stops == 0
    for number, touch in enumerate(stops.tolist()):
        found[found] = walks.stop_touch[begin[found] + number] == touch
    return found


def _keys(walks: Walks) -> Int64Array:
    """A number for the first stops of each visit, and whether there are more, int64 (v,)."""
    base = len(walks.touchpoints) + 1
    number = np.arange(len(walks.stop_visit)) - walks.stop_begin[walks.stop_visit]
    early = number < LENGTH
    digits = (walks.stop_touch[early] + 1) * np.power(base, number[early], dtype=np.int64)
    keys = np.zeros(len(walks), np.int64)
    np.add.at(keys, walks.stop_visit[early], digits)
    return np.where(walks.stops > LENGTH, -keys, keys)


def flow_of(walks: Walks) -> Flow:
    """Visits by state after each of the first stops; who has left or bought stays there."""
    names = [each.label for each in walks.touchpoints]
    by_stops = np.bincount(walks.stop_touch, minlength=len(names))
    shown = np.sort(np.lexsort((np.arange(len(names)), -by_stops))[:FLOW_TOUCHPOINTS])
    states = (BOUGHT, *(names[each] for each in shown), ELSEWHERE, LEFT)
    state = np.full(len(names), len(states) - 2, np.int64)
    state[shown] = np.arange(1, len(shown) + 1)
    after = np.where(walks.is_bought, 0, len(states) - 1)
    depth = int(min(FLOW_STOPS, walks.stops.max(initial=0)))
    at = [_state_at(walks, state, after, stop) for stop in range(depth + 1)]
    size = len(states)
    moves = [
        np.bincount(now * size + then, minlength=size * size).reshape(size, size)
        for now, then in pairwise(at)
    ]
    return Flow(
        states,
        tuple(tuple(np.bincount(each, minlength=size).tolist()) for each in at),
        tuple(tuple(map(tuple, each.tolist())) for each in moves),
    )


def _state_at(walks: Walks, state: Int64Array, after: Int64Array, stop: int) -> Int64Array:
    """State of every visit at a stop, int64 (v,)."""
    there = walks.stops > stop
    found = after.copy()
    found[there] = state[walks.stop_touch[walks.stop_begin[:-1][there] + stop]]
    return found
