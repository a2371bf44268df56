"""Chunks of the simulator as rows of the interactions table, without a detour over JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from recommender import terms
from training.simulation.behaviour import PLACEMENTS
from training.simulation.catalogue import Catalogue
from training.simulation.encode import CURRENCY, PRICED, VALUED, event_values
from training.simulation.identity import Identity
from training.simulation.recorder import EventChunk

TIME = pl.Datetime("us", "UTC")
COLUMNS = (
    terms.EVENT_ID,
    terms.ITEM_POSITION,
    terms.EVENT_TYPE,
    terms.TS,
    terms.AVAILABLE_AT,
    terms.VISITOR_ID,
    terms.USER_ID,
    terms.SESSION_ID,
    terms.ITEM_ID,
    terms.PRICE,
    terms.QUANTITY,
    terms.VALUE,
    terms.CURRENCY,
    terms.TRANSACTION_ID,
    terms.CATEGORY,
    terms.BRAND,
    terms.TITLE,
    terms.SEARCH_TERM,
    terms.PLACEMENT,
    terms.RECOMMENDATION_ID,
    terms.DEVICE,
)
_NONE = -1
_ITEM, _NAMED = "item", "named"

Column: TypeAlias = npt.NDArray[Any]
Numbers: TypeAlias = dict[str, Column]


@dataclass(slots=True)
class Flattener:
    """Turns chunks into one row per event and item, columns as the interactions table has them."""

    catalogue: Catalogue
    identity: Identity
    _items: pl.DataFrame = field(default_factory=pl.DataFrame)
    _people: pl.DataFrame = field(default_factory=pl.DataFrame)

    def __post_init__(self) -> None:
        self._items = _describe_items(self.catalogue)
        self._people = _describe_people(self.identity)

    def frame(self, chunks: Sequence[EventChunk]) -> pl.DataFrame:
        """Give all events of the chunks, ordered by time, ties in the order of the chunks."""
        return self.words(in_time_order([self.numbers(chunks)]))

    def numbers(self, chunks: Sequence[EventChunk]) -> Numbers:
        """Give the rows of the table as numbers: a tenth of the memory of the words."""
        return joined([_numbers(chunk, self.catalogue) for chunk in [*chunks, _NO_EVENTS]])

    def words(self, numbers: Numbers) -> pl.DataFrame:
        """Replace indices by what they stand for."""
        person = self._people[numbers["person"]]
        item = self._items[np.where(numbers[_ITEM] >= 0, numbers[_ITEM], len(self.catalogue))]
        # A column of Python texts goes over as a list: an array of objects would stay objects.
        ids = pl.Series(numbers[terms.RECOMMENDATION_ID].tolist(), dtype=pl.String)
        rest = pl.DataFrame({**numbers, terms.RECOMMENDATION_ID: ids})
        frame = pl.concat([rest, person, item], how="horizontal")
        in_session, valued = pl.col("in_session"), pl.col("valued")
        nouns = [leaf.noun.lower() for leaf in self.catalogue.leaves]
        return (
            frame.with_columns(
                pl.col(terms.TS).cast(TIME),
                _visit=pl.format("{}.{}", terms.VISITOR_ID, "visit"),
                **{name: pl.when(_NAMED).then(name) for name in _DESCRIPTION},
            )
            .with_columns(
                pl.col(terms.TS).alias(terms.AVAILABLE_AT),
                pl.format("{}.{}", "_visit", "sequence").alias(terms.EVENT_ID),
                pl.when("logged_in").then(terms.USER_ID).alias(terms.USER_ID),
                pl.when(in_session).then("_visit").alias(terms.SESSION_ID),
                pl.when(in_session).then(terms.DEVICE).alias(terms.DEVICE),
                pl.col(terms.QUANTITY).cast(pl.Float64).replace(_NONE, None),
                pl.when(valued).then(terms.VALUE).alias(terms.VALUE),
                pl.when(valued).then(pl.lit(CURRENCY)).alias(terms.CURRENCY),
                pl.when(pl.col("order") >= 0)
                .then(pl.format("{}.o{}", "_visit", "order"))
                .alias(terms.TRANSACTION_ID),
                _word(terms.EVENT_TYPE, terms.EVENT_TYPES).alias(terms.EVENT_TYPE),
                _word("search", nouns).alias(terms.SEARCH_TERM),
                _word(terms.PLACEMENT, PLACEMENTS).alias(terms.PLACEMENT),
            )
            .select(COLUMNS)
        )


def joined(parts: Sequence[Numbers]) -> Numbers:
    """Give the rows of several tables of numbers, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def rows_of(numbers: Numbers, rows: Column | slice) -> Numbers:
    """Give the chosen rows (indices or a slice)."""
    return {name: column[rows] for name, column in numbers.items()}


def in_time_order(parts: Sequence[Numbers]) -> Numbers:
    """Join tables of numbers and order the rows by time; ties keep their order."""
    together = joined(parts)
    return rows_of(together, np.argsort(together[terms.TS], kind="stable"))


_DESCRIPTION = (terms.PRICE, terms.CATEGORY, terms.BRAND, terms.TITLE)


def _describe_items(catalogue: Catalogue) -> pl.DataFrame:
    """One row per item, and a last row of nulls for no item."""
    paths = [leaf.path for leaf in catalogue.leaves]
    return pl.DataFrame(
        {
            terms.ITEM_ID: [*catalogue.item_ids, None],
            terms.PRICE: [*catalogue.price.tolist(), None],
            terms.CATEGORY: [*(paths[leaf] for leaf in catalogue.leaf), None],
            terms.BRAND: [*(catalogue.brand_names[one] for one in catalogue.brand), None],
            terms.TITLE: [*catalogue.titles, None],
        }
    )


def _describe_people(identity: Identity) -> pl.DataFrame:
    """One row per shopper and device: row 2 s + d."""
    return pl.DataFrame(
        {
            terms.VISITOR_ID: _interleave(*identity.visitors),
            terms.USER_ID: _interleave(identity.users, identity.users),
            terms.DEVICE: _interleave(*identity.devices),
        }
    )


def _interleave(first: Sequence[str], second: Sequence[str]) -> list[str]:
    return [one for pair in zip(first, second, strict=True) for one in pair]


def _word(index: str, words: Sequence[str]) -> pl.Expr:
    """The word at an index, null at -1."""
    column = pl.col(index).cast(pl.Int32)
    return column.replace_strict(
        list(range(len(words))), list(words), default=None, return_dtype=pl.String
    )


def _numbers(chunk: EventChunk, catalogue: Catalogue) -> Numbers:
    """One row per event and item of a chunk, as numbers: indices, -1 for none, and flags."""
    rows, position = _places(chunk)
    n = len(chunk)
    valued = chunk.event_type in VALUED
    value = event_values(chunk, catalogue) if valued else np.zeros(n)
    filled = np.asarray(chunk.items >= 0)
    holds = np.asarray(np.any(filled, axis=1))
    item = np.full(len(rows), _NONE, np.int32)
    item[holds[rows]] = chunk.items[filled]
    quantity = np.full(len(rows), _NONE, np.int32)
    if chunk.quantity is not None:
        quantity[:] = chunk.quantity[filled]
    ids = chunk.recommendation_id
    return {
        "person": 2 * chunk.shopper[rows] + chunk.device[rows],
        "visit": chunk.visit[rows],
        "sequence": chunk.sequence[rows],
        terms.TS: chunk.ts[rows],
        terms.EVENT_TYPE: np.full(len(rows), terms.EVENT_CODES[chunk.event_type], np.uint8),
        terms.ITEM_POSITION: position.astype(np.int32),
        _ITEM: item,
        _NAMED: np.full(len(rows), chunk.event_type in PRICED),
        terms.QUANTITY: quantity,
        terms.VALUE: value[rows],
        "valued": np.full(len(rows), valued),
        "logged_in": chunk.logged_in[rows],
        "in_session": np.full(len(rows), chunk.in_session),
        "order": _or_none(chunk.order, n)[rows],
        "search": _or_none(chunk.search, n)[rows],
        terms.PLACEMENT: chunk.placement[rows],
        terms.RECOMMENDATION_ID: (np.full(n, None, object) if ids is None else ids)[rows],
    }


def _or_none(column: Column | None, n: int) -> Column:
    return np.full(n, _NONE, np.int32) if column is None else column


def _places(chunk: EventChunk) -> tuple[Column, Column]:
    """Event and position in it of every row of the table; an event without items has one row."""
    count = np.maximum((chunk.items >= 0).sum(axis=1), 1)
    rows = np.repeat(np.arange(len(chunk)), count)
    return rows, np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)


_NO_EVENTS = EventChunk(
    event_type=terms.VIEW_ITEM,
    shopper=np.empty(0, np.int32),
    device=np.empty(0, np.int32),
    visit=np.empty(0, np.int32),
    sequence=np.empty(0, np.int32),
    ts=np.empty(0, np.int64),
    items=np.empty((0, 1), np.int32),
    placement=np.empty(0, np.int8),
    page=np.empty(0, np.int8),
    logged_in=np.empty(0, np.bool_),
)
