"""A visitor's state as the pipeline asks for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from feature_store.online.state import MICROSECOND, VisitorState, micros
from feature_store.online.visitor_draft import UNKNOWN
from recommender.behaviour import NO_BEHAVIOUR, Behaviour
from recommender.exposures import (
    NONE_IGNORED,
    Exposure,
    IgnoredLists,
    Moment,
    ignored_exposures,
    ignored_lists,
    last_taken_up,
    of_session,
    session_start,
)
from recommender.personalisation import strictest
from recommender.query import NO_VISIT, Interaction, Query, Visit
from recommender.terms import (
    ADD_TO_CART,
    ADD_TO_WISHLIST,
    DISMISS,
    FULL,
    LIGHT,
    OFF,
    PERSONALIZE_LEVELS,
    PURCHASE,
)
from recommender.visit import visit_of


class Known(msgspec.Struct, frozen=True):
    """What the pipeline may know about a shopper; see `recommender.query.Query`.

    Parameters
    ----------
    personalize
        How much may take part: the stricter of what was asked for and the shopper's own wish.
    """

    history: tuple[Interaction, ...] = ()
    session: tuple[Interaction, ...] = ()
    cart_items: tuple[str, ...] = ()
    behaviour: Behaviour = NO_BEHAVIOUR
    personalize: str = FULL
    exposures: tuple[Exposure, ...] = ()
    ignored_lists: IgnoredLists = NONE_IGNORED
    visit: Visit = NO_VISIT


NOTHING = Known(personalize=OFF)
STRANGERS = {level: Known(personalize=level) for level in PERSONALIZE_LEVELS}


def informed(question: Query, state: VisitorState, gap: timedelta) -> Query:
    """The question with all that may be known of who asks: so the service and a closed loop ask.

    Parameters
    ----------
    question
        What the page says. Its `personalize` is how much the page lets take part; its cart comes
        first.
    """
    known = known_of(state, question.at, gap, question.personalize)
    return question.but(**said_of(known, question.cart_items))


def said_of(known: Known, cart_items: tuple[str, ...]) -> dict[str, Any]:
    """The parts of a `Query` that are about who asks.

    Parameters
    ----------
    cart_items
        What the page says of the cart: that comes first.
    """
    return {
        "history": known.history,
        "session": known.session,
        "visit": known.visit,
        "cart_items": tuple(dict.fromkeys((*cart_items, *known.cart_items))),
        "personalize": known.personalize,
        "behaviour": known.behaviour,
        "exposures": known.exposures,
        "ignored_lists": known.ignored_lists,
    }


def known_of(state: VisitorState, at: datetime, gap: timedelta, asked: str = FULL) -> Known:
    """History, running session and visit, cart, what was done in all, what was ignored.

    Purchases, wishes and dismissals that are too old for the list of recent interactions still
    count, as history: an item bought or dismissed long ago must not be offered as if it were new.

    Parameters
    ----------
    asked
        How much of the shopper the caller wants to take part. ``light`` keeps the session, and of
        the cart and of what was shown what belongs to it.
    """
    level = strictest(asked, state.preference.level if state.preference else FULL)
    if level == OFF:
        return NOTHING
    if state is UNKNOWN:
        return STRANGERS[level]
    history, session = state.split(at, gap)
    cart_items = tuple(reversed(state.cart_items))
    moment, silence = micros(at), gap // MICROSECOND
    visit = visit_of(state.recent, state.moves, moment, silence)
    if level == LIGHT:
        put = {seen.item_id for seen in session if seen.event_type == ADD_TO_CART}
        cart_items = tuple(item_id for item_id in cart_items if item_id in put)
        exposures, lists = of_session(*_ignored(state, session, moment, silence))
        visit = Visit(visit.events)
        return Known((), session, cart_items, NO_BEHAVIOUR, LIGHT, exposures, lists, visit)
    if state.purchased or state.dismissed or state.wished:
        history = _with_older(state, history, session)
    exposures, lists = _ignored(state, (*history, *session), moment, silence)
    return Known(history, session, cart_items, state.behaviour, FULL, exposures, lists, visit)


def _with_older(
    state: VisitorState, history: tuple[Interaction, ...], session: tuple[Interaction, ...]
) -> tuple[Interaction, ...]:
    """The history with what is remembered of items although it is not among recent interactions."""
    recent = {(item_id, event_type) for item_id, event_type, _ in (*history, *session)}
    older = [
        *(
            Interaction(item_id, PURCHASE, each.last)
            for item_id, each in state.purchased_items.items()
        ),
        *(Interaction(item_id, DISMISS, ts) for item_id, ts in state.dismissed_items.items()),
        *(Interaction(item_id, ADD_TO_WISHLIST, ts) for item_id, ts in state.wished.items()),
    ]
    added = [each for each in older if (each.item_id, each.event_type) not in recent]
    return tuple(sorted((*added, *history), key=lambda each: each.ts)) if added else history


def _ignored(
    state: VisitorState, known: tuple[Interaction, ...], at: int, silence: int
) -> tuple[tuple[Exposure, ...], IgnoredLists]:
    if not state.lists:
        return (), NONE_IGNORED
    touched: dict[str, int] = {}
    lists = [ts for ts, _ in state.lists]
    # Being shown something is being there: a visit may go on for pages without an interaction.
    times = lists.copy()
    for item_id, _, ts in known:
        times.append(ts)
        if ts <= at and ts >= touched.get(item_id, ts):
            touched[item_id] = ts
    moment = Moment(at, session_start(times, at, silence))
    exposures = ignored_exposures(state.exposures, touched, moment)
    return exposures, ignored_lists(lists, last_taken_up(known, state.exposures, at), moment)
