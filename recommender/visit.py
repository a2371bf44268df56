"""The running visit: everything that a shopper did since the last long silence, items or not."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from recommender.query import NO_ITEM, NO_VISIT, Interaction, Visit
from recommender.silences import chain_start
from recommender.terms import SELECT_ITEM, VIEW_ITEM

_TIME = attrgetter("ts")
_OPENS = frozenset((SELECT_ITEM, VIEW_ITEM))


def visit_of(
    recent: Sequence[Interaction], moves: Sequence[Interaction], at_micros: int, gap_micros: int
) -> Visit:
    """The visit that is under way at a moment; without events when none is.

    It is the chain of events with silences of at most `gap_micros`, the last of which reaches
    `at_micros`. Nothing later than that is in it.

    Parameters
    ----------
    recent
        Interactions with items, oldest first.
    moves
        Events about no single item (`recommender.terms.MOVE_TYPES`), oldest first.
    """
    # Stable: of one moment, interactions come before moves, each in the order given.
    known = sorted((*recent, *moves), key=_TIME) if moves else recent
    times = [each.ts for each in known]
    stop = bisect_right(times, at_micros)
    start = chain_start(times[:stop], at_micros, gap_micros)
    if start == stop:
        return NO_VISIT
    begin = times[start]
    return Visit(
        tuple(known[start:stop]), frozenset([each.item_id for each in recent if each.ts < begin])
    )


def lately(visit: Visit, items: int) -> tuple[Interaction, ...]:
    """What a visit did since it opened the last so many items; nothing for 0.

    A reload, and the page that a click on the same item opened, is no further item.
    """
    opened, latest = 0, NO_ITEM
    for place in range(len(visit.events), 0, -1):
        if opened == items:
            return visit.events[place:]
        item_id, event_type, _ = visit.events[place - 1]
        if event_type in _OPENS and item_id != latest:
            opened, latest = opened + 1, item_id
    return visit.events if items else ()
