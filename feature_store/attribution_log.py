"""Decisions, exposures and outcomes of a data folder, as `feature_store.attribution` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import polars as pl

from feature_store.attribution import (
    DAY_MICROS,
    DECISIONS,
    EXPOSURES,
    OUTCOMES,
    SUBJECT_KEY,
    Attribution,
    attribute,
)
from feature_store.event_log import LogReader
from feature_store.layout import StoreLayout
from feature_store.pseudonyms import read_pseudonyms
from feature_store.records import DecisionRecord
from feature_store.tables import read_interactions
from recommender.terms import (
    ADD_TO_CART,
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
    PURCHASE,
    RECOMMENDATION_ID,
    SELECT_ITEM,
    TS,
    USER_ID,
    VALUE,
    VIEW_ITEM,
    VIEW_ITEM_LIST,
    VISITOR_ID,
)

OUTCOME_TYPES = (SELECT_ITEM, VIEW_ITEM, ADD_TO_CART, PURCHASE)
Pseudonym = Callable[[str, str], str]


def attributed(
    layout: StoreLayout, records: Iterable[object], start: int, end: int, window_micros: int
) -> Attribution:
    """Attribution of the answers of a period; run it again, and what came late is in it.

    Parameters
    ----------
    records
        Records of the log, such as `log_records` gives.
    start, end
        First moment, and the moment after the last, of the answers; outcomes are looked at for a
        window longer. Microseconds since the epoch, UTC.

    Raises
    ------
    ConfigError
        The folder has no secret of pseudonyms.
    """
    decisions, visible = frames_of(records, start, end)
    rows = _events(layout, start, end + window_micros)
    names = read_pseudonyms(layout.pseudonyms).of
    exposures = pl.concat([visible, _listed(rows, visible)])
    return attribute(decisions, exposures, outcomes_of(rows, names), window_micros)


def log_records(layout: StoreLayout) -> Iterator[object]:
    """All records of the service's log."""
    return (entry.record for entry in LogReader(layout.log)) if layout.log.is_dir() else iter(())


def frames_of(records: Iterable[object], start: int, end: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Items of the answers of a period, and what exposure records say was visible.

    A record that has `items_visible` is an exposure, whatever its class.
    """
    decisions, exposures = list[tuple[object, ...]](), list[tuple[object, ...]]()
    for record in records:
        if isinstance(record, DecisionRecord):
            if start <= record.ts_server < end:
                decisions += _items_of(record)
        elif (visible := getattr(record, "items_visible", None)) is not None:
            decision_id, at = record.decision_id, record.ts_server  # type: ignore[attr-defined]
            exposures += [(decision_id, each.item_id, at) for each in visible]
    return (
        pl.DataFrame(decisions, schema=DECISIONS, orient="row"),
        pl.DataFrame(exposures, schema=EXPOSURES, orient="row"),
    )


def _items_of(record: DecisionRecord) -> Iterator[tuple[object, ...]]:
    for item in record.items:
        yield (
            record.decision_id,
            record.ts_server,
            record.subject_key,
            item.item_id,
            item.slot,
            record.qa,
        )


def _events(layout: StoreLayout, start: int, end: int) -> pl.DataFrame:
    first, last = _moment(start).date(), _moment(end).date()
    kinds = [*OUTCOME_TYPES, VIEW_ITEM_LIST]
    rows = read_interactions(layout, first, last).filter(
        pl.col(EVENT_TYPE).is_in(kinds), pl.col(ITEM_ID).is_not_null()
    )
    names = (EVENT_ID, EVENT_TYPE, ITEM_ID, RECOMMENDATION_ID, VISITOR_ID, USER_ID, VALUE)
    found = rows.select(*names, pl.col(TS).dt.epoch("us")).collect()
    return found.filter(pl.col(TS).is_between(start, end, closed="left"))


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _listed(rows: pl.DataFrame, visible: pl.DataFrame) -> pl.DataFrame:
    """What list views say was visible, of answers without an exposure record."""
    lists = rows.filter(
        pl.col(EVENT_TYPE) == VIEW_ITEM_LIST, pl.col(RECOMMENDATION_ID).is_not_null()
    ).select(pl.col(RECOMMENDATION_ID).alias("decision_id"), ITEM_ID, pl.col(TS).alias("shown_at"))
    return lists.join(visible, on="decision_id", how="anti")


def outcomes_of(rows: pl.DataFrame, pseudonym: Pseudonym) -> pl.DataFrame:
    """Outcomes under the names that decisions know: a row for the visitor, one for the user."""
    acts = rows.filter(pl.col(EVENT_TYPE).is_in(list(OUTCOME_TYPES)))
    parts = [
        acts.filter(pl.col(column).is_not_null()).with_columns(
            _keys(acts, column, kind, pseudonym).alias(SUBJECT_KEY)
        )
        for column, kind in ((VISITOR_ID, "visitor"), (USER_ID, "user"))
    ]
    return pl.concat(parts).select(OUTCOMES.names()).cast(OUTCOMES)


def _keys(acts: pl.DataFrame, column: str, kind: str, pseudonym: Pseudonym) -> pl.Expr:
    ids = acts[column].drop_nulls().unique().to_list()
    return pl.col(column).replace_strict(
        ids, [pseudonym(kind, each) for each in ids], return_dtype=pl.String
    )


def attribute_all(layout: StoreLayout, window_micros: int = DAY_MICROS) -> Attribution:
    """Attribution of all answers in the log. Raises as `attributed`."""
    records = list(log_records(layout))
    moments = [each.ts_server for each in records if isinstance(each, DecisionRecord)]
    first, last = min(moments, default=0), max(moments, default=0)
    return attributed(layout, records, first, last + 1, window_micros)
