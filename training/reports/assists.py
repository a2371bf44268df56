"""Lists that helped: purchases of items that a list with a placement had shown before.

Notation
--------
A *contact* of a path (see `recommender.journey`) is a row of the bought item in a list with a
placement within the journey, before the purchase: *seen* (`view_item_list`), or *clicked*
(`select_item`, or a `view_item` that names the placement). g is the number of steps that the
journey had taken when the item was first seen, f its first sight; the steps that the shopper took
past it are max(f - g, 0), the `steps_saved` of the list as it really stood there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from recommender.journey import NEVER, steps_saved
from recommender.terms import (
    PLACEMENT,
    SELECT_ITEM,
    VIEW_ITEM,
    VIEW_ITEM_LIST,
    BoolArray,
    Int64Array,
)
from training.evaluation.bootstrap import Interval
from training.reports.journey_rows import JourneyRows
from training.reports.log_rows import LogRows
from training.reports.resampling import Resampling

MOST_PLACEMENTS: Final = 20


class PlacementAssists(msgspec.Struct, frozen=True):
    """What the list at one placement had to do with purchases.

    Parameters
    ----------
    seen, clicked
        Bought items that it had shown before the purchase, and that had been clicked there.
    last
        Clicked ones whose last click of all lists was here.
    assisted
        Clicked ones whose last click was elsewhere.
    seen_only
        Seen ones that no list had a click of.
    passed
        Mean steps that shoppers took past the item after it first stood here, over `seen`.
    """

    placement: str
    seen: int
    clicked: int
    last: int
    assisted: int
    seen_only: int
    passed: Interval | None


class Assists(msgspec.Struct, frozen=True):
    """Purchases with and without the help of lists.

    Parameters
    ----------
    by_answers
        Only rows that name the answer of the service that filled the list count; False: the log
        names none, so every list with a placement counts.
    items
        Bought items, one per journey and item.
    clicked, seen_only
        Those clicked in any list; those seen in some and clicked in none.
    with_click, without_click
        Mean steps of the journeys with a click on something bought in them, and of the others.
    difference
        The first minus the second.
    """

    by_answers: bool
    items: int
    clicked: int
    seen_only: int
    journeys_with_click: int
    journeys_without_click: int
    with_click: Interval | None
    without_click: Interval | None
    difference: Interval | None
    placements: tuple[PlacementAssists, ...]


@dataclass(frozen=True, slots=True)
class _Contacts:
    """Contacts of paths, in row order.

    Parameters
    ----------
    path, placement, row, after
        int64 (c,); `after` is the number of steps that the journey had taken before.
    is_click
        bool (c,).
    """

    path: Int64Array
    placement: Int64Array
    row: Int64Array
    after: Int64Array
    is_click: BoolArray


def assists_of(rows: LogRows, journeys: JourneyRows, resampling: Resampling) -> Assists | None:
    """Contacts of all that was bought; None where the log has no list, or nothing was bought."""
    is_listed = rows.is_type(VIEW_ITEM_LIST, SELECT_ITEM, VIEW_ITEM) & (rows.placement >= 0)
    is_listed &= rows.item >= 0
    by_answers = bool((rows.is_answer & is_listed).any())
    if by_answers:
        is_listed &= rows.is_answer
    if not is_listed.any() or not len(journeys):
        return None
    contacts = _contacts(rows, journeys, np.flatnonzero(is_listed))
    paths = len(journeys.path_item)
    clicked = _marked(contacts.path[contacts.is_click], paths)
    seen_only = _marked(contacts.path, paths) & ~clicked
    helped = _marked(journeys.path_journey[clicked], len(journeys))
    shopper, steps = journeys.shopper, journeys.steps
    return Assists(
        by_answers,
        paths,
        int(clicked.sum()),
        int(seen_only.sum()),
        int(helped.sum()),
        int((~helped).sum()),
        resampling.mean(shopper[helped], steps[helped]),
        resampling.mean(shopper[~helped], steps[~helped]),
        resampling.difference(shopper, steps, helped),
        _by_placement(rows, journeys, contacts, resampling),
    )


def _contacts(rows: LogRows, journeys: JourneyRows, listed: Int64Array) -> _Contacts:
    journey = journeys.journey_of_rows(listed)
    width = int(max(rows.item.max(initial=0), journeys.path_item.max(initial=0))) + 1
    wanted = journeys.path_journey * width + journeys.path_item
    asked = journey * width + rows.item[listed]
    path = np.searchsorted(wanted, asked)
    is_bought = (journey >= 0) & (wanted[np.minimum(path, len(wanted) - 1)] == asked)
    row, path = listed[is_bought], path[is_bought]
    first = journeys.first_number[journeys.path_journey[path]]
    after = np.maximum(journeys.steps_before[row] - first, 0)
    placement = rows.placement[row].astype(np.int64)
    is_click = ~rows.is_type(VIEW_ITEM_LIST)[row]
    return _Contacts(path.astype(np.int64), placement, row, after, is_click)


def _by_placement(
    rows: LogRows, journeys: JourneyRows, contacts: _Contacts, resampling: Resampling
) -> tuple[PlacementAssists, ...]:
    paths = len(journeys.path_item)
    clicked = _marked(contacts.path[contacts.is_click], paths)
    last = np.full(paths, -1, np.int64)
    # In row order, so that the last assignment of a path is its last click.
    last[contacts.path[contacts.is_click]] = contacts.placement[contacts.is_click]
    found = []
    for place in np.unique(contacts.placement).tolist():
        here = contacts.placement == place
        seen_at = here & ~contacts.is_click
        seen = _marked(contacts.path[seen_at], paths)
        click = _marked(contacts.path[here & contacts.is_click], paths)
        shown = np.full(paths, NEVER, np.int64)
        np.minimum.at(shown, contacts.path[seen_at], contacts.after[seen_at])
        passed = steps_saved(journeys.first_sight, shown)[seen]
        found.append(
            PlacementAssists(
                rows.names[PLACEMENT][place],
                int(seen.sum()),
                int(click.sum()),
                int((click & (last == place)).sum()),
                int((click & (last != place)).sum()),
                int((seen & ~clicked).sum()),
                resampling.mean(journeys.shopper[journeys.path_journey[seen]], passed),
            )
        )
    ordered = sorted(found, key=lambda each: (-each.clicked, -each.seen, each.placement))
    return tuple(ordered[:MOST_PLACEMENTS])


def _marked(places: Int64Array, size: int) -> BoolArray:
    marked = np.zeros(size, np.bool_)
    marked[places] = True
    return marked
