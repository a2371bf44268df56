"""Writes the shop's events and catalogue to files, and the truth into a folder of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec
import numpy as np
import polars as pl

from recommender import terms
from training.simulation.behaviour import PLACEMENTS, Exit, Pace, Via
from training.simulation.catalogue import Catalogue
from training.simulation.demand import DAY_MICROS, Need
from training.simulation.encode import Encoder
from training.simulation.flat import Flattener, Numbers, in_time_order, rows_of
from training.simulation.identity import Identity
from training.simulation.purchase import Orders
from training.simulation.shop import DayLog, Shop
from training.simulation.visits import SessionTruth

ROWS_PER_FILE = 1_000_000
"""Rows of one Parquet file; bounds the memory of writing."""


class Emitter(Protocol):
    """Takes the days of a run in order."""

    def write(self, log: DayLog) -> int:
        """Take one day. Gives the number of its events."""
        ...

    def close(self) -> None:
        """Finish: nothing is held back after this."""
        ...


@dataclass(slots=True)
class JsonlEmitter:
    """Writes `events.jsonl` in the order of time; visits past midnight wait for the next day.

    Parameters
    ----------
    file
        Open for writing bytes.
    """

    file: BinaryIO
    encoder: Encoder
    _lines: list[bytes] = field(default_factory=list)
    _ts: list[np.ndarray] = field(default_factory=list)

    def write(self, log: DayLog) -> int:
        """Write what happened before the next midnight."""
        for chunk in log.chunks:
            self._lines.extend(self.encoder.json(chunk))
            self._ts.append(chunk.ts)
        self._flush(log.midnight + DAY_MICROS)
        return sum(len(chunk) for chunk in log.chunks)

    def close(self) -> None:
        """Write what is left and close the file."""
        self._flush(np.iinfo(np.int64).max)
        self.file.close()

    def _flush(self, until: int) -> None:
        ts = np.concatenate([np.empty(0, np.int64), *self._ts])
        order = np.argsort(ts, kind="stable")
        ready = int(np.searchsorted(ts[order], until))
        lines = self._lines
        self.file.writelines(lines[place] + b"\n" for place in order[:ready].tolist())
        later = order[ready:]
        self._lines = [lines[place] for place in later.tolist()]
        self._ts = [ts[later]]


@dataclass(slots=True)
class ParquetEmitter:
    """Writes `events/part-NNNNN.parquet`, one row per event and item, in the order of time."""

    folder: Path
    flattener: Flattener
    _late: list[Numbers] = field(default_factory=list)
    _files: int = 0

    def write(self, log: DayLog) -> int:
        """Write what happened before the next midnight."""
        rows = in_time_order([*self._late, self.flattener.numbers(log.chunks)])
        today = int(np.searchsorted(rows[terms.TS], log.midnight + DAY_MICROS))
        self._save(rows_of(rows, slice(today)))
        self._late = [rows_of(rows, slice(today, None))]
        return sum(len(chunk) for chunk in log.chunks)

    def close(self) -> None:
        """Write what is left."""
        for rows in self._late:
            self._save(rows)
        self._late = []

    def _save(self, rows: Numbers) -> None:
        """Write rows in the order of time, in files of a bounded size."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for first in range(0, len(rows[terms.TS]), ROWS_PER_FILE):
            part = self.flattener.words(rows_of(rows, slice(first, first + ROWS_PER_FILE)))
            part.write_parquet(self.folder / f"part-{self._files:05d}.parquet", compression="zstd")
            self._files += 1


def write_catalogue(path: Path, catalogue: Catalogue, available: np.ndarray) -> None:
    """Write one JSON object per item: item_id, title, category, brand, price, available.

    Parameters
    ----------
    available
        bool (M,): in stock at the end of the run.
    """
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        for item in range(len(catalogue)):
            described = {
                terms.ITEM_ID: catalogue.item_ids[item],
                terms.TITLE: catalogue.titles[item],
                terms.CATEGORY: catalogue.leaves[catalogue.leaf[item]].path,
                terms.BRAND: catalogue.brand_names[catalogue.brand[item]],
                terms.PRICE: float(catalogue.price[item]),
                "available": bool(available[item]),
            }
            file.write(encode(described) + b"\n")


def sessions_frame(truths: Iterable[SessionTruth], shop: Shop) -> pl.DataFrame:
    """Give the truth of all visits, one row each, with outside ids and words."""
    parts = list(truths)
    columns = {
        one.name: np.concatenate([getattr(part, one.name) for part in parts])
        for one in fields(SessionTruth)
    }
    frame = pl.DataFrame(columns).with_columns(_ids(shop.identity)).drop("shopper", "device")
    paths = [leaf.path for leaf in shop.catalogue.leaves]
    return frame.with_columns(
        pl.col("started").cast(pl.Datetime("us", "UTC")),
        words("pace", [one.name.lower() for one in Pace]),
        words("entry", PLACEMENTS),
        words("need_kind", [one.name.lower() for one in Need]),
        words("need_leaf", paths).alias("need_category"),
        words("need_item", shop.catalogue.item_ids).alias("need_item_id"),
        words("reason", [one.name.lower() for one in Exit]),
        is_bot=pl.col("pace") < 0,
    ).drop("need_leaf", "need_item")


def orders_frame(orders: Iterable[Orders], shop: Shop) -> pl.DataFrame:
    """Give the truth of all order lines: what led to them, and how many steps it took."""
    parts = [
        pl.DataFrame(
            {
                "number": one.number[rows],
                "order": one.order[rows],
                "shopper": one.shopper[rows],
                "device": one.device[rows],
                "visit": one.visit[rows],
                "item": one.items[rows, columns],
                "quantity": one.quantity[rows, columns],
                "via": one.via[rows, columns],
                "pages": one.pages[rows],
                "steps": one.interactions[rows],
            }
        )
        for one in orders
        for rows, columns in [np.nonzero(one.quantity)]
    ]
    if not parts:
        return pl.DataFrame()
    frame = pl.concat(parts).with_columns(_ids(shop.identity))
    item = words("item", shop.catalogue.item_ids).alias(terms.ITEM_ID)
    via = words("via", [one.name.lower() for one in Via])
    return frame.with_columns(item, via).drop("shopper", "device", "item")


def shoppers_frame(shop: Shop) -> pl.DataFrame:
    """Give the truth of all shoppers: their ids on all devices, and whether they are bots."""
    shoppers, identity = shop.shoppers, shop.identity
    return pl.DataFrame(
        {
            "user_id": identity.users,
            "first_visitor_id": identity.visitors[0],
            "second_visitor_id": identity.visitors[1],
            "is_bot": shoppers.is_bot,
            "has_account": shoppers.has_account,
            "price_level": shoppers.price_level,
            "price_sense": shoppers.price_sense,
            "visit_rate": shoppers.visit_rate,
            "visits": shoppers.visits.sum(axis=1),
        }
    )


def words(column: str, names: Iterable[str]) -> pl.Expr:
    """The name at an index, null at -1."""
    table = dict(enumerate(names))
    return pl.col(column).replace_strict(
        list(table), list(table.values()), default=None, return_dtype=pl.String
    )


def _ids(identity: Identity) -> list[pl.Expr]:
    first, second = pl.Series(identity.visitors[0]), pl.Series(identity.visitors[1])
    shopper, device = pl.col("shopper"), pl.col("device")
    visitor = (
        pl.when(device == 0)
        .then(pl.lit(first).gather(shopper))
        .otherwise(pl.lit(second).gather(shopper))
    )
    return [
        visitor.alias(terms.VISITOR_ID),
        pl.format("{}.{}", visitor, "visit").alias(terms.SESSION_ID),
    ]
