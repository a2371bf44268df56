"""Rows of the tables, and links, without what was erased. Stage of the flow: tables → features."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from feature_store.erasures import USER, VISITOR, subject_of
from feature_store.identities import find_links
from recommender.terms import TS, USER_ID, VISITOR_ID

_MOMENTS = ("erased_visitor_at", "erased_user_at")


def without_erased(
    rows: pl.LazyFrame, links: pl.DataFrame, subjects: Mapping[str, int]
) -> pl.LazyFrame:
    """The rows that may be read, in the same order.

    Parameters
    ----------
    rows
        With ``visitor_id``, ``user_id`` and ``ts``; may be links themselves.
    links
        Of these visitors (`feature_store.tables.LINK_SCHEMA`): a device that was an erased user's
        is erased with them, also where the online store had forgotten that it was theirs.
    subjects
        `feature_store.erasures.Erasures.subjects`.
    """
    if not subjects:
        return rows
    visitors, users = erased_visitors(rows, links, subjects), _moments(rows, USER_ID, subjects)
    if visitors.is_empty() and users.is_empty():
        return rows
    for moments, name, column in zip(
        (visitors, users), (VISITOR_ID, USER_ID), _MOMENTS, strict=True
    ):
        renamed = moments.lazy().rename({"erased_at": column})
        rows = rows.join(renamed, on=name, how="left", maintain_order="left")
    erased_at = pl.max_horizontal(_MOMENTS).fill_null(0)
    return rows.filter(pl.col(TS).dt.epoch("us") > erased_at).drop(_MOMENTS)


def links_left(
    links: pl.DataFrame, every: pl.DataFrame, rows: pl.LazyFrame, subjects: Mapping[str, int]
) -> pl.DataFrame:
    """Links without what was erased, by time.

    Of a run of one visitor's rows with one user only the first is a link; where that one is gone,
    the first row that is left takes its place.

    Parameters
    ----------
    every
        As the links of `without_erased`.
    rows
        All rows that the links were found in, in row order.
    """
    kept = without_erased(links.lazy(), every, subjects).collect()
    if len(kept) == len(links):
        return kept
    touched = links.join(kept, on=links.columns, how="anti")[VISITOR_ID].unique()
    is_touched = pl.col(VISITOR_ID).is_in(touched.implode())
    theirs = rows.select(links.columns).filter(is_touched, pl.col(USER_ID).is_not_null())
    again = find_links(without_erased(theirs, every, subjects).collect())
    return pl.concat([kept.filter(~is_touched), again]).sort(TS, maintain_order=True)


def erased_visitors(
    rows: pl.DataFrame | pl.LazyFrame, links: pl.DataFrame, subjects: Mapping[str, int]
) -> pl.DataFrame:
    """``visitor_id, erased_at`` (microseconds) of visitors of these rows and links."""
    users = _moments(links, USER_ID, subjects)
    theirs = links.join(users, on=USER_ID).filter(pl.col(TS).dt.epoch("us") <= pl.col("erased_at"))
    parts = [
        _moments(rows, VISITOR_ID, subjects),
        _moments(links, VISITOR_ID, subjects),
        theirs.select(VISITOR_ID, "erased_at"),
    ]
    return pl.concat(parts).group_by(VISITOR_ID).agg(pl.col("erased_at").max())


def _moments(
    rows: pl.DataFrame | pl.LazyFrame, column: str, subjects: Mapping[str, int]
) -> pl.DataFrame:
    """When each id of a column was erased; ids that were not are left out."""
    kind = VISITOR if column == VISITOR_ID else USER
    names = rows.lazy().select(pl.col(column).drop_nulls().unique()).collect()[column].to_list()
    moments = {name: subjects.get(subject_of(kind, name), 0) for name in names}
    found = {name: at for name, at in moments.items() if at}
    return pl.DataFrame(
        {column: list(found), "erased_at": list(found.values())},
        schema={column: pl.String, "erased_at": pl.Int64},
    )
