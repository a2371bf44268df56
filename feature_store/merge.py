"""New rows meet the rows that a table holds: what is kept, what is a repetition, what contradicts.

The outcome is a function of the *set* of rows ever seen, not of their order, batches or files:

* the *head* of an event is its time, type and visitor. Heads that differ under one event id
  contradict; the smallest (earliest, then by name) holds and rows under any other head lose;
* rows of one event and item position with equal *payload* (all columns but `available_at`) are
  repetitions: one is kept, with the earliest `available_at`;
* payloads that differ contradict; the smallest, column by column with nulls first, holds.

A new row that loses is rejected as a conflict; a stored row that loses to a new one is displaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from feature_store.tables import ROW_KEY, ROW_ORDER, STORED_SCHEMA
from recommender import terms

IS_NEW: Final = "is_new"
HEAD: Final = (terms.TS, terms.EVENT_TYPE, terms.VISITOR_ID)
PAYLOAD: Final = tuple(name for name in STORED_SCHEMA.names() if name != terms.AVAILABLE_AT)


@dataclass(frozen=True, slots=True)
class Merged:
    """Outcome of a merge.

    Parameters
    ----------
    rows
        What the table is to hold: stored schema and `IS_NEW`, in row order.
    duplicates
        New rows that repeat one that is kept.
    conflicts
        New rows that lost; stored schema.
    displaced
        Stored rows that lost to new ones; stored schema.
    """

    rows: pl.DataFrame
    duplicates: int
    conflicts: pl.DataFrame
    displaced: pl.DataFrame


def merge(rows: pl.DataFrame, owners: pl.DataFrame) -> Merged:
    """Settle stored and new rows of some days.

    Parameters
    ----------
    rows
        Stored schema and `IS_NEW`, any order; `session_id` null unless `SESSION_GIVEN`.
    owners
        ``event_id, ts``: events that occur on several days and the moment that holds (see
        `feature_store.contested_ids`).
    """
    rows = rows.sort(ROW_ORDER)
    rows, foreign = _split_heads(rows, owners)
    rows, losers = _split_payloads(rows)
    lost = pl.concat([foreign, losers])
    new_rows = int(rows[IS_NEW].sum())
    rows = _drop_repetitions(rows)
    return Merged(
        rows=rows,
        duplicates=new_rows - int(rows[IS_NEW].sum()),
        conflicts=lost.filter(IS_NEW).drop(IS_NEW),
        displaced=lost.filter(~pl.col(IS_NEW)).drop(IS_NEW),
    )


def smallest_heads(rows: pl.DataFrame) -> pl.DataFrame:
    """The head that holds for each event: ``event_id`` and `HEAD`."""
    heads = rows.select(terms.EVENT_ID, *HEAD).sort(terms.EVENT_ID, *HEAD)
    return heads.unique(terms.EVENT_ID, keep="first", maintain_order=True)


def _split_heads(rows: pl.DataFrame, owners: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows under the head that holds, and the others."""
    lost = []
    if owners.height:
        owned = pl.col(terms.EVENT_ID).is_in(owners[terms.EVENT_ID].implode())
        held = rows.join(owners, on=[terms.EVENT_ID, terms.TS], how="semi", maintain_order="left")
        inside = rows.filter(owned)
        lost.append(inside.join(held, on=[terms.EVENT_ID, terms.TS], how="anti"))
        rows = pl.concat([rows.filter(~owned), held]).sort(ROW_ORDER)
    heads = rows.select(terms.EVENT_ID, *HEAD).unique()
    several = heads.filter(pl.col(terms.EVENT_ID).is_duplicated())
    if several.height:
        held_heads = smallest_heads(several)
        losing = several.join(held_heads, on=[terms.EVENT_ID, *HEAD], how="anti")
        on = [terms.EVENT_ID, *HEAD]
        lost.append(rows.join(losing, on=on, how="semi", maintain_order="left"))
        rows = rows.join(losing, on=on, how="anti", maintain_order="left")
    return rows, pl.concat(lost) if lost else rows.clear()


def _split_payloads(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows with the payload that holds for their event and position, and the others."""
    repeated = _repeated(rows)
    if not repeated.any():
        return rows, rows.clear()
    inside = rows.filter(repeated).with_columns(payload=pl.struct(PAYLOAD).hash())
    several = pl.col("payload").n_unique().over(ROW_KEY) > 1
    contested = inside.filter(several)
    if contested.is_empty():
        return rows, rows.clear()
    held = contested.sort(PAYLOAD, nulls_last=False).unique(
        ROW_KEY, keep="first", maintain_order=True
    )
    losing = contested.join(held, on=[*ROW_KEY, "payload"], how="anti").drop("payload")
    kept = contested.join(held, on=[*ROW_KEY, "payload"], how="semi").drop("payload")
    rest = rows.join(contested, on=ROW_KEY, how="anti")
    return pl.concat([rest, kept]).sort(ROW_ORDER), losing


def _drop_repetitions(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per event and position: the stored one if there is one, with the earliest arrival."""
    repeated = _repeated(rows)
    if not repeated.any():
        return rows
    inside = rows.filter(repeated).sort(*ROW_ORDER, IS_NEW)
    earliest = pl.col(terms.AVAILABLE_AT).min().over(ROW_KEY)
    once = inside.with_columns(earliest).unique(ROW_KEY, keep="first", maintain_order=True)
    return pl.concat([rows.filter(~repeated), once]).sort(ROW_ORDER)


def _repeated(rows: pl.DataFrame) -> pl.Series:
    """Whether a row shares event and position with a neighbour; row order, one head per event."""
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in ROW_KEY)
    same = same.fill_null(value=False)
    return rows.select(same | same.shift(-1, fill_value=False)).to_series()
