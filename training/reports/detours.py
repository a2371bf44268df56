"""Detours: what lies between seeing a thing and buying it, and ways that lead back."""

from __future__ import annotations

import msgspec
import numpy as np

from recommender.terms import SEARCH, SELECT_ITEM, VIEW_ITEM, VIEW_ITEM_LIST, Int64Array
from training.evaluation.bootstrap import Interval
from training.reports.journey_rows import JourneyRows
from training.reports.resampling import Resampling
from training.reports.walks import Walks


class JourneyLengths(msgspec.Struct, frozen=True):
    """How long the journeys to a purchase were; means per journey, over its bought items.

    Parameters
    ----------
    steps
        Steps to purchase; `median` and `longest_tenth` of the same: half, and nine tenths, of the
        journeys are no longer.
    visits, in_one_visit
        Visits per journey, and the share of journeys made in one.
    first_sight
        Number of the first step on the bought item.
    sight_to_purchase
        Steps from the first sight, with it, to the purchase.
    detour
        Those of them on other items.
    returns
        Steps to an item that the journey had been at and left: share of the steps.
    """

    journeys: int
    steps: Interval
    median: float
    longest_tenth: float
    visits: Interval
    in_one_visit: Interval
    first_sight: Interval
    sight_to_purchase: Interval
    detour: Interval
    returns: Interval


class Loops(msgspec.Struct, frozen=True):
    """Ways back within visits of one outcome.

    Parameters
    ----------
    stops
        Mean stops of a visit.
    again
        Share of the stops at a list or search that the visit had been at before.
    """

    outcome: str
    visits: int
    stops: Interval | None
    again: Interval | None


class Pogo(msgspec.Struct, frozen=True):
    """To an item and straight back to the same list.

    Parameters
    ----------
    to_item
        Times that visits went from the list to an item.
    back
        Times that the very next stop was the same list.
    visits
        Visits with any such way back.
    conversion, conversion_without
        Of those visits, and of the others that went from the list to an item.
    """

    touchpoint: str
    to_item: int
    back: int
    share: Interval | None
    visits: int
    conversion: Interval | None
    conversion_without: Interval | None


def lengths_of(journeys: JourneyRows, resampling: Resampling) -> JourneyLengths | None:
    """Lengths and detours; None without a journey."""
    if not len(journeys):
        return None
    to_purchase = journeys.steps[journeys.path_journey] - journeys.first_sight
    own, returned = _own_and_returned(journeys)
    shopper, draws = journeys.shopper, resampling.draws

    def mean(values: np.ndarray) -> Interval:
        return draws.ratio(resampling.totals(shopper, values), resampling.totals(shopper))

    return JourneyLengths(
        journeys=len(journeys),
        steps=mean(journeys.steps),
        median=float(np.median(journeys.steps)),
        longest_tenth=float(np.quantile(journeys.steps, 0.9, method="inverted_cdf")),
        visits=mean(journeys.visits),
        in_one_visit=mean(journeys.visits == 1),
        first_sight=mean(journeys.mean_of_paths(journeys.first_sight)),
        sight_to_purchase=mean(journeys.mean_of_paths(to_purchase)),
        detour=mean(journeys.mean_of_paths(np.maximum(to_purchase - own, 0))),
        returns=draws.ratio(
            resampling.totals(shopper, returned), resampling.totals(shopper, journeys.steps)
        ),
    )


def _own_and_returned(journeys: JourneyRows) -> tuple[Int64Array, Int64Array]:
    """Steps of each path on its item from first sight on; steps of each journey that return."""
    trail = journeys.trail
    rows = np.flatnonzero(trail.is_step)
    journey = journeys.journey_of_rows(journeys.trail_row[rows])
    rows, journey = rows[journey >= 0], journey[journey >= 0]
    begun = journeys.steps_before[journeys.trail_row[rows] + 1] - 1
    step = np.maximum(begun - journeys.first_number[journey], 0)
    item = trail.item_idx[rows].astype(np.int64)
    once = np.unique(np.column_stack([journey, item, step]), axis=0)
    same = (once[1:, 0] == once[:-1, 0]) & (once[1:, 1] == once[:-1, 1])
    comes_back = np.r_[False, same & (np.diff(once[:, 2]) > 1)][: len(once)]
    # A step on several items returns once.
    steps = np.unique(once[comes_back][:, [0, 2]], axis=0)
    returned = np.bincount(steps[:, 0], minlength=len(journeys)).astype(np.int64)
    width = int(max(once[:, 1].max(initial=0), journeys.path_item.max(initial=0))) + 1
    keys = once[:, 0] * width + once[:, 1]
    wanted = journeys.path_journey * width + journeys.path_item
    own = np.searchsorted(keys, wanted, side="right") - np.searchsorted(keys, wanted)
    return own.astype(np.int64), returned


def loops_of(walks: Walks, resampling: Resampling) -> tuple[Loops, ...]:
    """Ways back to lists and searches, of visits that bought and of those that left."""
    listing = _touches(walks, (VIEW_ITEM_LIST, SEARCH))
    place = np.flatnonzero(np.isin(walks.stop_touch, listing))
    pairs = np.column_stack([walks.stop_visit[place], walks.stop_touch[place]])
    _, first = np.unique(pairs, axis=0, return_index=True)
    is_again = np.zeros(len(walks.stop_touch), np.bool_)
    is_again[place] = True
    is_again[place[first]] = False
    again = np.bincount(walks.stop_visit, is_again, len(walks))
    found = []
    for outcome, chosen in (("bought", walks.is_bought), ("left", ~walks.is_bought)):
        shopper, stops = walks.shopper[chosen], walks.stops[chosen]
        share = None
        if stops.any():
            totals = (resampling.totals(shopper, each) for each in (again[chosen], stops))
            share = resampling.draws.ratio(*totals)
        found.append(Loops(outcome, int(chosen.sum()), resampling.mean(shopper, stops), share))
    return tuple(found)


def pogo_of(walks: Walks, resampling: Resampling) -> tuple[Pogo, ...]:
    """Ways to an item and straight back, by list or search; the most frequent first."""
    touch, visit = walks.stop_touch, walks.stop_visit
    is_item = np.isin(touch, _touches(walks, (SELECT_ITEM, VIEW_ITEM)))
    to_item = np.zeros(len(touch), np.bool_)
    back = np.zeros(len(touch), np.bool_)
    to_item[:-1] = is_item[1:] & (visit[1:] == visit[:-1])
    back[:-2] = to_item[:-2] & (touch[2:] == touch[:-2]) & (visit[2:] == visit[:-2])
    found = []
    for each in _touches(walks, (VIEW_ITEM_LIST, SEARCH)):
        at = np.flatnonzero(to_item & (touch == each))
        if not len(at):
            continue
        share = resampling.mean(walks.shopper[visit[at]], back[at])
        went, returned = (_visits(walks, visit[places]) for places in (at, at[back[at]]))
        found.append(
            Pogo(
                walks.touchpoints[each].label,
                len(at),
                int(back[at].sum()),
                share,
                int(returned.sum()),
                *(
                    resampling.mean(walks.shopper[chosen], walks.is_bought[chosen])
                    for chosen in (returned, went & ~returned)
                ),
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.back, each.touchpoint)))


def _touches(walks: Walks, types: tuple[str, ...]) -> list[int]:
    return [n for n, each in enumerate(walks.touchpoints) if each.event_type in types]


def _visits(walks: Walks, visits: Int64Array) -> np.ndarray:
    present = np.zeros(len(walks), np.bool_)
    present[visits] = True
    return present
