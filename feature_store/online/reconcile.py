"""A state rebuilt from the tables meets the state that live events have made meanwhile.

The tables are complete up to a moment, the online state is newer; most of what it holds carries its
own time, counts do not. The rule, per shopper:

1. Nothing online: the rebuilt state.
2. Online starts as early and has counted at least as much of every event type: it has missed
   nothing, and stays as it is.
3. Online starts after the moment: the two do not overlap (the store was lost and filled again by
   live events); both are joined, exactly.
4. Online ends at or before the moment: the rebuilt state, the tables know better.
5. Otherwise online missed something and the two overlap: the rebuilt state, and of the online
   state what is later than the moment. Counts cannot be taken apart; each is the larger of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from feature_store.online.state import Purchased, StateLimits, VisitorState, joined


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One shopper as the tables know them.

    Parameters
    ----------
    user_id
        None for a visitor who was never identified.
    visitors
        When each visitor id was linked to the user, microseconds, and by which event; for a
        visitor who was never identified, that one id.
    """

    user_id: str | None
    visitors: Mapping[str, tuple[int, str]]
    state: VisitorState


def reconcile(
    rebuilt: VisitorState, online: VisitorState, until: int, limits: StateLimits
) -> VisitorState:
    """The state to keep; the tables are complete up to `until`, microseconds."""
    if online.is_empty:
        return rebuilt
    if _missed_nothing(rebuilt, online):
        return msgspec.structs.replace(online, user_id=None, linked_at=0, linked_by="")
    if online.first_seen > until:
        return joined(rebuilt, online, limits)
    if online.last_seen <= until:
        return rebuilt
    return _overlapping(rebuilt, online, until, limits)


def _missed_nothing(rebuilt: VisitorState, online: VisitorState) -> bool:
    return online.first_seen <= (rebuilt.first_seen or online.first_seen) and all(
        online.totals.get(event_type, 0) >= count for event_type, count in rebuilt.totals.items()
    )


def _overlapping(
    rebuilt: VisitorState, online: VisitorState, until: int, limits: StateLimits
) -> VisitorState:
    later = _later_than(until, rebuilt, online)
    totals = {
        event_type: max(rebuilt.totals.get(event_type, 0), online.totals.get(event_type, 0))
        for event_type in rebuilt.totals.keys() | online.totals.keys()
    }
    return msgspec.structs.replace(joined(rebuilt, later, limits), totals=totals)


def _later_than(until: int, rebuilt: VisitorState, online: VisitorState) -> VisitorState:
    none = Purchased(0, 0)
    lines = {
        item_id: tuple(change for change in line if change.ts > until)
        for item_id, line in online.cart.items()
    }
    return VisitorState(
        recent=tuple(seen for seen in online.recent if seen.ts > until),
        cart={item_id: line for item_id, line in lines.items() if line},
        purchased={
            item_id: Purchased(
                max(bought.times - rebuilt.purchased.get(item_id, none).times, 1), bought.last
            )
            for item_id, bought in online.purchased.items()
            if bought.last > until
        },
        dismissed={item_id: ts for item_id, ts in online.dismissed.items() if ts > until},
        wished={item_id: ts for item_id, ts in online.wished.items() if ts > until},
        searches=tuple((ts, term) for ts, term in online.searches if ts > until),
        exposures={
            item_id: later
            for item_id, times in online.exposures.items()
            if (later := tuple(ts for ts in times if ts > until))
        },
        lists=tuple((ts, placement) for ts, placement in online.lists if ts > until),
        moves=tuple(move for move in online.moves if move.ts > until),
        first_seen=online.first_seen,
        last_seen=online.last_seen,
        first_bought=online.first_bought,
        preference=online.preference,
    )
