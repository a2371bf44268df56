"""A visitor's state as the pipeline asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_store.online.state import VisitorState, micros
from recommender.exposures import (
    NONE_IGNORED,
    Exposure,
    IgnoredLists,
    Moment,
    ignored_exposures,
    ignored_lists,
    last_taken_up,
    session_start,
)
from recommender.query import Interaction
from recommender.terms import DISMISS, PURCHASE


@dataclass(frozen=True, slots=True)
class Known:
    """What the pipeline may know about a shopper; see `recommender.query.Query`."""

    history: tuple[Interaction, ...] = ()
    session: tuple[Interaction, ...] = ()
    cart_items: tuple[str, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    ignored_lists: IgnoredLists = NONE_IGNORED


def known_of(state: VisitorState, at: datetime, gap: timedelta) -> Known:
    """History, running session, cart, and what was shown and ignored.

    Purchases and dismissals that are too old for the list of recent interactions still count, as
    history: an item bought or dismissed long ago must not be offered as if it were new.
    """
    history, session = state.split(at, gap)
    recent = {(item_id, event_type) for item_id, event_type, _ in (*history, *session)}
    older = [
        *(
            Interaction(item_id, PURCHASE, each.last)
            for item_id, each in state.purchased_items.items()
        ),
        *(Interaction(item_id, DISMISS, ts) for item_id, ts in state.dismissed_items.items()),
    ]
    added = [each for each in older if (each.item_id, each.event_type) not in recent]
    if added:
        history = tuple(sorted((*added, *history), key=lambda each: each.ts))
    exposures, lists = _ignored(state, (*history, *session), micros(at), gap)
    return Known(history, session, tuple(reversed(state.cart_items)), exposures, lists)


def _ignored(
    state: VisitorState, known: tuple[Interaction, ...], at: int, gap: timedelta
) -> tuple[tuple[Exposure, ...], IgnoredLists]:
    if not state.lists:
        return (), NONE_IGNORED
    touched: dict[str, int] = {}
    for item_id, _, ts in known:
        if ts <= at:
            touched[item_id] = max(ts, touched.get(item_id, ts))
    lists = [ts for ts, _ in state.lists]
    # Being shown something is being there: a visit may go on for pages without an interaction.
    times = (*lists, *(ts for _, _, ts in known))
    moment = Moment(at, session_start(times, at, gap // timedelta(microseconds=1)))
    exposures = ignored_exposures(state.exposures, touched, moment)
    return exposures, ignored_lists(lists, last_taken_up(known, state.exposures, at), moment)
