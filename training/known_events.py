"""The events that a fit may learn from, as arrays with the bundle's item numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recommender.terms import EVENT_CODES, BoolArray, Int32Array, Int64Array
from training.dataset import Dataset
from training.engine import EventWindow


@dataclass(frozen=True, slots=True)
class KnownEvents:
    """Events that had happened and arrived before `until`, by shopper, then in time.

    Parameters
    ----------
    shopper_idx, item_idx, event_code
        int32 (n,); `item_idx` is that of the bundle.
    session
        Visit of each event, int64 (n,), not falling.
    ts
        Microseconds since the epoch, int64 (n,).
    items
        Number of items of the bundle.
    start, until
        Where the window begins, and the moment of the cut, exclusive.
    """

    shopper_idx: Int32Array
    item_idx: Int32Array
    event_code: Int32Array
    session: Int64Array
    ts: Int64Array
    items: int
    start: int
    until: int

    def __len__(self) -> int:
        return len(self.ts)

    def __getitem__(self, kept: BoolArray) -> KnownEvents:
        return KnownEvents(
            self.shopper_idx[kept],
            self.item_idx[kept],
            self.event_code[kept],
            self.session[kept],
            self.ts[kept],
            self.items,
            self.start,
            self.until,
        )

    def of_types(self, event_types: tuple[str, ...]) -> KnownEvents:
        """The events of these types."""
        return self[np.isin(self.event_code, [EVENT_CODES[name] for name in event_types])]


def known_events(window: EventWindow, dataset: Dataset) -> KnownEvents:
    """The window's events that were known before the moment of a dataset."""
    until = dataset.until
    known = window.scan().filter(pl.col("ts") < until, pl.col("available_at") < until)
    names = ("shopper_idx", "item_idx", "event_code", "session", "ts")
    columns = known.select(names).collect().get_columns()
    shopper, item, code, session, ts = (column.to_numpy() for column in columns)
    return KnownEvents(
        shopper,
        dataset.bundle_idx[item],
        code,
        session,
        ts,
        len(dataset.items),
        window.period.start,
        until,
    )
