"""States of all shoppers from the interactions table at once, equal to applying every event.

polars reduces the rows to what a state can hold; the last word is the same `joined` that live
events go through, so that both ways cannot drift apart.

Notation: an *owner* is ``u:<user_id>`` or ``v:<visitor_id>``, see `feature_store.online.visitors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from feature_store.moves import moves_of
from feature_store.online.cart import Cart, CartChange
from feature_store.online.facts import MAX_TERM_CHARACTERS, cart_change, preference_fact
from feature_store.online.reconcile import Rebuilt
from feature_store.online.state import Purchased, StateLimits, VisitorState, joined
from feature_store.online.visitor_draft import USER, VISITOR
from recommender.query import Interaction
from recommender.terms import (
    ADD_TO_CART,
    ADD_TO_WISHLIST,
    DISMISS,
    EVENT_CODES,
    EVENT_ID,
    EVENT_TYPE,
    INTERACTION_TYPES,
    ITEM_ID,
    ITEM_POSITION,
    PERSONALIZE_LEVELS,
    PLACEMENT,
    PREFERENCES,
    PURCHASE,
    QUANTITY,
    RECOMMENDATION_ID,
    REFUND,
    REMOVE_FROM_CART,
    SEARCH_TERM,
    SHOPPER_ID,
    TS,
    USER_ID,
    VIEW_ITEM_LIST,
    VISITOR_ID,
)

ROWS_PER_BUCKET = 4_000_000
_OWNER, _CODE, _LINKED_AT, _LINKED_BY = "owner", "code", "linked_at", "linked_by"
_COLUMNS = (
    EVENT_ID,
    EVENT_TYPE,
    TS,
    VISITOR_ID,
    USER_ID,
    SHOPPER_ID,
    ITEM_ID,
    QUANTITY,
    SEARCH_TERM,
    ITEM_POSITION,
    PLACEMENT,
    RECOMMENDATION_ID,
)


@dataclass(frozen=True, slots=True)
class Shoppers:
    """Rows of the interactions table, attributed.

    Parameters
    ----------
    rows
        Columns of the table and ``owner``; ``ts`` as int microseconds.
    links
        ``(visitor_id, user_id, linked_at, linked_by)`` of every identified visitor, the last link
        of each.
    count
        Rows.
    """

    rows: pl.LazyFrame
    links: pl.DataFrame
    count: int

    @property
    def anonymous(self) -> list[str]:
        """Visitors whose events are their own."""
        mine = self.rows.filter(pl.col(_OWNER).str.starts_with(VISITOR))
        return mine.select(pl.col(VISITOR_ID).unique()).collect().to_series().to_list()


def attribute(interactions: pl.LazyFrame, online: Mapping[str, tuple[str, int]]) -> Shoppers:
    """Whom each row belongs to.

    Parameters
    ----------
    interactions
        Rows as `feature_store.tables.read_interactions` gives them.
    online
        ``(user_id, linked_at)`` of visitors that only the online store knows to be identified.
    """
    rows = interactions.select(_COLUMNS).filter(pl.col(EVENT_TYPE).is_in(list(EVENT_CODES)))
    rows = rows.with_columns(pl.col(TS).dt.epoch("us"))
    links = _links(rows)
    elsewhere = pl.DataFrame(
        {VISITOR_ID: list(online), "elsewhere": [user_id for user_id, _ in online.values()]},
        schema={VISITOR_ID: pl.String, "elsewhere": pl.String},
    ).join(links, on=VISITOR_ID, how="anti")
    rows = rows.join(links.lazy().select(VISITOR_ID, linked=True), on=VISITOR_ID, how="left")
    rows = rows.join(elsewhere.lazy(), on=VISITOR_ID, how="left")
    # A linked visitor's shopper is always a user: what came before the link is the first user's.
    of_user = pl.when(pl.col("linked")).then(SHOPPER_ID).otherwise("elsewhere")
    owner = pl.coalesce(USER + of_user, VISITOR + pl.col(VISITOR_ID))
    rows = rows.with_columns(owner.alias(_OWNER)).drop("linked", "elsewhere")
    count = int(rows.select(pl.len()).collect().item())
    return Shoppers(rows, links, count)


def rebuild(
    shoppers: Shoppers, limits: StateLimits, rows_per_bucket: int = ROWS_PER_BUCKET
) -> Iterator[Rebuilt]:
    """Every shopper with a state, one bucket of them in memory at a time, in no special order."""
    links: dict[str, dict[str, tuple[int, str]]] = {}
    for visitor_id, user_id, linked_at, linked_by in shoppers.links.iter_rows():
        links.setdefault(user_id, {})[visitor_id] = (linked_at, linked_by)
    buckets = max(1, -(-shoppers.count // rows_per_bucket))
    for number in range(buckets):
        mine = pl.col(_OWNER).hash(seed=0) % buckets == number
        frame = shoppers.rows.filter(mine).collect(engine="streaming")
        for owner, state in _states(frame, limits):
            name = owner[len(USER) :]
            if owner.startswith(USER):
                yield Rebuilt(name, links.get(name, {}), state)
            else:
                yield Rebuilt(None, {name: (0, "")}, state)


def _links(rows: pl.LazyFrame) -> pl.DataFrame:
    identified = rows.filter(pl.col(USER_ID).is_not_null())
    last = pl.col(USER_ID, TS, EVENT_ID).sort_by(TS, EVENT_ID).last()
    links = identified.group_by(VISITOR_ID).agg(last).collect()
    return links.select(
        VISITOR_ID, USER_ID, pl.col(TS).alias(_LINKED_AT), pl.col(EVENT_ID).alias(_LINKED_BY)
    )


class _Row(NamedTuple):
    """One shopper, reduced; parallel lists, or None where there is nothing."""

    owner: str
    first_seen: int
    last_seen: int
    total_types: list[str]
    total_counts: list[int]
    recent_items: list[str] | None
    recent_types: list[str] | None
    recent_times: list[int] | None
    bought_items: list[str] | None
    bought_times: list[int] | None
    bought_last: list[int] | None
    cart_items: list[str] | None
    cart_types: list[str] | None
    cart_times: list[int] | None
    cart_pieces: list[float | None] | None
    dismissed_items: list[str] | None
    dismissed_times: list[int] | None
    wished_items: list[str] | None
    wished_times: list[int] | None
    first_bought: int | None
    preference: str | None
    preferred_at: int | None
    search_terms: list[str] | None
    search_times: list[int] | None
    exposed_items: list[str] | None
    exposed_times: list[list[int]] | None
    list_times: list[int] | None
    list_placements: list[str] | None
    move_items: list[str] | None
    move_types: list[str] | None
    move_times: list[int] | None


def _states(frame: pl.DataFrame, limits: StateLimits) -> Iterator[tuple[str, VisitorState]]:
    """`(owner, state)` of every owner in a frame."""
    items = frame.filter(
        pl.col(ITEM_ID).is_not_null(), pl.col(EVENT_TYPE).is_in(list(INTERACTION_TYPES))
    )
    parts = [
        _totals(frame),
        _recent(items, limits),
        _bought(items, limits),
        _cart(items),
        _latest(items, DISMISS, "dismissed", limits.dismissed),
        _latest(items, ADD_TO_WISHLIST, "wished", limits.wished),
        _first_bought(items),
        _preferences(frame),
        _searches(frame, limits),
        _exposed(frame, limits),
        _lists(frame, limits),
        _moves(frame, limits),
    ]
    shoppers = frame.group_by(_OWNER).agg(
        pl.col(TS).min().alias("first_seen"), pl.col(TS).max().alias("last_seen")
    )
    for part in parts:
        shoppers = shoppers.join(part, on=_OWNER, how="left")
    empty = VisitorState()
    for values in shoppers.select(_Row._fields).iter_rows():
        row = _Row._make(values)
        yield row.owner, joined(empty, _facts(row), limits)


def _facts(row: _Row) -> VisitorState:
    return VisitorState(
        recent=tuple(
            map(Interaction, row.recent_items or (), row.recent_types or (), row.recent_times or ())
        ),
        cart=_changes(row) if row.cart_items else {},
        purchased=dict(
            zip(
                row.bought_items or (),
                map(Purchased, row.bought_times or (), row.bought_last or ()),
                strict=True,
            )
        ),
        dismissed=dict(zip(row.dismissed_items or (), row.dismissed_times or (), strict=True)),
        wished=dict(zip(row.wished_items or (), row.wished_times or (), strict=True)),
        searches=tuple(zip(row.search_times or (), row.search_terms or (), strict=True)),
        moves=tuple(
            map(Interaction, row.move_items or (), row.move_types or (), row.move_times or ())
        ),
        totals=dict(zip(row.total_types, row.total_counts, strict=True)),
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        first_bought=row.first_bought or 0,
        preference=preference_fact(row.preference or "", row.preferred_at or 0),
        exposures={
            item_id: tuple(times)
            for item_id, times in zip(row.exposed_items or (), row.exposed_times or (), strict=True)
        },
        lists=tuple(zip(row.list_times or (), row.list_placements or (), strict=True)),
    )


def _changes(row: _Row) -> Cart:
    cart: dict[str, tuple[CartChange, ...]] = {}
    for item_id, event_type, ts, pieces in zip(
        row.cart_items or (),
        row.cart_types or (),
        row.cart_times or (),
        row.cart_pieces or (),
        strict=True,
    ):
        if change := cart_change(event_type, ts, pieces):
            cart[item_id] = (*cart.get(item_id, ()), change)
    return cart


def _totals(frame: pl.DataFrame) -> pl.DataFrame:
    # An event with several items has several rows.
    counts = frame.group_by(_OWNER, EVENT_TYPE).agg(pl.col(EVENT_ID).n_unique().cast(pl.Int64))
    return counts.group_by(_OWNER).agg(
        pl.col(EVENT_TYPE).alias("total_types"), pl.col(EVENT_ID).alias("total_counts")
    )


def _recent(items: pl.DataFrame, limits: StateLimits) -> pl.DataFrame:
    code = pl.col(EVENT_TYPE).replace_strict(EVENT_CODES, return_dtype=pl.Int8)
    order = items.with_columns(code.alias(_CODE)).sort(TS, _CODE, ITEM_ID)
    latest = order.group_by(_OWNER, maintain_order=True).tail(limits.recent)
    return latest.group_by(_OWNER, maintain_order=True).agg(
        pl.col(ITEM_ID).alias("recent_items"),
        pl.col(EVENT_TYPE).alias("recent_types"),
        pl.col(TS).alias("recent_times"),
    )


def _bought(items: pl.DataFrame, limits: StateLimits) -> pl.DataFrame:
    is_purchase = pl.col(EVENT_TYPE) == PURCHASE
    bought = items.filter(is_purchase | (pl.col(EVENT_TYPE) == REFUND))
    facts = bought.group_by(_OWNER, ITEM_ID).agg(
        pl.when(is_purchase).then(1).otherwise(-1).sum().cast(pl.Int64).alias("times"),
        pl.when(is_purchase).then(TS).max().fill_null(0).alias("last"),
    )
    latest = _newest(facts, "last", ITEM_ID, limits.purchased)
    return latest.group_by(_OWNER).agg(
        pl.col(ITEM_ID).alias("bought_items"),
        pl.col("times").alias("bought_times"),
        pl.col("last").alias("bought_last"),
    )


def _cart(items: pl.DataFrame) -> pl.DataFrame:
    changes = items.filter(pl.col(EVENT_TYPE).is_in([ADD_TO_CART, REMOVE_FROM_CART]))
    return changes.group_by(_OWNER).agg(
        pl.col(ITEM_ID).alias("cart_items"),
        pl.col(EVENT_TYPE).alias("cart_types"),
        pl.col(TS).alias("cart_times"),
        pl.col(QUANTITY).alias("cart_pieces"),
    )


def _latest(items: pl.DataFrame, event_type: str, name: str, limit: int) -> pl.DataFrame:
    """The items that had an event of this type most recently, and when."""
    touched = items.filter(pl.col(EVENT_TYPE) == event_type)
    facts = touched.group_by(_OWNER, ITEM_ID).agg(pl.col(TS).max())
    return (
        _newest(facts, TS, ITEM_ID, limit)
        .group_by(_OWNER, maintain_order=True)
        .agg(pl.col(ITEM_ID).alias(f"{name}_items"), pl.col(TS).alias(f"{name}_times"))
    )


def _first_bought(items: pl.DataFrame) -> pl.DataFrame:
    bought = items.filter(pl.col(EVENT_TYPE) == PURCHASE)
    return bought.group_by(_OWNER).agg(pl.col(TS).min().alias("first_bought"))


def _preferences(frame: pl.DataFrame) -> pl.DataFrame:
    """The event that said last how much may take part; of two at one moment the stricter."""
    said = frame.filter(pl.col(EVENT_TYPE).is_in(list(PREFERENCES)))
    leniency = {kind: PERSONALIZE_LEVELS.index(level) for kind, level in PREFERENCES.items()}
    rank = pl.col(EVENT_TYPE).replace_strict(leniency, return_dtype=pl.Int8)
    order = said.with_columns(rank.alias(_CODE)).sort(TS, _CODE, descending=[False, True])
    return order.group_by(_OWNER, maintain_order=True).agg(
        pl.col(EVENT_TYPE).last().alias("preference"), pl.col(TS).last().alias("preferred_at")
    )


def _searches(frame: pl.DataFrame, limits: StateLimits) -> pl.DataFrame:
    searched = frame.filter(pl.col(SEARCH_TERM).str.len_bytes() > 0)
    term = pl.col(SEARCH_TERM).str.slice(0, MAX_TERM_CHARACTERS)
    facts = searched.with_columns(term).group_by(_OWNER, SEARCH_TERM).agg(pl.col(TS).max())
    return (
        _newest(facts, TS, SEARCH_TERM, limits.searches)
        .group_by(_OWNER)
        .agg(pl.col(SEARCH_TERM).alias("search_terms"), pl.col(TS).alias("search_times"))
    )


def _ours(frame: pl.DataFrame, limits: StateLimits) -> pl.DataFrame:
    """Rows of items in lists of ours, see `recommender.exposures.is_ours`."""
    known = pl.col(PLACEMENT).is_in(list(limits.placements)).fill_null(value=False)
    return frame.filter(
        pl.col(EVENT_TYPE) == VIEW_ITEM_LIST,
        pl.col(ITEM_ID).is_not_null(),
        pl.col(RECOMMENDATION_ID).is_not_null() | known,
    ).with_columns(pl.col(PLACEMENT).fill_null(""))


def _exposed(frame: pl.DataFrame, limits: StateLimits) -> pl.DataFrame:
    times = _ours(frame, limits).select(_OWNER, ITEM_ID, TS).unique().sort(TS)
    facts = times.group_by(_OWNER, ITEM_ID, maintain_order=True).agg(
        pl.col(TS).tail(limits.showings).alias("times"), pl.col(TS).last().alias("last")
    )
    latest = _newest(facts, "last", ITEM_ID, limits.exposed)
    return latest.group_by(_OWNER).agg(
        pl.col(ITEM_ID).alias("exposed_items"), pl.col("times").alias("exposed_times")
    )


def _lists(frame: pl.DataFrame, limits: StateLimits) -> pl.DataFrame:
    facts = _ours(frame, limits).select(_OWNER, TS, PLACEMENT).unique()
    return (
        _newest(facts, TS, PLACEMENT, limits.lists)
        .group_by(_OWNER)
        .agg(pl.col(TS).alias("list_times"), pl.col(PLACEMENT).alias("list_placements"))
    )


def _moves(frame: pl.DataFrame, limits: StateLimits) -> pl.DataFrame:
    code = pl.col(EVENT_TYPE).replace_strict(EVENT_CODES, return_dtype=pl.Int8)
    moves = moves_of(frame.lazy(), _OWNER).collect()
    order = moves.with_columns(code.alias(_CODE)).sort(TS, _CODE, ITEM_ID)
    latest = order.group_by(_OWNER, maintain_order=True).tail(limits.moves)
    return latest.group_by(_OWNER, maintain_order=True).agg(
        pl.col(ITEM_ID).alias("move_items"),
        pl.col(EVENT_TYPE).alias("move_types"),
        pl.col(TS).alias("move_times"),
    )


def _newest(facts: pl.DataFrame, time: str, tie: str, limit: int) -> pl.DataFrame:
    """The newest facts of each owner, ties broken as `feature_store.online.state` does."""
    return facts.sort(time, tie).group_by(_OWNER, maintain_order=True).tail(limit)
