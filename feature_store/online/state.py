"""What is known about a shopper between two requests: small, bounded, the same in any event order.

A state is a bounded set of facts, each with its own time, so that `joined` of two states is simply
both their facts; applying events (`feature_store.online.facts`) is joining what they say, and so is
merging two devices.

Within the bounds of `StateLimits` the order of arrival makes no difference. Beyond them the oldest
facts go first; an item bought again after it was forgotten starts counting anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

import msgspec

from feature_store.online.cart import Cart, bounded_cart, joined_cart, quantity
from recommender.behaviour import Behaviour
from recommender.errors import InvalidInputError
from recommender.exposures import MOST_COUNTED, SHIPPED_PLACEMENTS
from recommender.query import NO_ITEM, Interaction
from recommender.silences import chain_start
from recommender.terms import (
    ADD_TO_WISHLIST,
    EVENT_CODES,
    MICROS_PER_SECOND,
    PERSONALIZE_LEVELS,
    PURCHASE,
    REVIEW,
    SHARE,
    VIEW_ITEM_LIST,
)

SESSION_GAP = timedelta(minutes=30)
MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime.fromtimestamp(0, UTC)
_DAY = 86_400 * MICROS_PER_SECOND
_Value = TypeVar("_Value")


class Purchased(NamedTuple):
    """How an item was bought.

    Parameters
    ----------
    times
        Purchases less refunds; not above 0 when only refunds are known.
    last
        Time of the latest purchase, microseconds; 0 when only refunds are known.
    """

    times: int
    last: int


class Preference(NamedTuple):
    """How much of them a shopper lets take part in answers.

    Parameters
    ----------
    ts
        When they said so, microseconds.
    level
        One of `recommender.terms.PERSONALIZE_LEVELS`.
    """

    ts: int
    level: str


@dataclass(frozen=True, slots=True)
class StateLimits:
    """Bounds of a state, so that it stays about a kilobyte.

    Parameters
    ----------
    dismissed_days
        How long a dismissal is obeyed.
    late_days
        How long an emptied cart line is remembered: no later event is accepted by the intake.
    exposed, showings
        Items that were shown in lists of ours, and how many showings of each.
    lists
        Lists of ours that were shown.
    placements
        Where lists are ours even without a recommendation id.
    """

    recent: int = 50
    moves: int = 30
    cart_lines: int = 50
    purchased: int = 100
    dismissed: int = 100
    wished: int = 100
    searches: int = 3
    dismissed_days: int = 90
    late_days: int = 7
    exposed: int = 150
    showings: int = MOST_COUNTED
    lists: int = 40
    placements: frozenset[str] = SHIPPED_PLACEMENTS


DEFAULT_LIMITS = StateLimits()


class VisitorState(msgspec.Struct, frozen=True):
    """Everything known about one shopper. Never changed, only replaced.

    Parameters
    ----------
    recent
        Latest interactions, by (ts, event code, item_id), oldest first.
    cart
        Changes of each line, see `feature_store.online.cart`.
    purchased
        The most recently bought items, oldest first.
    dismissed
        When each item was dismissed last, microseconds.
    wished
        When each item was put on the wish-list last, microseconds, oldest first.
    searches
        ``(ts, term)`` of the latest different terms, oldest first.
    moves
        Latest events about no single item (`recommender.terms.MOVE_TYPES`), as `recent`. Of the
        lists of one second only one is kept, the first that has an item: a page often shows
        several.
    totals
        Events by canonical type, all time.
    first_bought
        Time of the earliest purchase, microseconds; 0 when there was none.
    preference
        The latest one; None: the shopper never said.
    first_seen, last_seen
        Times of the earliest and the latest event, microseconds; 0 when there was none.
    user_id
        The user this visitor was identified as; the rest is then empty and lives with the user.
    linked_at, linked_by
        Time of that identification, microseconds, and id of its event: of one moment the larger
        id is the later one, as in the tables.
    exposures
        When each item was shown in a list of ours, microseconds, rising; the most recently shown
        item last.
    lists
        ``(ts, placement)`` of the lists of ours that were shown, oldest first; the placement is
        empty where the event named none.
    """

    recent: tuple[Interaction, ...] = ()
    cart: Cart = {}
    purchased: dict[str, Purchased] = {}
    dismissed: dict[str, int] = {}
    wished: dict[str, int] = {}
    searches: tuple[tuple[int, str], ...] = ()
    moves: tuple[Interaction, ...] = ()
    totals: dict[str, int] = {}
    first_seen: int = 0
    last_seen: int = 0
    first_bought: int = 0
    preference: Preference | None = None
    user_id: str | None = None
    linked_at: int = 0
    linked_by: str = ""
    exposures: dict[str, tuple[int, ...]] = {}
    lists: tuple[tuple[int, str], ...] = ()

    @property
    def is_empty(self) -> bool:
        """No event is known; there may be a link."""
        return not self.totals

    @property
    def cart_items(self) -> dict[str, float]:
        """Pieces of each item in the cart, the most recently changed line last."""
        pieces = {item_id: quantity(line) for item_id, line in self.cart.items()}
        return {item_id: count for item_id, count in pieces.items() if count > 0}

    @property
    def purchased_items(self) -> dict[str, Purchased]:
        """Items bought and not given back, the most recently bought last."""
        return {item_id: bought for item_id, bought in self.purchased.items() if bought.times > 0}

    @property
    def dismissed_items(self) -> dict[str, int]:
        """Items not to be shown, and since when (microseconds)."""
        return self.dismissed

    @property
    def wished_items(self) -> dict[str, int]:
        """Items on the wish-list, and since when (microseconds), the latest last.

        What was bought since is off it.
        """
        never = Purchased(0, 0)
        return {
            item_id: ts
            for item_id, ts in self.wished.items()
            if ts > self.purchased.get(item_id, never).last
        }

    @property
    def behaviour(self) -> Behaviour:
        """What `recommender.stage` looks at, as far as it is known."""
        count, bought = self.totals.get, self.purchased.values()
        return Behaviour(
            purchases=count(PURCHASE, 0),
            kept_lines=sum([each.times for each in bought]),
            first_bought=self.first_bought,
            last_bought=max([each.last for each in bought], default=0),
            wishes=count(ADD_TO_WISHLIST, 0),
            shares=count(SHARE, 0),
            reviews=count(REVIEW, 0),
        )

    def split(
        self, at: datetime, gap: timedelta = SESSION_GAP
    ) -> tuple[tuple[Interaction, ...], tuple[Interaction, ...]]:
        """History and running session as known at `at`, oldest first.

        Nothing later than `at` is in either. The session is the chain of interactions with
        silences of at most `gap`, the last of which reaches `at`; without one it is empty.
        """
        moment, silence = micros(at), gap // MICROSECOND
        times = [ts for _, _, ts in self.recent]
        stop = bisect_right(times, moment)
        start = chain_start(times if stop == len(times) else times[:stop], moment, silence)
        return self.recent[:start], self.recent[start:stop]

    def at(self, at: datetime, limits: StateLimits = DEFAULT_LIMITS) -> VisitorState:
        """The state without the dismissals that are no longer obeyed at `at`."""
        if not self.dismissed:
            return self
        since = micros(at) - limits.dismissed_days * _DAY
        kept = {item_id: ts for item_id, ts in self.dismissed.items() if ts >= since}
        return msgspec.structs.replace(self, dismissed=kept)


def micros(at: datetime) -> int:
    """Microseconds since the epoch. Raises `InvalidInputError` without a time zone."""
    if at.tzinfo is None:
        raise InvalidInputError(f"at={at.isoformat()} has no time zone; pass an aware datetime")
    return (at - _EPOCH) // MICROSECOND


def joined(
    one: VisitorState, other: VisitorState, limits: StateLimits = DEFAULT_LIMITS
) -> VisitorState:
    """State that knows what both know, every fact counted; the link is the later one.

    `one` is a state, `other` a state or the facts of events. What `other` says nothing about is
    taken over as it is: this runs for every event.
    """
    last_seen = max(one.last_seen, other.last_seen)
    purchased = one.purchased
    if other.purchased:
        union = _union(one.purchased, other.purchased, bought_in_all)
        purchased = _newest(union, limits.purchased, _last_bought)
    link = max(one, other, key=link_order)
    return VisitorState(
        recent=_recent(one.recent, other.recent)[-limits.recent :],
        cart=_joined_carts(one, other, purchased, limits),
        purchased=purchased,
        dismissed=_obeyed(one, other, limits),
        wished=_wished(one, other, limits),
        searches=_latest_terms(one.searches, other.searches, limits.searches),
        moves=_moves(one.moves, other.moves)[-limits.moves :],
        totals=_union(one.totals, other.totals, int.__add__),
        first_seen=_earliest(one.first_seen, other.first_seen),
        last_seen=last_seen,
        first_bought=_earliest(one.first_bought, other.first_bought),
        preference=latest_preference(one.preference, other.preference),
        user_id=link.user_id,
        linked_at=link.linked_at,
        linked_by=link.linked_by,
        exposures=_exposed(one.exposures, other.exposures, limits),
        lists=_shown(one.lists, other.lists, limits.lists),
    )


def link_order(state: VisitorState) -> tuple[int, str, str]:
    """Sort key of links: the last one holds."""
    return state.linked_at, state.linked_by, state.user_id or ""


def bought_in_all(one: Purchased, other: Purchased) -> Purchased:
    """Both purchase facts as one."""
    return Purchased(one.times + other.times, max(one.last, other.last))


def latest_preference(*preferences: Preference | None) -> Preference | None:
    """The latest of preferences; of two at one moment the stricter."""
    said = [preference for preference in preferences if preference]
    return max(said, key=_preference_order, default=None)


def _preference_order(preference: Preference) -> tuple[int, int]:
    return preference.ts, -PERSONALIZE_LEVELS.index(preference.level)


def _earliest(*times: int) -> int:
    return min(filter(None, times), default=0)


def interaction_order(interaction: Interaction) -> tuple[int, int, str]:
    """Sort key of `recent` and `moves`: a total order, so that ties never depend on arrival."""
    return interaction.ts, EVENT_CODES[interaction.event_type], interaction.item_id


def _recent(
    one: tuple[Interaction, ...], other: tuple[Interaction, ...]
) -> tuple[Interaction, ...]:
    if not other:
        return one
    new = sorted(other, key=interaction_order)
    if not one or interaction_order(one[-1]) <= interaction_order(new[0]):
        return (*one, *new)
    return tuple(sorted((*one, *new), key=interaction_order))


def _moves(one: tuple[Interaction, ...], other: tuple[Interaction, ...]) -> tuple[Interaction, ...]:
    if not other:
        return one
    every = _recent(one, other)
    lists: dict[int, Interaction] = {}
    for move in every:
        if move.event_type == VIEW_ITEM_LIST:
            before = lists.setdefault(move.ts // MICROS_PER_SECOND, move)
            if before.item_id == NO_ITEM != move.item_id:
                lists[move.ts // MICROS_PER_SECOND] = move
    return tuple(
        [
            move
            for move in every
            if move.event_type != VIEW_ITEM_LIST or lists[move.ts // MICROS_PER_SECOND] is move
        ]
    )


def _joined_carts(
    one: VisitorState, other: VisitorState, purchased: dict[str, Purchased], limits: StateLimits
) -> Cart:
    if not (one.cart or other.cart):
        return {}
    cart = one.cart
    if other.cart or other.purchased:
        emptied = {item_id: bought.last for item_id, bought in purchased.items()}
        cart = joined_cart(one.cart, other.cart, emptied)
    last_seen = max(one.last_seen, other.last_seen)
    return bounded_cart(cart, last_seen - limits.late_days * _DAY, limits.cart_lines)


def _obeyed(one: VisitorState, other: VisitorState, limits: StateLimits) -> dict[str, int]:
    dismissed = one.dismissed
    if other.dismissed:
        union = _union(one.dismissed, other.dismissed, max)
        dismissed = _newest(union, limits.dismissed, int)
    since = max(one.last_seen, other.last_seen) - limits.dismissed_days * _DAY
    return {item: ts for item, ts in dismissed.items() if ts >= since}


def _wished(one: VisitorState, other: VisitorState, limits: StateLimits) -> dict[str, int]:
    if not other.wished:
        return one.wished
    return _newest(_union(one.wished, other.wished, max), limits.wished, int)


def _exposed(
    one: dict[str, tuple[int, ...]], other: dict[str, tuple[int, ...]], limits: StateLimits
) -> dict[str, tuple[int, ...]]:
    if not other:
        return one
    union = dict(one)
    for item_id, times in other.items():
        # A set: two lists of one page that show an item at one moment are one exposure of it.
        known = sorted({*union.get(item_id, ()), *times})
        union[item_id] = tuple(known[-limits.showings :])
    return _newest(union, limits.exposed, _last_time)


def _shown(
    one: tuple[tuple[int, str], ...], other: tuple[tuple[int, str], ...], limit: int
) -> tuple[tuple[int, str], ...]:
    return tuple(sorted({*one, *other})[-limit:]) if other else one


def _last_time(times: tuple[int, ...]) -> int:
    return times[-1]


def _last_bought(bought: Purchased) -> int:
    return bought.last


def _union(
    one: Mapping[str, _Value], other: Mapping[str, _Value], both: Callable[[_Value, _Value], _Value]
) -> dict[str, _Value]:
    union = dict(one)
    for key, value in other.items():
        union[key] = both(union[key], value) if key in union else value
    return union


def _newest(
    values: dict[str, _Value], limit: int, time: Callable[[_Value], int]
) -> dict[str, _Value]:
    order = sorted(values, key=lambda key: (time(values[key]), key))
    return {key: values[key] for key in order[-limit:]}


def _latest_terms(
    one: tuple[tuple[int, str], ...], other: tuple[tuple[int, str], ...], limit: int
) -> tuple[tuple[int, str], ...]:
    if not other:
        return one
    latest: dict[str, int] = {}
    for ts, term in (*one, *other):
        latest[term] = max(ts, latest.get(term, ts))
    return tuple(sorted((ts, term) for term, ts in latest.items())[-limit:])
