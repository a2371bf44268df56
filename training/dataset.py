"""What a model may learn from: the items and interactions known before one moment, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from recommender.catalogue import CatalogueItem
from recommender.errors import DataError
from recommender.terms import Float32Array, Int32Array
from training.engine import Engine, EventWindow
from training.models.popularity import decay, popularity
from training.spec import TrainingSpec

_PRICE_DEPTH = 20  # how many of an item's last events are searched for a price


@dataclass(frozen=True, slots=True)
class Dataset:
    """Items and interactions known before `until`.

    Parameters
    ----------
    until
        Microseconds since the epoch, exclusive.
    items
        The items, ascending by id; the position is the item's index in the bundle.
    bundle_idx
        Index in `items` of each item of the window, -1 where it was not known yet; int32.
    user_items
        Decayed weights, float64 (shoppers, items), positive where stored; one row for each shopper
        with any.
    popularity
        Decayed weights of all interactions, float32 (items,).
    """

    until: int
    items: tuple[CatalogueItem, ...]
    bundle_idx: Int32Array
    user_items: sparse.csr_array
    popularity: Float32Array

    def rebase(self, pairs: Path) -> sparse.csr_array:
        """Neighbour counts of a file, in bundle indices: float64 (items, items)."""
        item, other, weight = pl.read_parquet(pairs).get_columns()
        size = len(self.items)
        places = (self.bundle_idx[item.to_numpy()], self.bundle_idx[other.to_numpy()])
        weights = sparse.csr_array((weight.to_numpy(), places), shape=(size, size))
        weights.sum_duplicates()
        return weights


def build_dataset(
    engine: Engine,
    window: EventWindow,
    catalogue: pl.DataFrame,
    spec: TrainingSpec,
    until: int,
    workspace: Path,
) -> Dataset:
    """Gather what was known before `until`.

    Raises
    ------
    DataError
        Nothing was known yet.
    """
    known = window.scan().filter(pl.col("ts") < until, pl.col("available_at") < until)
    events = known.select("item_idx", "event_code", "ts").collect()
    if events.is_empty():
        raise DataError(f"no interaction before {moment(until).isoformat()}; the log is too short")
    items, bundle_idx = _items(engine, window, catalogue, events["item_idx"], until, workspace)
    pairs = engine.interactions(window, spec, until, workspace)
    return Dataset(
        until,
        items,
        bundle_idx,
        _user_items(pairs, bundle_idx, len(items)),
        _popularity(events, bundle_idx, len(items), spec, until),
    )


def moment(micros: int) -> datetime:
    """Aware datetime of microseconds since the epoch."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def known_before(as_of: int | None) -> datetime | None:
    """The moment before which things count, as the feature store takes it; None: all counts."""
    return None if as_of is None else moment(as_of)


def _popularity(
    events: pl.DataFrame, bundle_idx: Int32Array, items: int, spec: TrainingSpec, until: int
) -> Float32Array:
    item_idx, code, ts = (column.to_numpy() for column in events.get_columns())
    age_decay = decay(ts, until, spec.popularity.half_life_days)
    return popularity(bundle_idx[item_idx], spec.weight_by_code[code] * age_decay, items)


def _user_items(pairs: Path, bundle_idx: Int32Array, items: int) -> sparse.csr_array:
    shopper, item, weight = pl.read_parquet(pairs).get_columns()
    # Only shoppers of the past take part: the number of rows must not depend on the future.
    present, row = np.unique(shopper.to_numpy(), return_inverse=True)
    places = (row, bundle_idx[item.to_numpy()])
    user_items = sparse.csr_array((weight.to_numpy(), places), shape=(len(present), items))
    user_items.sum_duplicates()
    return user_items


def _items(
    engine: Engine,
    window: EventWindow,
    catalogue: pl.DataFrame,
    seen: pl.Series,
    until: int,
    workspace: Path,
) -> tuple[tuple[CatalogueItem, ...], Int32Array]:
    seen_idx = seen.unique().sort()
    listed = catalogue.filter(
        pl.col("first_seen").is_null() | (pl.col("first_seen").dt.epoch("us") < until)
    )
    rows = {row["item_id"]: row for row in listed.iter_rows(named=True)}
    # The catalogue is of the end of the log: before that, price and stock were other ones.
    if (listed["last_seen"].dt.epoch("us") >= until).any():
        prices = _prices(engine, window, seen_idx, until, workspace)
        rows = {
            key: row | {"available": True, "price": prices.get(key)} for key, row in rows.items()
        }
    seen_ids = [window.item_ids[index] for index in seen_idx]
    order = {item_id: index for index, item_id in enumerate(sorted({*seen_ids, *rows}))}
    bundle_idx = np.full(len(window.item_ids), -1, np.int32)
    bundle_idx[seen_idx.to_numpy()] = [order[item_id] for item_id in seen_ids]
    return tuple(_item(item_id, rows.get(item_id, {})) for item_id in order), bundle_idx


def _item(item_id: str, row: Mapping[str, object]) -> CatalogueItem:
    texts = [row.get(name) or None for name in ("title", "category", "brand")]
    title, category, brand = (None if text is None else str(text) for text in texts)
    price = row.get("price")
    return CatalogueItem(
        item_id,
        title or "",
        category,
        brand,
        float(price) if isinstance(price, int | float) and price > 0 else None,
        row.get("available") is not False,
    )


def _prices(
    engine: Engine, window: EventWindow, seen_idx: pl.Series, until: int, workspace: Path
) -> dict[str, float]:
    """Last price of each item that was known before `until`: a later price must not leak in."""
    questions = pl.DataFrame(
        {
            "question": pl.Series(range(len(seen_idx)), dtype=pl.Int64),
            "item_idx": seen_idx,
            "at": pl.Series([until] * len(seen_idx), dtype=pl.Int64),
        }
    )
    path = engine.join_as_of(window, questions, "item_idx", _PRICE_DEPTH, workspace)
    priced = pl.read_parquet(path).drop_nulls("price")
    last = priced.group_by("item_idx", maintain_order=True).agg(pl.col("price").last())
    return {window.item_ids[index]: price for index, price in last.iter_rows()}
