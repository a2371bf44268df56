"""Known events written by hand: (shopper, item, event type, day). Visits end after half an hour."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from recommender.terms import EVENT_CODES, EVENT_TYPES
from training.known_events import KnownEvents
from training.models.popularity import MICROS_PER_DAY
from training.spec import TrainingSpec

Row = tuple[int, int, str, float]

WEIGHTS = TrainingSpec().weight_by_code
assert len(WEIGHTS) == len(EVENT_TYPES)
_GAP = MICROS_PER_DAY // 48


def known(rows: Iterable[Row], items: int, until: float = 100, start: float = 0) -> KnownEvents:
    ordered = sorted(rows, key=lambda row: (row[0], row[3], row[1]))
    shopper, item, name, day = zip(*ordered, strict=True) if ordered else ((), (), (), ())
    ts = np.round(np.array(day, np.float64) * MICROS_PER_DAY).astype(np.int64)
    begins = (np.diff(shopper, prepend=-1) != 0) | (np.diff(ts, prepend=0) > _GAP)
    return KnownEvents(
        np.array(shopper, np.int32),
        np.array(item, np.int32),
        np.array([EVENT_CODES[each] for each in name], np.int32),
        np.cumsum(begins, dtype=np.int64) - 1,
        ts,
        items,
        round(start * MICROS_PER_DAY),
        round(until * MICROS_PER_DAY),
    )
