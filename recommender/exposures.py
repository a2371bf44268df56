"""What was shown to a shopper and ignored, counted by one definition for training and serving.

An *exposure* is an item in a list of ours that a storefront reported as shown. It is *ignored* when
the shopper did not interact with the item at its moment or later; any interaction sets the count
back to nothing. A *list* is ignored when nothing that had been shown was taken up since, see
`IgnoredLists`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from recommender.silences import chain_start
from recommender.terms import (
    ADD_TO_CART,
    DISMISS,
    MICROS_PER_SECOND,
    PURCHASE,
    SELECT_ITEM,
    VIEW_ITEM,
)

DAY_MICROS: Final = 86_400 * MICROS_PER_SECOND
WEEK_MICROS: Final = 7 * DAY_MICROS
MOST_COUNTED: Final = 6
"""Ignored exposures of one item that are told apart; more count as so many."""
SHIPPED_PLACEMENTS: Final = frozenset({"home", "item", "cart", "category", "next", "similar"})
"""Lists of these names are taken for ours also where they carry no recommendation id."""
TAKEN_UP: Final = (SELECT_ITEM, VIEW_ITEM, ADD_TO_CART, PURCHASE)
"""Acts by which a shopper takes up an item that was shown."""
TAKEN_UP_WITHIN_MICROS: Final = 30 * 60 * MICROS_PER_SECOND
"""How long after a showing such an act is still of it."""


class Exposure(NamedTuple):
    """What is known of the ignored exposures of one item.

    Parameters
    ----------
    ignored, in_session, in_week
        Ignored exposures that are remembered, those of the running session, and those of the last
        seven days; each up to `MOST_COUNTED`.
    last
        Time of the latest of them, microseconds since the epoch, UTC.
    """

    item_id: str
    ignored: int
    in_session: int
    in_week: int
    last: int


class IgnoredLists(NamedTuple):
    """Lists shown since a suggestion was last taken up, in the running session and in 24 hours."""

    in_session: int = 0
    in_day: int = 0


NONE_IGNORED: Final = IgnoredLists()
_MADE: Final = tuple.__new__  # of a named tuple: without the constructor that looks at keywords


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is asked, and since when the running session runs; microseconds, UTC."""

    at: int
    session_start: int


def is_ours(
    recommendation_id: str | None, placement: str | None, placements: frozenset[str]
) -> bool:
    """Whether a list is one of ours: it carries an answer's id, or stands at a known placement."""
    return recommendation_id is not None or placement in placements


def session_start(times: Iterable[int], at: int, gap: int) -> int:
    """Begin of the chain of moments with silences of at most `gap` that reaches `at`; else `at`.

    Parameters
    ----------
    times
        Microseconds, in any order; those after `at` do not count.
    """
    known = sorted([ts for ts in times if ts <= at])
    start = chain_start(known, at, gap)
    return known[start] if start < len(known) else at


def ignored_exposures(
    exposures: Mapping[str, Sequence[int]], touched: Mapping[str, int], moment: Moment
) -> tuple[Exposure, ...]:
    """The ignored exposures of each item that has any, in the order of `exposures`.

    Parameters
    ----------
    exposures
        Times at which each item was shown, rising.
    touched
        Time of the last interaction with an item, of those up to the moment.
    """
    at, session, week = moment.at, moment.session_start, moment.at - WEEK_MICROS
    touched_at, found = touched.get, []
    for item_id, times in exposures.items():
        # Of most items all showings lie on one side of each bound: this is asked for every answer.
        stop = len(times)
        if stop and times[-1] > at:
            stop = bisect_right(times, at)
        start = max(0, stop - MOST_COUNTED)
        if (touch := touched_at(item_id)) is not None:
            start = max(start, bisect_right(times, touch))
        if start < stop:
            ignored, first, last = stop - start, times[start], times[stop - 1]
            in_session = in_week = ignored
            if first < session:
                in_session = 0 if last < session else stop - bisect_left(times, session, start)
            if first <= week:
                in_week = stop - bisect_right(times, week, start, stop)
            found.append(_MADE(Exposure, (item_id, ignored, in_session, in_week, last)))
    return tuple(found)


def ignored_lists(lists: Iterable[int], taken_up: int, moment: Moment) -> IgnoredLists:
    """Lists shown after `taken_up`; all times in microseconds."""
    ignored = [ts for ts in lists if taken_up < ts <= moment.at]
    day = moment.at - DAY_MICROS
    return IgnoredLists(
        sum(ts >= moment.session_start for ts in ignored), sum(ts > day for ts in ignored)
    )


def of_session(
    exposures: Iterable[Exposure], lists: IgnoredLists
) -> tuple[tuple[Exposure, ...], IgnoredLists]:
    """Both without what was shown before the running session."""
    kept = (
        Exposure(each.item_id, each.in_session, each.in_session, each.in_session, each.last)
        for each in exposures
        if each.in_session
    )
    return tuple(kept), IgnoredLists(lists.in_session, lists.in_session)


def last_taken_up(
    interactions: Iterable[tuple[str, str, int]], exposures: Mapping[str, Sequence[int]], at: int
) -> int:
    """When the shopper last took up something that had been shown before; -1 if never.

    Parameters
    ----------
    interactions
        ``(item_id, event_type, ts)``; a dismissal takes nothing up.
    """
    shown = exposures.get
    taken = [
        ts
        for item_id, event_type, ts in interactions
        if (times := shown(item_id)) and times[0] <= ts <= at and event_type != DISMISS
    ]
    return max(taken, default=-1)
