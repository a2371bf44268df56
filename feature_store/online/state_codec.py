"""`VisitorState` as bytes: a MessagePack array, the schema number first.

Two tricks keep an active shopper under a kilobyte. Each item id is written once and then named by
its place in a list; times are written as the gap to the time before, so that the events of a visit
take 3 to 5 bytes each and lose nothing, and the further items of one basket take 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, pairwise
from math import gcd

import msgspec

from feature_store.online.cart import Cart, CartChange
from feature_store.online.state import Purchased, VisitorState
from recommender.query import Interaction
from recommender.terms import EVENT_CODES, EVENT_TYPES

SCHEMA = 2
"""Raised whenever the layout changes, or an event type is added to `EVENT_TYPES`.

States of schema 1 have no moves; they are read as if there had been none.
"""
_READABLE = frozenset((1, SCHEMA))


class UnreadableStateError(Exception):
    """The bytes are no state of a known schema. `reason` is the key under which it is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Stored(msgspec.Struct, array_like=True):
    schema: int
    unit: int  # microseconds of one step of all gaps: 1, 1,000 or 1,000,000
    user_id: str | None
    linked_at: int
    first_seen: int
    last_seen: int
    item_ids: list[str]
    recent: list[int]  # (item, event code, gap) …
    cart: list[int | float]  # (item, changes, (gap, is_set, quantity) …) …
    purchased: list[int]  # (item, times, gap) …
    dismissed: list[int]  # (item, gap) …
    searches: list[tuple[int, str]]  # (gap, term) …
    totals: list[int]  # (event code, count) …
    moves: list[int] = []  # (item, event code, gap) …


class _StoredLink(msgspec.Struct, array_like=True):
    """The beginning of `_Stored`; the rest is skipped, not built."""

    schema: int
    unit: int
    user_id: str | None
    linked_at: int


_LINK_DECODER = msgspec.msgpack.Decoder(_StoredLink)
_DECODER = msgspec.msgpack.Decoder(_Stored)
_ENCODER = msgspec.msgpack.Encoder()


def encode_state(state: VisitorState) -> bytes:
    """Bytes of a state; equal states have equal bytes."""
    places: dict[str, int] = {}
    unit = _unit(state)

    def place(item_id: str) -> int:
        return places.setdefault(item_id, len(places))

    def gaps(times: Iterable[int]) -> Iterator[int]:
        steps = (ts // unit for ts in chain((state.first_seen,), times))
        return (later - earlier for earlier, later in pairwise(steps))

    def flat(interactions: tuple[Interaction, ...]) -> list[int]:
        parts = zip(
            (place(seen.item_id) for seen in interactions),
            (EVENT_CODES[seen.event_type] for seen in interactions),
            gaps(seen.ts for seen in interactions),
            strict=True,
        )
        return list(chain.from_iterable(parts))

    purchased = zip(
        map(place, state.purchased),
        (bought.times for bought in state.purchased.values()),
        gaps(bought.last for bought in state.purchased.values()),
        strict=True,
    )
    dismissed = zip(map(place, state.dismissed), gaps(state.dismissed.values()), strict=True)
    totals = sorted((EVENT_CODES[name], count) for name, count in state.totals.items())
    stored = _Stored(
        schema=SCHEMA,
        unit=unit,
        user_id=state.user_id,
        linked_at=state.linked_at,
        first_seen=state.first_seen,
        last_seen=state.last_seen,
        item_ids=[],
        recent=flat(state.recent),
        cart=_flat_cart(state.cart, gaps, place),
        purchased=list(chain.from_iterable(purchased)),
        dismissed=list(chain.from_iterable(dismissed)),
        searches=list(
            zip(
                gaps(ts for ts, _ in state.searches),
                (term for _, term in state.searches),
                strict=True,
            )
        ),
        totals=list(chain.from_iterable(totals)),
        moves=flat(state.moves),
    )
    stored.item_ids = list(places)
    return _ENCODER.encode(stored)


def decode_state(raw: bytes) -> VisitorState:
    """State of bytes.

    Raises
    ------
    UnreadableStateError
        With reason ``newer_schema`` when a later version of this program wrote it, ``damaged``
        when nothing readable is there.
    """
    try:
        stored = _DECODER.decode(raw)
        if stored.schema in _READABLE:
            return _state(stored)
    except (msgspec.MsgspecError, IndexError, ValueError, StopIteration):
        pass
    raise UnreadableStateError("newer_schema" if _schema(raw) > SCHEMA else "damaged")


def decode_link(raw: bytes) -> tuple[str, int] | None:
    """``(user_id, linked_at)`` of a state, None without a link or when it is not readable."""
    try:
        stored = _LINK_DECODER.decode(raw)
    except (msgspec.MsgspecError, ValueError):
        return None
    if stored.schema not in _READABLE or stored.user_id is None:
        return None
    return stored.user_id, stored.linked_at


def _schema(raw: bytes) -> int:
    try:
        first = msgspec.msgpack.decode(raw, type=list[object])[0]
    except (msgspec.MsgspecError, IndexError, ValueError):  # ValueError: not UTF-8
        return 0
    return first if isinstance(first, int) else 0


def _state(stored: _Stored) -> VisitorState:
    ids, start, unit = stored.item_ids, stored.first_seen, stored.unit
    bought, dismissed = iter(stored.purchased), iter(stored.dismissed)
    totals = iter(stored.totals)
    # One comprehension each, and the tuple made without its keyword-checking constructor: this
    # runs for every request (35 us instead of 75 for a full state).
    new, ts = tuple.__new__, start
    purchased = {
        ids[place]: new(Purchased, (times, ts := ts + gap * unit))
        for place, times, gap in zip(bought, bought, bought, strict=True)
    }
    ts = start
    dismissals = {
        ids[place]: (ts := ts + gap * unit) for place, gap in zip(dismissed, dismissed, strict=True)
    }
    ts = start
    return VisitorState(
        recent=_interactions(stored.recent, stored),
        cart=_cart(stored) if stored.cart else {},
        purchased=purchased,
        dismissed=dismissals,
        searches=tuple([((ts := ts + gap * unit), term) for gap, term in stored.searches]),
        moves=_interactions(stored.moves, stored),
        totals={EVENT_TYPES[code]: count for code, count in zip(totals, totals, strict=True)},
        first_seen=stored.first_seen,
        last_seen=stored.last_seen,
        user_id=stored.user_id,
        linked_at=stored.linked_at,
    )


def _interactions(flat: list[int], stored: _Stored) -> tuple[Interaction, ...]:
    ids, unit, ts, new = stored.item_ids, stored.unit, stored.first_seen, tuple.__new__
    numbers = iter(flat)
    return tuple(
        [
            new(Interaction, (ids[place], EVENT_TYPES[code], ts := ts + gap * unit))
            for place, code, gap in zip(numbers, numbers, numbers, strict=True)
        ]
    )


def _unit(state: VisitorState) -> int:
    """The coarsest unit that loses nothing: clients send whole milliseconds, files seconds."""
    times = [
        state.first_seen,
        *(seen.ts for seen in state.recent),
        *(move.ts for move in state.moves),
        *(change.ts for line in state.cart.values() for change in line),
        *(bought.last for bought in state.purchased.values()),
        *state.dismissed.values(),
        *(ts for ts, _ in state.searches),
    ]
    common = gcd(*times)
    return next(unit for unit in (1_000_000, 1_000, 1) if common % unit == 0)


def _flat_cart(
    cart: Cart, gaps: Callable[[Iterable[int]], Iterator[int]], place: Callable[[str], int]
) -> list[int | float]:
    flat: list[int | float] = []
    steps = gaps(change.ts for line in cart.values() for change in line)
    for item_id, line in cart.items():
        flat += (place(item_id), len(line))
        for change in line:
            whole = float(change.quantity).is_integer()
            pieces = int(change.quantity) if whole else change.quantity
            flat += (next(steps), int(change.is_set), pieces)
    return flat


def _cart(stored: _Stored) -> Cart:
    numbers = iter(stored.cart)
    cart, ts = {}, stored.first_seen
    for place in numbers:
        line = []
        for _ in range(int(next(numbers))):
            ts += int(next(numbers)) * stored.unit
            line.append(_change(ts, numbers))
        cart[stored.item_ids[int(place)]] = tuple(line)
    return cart


def _change(ts: int, numbers: Iterator[int | float]) -> CartChange:
    return CartChange(ts, is_set=bool(next(numbers)), quantity=float(next(numbers)))
