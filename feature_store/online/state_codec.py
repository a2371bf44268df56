"""`VisitorState` as bytes: a MessagePack array, the schema number first.

Two tricks keep an active shopper under a kilobyte. Each item id is written once and then named by
its place in a list; times are written as the gap to the time before, so that the events of a visit
take 3 to 5 bytes each and lose nothing, and the further items of one basket take 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, pairwise
from math import gcd

import msgspec

from feature_store.online.cart import Cart, CartChange
from feature_store.online.state import Preference, Purchased, VisitorState
from recommender.query import Interaction
from recommender.terms import EVENT_CODES, EVENT_TYPES, PERSONALIZE_LEVELS

SCHEMA = 2
"""Raised whenever the layout changes, or an event type is added to `EVENT_TYPES`.

New parts are added at the end, with defaults: states of earlier schemas stay readable.
"""
OLDEST = 1
"""Schemas from this one on are read; 1 ends with the totals."""


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
    wished: list[int] = []  # (item, gap) …
    first_bought: list[int] = []  # gap, where something was bought
    preference: list[int] = []  # level, gap, where there is one
    # Of each item its last showing, as gap to that of the item before, then how
    # far back the others lie: (item, further showings, gap, back …) …
    exposures: list[int] = []
    placements: list[str] = []
    lists: list[int] = []  # (placement, gap) …
    moves: list[int] = []  # (item, event code, gap) …
    linked_by: str = ""


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
    wished = zip(map(place, state.wished), gaps(state.wished.values()), strict=True)
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
        wished=list(chain.from_iterable(wished)),
        first_bought=list(gaps([state.first_bought] if state.first_bought else [])),
        preference=_flat_preference(state.preference, gaps),
        moves=flat(state.moves),
        linked_by=state.linked_by,
    )
    stored.exposures = _flat_exposures(state, unit, place)
    stored.placements = sorted({placement for _, placement in state.lists})
    names = {name: number for number, name in enumerate(stored.placements)}
    lists = zip(
        (names[placement] for _, placement in state.lists),
        gaps(ts for ts, _ in state.lists),
        strict=True,
    )
    stored.lists = list(chain.from_iterable(lists))
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
        if OLDEST <= stored.schema <= SCHEMA:
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
    if not OLDEST <= stored.schema <= SCHEMA or stored.user_id is None:
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
    bought, totals, lists = iter(stored.purchased), iter(stored.totals), iter(stored.lists)
    # One comprehension each, and the tuple made without its keyword-checking constructor: this
    # runs for every request (35 us instead of 75 for a full state).
    new, ts = tuple.__new__, start
    purchased = {
        ids[place]: new(Purchased, (times, ts := ts + gap * unit))
        for place, times, gap in zip(bought, bought, bought, strict=True)
    }
    ts = start
    shown = tuple(
        [
            ((ts := ts + gap * unit), stored.placements[place])
            for place, gap in zip(lists, lists, strict=True)
        ]
    )
    ts = start
    return VisitorState(
        recent=_interactions(stored.recent, stored),
        cart=_cart(stored) if stored.cart else {},
        purchased=purchased,
        dismissed=_marks(stored.dismissed, stored) if stored.dismissed else {},
        wished=_marks(stored.wished, stored) if stored.wished else {},
        searches=tuple([((ts := ts + gap * unit), term) for gap, term in stored.searches]),
        moves=_interactions(stored.moves, stored),
        totals={EVENT_TYPES[code]: count for code, count in zip(totals, totals, strict=True)},
        first_seen=stored.first_seen,
        last_seen=stored.last_seen,
        first_bought=_first_bought(stored, purchased),
        preference=_preference(stored),
        user_id=stored.user_id,
        linked_at=stored.linked_at,
        linked_by=stored.linked_by,
        exposures=_exposures(stored) if stored.exposures else {},
        lists=shown,
    )


def _first_bought(stored: _Stored, purchased: dict[str, Purchased]) -> int:
    for gap in stored.first_bought:
        return stored.first_seen + gap * stored.unit
    # Schema 1 did not say: not before the earliest purchase that is still known.
    return min((bought.last for bought in purchased.values() if bought.last), default=0)


def _flat_preference(
    preference: Preference | None, gaps: Callable[[Iterable[int]], Iterator[int]]
) -> list[int]:
    if preference is None:
        return []
    return [PERSONALIZE_LEVELS.index(preference.level), *gaps([preference.ts])]


def _preference(stored: _Stored) -> Preference | None:
    if not stored.preference:
        return None
    level, gap = stored.preference
    if not 0 <= level < len(PERSONALIZE_LEVELS):
        raise ValueError(f"level {level}")
    return Preference(stored.first_seen + gap * stored.unit, PERSONALIZE_LEVELS[level])


def _marks(flat: list[int], stored: _Stored) -> dict[str, int]:
    ids, unit, ts, numbers = stored.item_ids, stored.unit, stored.first_seen, iter(flat)
    return {
        ids[place]: (ts := ts + gap * unit) for place, gap in zip(numbers, numbers, strict=True)
    }


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
        *state.wished.values(),
        state.first_bought,
        state.preference.ts if state.preference else 0,
        *(ts for ts, _ in state.searches),
        *(ts for times in state.exposures.values() for ts in times),
        *(ts for ts, _ in state.lists),
    ]
    common = gcd(*times)
    return next(unit for unit in (1_000_000, 1_000, 1) if common % unit == 0)


def _flat_exposures(state: VisitorState, unit: int, place: Callable[[str], int]) -> list[int]:
    flat: list[int] = []
    before = state.first_seen
    for item_id, times in state.exposures.items():
        last = times[-1]
        flat += (place(item_id), len(times) - 1, (last - before) // unit)
        flat += [(last - ts) // unit for ts in times[-2::-1]]
        before = last
    return flat


def _exposures(stored: _Stored) -> dict[str, tuple[int, ...]]:
    ids, unit, numbers = stored.item_ids, stored.unit, iter(stored.exposures)
    exposures, last = {}, stored.first_seen
    for place, further, gap in zip(numbers, numbers, numbers, strict=True):
        last += gap * unit
        if further > 0:
            times = [last]
            for back in islice(numbers, further):
                times.append(last - back * unit)  # noqa: PERF401 - it would close over `last`
            if len(times) <= further:
                raise ValueError(f"{len(times) - 1} of {further} further showings")
            times.reverse()
            exposures[ids[place]] = tuple(times)
        else:  # most items were shown once
            exposures[ids[place]] = (last,)
    return exposures


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
    ids, unit, numbers, new = stored.item_ids, stored.unit, iter(stored.cart), tuple.__new__
    cart, ts = {}, stored.first_seen
    for place, changes in zip(numbers, numbers, strict=True):
        line = []
        for _ in range(int(changes)):
            ts += int(next(numbers)) * unit
            line.append(new(CartChange, (ts, bool(next(numbers)), float(next(numbers)))))
        cart[ids[int(place)]] = tuple(line)
    return cart
