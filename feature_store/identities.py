"""Who a visitor is: links from an anonymous visitor to a user, and `shopper_id` when reading.

Any event that carries both a visitor and a user (`identify`, a purchase while logged in) links
them from its moment on:

* a row's own `user_id` always wins;
* else the user of the visitor's latest link up to the row, in row order: by time, of one
  microsecond by event id, as the online store applies them;
* before the visitor's first link, the user of that first link: what somebody did before logging
  in is theirs;
* else the visitor id itself.

A visitor used by two people in turn (a shared tablet) therefore belongs to each for their
interval: from a link to the next link with another user. Every row has exactly one shopper, so
nothing is counted twice. User ids and visitor ids share one namespace as shoppers: a shop must
not use one text for both, unless it means one person.
"""

from __future__ import annotations

import polars as pl

from recommender import terms

_VISITOR, _USER, _TS = pl.col(terms.VISITOR_ID), pl.col(terms.USER_ID), pl.col(terms.TS)
LINKED_USER = "linked_user_id"
_TIED, _MOMENT = "tied_user_id", (terms.VISITOR_ID, terms.TS)


def find_links(rows: pl.DataFrame) -> pl.DataFrame:
    """Links that rows in row order give: one per day and run of a visitor's rows with one user.

    Columns: `feature_store.tables.LINK_SCHEMA`.
    """
    found = rows.select(_VISITOR, _USER, _TS).filter(_USER.is_not_null())
    is_news = (_USER.shift(1).over(_VISITOR, _TS.dt.date()) != _USER).fill_null(value=True)
    return found.filter(is_news)


def with_shopper_id(rows: pl.LazyFrame, links: pl.DataFrame) -> pl.LazyFrame:
    """Add `shopper_id` (str, never null); no row is added, lost or moved.

    Rows and links are in row order (`feature_store.tables.ROW_ORDER`).
    """
    first = links.unique(terms.VISITOR_ID, keep="first", maintain_order=True)
    first = first.select(terms.VISITOR_ID, pl.col(terms.USER_ID).alias(LINKED_USER))
    rows = rows.join(first.lazy(), on=terms.VISITOR_ID, how="left", maintain_order="left")
    owner = pl.coalesce(_USER, LINKED_USER, _VISITOR)
    shared = _shared(links)
    if shared.is_empty():
        return rows.with_columns(owner.alias(terms.SHOPPER_ID)).drop(LINKED_USER)
    latest = shared.unique(_MOMENT, keep="last", maintain_order=True)
    latest = latest.select(_VISITOR, _TS, _USER.alias("latest_user_id"))
    tied = _tied(rows, shared)
    rows = rows.join(tied, on=[*_MOMENT, terms.EVENT_ID], how="left", maintain_order="left")
    # Both sides are in time order by construction; polars cannot check that beside `by` and
    # would warn.
    rows = rows.join_asof(
        latest.lazy(),
        on=terms.TS,
        by=terms.VISITOR_ID,
        strategy="backward",
        check_sortedness=False,
        allow_exact_matches=False,
    )
    owner = pl.coalesce(_USER, _TIED, "latest_user_id", LINKED_USER, _VISITOR)
    return rows.with_columns(owner.alias(terms.SHOPPER_ID)).drop(
        LINKED_USER, "latest_user_id", _TIED
    )


def _tied(rows: pl.LazyFrame, shared: pl.DataFrame) -> pl.LazyFrame:
    """Users of the events at the very moment of a link, from that link on: `_TIED` may be null.

    Rows of one moment are of one day, so the rows themselves hold the order that links lack.
    """
    at_once = rows.join(
        shared.lazy().select(_MOMENT).unique(), on=_MOMENT, how="semi", maintain_order="left"
    ).select(*_MOMENT, terms.EVENT_ID, _USER)
    is_link = pl.lit(value=True).alias("is_link")
    known = shared.lazy().select(*_MOMENT, _USER, is_link).unique()
    at_once = at_once.join(
        known, on=[*_MOMENT, terms.USER_ID], how="left", maintain_order="left"
    ).unique([*_MOMENT, terms.EVENT_ID], keep="first", maintain_order=True)
    linked = pl.when("is_link").then(_USER).forward_fill().over(_MOMENT)
    return at_once.select(*_MOMENT, terms.EVENT_ID, linked.alias(_TIED))


def _shared(links: pl.DataFrame) -> pl.DataFrame:
    """Links of visitors with more than one user."""
    users = links.group_by(terms.VISITOR_ID).agg(_USER.n_unique().alias("users"))
    several = users.filter(pl.col("users") > 1)
    return links.join(several, on=terms.VISITOR_ID, how="semi", maintain_order="left")
