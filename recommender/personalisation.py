"""How much of the shopper may take part in an answer: the strictest word of all who have a say.

``off``
    nothing about the shopper: the answer is the same for everybody on the same page
``light``
    the running session and the page, the cart that belongs to them included; no earlier visit
``full``
    everything known

The shopper's own wish, the request and the placement each name one.
"""

from __future__ import annotations

from recommender.behaviour import NO_BEHAVIOUR
from recommender.exposures import NONE_IGNORED, of_session
from recommender.placements import Placement
from recommender.query import NO_VISIT, Query, Visit
from recommender.terms import FULL, OFF, PERSONALIZE_LEVELS


def strictest(*levels: str) -> str:
    """The strictest of some levels of `recommender.terms.PERSONALIZE_LEVELS`."""
    if levels.count(levels[0]) == len(levels):  # as nearly always
        return levels[0]
    return min(levels, key=PERSONALIZE_LEVELS.index)


def permitted(query: Query, placement: Placement) -> Query:
    """The query without what may not take part in its answer."""
    level = strictest(query.personalize, placement.personalize)
    if level == FULL:
        return query
    is_off = level == OFF
    exposures, lists = of_session(query.exposures, query.ignored_lists)
    return query.but(
        history=(),
        session=() if is_off else query.session,
        cart_items=() if is_off else query.cart_items,
        behaviour=NO_BEHAVIOUR,
        personalize=level,
        exposures=() if is_off else exposures,
        ignored_lists=NONE_IGNORED if is_off else lists,
        visit=NO_VISIT if is_off else Visit(query.visit.events),
        # The same for everybody: so without chance, too.
        seed=None if is_off else query.seed,
    )


def is_personal(query: Query) -> bool:
    """Whether anything of a query is about the shopper; only with what may take part."""
    return bool(
        query.history
        or query.session
        or query.cart_items
        or query.exposures
        or query.visit != NO_VISIT
        or query.behaviour != NO_BEHAVIOUR
        or query.ignored_lists != NONE_IGNORED
    )


def impersonal(query: Query) -> Query:
    """What anybody would have asked here, for as long a list and with all the time there is."""
    return Query(
        query.at,
        query.placement,
        query.limit,
        context_items=query.context_items,
        category=query.category,
        exclude_items=query.exclude_items,
        personalize=OFF,
        page_type=query.page_type,
        device=query.device,
        locale=query.locale,
        currency=query.currency,
        filter=query.filter,
        diversity=query.diversity,
        kinds=query.kinds,
    )
